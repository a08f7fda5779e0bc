//! A caller of the simulator, as small as can be: one connection for each call.

use retrial_simulators::dlc::Simulator;
use retrial_simulators::dlc::signature;
use retrial_simulators::dlc::wire::Wire;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a test waits for something to become true.
pub const PATIENCE: Duration = Duration::from_secs(20);

static NONCE: AtomicU64 = AtomicU64::new(0);

/// Who calls, and when.
#[derive(Clone)]
pub struct Caller {
    pub address: String,
    pub key_id: String,
    pub secret: String,
    pub token: Option<String>,
    /// The time of the call; the simulator's if absent.
    pub date: Option<String>,
    /// The nonce; a new one if absent.
    pub nonce: Option<String>,
    /// How long an answer is waited for.
    pub timeout: Duration,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The code of an error.
    pub fn code(&self) -> String {
        self.json()["Code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Caller {
    pub fn of(simulator: &Simulator) -> Self {
        Self {
            address: simulator.address().to_string(),
            key_id: "LTAISimulatedKey".to_owned(),
            secret: "simulated-secret".to_owned(),
            token: None,
            date: None,
            nonce: None,
            timeout: PATIENCE,
        }
    }

    /// The bytes of a signed call.
    pub fn bytes(&self, date: &str, method: &str, target: &str, body: &str) -> Vec<u8> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut wire = Wire {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        };
        let probe = retrial_simulators::dlc::operation(&wire).map_or("None", |found| found.0);
        let number = NONCE.fetch_add(1, Ordering::Relaxed);
        let nonce = self.nonce.clone().unwrap_or_else(|| format!("nonce-{number}"));
        let date = self.date.clone().unwrap_or_else(|| date.to_owned());
        for (name, value) in [
            ("host", self.address.as_str()),
            ("content-type", "application/json; charset=utf-8"),
            ("x-acs-action", probe),
            ("x-acs-content-sha256", &signature::digest(body.as_bytes())),
            ("x-acs-date", &date),
            ("x-acs-signature-nonce", &nonce),
            ("x-acs-version", "2020-12-03"),
        ] {
            wire.headers.push((name.to_owned(), value.to_owned()));
        }
        if let Some(token) = &self.token {
            wire.headers.push(("x-acs-security-token".to_owned(), token.clone()));
        }
        let signed: Vec<&str> = wire.headers.iter().map(|(name, _)| name.as_str()).collect();
        let signature = signature::signature(&wire, &signed, &self.secret);
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        for (name, value) in &wire.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!(
            "authorization: ACS3-HMAC-SHA256 Credential={},SignedHeaders={},Signature={signature}\r\n",
            self.key_id,
            signed.join(";")
        ));
        text.push_str(&format!("connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
        text.into_bytes()
    }

    /// Calls; nothing if the connection ends or the time is over before a whole answer came.
    pub fn try_call(&self, method: &str, target: &str, body: &str) -> Option<Answer> {
        let now = jiff::Timestamp::now();
        let date = jiff::Timestamp::from_second(now.as_second()).unwrap().to_string();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(self.timeout)).unwrap();
        stream.write_all(&self.bytes(&date, method, target, body)).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8(bytes).unwrap();
        let (headers, text) = text.split_once("\r\n\r\n")?;
        let status = headers.split(' ').nth(1)?.parse().ok()?;
        let length = headers.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        if text.len() != length.parse::<usize>().ok()? {
            return None;
        }
        Some(Answer { status, headers: headers.to_owned(), text: text.to_owned() })
    }

    pub fn call(&self, method: &str, target: &str, body: &str) -> Answer {
        self.try_call(method, target, body).expect("no answer")
    }

    /// Creates a job and gives its id.
    pub fn create(&self, body: &Value) -> String {
        let answer = self.call("POST", "/api/v1/jobs", &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["JobId"].as_str().unwrap().to_owned()
    }

    pub fn job(&self, id: &str) -> Value {
        self.call("GET", &format!("/api/v1/jobs/{id}"), "").json()
    }

    /// The ids of a list.
    pub fn list(&self, query: &str) -> Vec<String> {
        let answer = self.call("GET", &format!("/api/v1/jobs?{query}"), "");
        assert_eq!(answer.status, 200, "{}", answer.text);
        let jobs = answer.json()["Jobs"].as_array().unwrap().clone();
        jobs.iter().map(|job| job["JobId"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until a job is in a state.
    pub fn wait_for(&self, id: &str, status: &str) -> Value {
        let begun = Instant::now();
        loop {
            let job = self.job(id);
            if job["Status"] == status {
                return job;
            }
            assert!(begun.elapsed() < PATIENCE, "{id} did not become {status}: {job}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A job to create.
pub fn body(name: &str) -> Value {
    json!({
        "DisplayName": name, "JobType": "PyTorchJob", "UserCommand": "true", "WorkspaceId": "10001",
        "JobSpecs": [{"Type": "Worker", "PodCount": 1, "Image": "image", "EcsSpec": "ecs.g6.large"}],
        "Settings": {"Tags": {"token": name}},
    })
}
