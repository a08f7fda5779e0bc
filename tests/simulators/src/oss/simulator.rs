//! A simulator that runs.

use super::refusal::Refusal;
use super::script::Script;
use super::server::{self, Call, Shared};
use crate::dlc::Error;
use crate::dlc::script::Account;
use crate::fault::Fault;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A simulator that runs until it is dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts one on an address of this machine; with port 0 the system chooses the port.
    pub fn start(script: &Script, listen: SocketAddr) -> Result<Self, Error> {
        if !listen.ip().is_loopback() {
            return Err(Error::NotLoopback(listen));
        }
        let shared = Arc::new(Shared::new(script));
        let failed = |error| Error::Listen(listen, error);
        let socket = std::net::TcpListener::bind(listen).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("simulator")
            .enable_all()
            .build()
            .map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let serve = async {
                    if let Ok(listener) = TcpListener::from_std(socket) {
                        // It ends only with its future.
                        let _ = server::serve(serving, listener).await;
                    }
                };
                tokio::select! { () = serve => {}, _ = stopped => {} }
            });
            runtime.shutdown_timeout(Duration::from_secs(2));
        });
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Starts one on a free port of 127.0.0.1.
    pub fn anywhere(script: &Script) -> Result<Self, Error> {
        Self::start(script, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
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

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
