//! Where connections come in: bounded in number, and encrypted if there is a certificate.

use crate::codes;
use crate::error::{Failure, exit};
use axum::serve::Listener;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;

/// Connections at once; further ones wait to be accepted.
pub const MAX_CONNECTIONS: usize = 4_096;
/// How long a client may take to agree on encryption.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
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
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|error| failed(certificate, error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What bytes go through, in the clear or encrypted.
trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// A connection, which counts as long as it is open.
pub struct Connection {
    stream: Pin<Box<dyn Stream>>,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
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
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
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
        // Answers are small, and clients wait for each.
        let _ = stream.set_nodelay(true);
        let (tls, ready) = (tls.clone(), ready.clone());
        // One that is slow to agree on encryption holds up no other.
        tokio::spawn(async move {
            if let Some(stream) = agreed(stream, tls).await {
                // The server may have ended.
                let _ = ready.send((Connection { stream, _permit: permit }, peer)).await;
            }
        });
    }
}

async fn agreed(stream: TcpStream, tls: Option<TlsAcceptor>) -> Option<Pin<Box<dyn Stream>>> {
    let Some(tls) = tls else { return Some(Box::pin(stream)) };
    match tokio::time::timeout(HANDSHAKE_PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => Some(Box::pin(stream)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a client did not agree on encryption");
            None
        }
        Err(_) => None,
    }
}
