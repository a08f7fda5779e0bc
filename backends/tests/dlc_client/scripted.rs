//! A server on loopback that answers as it is told, one step for each request, and keeps what it was sent; and a world
//! whose clock moves only when somebody sleeps.

use async_trait::async_trait;
use engine::time::Timestamp;
use retrial_backends::cloud::world::World;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a request that it has read.
#[derive(Debug, Clone)]
pub enum Step {
    /// Answers.
    Answer(u16, Vec<(String, String)>, String),
    /// Closes the connection.
    Drop,
    /// Sends the head of an answer and nothing more.
    Stall,
}

/// An answer without headers of its own.
pub fn answer(status: u16, body: &str) -> Step {
    Step::Answer(status, Vec::new(), body.to_owned())
}

/// An error answer as the service gives it.
pub fn fault(status: u16, code: &str, headers: &[(&str, &str)]) -> Step {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let body = format!(r#"{{"Code":"{code}","Message":"said","RequestId":"R-1","HostId":"h"}}"#);
    Step::Answer(status, headers, body)
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub connection: usize,
    /// The clock of the world when it came.
    pub at: Duration,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// The server.
pub struct Scripted {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    steps: Arc<Mutex<VecDeque<Step>>>,
}

impl Scripted {
    pub async fn start(world: &Arc<Still>, steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let steps = Arc::new(Mutex::new(VecDeque::from(steps)));
        let server = Self { address, seen: Arc::clone(&seen), steps: Arc::clone(&steps) };
        let world = Arc::clone(world);
        tokio::spawn(async move {
            let connections = AtomicUsize::new(0);
            while let Ok((stream, _)) = listener.accept().await {
                let connection = connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(
                    stream,
                    connection,
                    Arc::clone(&world),
                    Arc::clone(&seen),
                    Arc::clone(&steps),
                ));
            }
        });
        server
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn steps_left(&self) -> usize {
        self.steps.lock().unwrap().len()
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    world: Arc<Still>,
    seen: Arc<Mutex<Vec<Seen>>>,
    steps: Arc<Mutex<VecDeque<Step>>>,
) {
    let mut bytes = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
        let mut lines = text.split("\r\n");
        let mut first = lines.next().unwrap().split(' ');
        let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
        let pair = |line: &str| line.split_once(": ").map(|(key, value)| (key.to_owned(), value.to_owned()));
        let headers: Vec<(String, String)> = lines.filter_map(pair).collect();
        let mut one = Seen { method, target, headers, body: Vec::new(), connection, at: world.steady() };
        let length: usize = one.header("content-length").parse().unwrap_or(0);
        bytes.drain(..head + 4);
        while bytes.len() < length {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        one.body = bytes.drain(..length).collect();
        seen.lock().unwrap().push(one);
        let step = steps.lock().unwrap().pop_front();
        match step {
            Some(Step::Answer(status, headers, body)) => {
                let mut text = format!("HTTP/1.1 {status} S\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    text.push_str(&format!("{name}: {value}\r\n"));
                }
                let _ = stream.write_all(format!("{text}\r\n{body}").as_bytes()).await;
            }
            Some(Step::Stall) => {
                let _ = stream.write_all(b"HTTP/1.1 200 S\r\nContent-Length: 100\r\n\r\n{").await;
                tokio::time::sleep(Duration::from_mins(1)).await;
            }
            Some(Step::Drop) | None => return,
        }
    }
}

/// A world that stands still unless somebody sleeps; its random bits count up.
#[derive(Debug)]
pub struct Still {
    pub wall_at_start: Timestamp,
    slept: Mutex<Duration>,
    drawn: AtomicU64,
}

impl Still {
    pub fn new(wall_at_start: Timestamp) -> Arc<Self> {
        Arc::new(Self { wall_at_start, slept: Mutex::default(), drawn: AtomicU64::new(0) })
    }
}

#[async_trait]
impl World for Still {
    fn wall(&self) -> Timestamp {
        Timestamp(self.wall_at_start.0 + self.steady().as_millis() as i64)
    }

    fn steady(&self) -> Duration {
        *self.slept.lock().unwrap()
    }

    async fn sleep(&self, time: Duration) {
        *self.slept.lock().unwrap() += time;
    }

    fn random(&self) -> u128 {
        u128::from(self.drawn.fetch_add(1, Ordering::Relaxed))
    }
}
