//! Where connections come in: bounded in number and in silence, so that no files are lacking for the store and for trials, and
//! encrypted if there is a certificate.

use super::problem::Problem;
use crate::codes;
use crate::error::{Failure, exit};
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::TlsAcceptor;

/// Connections at once, however many files may be open; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 4_096;
/// Which part of them one address may hold. Programs of this machine, such as a proxy, may hold all.
const SHARE_OF_ONE: usize = 4;
/// Most files that are asked for.
const MAX_FILES: u64 = 65_536;
/// How long a connection may be silent in both directions, how long a request may come in, and how long nobody may take an answer. Followers of events are sent a sign of life more often.
const MAX_SILENCE: Duration = Duration::from_mins(2);
/// How long a client may take to agree on encryption.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// The first byte of whoever wants to agree on encryption.
const HANDSHAKE: u8 = 0x16;
/// Bytes that are taken in of a request without encryption.
const MOST_TAKEN: usize = 8 << 10;
/// Wait after a connection that could not be accepted, for example since there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// A certificate with its key, as the server needs them.
pub fn tls(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Failure> {
    let failed = |path: &Path, why: String| Failure {
        code: Some(codes::BAD_CERTIFICATE.to_string()),
        ..Failure::new(
            exit::USAGE,
            format!("{}: {why}", path.display()),
            "give a certificate (with its chain) and its private key as PEM files",
        )
    };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| failed(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(failed(certificate, "it holds no certificate".to_owned()));
    }
    // What is wrong with it is not repeated: the file is a secret.
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|_| failed(key, "it cannot be read, or holds no private key".to_owned()))?;
    rustls::crypto::ring::sign::any_supported_type(&secret)
        .map_err(|_| failed(key, "it holds no private key of a known kind (RSA, ECDSA, EdDSA)".to_owned()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                failed(key, format!("the key does not belong to the certificate {}", certificate.display()))
            }
            error => failed(certificate, error.to_string()),
        })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// How many connections there may be at once: a quarter of the files that may be open, since what they ask for opens some as
/// well. Has the system allow as many files as it does.
fn share() -> usize {
    let (mut soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((256, 256));
    let wanted = hard.min(MAX_FILES);
    if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() {
        soft = wanted;
    }
    usize::try_from(soft / 4).unwrap_or(MAX_CONNECTIONS).clamp(1, MAX_CONNECTIONS)
}

/// What bytes go through, in the clear or encrypted.
trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// A connection, which counts as long as it is open, and ends when it has been silent for too long.
pub struct Connection {
    stream: Pin<Box<dyn Stream>>,
    silence: Pin<Box<Sleep>>,
    /// Whether something has come in since anything was sent: who sends a byte from time to time is as good as silent.
    unanswered: bool,
    working: Working,
    _counted: Counted,
}

/// How many requests of a connection are being worked on: it is not silent meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Working(Arc<AtomicUsize>);

/// A request that is being worked on as long as this is held.
pub struct Work(Working);

impl Working {
    /// Begins the work on a request.
    pub fn begin(&self) -> Work {
        self.0.fetch_add(1, Ordering::Relaxed);
        Work(self.clone())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connected<IncomingStream<'_, Connections>> for Working {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().working.clone()
    }
}

/// Where connections come from.
#[derive(Debug, Default)]
struct Peers(Mutex<BTreeMap<IpAddr, usize>>);

/// A connection among all, and among those from its address.
struct Counted {
    _permit: OwnedSemaphorePermit,
    peers: Arc<Peers>,
    from: IpAddr,
}

impl Peers {
    /// Counts a connection, unless its address has as many as it may.
    fn enter(self: &Arc<Self>, from: IpAddr, permit: OwnedSemaphorePermit, most: usize) -> Option<Counted> {
        let from = whose(from);
        let mut of_each = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = of_each.entry(from).or_default();
        if *count >= most && !from.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Counted { _permit: permit, peers: Arc::clone(self), from })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut of_each = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = of_each.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                of_each.remove(&self.from);
            }
        }
    }
}

/// What stands for whoever has an address: of IPv6 one has a whole network.
fn whose(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into())
        }
        address => address,
    }
}

impl Connection {
    fn new(stream: Pin<Box<dyn Stream>>, counted: Counted) -> Self {
        let working = Working::default();
        Self { stream, silence: Box::pin(sleep(MAX_SILENCE)), unanswered: false, working, _counted: counted }
    }

    /// Puts the end off.
    fn go_on(&mut self) {
        self.silence.as_mut().reset(Instant::now() + MAX_SILENCE);
    }

    /// Whether whoever is there has been silent for too long.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        while self.silence.as_mut().poll(cx).is_ready() {
            if self.working.0.load(Ordering::Relaxed) == 0 {
                return true;
            }
            self.go_on();
        }
        false
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.stream.as_mut().poll_read(cx, buffer);
        if read.is_pending() && self.is_over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if read.is_ready() && !self.unanswered {
            self.unanswered = true;
            self.go_on();
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write(cx, bytes);
        if written.is_ready() {
            self.unanswered = false;
            self.go_on();
        } else if self.is_over(cx) {
            // Nobody takes the answers.
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.stream.as_mut().poll_flush(cx);
        if flushed.is_pending() && self.is_over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }
}

