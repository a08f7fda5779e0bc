//! What every simulator is as a server: reachable from this machine alone, on threads of its own, until it is dropped; and
//! who may call its own interface.
//!
//! Begin with [`Serving::start`].

use crate::wire::Wire;
use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How long what is under way may take to end when the simulator is dropped.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// Threads for long work where nothing else is said; the runtime's own default.
pub const WORKERS: usize = 512;

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It would be reachable from other machines.
    #[error("{0} is not an address of this machine alone: listen on 127.0.0.1 or [::1]")]
    NotLoopback(SocketAddr),
    /// The system refuses.
    #[error("failed to listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    /// Starts one on an address of this machine; with port 0 the system chooses the port. `workers` bounds the threads for
    /// long work, `serve` serves until its future is dropped, and `end` is done after that.
    pub fn start<F>(
        listen: SocketAddr,
        workers: usize,
        serve: impl FnOnce(TcpListener) -> F + Send + 'static,
        end: impl FnOnce() + Send + 'static,
    ) -> Result<Self, StartError>
    where
        F: Future<Output = io::Result<()>>,
    {
        if !listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(listen));
        }
        let failed = |error| StartError::Listen(listen, error);
        let socket = std::net::TcpListener::bind(listen).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(workers)
            .thread_name("simulator")
            .enable_all()
            .build()
            .map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let serve = async {
                    if let Ok(listener) = TcpListener::from_std(socket) {
                        // It ends only with its future.
                        let _ = serve(listener).await;
                    }
                };
                tokio::select! { () = serve => {}, _ = stopped => {} }
            });
            end();
            runtime.shutdown_timeout(SHUTDOWN);
        });
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Serving {
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

/// An address of 127.0.0.1 of which the system chooses the port.
pub fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// The path below `/simulator`, if the call is one to the simulator's own interface.
pub fn own_path(wire: &Wire) -> Option<Vec<String>> {
    let segments = wire.segments();
    segments.split_first().filter(|(first, _)| *first == "simulator").map(|(_, rest)| rest.to_vec())
}

/// Why a call to the simulator's own interface is not from a program of this machine: HTTP status, code and message.
pub fn stranger(wire: &Wire) -> Option<(u16, &'static str, String)> {
    // A web page of somebody else's cannot send this type without asking first, which nobody answers, and cannot name
    // a host that is not its own.
    let json = wire.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if wire.method == "POST" && !json {
        return Some((415, "NotJson", "Content-Type must be application/json".to_owned()));
    }
    let host = wire.header("host").unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let own = matches!(name, "127.0.0.1" | "localhost" | "[::1]");
    (!own).then(|| (403, "NotLoopback", format!("{host} is not a name of this machine alone")))
}
