//! A caller of the simulator, as small as can be: one connection for each call.

use retrial_simulators::maxcompute::signature::{self, Reading};
use retrial_simulators::maxcompute::xml::{self, Element};
use retrial_simulators::maxcompute::{Script, Simulator};
use retrial_simulators::wire::Wire;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a test waits for something to become true.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A simulator with a script, and its caller.
pub fn started(script: Value) -> (Simulator, Caller) {
    let script: Script = serde_json::from_value(script).unwrap();
    let simulator = Simulator::anywhere(script).unwrap();
    let caller = Caller::of(&simulator);
    (simulator, caller)
}

/// Who calls, and when.
#[derive(Clone)]
pub struct Caller {
    pub address: String,
    pub key_id: String,
    pub secret: String,
    /// The region of the signature's version 4; version 2 without it.
    pub region: Option<String>,
    /// Headers beside those of every call.
    pub more: Vec<(String, String)>,
    /// The time of the call; now if absent.
    pub date: Option<String>,
    /// Whether the call is signed.
    pub signs: bool,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub text: String,
}

impl Answer {
    pub fn xml(&self) -> Element {
        xml::parse(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The status and code of an error.
    pub fn refusal(&self) -> (u16, String) {
        (self.status, self.xml().value("Code").unwrap_or_default().to_owned())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Caller {
    pub fn of(simulator: &Simulator) -> Self {
        Self {
            address: simulator.address().to_string(),
            key_id: "LTAISimulatedKey".to_owned(),
            secret: "simulated-secret".to_owned(),
            region: None,
            more: Vec::new(),
            date: None,
            signs: true,
        }
    }

    /// Calls; nothing if the connection ends before a whole answer came.
    pub fn try_call(&self, method: &str, target: &str, body: &str) -> Option<Answer> {
        let now = jiff::Timestamp::now();
        let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut wire = Wire {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: vec![
                ("host".to_owned(), self.address.clone()),
                ("date".to_owned(), self.date.clone().unwrap_or(date)),
                ("content-type".to_owned(), "application/xml".to_owned()),
            ],
            body: body.as_bytes().to_vec(),
        };
        wire.headers.extend(self.more.clone());
        if self.signs {
            let day = now.strftime("%Y%m%d").to_string();
            let scope = self.region.as_deref().map(|region| (day.as_str(), region));
            let signature =
                signature::signature(&signature::canonical(&wire, Reading::Once), &self.secret, scope);
            let who = scope
                .map_or(String::new(), |(day, region)| format!("/{day}/{region}/odps/aliyun_v4_request"));
            wire.headers.push(("authorization".to_owned(), format!("ODPS {}{who}:{signature}", self.key_id)));
        }
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        for (name, value) in &wire.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (headers, text) = text.split_once("\r\n\r\n")?;
        let status = headers.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, headers: headers.to_owned(), text: text.to_owned() })
    }

    pub fn call(&self, method: &str, target: &str, body: &str) -> Answer {
        self.try_call(method, target, body).expect("no answer")
    }

    /// Submits, and gives the id.
    pub fn create(&self, body: &str) -> String {
        let answer = self.call("POST", INSTANCES, body);
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.header("location").unwrap().rsplit('/').next().unwrap().to_owned()
    }

    pub fn look(&self, id: &str, flag: &str) -> Answer {
        self.call("GET", &format!("{INSTANCES}/{id}?{flag}"), "")
    }

    /// The state of an instance's task.
    pub fn task_status(&self, id: &str) -> String {
        let root = self.look(id, "taskstatus").xml();
        let task = root.child("Tasks").unwrap().child("Task").unwrap();
        task.value("Status").unwrap().to_owned()
    }

    pub fn wait_for(&self, id: &str, status: &str) {
        let begun = Instant::now();
        loop {
            let found = self.task_status(id);
            if found == status {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{id} is {found}, not {status}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What a task has given, as it is.
    pub fn result(&self, id: &str) -> String {
        let root = self.look(id, "result").xml();
        root.child("Tasks").unwrap().child("Task").unwrap().child("Result").unwrap().text.clone()
    }

    /// The ids of a list.
    pub fn list(&self, query: &str) -> Vec<String> {
        let answer = self.call("GET", &format!("{INSTANCES}?{query}"), "");
        let root = answer.xml();
        let instances = root.children.iter().filter(|child| child.name == "Instance");
        instances.map(|instance| instance.value("Name").unwrap().to_owned()).collect()
    }
}

pub const INSTANCES: &str = "/api/projects/simulated_project/instances";

/// A task of SQL to submit.
pub fn sql(query: &str, guid: Option<&str>, priority: i64) -> String {
    let guid = guid.map_or(String::new(), |guid| format!("<Guid>{guid}</Guid>"));
    format!(
        "<Instance><Job><Priority>{priority}</Priority>{guid}<Tasks><SQL><Name>AnonymousSQLTask</Name><Query><![CDATA[{query}]]>\
         </Query></SQL></Tasks><DAG><RunMode>Sequence</RunMode></DAG></Job></Instance>"
    )
}

/// An algorithm to submit.
pub fn xflow(name: &str, parameters: &[(&str, &str)], guid: Option<&str>) -> String {
    let guid = guid.map_or(String::new(), |guid| format!("<Guid>{guid}</Guid>"));
    let all: String = parameters
        .iter()
        .map(|(key, value)| {
            format!("<Parameter><Key>{key}</Key><Value>{}</Value></Parameter>", xml::escape(value))
        })
        .collect();
    format!(
        "<Instance><XflowInstance><Project>algo_public</Project><Xflow>{name}</Xflow><Parameters>{all}</Parameters>{guid}\
         </XflowInstance></Instance>"
    )
}
