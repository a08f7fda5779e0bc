//! Takes connections in: never so many, and none for so long without a word, that files are lacking for the store and for trials.

use axum::serve::Listener;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Most connections, however many files may be open.
const MAX_CONNECTIONS: u64 = 4_096;
/// Most files that are asked for.
const MAX_FILES: u64 = 65_536;
/// How long a connection may be silent in both directions. Followers of events are sent a sign of life more often.
const MAX_SILENCE: Duration = Duration::from_mins(2);

/// How many connections there may be at once: a quarter of the files that may be open, since what they ask for opens some as
/// well. Has the system allow as many files as it does.
fn share() -> u64 {
    let (mut soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((256, 256));
    let wanted = hard.min(MAX_FILES);
    if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() {
        soft = wanted;
    }
    (soft / 4).clamp(1, MAX_CONNECTIONS)
}

/// A listener that takes no more connections than there is room for; others wait until one ends.
pub struct Bounded {
    listener: TcpListener,
    permits: Arc<Semaphore>,
}

impl Bounded {
    /// Bounds what a listener takes.
    pub fn new(listener: TcpListener) -> Self {
        Self { listener, permits: Arc::new(Semaphore::new(share() as usize)) }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // It is never closed.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Connection { stream, silence: Box::pin(sleep(MAX_SILENCE)), _permit: permit }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when it has been silent for too long.
pub struct Connection {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn heard<T>(&mut self, polled: Poll<T>) -> Poll<T> {
        if polled.is_ready() {
            self.silence.as_mut().reset(Instant::now() + MAX_SILENCE);
        }
        polled
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() && self.silence.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.heard(read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.heard(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.heard(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_connection_ends_after_silence_and_not_before() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut bounded = Bounded { permits: Arc::new(Semaphore::new(1)), listener };
        let address = bounded.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = bounded.accept().await;
        let mut second = TcpStream::connect(address).await.unwrap();
        // What is said puts the end off; in either direction.
        let near = |connection: &mut Connection| {
            connection.silence.as_mut().reset(Instant::now() + Duration::from_millis(50))
        };
        let far = |connection: &Connection| connection.silence.deadline() > Instant::now() + MAX_SILENCE / 2;
        near(&mut connection);
        client.write_all(b"x").await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), b'x');
        assert!(far(&connection));
        near(&mut connection);
        connection.write_all(b"y").await.unwrap();
        assert!(far(&connection));
        near(&mut connection);
        assert_eq!(connection.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        // Only then is another one taken.
        assert_eq!(bounded.permits.available_permits(), 0);
        drop(connection);
        let (mut connection, _) = bounded.accept().await;
        second.write_all(b"z").await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), b'z');
    }
}
