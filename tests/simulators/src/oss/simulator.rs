//! A simulator that runs.

use super::refusal::Refusal;
use super::script::Script;
use super::server::{self, Call, Shared};
use crate::dlc::script::Account;
use crate::fault::Fault;
use crate::serving::{self, Serving, StartError};
use std::net::SocketAddr;
use std::sync::Arc;

/// A simulator that runs until it is dropped.
#[derive(Debug)]
pub struct Simulator {
    serving: Serving,
    shared: Arc<Shared>,
}

impl Simulator {
    /// Starts one on an address of this machine; with port 0 the system chooses the port.
    pub fn start(script: &Script, listen: SocketAddr) -> Result<Self, StartError> {
        let shared = Arc::new(Shared::new(script));
        let own = Arc::clone(&shared);
        let serving =
            Serving::start(listen, serving::WORKERS, |listener| server::serve(own, listener), || {})?;
        Ok(Self { serving, shared })
    }

    /// Starts one on a free port of 127.0.0.1.
    pub fn anywhere(script: &Script) -> Result<Self, StartError> {
        Self::start(script, serving::anywhere())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// Lets calls go wrong, beside what is to go wrong already.
    pub fn add_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.parts().gate.faults.extend(faults);
    }

    /// Replaces those who may call.
    pub fn set_accounts(&self, accounts: Vec<Account>) {
        self.shared.parts().gate.accounts = accounts;
    }

    /// Moves its clock, in milliseconds.
    pub fn advance(&self, by_ms: i64) {
        self.shared.clock.advance(by_ms);
    }

    /// The calls that came, the oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.parts().calls.iter().cloned().collect()
    }

    /// Writes an object without a call.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> Result<(), Refusal> {
        let now_ms = self.shared.clock.now_ms();
        let mut parts = self.shared.parts();
        let (_, store) = parts.bucket(bucket).ok_or_else(|| Refusal::no_bucket(bucket))?;
        store.put(key, bytes.to_vec(), Vec::new(), now_ms).map(drop)
    }

    /// Adds to an object without a call, at its end.
    pub fn append(&self, bucket: &str, key: &str, bytes: &[u8]) -> Result<(), Refusal> {
        let now_ms = self.shared.clock.now_ms();
        let mut parts = self.shared.parts();
        let (_, store) = parts.bucket(bucket).ok_or_else(|| Refusal::no_bucket(bucket))?;
        let end = store.about(key).map_or(0, |about| about.size);
        store.append(key, end, bytes, Vec::new(), now_ms).map(drop)
    }

    /// The bytes of an object, if there is one.
    pub fn object(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        self.shared.parts().bucket(bucket)?.1.get(key).map(|(_, bytes)| bytes)
    }
}
