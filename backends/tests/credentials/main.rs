//! Credentials against loopback servers: what Alibaba's SDK was seen doing, and what is stricter here.

mod loopback;
mod machine;
mod refresh;
mod refusals;
mod vectors;
