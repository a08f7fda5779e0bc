//! A request as it was on the wire, and the connection that it came by.
//!
//! [`Wire`] is what the signature is verified from. [`Severable`] is a connection that can be cut while an answer is
//! being written, as a connection to a real service can be.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// After how many milliseconds a connection that could not be taken is tried for again.
const ACCEPT_AGAIN_MS: u64 = 50;

/// A request as it was on the wire.
#[derive(Debug, Clone, Default)]
pub struct Wire {
    /// The method, such as `GET`.
    pub method: String,
    /// The path as sent, percent-encoded.
    pub path: String,
    /// The query as sent, without its question mark.
    pub query: String,
    /// Names in lower case, in the order of arrival.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Wire {
    /// Reads a request; if its body has more than `bound` bytes or is broken off, what came before it is the error.
    pub async fn read(request: Request, bound: usize) -> Result<Self, Self> {
        let (head, body) = request.into_parts();
        let headers = head.headers.iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let mut wire = Self {
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: headers.collect(),
            body: Vec::new(),
        };
        match to_bytes(body, bound).await {
            Ok(bytes) => wire.body = bytes.to_vec(),
            Err(_) => return Err(wire),
        }
        Ok(wire)
    }

    /// The first header of a name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The query's pairs, decoded as a form: `+` is a space.
    pub fn pairs(&self) -> Vec<(String, String)> {
        self.query
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (key, value) = part.split_once('=').unwrap_or((part, ""));
                (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
            })
            .collect()
    }

    /// The segments of the path, decoded.
    pub fn segments(&self) -> Vec<String> {
        self.path.split('/').filter(|part| !part.is_empty()).map(decode).collect()
    }
}

/// Undoes percent-encoding; what is not an encoding stays as it is.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| (*byte as char).to_digit(16));
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (*byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                plain.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// How many more bytes a connection may write; all of them at first.
#[derive(Debug, Clone)]
pub struct Allowance(Arc<AtomicU64>);

impl Allowance {
    fn unlimited() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// Lets the connection write so many bytes more, and then breaks it.
    pub fn cut_after(&self, bytes: u64) {
        self.0.store(bytes, Ordering::SeqCst);
    }
}

impl Connected<IncomingStream<'_, Door>> for Allowance {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().allowance.clone()
    }
}

/// A connection that can be cut.
#[derive(Debug)]
pub struct Severable {
    stream: TcpStream,
    allowance: Allowance,
}

impl AsyncRead for Severable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Severable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let left = self.allowance.0.load(Ordering::SeqCst);
        if left == u64::MAX {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        }
        let allowed = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let Some(part) = bytes.get(..allowed).filter(|part| !part.is_empty()) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let written = Pin::new(&mut self.stream).poll_write(context, part);
        if let Poll::Ready(Ok(count)) = &written {
            self.allowance.cut_after(left - *count as u64);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Where connections come in.
#[derive(Debug)]
pub struct Door(pub TcpListener);

impl Listener for Door {
    type Io = Severable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Severable, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, address)) => {
                    // Answers are small; without it each would wait for the other side's acknowledgement.
                    let _ = stream.set_nodelay(true);
                    return (Severable { stream, allowance: Allowance::unlimited() }, address);
                }
                // No descriptor is free, or the other side has gone: later connections may fare better.
                Err(_) => tokio::time::sleep(Duration::from_millis(ACCEPT_AGAIN_MS)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_a_form_and_a_path_is_not() {
        let wire = Wire {
            path: "/api/v1/jobs/a%2Fb+c".to_owned(),
            query: "A=x+y%20z&B=&C&D=%E4%B8%AD%2B&E=%zz".to_owned(),
            ..Wire::default()
        };
        assert_eq!(wire.segments(), ["api", "v1", "jobs", "a/b+c"]);
        let pairs = wire.pairs();
        let values: Vec<&str> = pairs.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["x y z", "", "", "中+", "%zz"]);
    }
}