/// Gives connections that are ready to be spoken on.
pub struct Connections {
    address: SocketAddr,
    ready: mpsc::Receiver<(Connection, SocketAddr)>,
}

impl Connections {
    /// Those of a socket.
    pub fn new(socket: TcpListener, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let (sender, ready) = mpsc::channel(64);
        tokio::spawn(accept(socket, tls, sender));
        Ok(Self { address, ready })
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            // The task that accepts never ends by itself.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

async fn accept(
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    ready: mpsc::Sender<(Connection, SocketAddr)>,
) {
    let share = share();
    let (permits, peers) = (Arc::new(Semaphore::new(share)), Arc::new(Peers::default()));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = ready.closed() => return,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Some(counted) = peers.enter(peer.ip(), permit, (share / SHARE_OF_ONE).max(1)) else { continue };
        // Answers are small, and clients wait for each.
        let _ = stream.set_nodelay(true);
        let (tls, ready) = (tls.clone(), ready.clone());
        // One that is slow to agree on encryption holds up no other.
        tokio::spawn(async move {
            if let Some(stream) = agreed(stream, tls).await {
                // The server may have ended.
                let _ = ready.send((Connection::new(stream, counted), peer)).await;
            }
        });
    }
}

async fn agreed(mut stream: TcpStream, tls: Option<TlsAcceptor>) -> Option<Pin<Box<dyn Stream>>> {
    let Some(tls) = tls else { return Some(Box::pin(stream)) };
    let agreed = async move {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
            unencrypted(&mut stream).await?;
            return Ok(None);
        }
        tls.accept(stream).await.map(Some)
    };
    match tokio::time::timeout(HANDSHAKE_PATIENCE, agreed).await {
        Ok(Ok(stream)) => Some(Box::pin(stream?)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a client did not agree on encryption");
            None
        }
        Err(_) => None,
    }
}

/// Tells whoever speaks HTTP without encryption what is wrong.
async fn unencrypted(stream: &mut TcpStream) -> io::Result<()> {
    // What is not taken in would break the connection before the answer is read.
    let _ = stream.read(&mut [0; MOST_TAKEN]).await?;
    let problem = Problem::bad_request("this daemon speaks HTTP with encryption only", "call it by https://");
    let body = problem.json().to_string();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_holds_a_part_of_the_connections_and_this_machine_all() {
        let (permits, peers) = (Arc::new(Semaphore::new(100)), Arc::new(Peers::default()));
        let enter = |from: &str| {
            peers.enter(from.parse().unwrap(), Arc::clone(&permits).try_acquire_owned().unwrap(), 2)
        };
        let mut held: Vec<Counted> = ["10.0.0.1", "::ffff:10.0.0.1"].map(|from| enter(from).unwrap()).into();
        assert!(enter("10.0.0.1").is_none() && enter("10.0.0.2").is_some());
        held.pop();
        assert!(enter("10.0.0.1").is_some());
        held.extend(["2001:db8::1", "2001:db8::2"].map(|from| enter(from).unwrap()));
        assert!(enter("2001:db8::3").is_none() && enter("2001:db8:0:1::1").is_some());
        held.extend((0..5).flat_map(|_| [enter("127.0.0.1").unwrap(), enter("::1").unwrap()]));
        drop(held);
        assert_eq!((peers.0.lock().unwrap().len(), permits.available_permits()), (0, 100));
    }

    #[tokio::test]
    async fn a_connection_ends_after_silence_and_not_before() {
        let permits = Arc::new(Semaphore::new(1));
        let (mut client, stream) = tokio::io::duplex(64);
        let permit = Arc::clone(&permits).acquire_owned().await.unwrap();
        let counted = Arc::<Peers>::default().enter(IpAddr::from([127, 0, 0, 1]), permit, 1).unwrap();
        let mut connection = Connection::new(Box::pin(stream), counted);
        let near = |connection: &mut Connection| {
            connection.silence.as_mut().reset(Instant::now() + Duration::from_millis(50));
        };
        let is_put_off =
            |connection: &Connection| connection.silence.deadline() > Instant::now() + MAX_SILENCE / 2;
        near(&mut connection);
        client.write_all(b"x").await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), b'x');
        assert!(is_put_off(&connection));
        // A further byte of what is not answered yet does not.
        near(&mut connection);
        client.write_all(b"x").await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), b'x');
        assert!(!is_put_off(&connection));
        connection.write_all(b"y").await.unwrap();
        assert!(is_put_off(&connection));
        near(&mut connection);
        assert_eq!(connection.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(connection);
        assert_eq!(permits.available_permits(), 1);
    }
}
