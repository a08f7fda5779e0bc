//! The client of DLC, from one call to typed operations, against a scripted server on loopback.

mod calls;
mod operations;
mod scripted;
