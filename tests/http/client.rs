//! A client that keeps its connection, and one that follows events.
#![allow(dead_code, clippy::allow_attributes, reason = "each test program uses its own part of this")]

use crate::daemon::{Answer, Daemon};
use serde_json::Value;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A connection with the headers that it sends with every request.
pub struct Client {
    stream: BufReader<TcpStream>,
    address: String,
    headers: Vec<(String, String)>,
}

impl Client {
    /// A connection to a daemon without users.
    pub fn of(daemon: &Daemon) -> Self {
        Self::connect(daemon.address()).unwrap()
    }

    /// A connection of somebody with a token.
    pub fn with_token(daemon: &Daemon, token: &str) -> Self {
        Self::of(daemon).with("Authorization", &format!("Bearer {token}"))
    }

    /// A connection to `HOST:PORT`.
    pub fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), address: address.to_owned(), headers: Vec::new() })
    }

    /// With a header in every request.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes a request without waiting for its answer. `more` takes the place of the headers that are usual.
    pub fn write(&mut self, method: &str, path: &str, more: &[(&str, &str)], body: &str) -> Result<()> {
        let given = |name: &str| more.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        let length = body.len().to_string();
        let usual = [("Host", self.address.as_str()), ("Content-Length", length.as_str())];
        let usual = usual.into_iter().filter(|(name, _)| !given(name));
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in usual.chain(own).chain(more.iter().copied()) {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("\r\n{body}");
        self.stream.get_mut().write_all(request.as_bytes())
    }

    /// Writes the rest of a request.
    pub fn append(&mut self, rest: &str) -> Result<()> {
        self.stream.get_mut().write_all(rest.as_bytes())
    }

    /// Reads status and headers of an answer.
    fn head(&mut self) -> Result<Answer> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status =
            status.ok_or_else(|| Error::new(ErrorKind::UnexpectedEof, format!("no answer: {line}")))?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
                None => return Ok(Answer { status, headers, body: String::new() }),
            }
        }
    }

    /// Reads an answer. Fails if it does not come whole.
    pub fn read(&mut self) -> Result<Answer> {
        let mut answer = self.head()?;
        let mut body = Vec::new();
        if answer.header("transfer-encoding") == "chunked" {
            while let Some(chunk) = self.chunk()? {
                body.extend(chunk);
            }
        } else {
            body.resize(answer.header("content-length").parse().unwrap_or(0), 0);
            self.stream.read_exact(&mut body)?;
        }
        answer.body = String::from_utf8(body).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
        Ok(answer)
    }

    /// The next chunk of a body; none at its end.
    fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let mut size = String::new();
        self.stream.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim_end(), 16);
        let size = size.map_err(|error| Error::new(ErrorKind::UnexpectedEof, error))?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk)?;
        chunk.truncate(size);
        Ok((size > 0).then_some(chunk))
    }

    /// Sends a request; fails if no whole answer comes.
    pub fn try_send(
        &mut self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer> {
        self.write(method, path, more, body)?;
        self.read()
    }

    /// Sends a request with a body as JSON, or without one if it is null.
    pub fn send(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.try_send(method, path, &[], &text).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The JSON of an answer that must be good.
    pub fn json(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.send(method, path, body);
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
        answer.json()
    }

    /// What is there.
    pub fn get(&mut self, path: &str) -> Value {
        self.json("GET", path, &Value::Null)
    }

    /// Has something done.
    pub fn post(&mut self, path: &str, body: &Value) -> Value {
        self.json("POST", path, body)
    }

    /// Creates an experiment and gives its id.
    pub fn create(&mut self, spec: &Value) -> String {
        let made = self.post("/v1/experiments", &serde_json::json!({"spec": spec}));
        made["experiment"].as_str().unwrap().to_owned()
    }

    /// Is refused with this status; gives the problem.
    pub fn refused(&mut self, status: u16, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.send(method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:?}");
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{problem}");
        problem
    }

    /// Follows events from an address on, after the event with this id if there is one.
    pub fn follow(self, path: &str, last: Option<u64>) -> Followed {
        self.try_follow(path, last).unwrap()
    }

    /// The same; fails if there is no answer.
    pub fn try_follow(self, path: &str, last: Option<u64>) -> Result<Followed> {
        self.follow_on(path, last.map(|last| last.to_string()).as_deref())
    }

    /// The same after the event with this id.
    pub fn follow_on(mut self, path: &str, last: Option<&str>) -> Result<Followed> {
        let more: Vec<(&str, &str)> = last.iter().map(|last| ("Last-Event-ID", *last)).collect();
        self.write("GET", path, &more, "")?;
        let head = self.head()?;
        assert_eq!((head.status, head.header("content-type")), (200, "text/event-stream"), "{head:?}");
        Ok(Followed { client: self, text: String::new() })
    }
}

/// Server-sent events.
pub struct Followed {
    client: Client,
    text: String,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The number in `place`.
    pub id: u64,
    /// Its id as it is sent.
    pub place: String,
    pub kind: String,
    pub data: Value,
}

impl Followed {
    /// The next event; none at the end.
    pub fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block()?;
            if !block.starts_with(':') {
                return Some(parsed(&block));
            }
        }
    }

    /// The next event or comment as it is sent; none at the end.
    pub fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let chunk = self.client.chunk().ok().flatten()?;
            self.text += std::str::from_utf8(&chunk).unwrap();
        }
    }
}

fn parsed(block: &str) -> Event {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let place = field("id: ").to_owned();
    Event {
        id: place.split('@').next().unwrap().parse().unwrap(),
        place,
        kind: field("event: ").to_owned(),
        data: serde_json::from_str(field("data: ")).unwrap(),
    }
}
