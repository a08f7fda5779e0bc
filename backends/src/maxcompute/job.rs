//! What is submitted as one instance, and its XML. Begin with [`Job`].
//!
//! The order of elements is that of the official clients; the service is said to be strict about it.

use crate::cloud::xml::Element;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The name of a task, where nobody gives one.
pub const SQL_TASK: &str = "AnonymousSQLTask";
/// What is done at this priority is done last; 0 comes first.
pub const LEAST_PRIORITY: u32 = 9;
/// Most bytes of the text of an SQL task; documented by the service.
pub const SQL_BOUND: usize = 2 << 20;

/// Settings of a task, such as `odps.sql.submit.mode`, by name.
pub type Settings = BTreeMap<String, String>;

/// One instance to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// SQL statements.
    Sql(SqlJob),
    /// An algorithm of PAI.
    Xflow(XflowJob),
}

/// An SQL task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlJob {
    /// A label that instances can be listed by.
    pub name: Option<String>,
    /// 0 to 9, the least urgent.
    pub priority: u32,
    /// Names this submission: the service gives the first instance again to whoever submits it a second time.
    pub guid: Option<String>,
    /// Its settings.
    pub settings: Settings,
    /// The statements, each ended by a semicolon.
    pub query: String,
}

/// A run of an algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XflowJob {
    /// Where the algorithm is, such as `algo_public`.
    pub project: String,
    /// Its name.
    pub name: String,
    /// Its parameters, each name once.
    pub parameters: Vec<(String, String)>,
    /// Names this submission. Instances are found by it; the service does not promise to know a second submission.
    pub guid: Option<String>,
    /// As for SQL; public regions take no notice of it.
    pub priority: Option<u32>,
    /// Its settings.
    pub settings: Settings,
}

impl Job {
    /// The same under this name for the submission.
    #[must_use]
    pub fn with_guid(mut self, name: impl Into<String>) -> Self {
        let (Self::Sql(SqlJob { guid, .. }) | Self::Xflow(XflowJob { guid, .. })) = &mut self;
        *guid = Some(name.into());
        self
    }

    /// Whether it is an SQL job.
    pub fn is_sql(&self) -> bool {
        matches!(self, Self::Sql(_))
    }

    /// The name of the submission.
    pub fn guid(&self) -> Option<&str> {
        let (Self::Sql(SqlJob { guid, .. }) | Self::Xflow(XflowJob { guid, .. })) = self;
        guid.as_deref()
    }

    /// The body of the request that creates it; the same each time.
    pub fn document(&self) -> Vec<u8> {
        let inner = match self {
            Self::Sql(job) => job.element(),
            Self::Xflow(job) => job.element(),
        };
        Element::with("Instance", [inner]).document()
    }
}

impl SqlJob {
    fn element(&self) -> Element {
        let mut config = vec![settings(&self.settings)];
        config.extend(self.guid.as_ref().map(|guid| property("uuid", uuid(guid, &self.query))));
        let query = Element { unparsed: true, ..Element::of("Query", self.query.as_str()) };
        let task = [Element::of("Name", SQL_TASK), Element::with("Config", config), query];
        let mut job: Vec<Element> = self.name.iter().map(|name| Element::of("Name", name.as_str())).collect();
        job.push(Element::of("Priority", self.priority.to_string()));
        job.extend(self.guid.iter().map(|guid| Element::of("Guid", guid.as_str())));
        job.push(Element::with("Tasks", [Element::with("SQL", task)]));
        job.push(Element::with("DAG", [Element::of("RunMode", "Sequence")]));
        Element::with("Job", job)
    }
}

impl XflowJob {
    fn element(&self) -> Element {
        let parameters = self.parameters.iter().map(|(key, value)| {
            Element::with(
                "Parameter",
                [Element::of("Key", key.as_str()), Element::of("Value", value.as_str())],
            )
        });
        let mut parts = vec![
            Element::of("Project", self.project.as_str()),
            Element::of("Xflow", self.name.as_str()),
            Element::with("Parameters", parameters),
        ];
        parts.extend(self.guid.iter().map(|guid| Element::of("Guid", guid.as_str())));
        parts.extend(self.priority.iter().map(|priority| Element::of("Priority", priority.to_string())));
        if !self.settings.is_empty() {
            parts.push(Element::with("Config", [settings(&self.settings)]));
        }
        Element::with("XflowInstance", parts)
    }
}

fn settings(settings: &Settings) -> Element {
    let map: Map<String, Value> =
        settings.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
    property("settings", Value::Object(map).to_string())
}

fn property(name: &str, value: String) -> Element {
    Element::with("Property", [Element::of("Name", name), Element::of("Value", value)])
}

/// An identifier that is always the same for the same submission, in the form of a UUID of version 8 (RFC 9562).
fn uuid(guid: &str, query: &str) -> String {
    let hash = Sha256::new().chain_update(guid).chain_update([0]).chain_update(query).finalize();
    let hex: Vec<String> = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.concat();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-8{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

/// The body of a request that ends an instance.
pub(super) fn termination() -> Vec<u8> {
    Element::with("Instance", [Element::of("Status", "Terminated")]).document()
}
