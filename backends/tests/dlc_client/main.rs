//! The client of DLC, from one call to typed operations, against a scripted server and the simulator, both on loopback.

mod calls;
mod operations;
mod scripted;
mod simulated;
