//! The program as a daemon, and a small client of it.

use crate::support::{Lab, Running, until};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Serves the store of a lab on a port that is free.
pub struct Daemon {
    running: Running,
    address: String,
}

impl Daemon {
    /// Starts it with further arguments, and waits until it listens.
    pub fn start(lab: &Lab, more: &[&str]) -> Self {
        let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--json"];
        arguments.extend(more);
        Self::begin(lab, lab.command(&arguments))
    }

    /// Starts this command, and waits until it listens.
    pub fn begin(lab: &Lab, command: std::process::Command) -> Self {
        let mut running = Running::begin(lab, command);
        let address = until("the daemon's address", || {
            // In JSON, also an error is said on standard output.
            assert!(!running.has_ended(), "{}{}", running.out(), running.err());
            let told: Value = serde_json::from_str(running.out().lines().next()?).ok()?;
            told["listening"].as_str()?.split_once("://").map(|(_, address)| address.to_owned())
        });
        Self { running, address }
    }

    /// Where it listens: `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The process.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Ends it in good order; gives what it has written to standard error.
    pub fn end(self) -> String {
        self.running.signal(nix::sys::signal::Signal::SIGTERM);
        let done = self.running.end();
        assert_eq!(done.code, Some(0), "{done}");
        done.no_panic();
        done.err
    }

    /// Sends a request on a connection of its own, with headers such as `("Authorization", "Bearer x")`.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        Answer::read(&String::from_utf8(answer).unwrap())
    }

    /// The JSON of an answer that must be good.
    pub fn json(&self, method: &str, path: &str, body: &Value) -> Value {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.send(method, path, &[("Content-Type", "application/json")], &text);
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
        answer.json()
    }
}

/// What it answers.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let body = if chunked { joined(body) } else { body.to_owned() };
        Self { status, headers, body }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The chunks of a body as one text.
fn joined(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body += &after[..size];
        rest = after[size..].strip_prefix("\r\n").unwrap_or_default();
    }
    body
}
