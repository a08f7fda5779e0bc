//! The client of MaxCompute: what the official client sends and is answered, and a server that misbehaves.

mod calls;
mod captures;
mod simulated;
mod stage;

#[expect(dead_code, reason = "this server and its world serve another test, too")]
#[path = "../dlc_client/scripted.rs"]
mod scripted;
