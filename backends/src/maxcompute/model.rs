//! What the service says about instances, their tasks and the project. Read leniently: what is missing is empty.

use crate::cloud::encode::from_base64;
use crate::cloud::http::Answer;
use crate::cloud::skew::http_date;
use crate::cloud::xml::Element;
use engine::time::Timestamp;
use serde_json::Value;

/// How far an instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceStatus {
    /// It waits or runs.
    Running,
    /// It was made to pause.
    Suspended,
    /// It has ended, one way or another: its tasks say how.
    Terminated,
    /// A word that is not known.
    Unknown(String),
}

impl InstanceStatus {
    fn read(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "running" => Self::Running,
            "suspended" => Self::Suspended,
            "terminated" => Self::Terminated,
            _ => Self::Unknown(text.to_owned()),
        }
    }
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its name.
    pub id: String,
    /// How far it is.
    pub status: InstanceStatus,
    /// Whose it is.
    pub owner: String,
    /// When it was accepted.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

impl Instance {
    /// From the answer about one instance, whose times are in headers.
    pub(super) fn read(id: &str, answer: &Answer) -> Result<Self, String> {
        let tree = document(answer, "Instance")?;
        let header = |name| answer.header(name).unwrap_or_default();
        Ok(Self {
            id: id.to_owned(),
            status: InstanceStatus::read(tree.value("Status")),
            owner: header("x-odps-owner").to_owned(),
            started: http_date(header("x-odps-start-time")),
            ended: http_date(header("x-odps-end-time")),
        })
    }

    fn listed(element: &Element) -> Self {
        Self {
            id: element.value("Name").to_owned(),
            status: InstanceStatus::read(element.value("Status")),
            owner: element.value("Owner").to_owned(),
            started: http_date(element.value("StartTime")),
            ended: http_date(element.value("EndTime")),
        }
    }
}

/// One page of instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstancePage {
    /// In the order of the service.
    pub instances: Vec<Instance>,
    /// Asks for the next page; empty on the last.
    pub marker: String,
}

impl InstancePage {
    pub(super) fn read(answer: &Answer) -> Result<Self, String> {
        let tree = document(answer, "Instances")?;
        let instances = tree.all("Instance").map(Instance::listed).filter(|instance| !instance.id.is_empty());
        Ok(Self { instances: instances.collect(), marker: tree.value("Marker").to_owned() })
    }
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskStatus {
    /// It waits.
    Waiting,
    /// It runs.
    Running,
    /// It was made to pause.
    Suspended,
    /// It has done what it should.
    Success,
    /// It has failed.
    Failed,
    /// It was ended from outside.
    Cancelled,
    /// A word that is not known.
    Unknown(String),
}

impl TaskStatus {
    fn read(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "waiting" => Self::Waiting,
            "running" => Self::Running,
            "suspended" => Self::Suspended,
            "success" => Self::Success,
            "failed" => Self::Failed,
            "cancelled" | "canceled" => Self::Cancelled,
            _ => Self::Unknown(text.to_owned()),
        }
    }
}

/// A task of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its name, such as `AnonymousSQLTask`.
    pub name: String,
    /// Such as `SQL` or `XFlow`.
    pub kind: String,
    /// How far it is.
    pub status: TaskStatus,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// The tasks of an instance, from the answer about them.
pub(super) fn tasks(answer: &Answer) -> Result<Vec<Task>, String> {
    let read = |task: &Element| Task {
        name: task.value("Name").to_owned(),
        kind: task.attribute("Type").unwrap_or_default().to_owned(),
        status: TaskStatus::read(task.value("Status")),
        started: http_date(task.value("StartTime")),
        ended: http_date(task.value("EndTime")),
    };
    Ok(listed(&document(answer, "Instance")?, "Tasks", "Task").map(read).collect())
}

/// What a task has written as its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskResult {
    /// The task's name.
    pub name: String,
    /// How the task ended.
    pub status: TaskStatus,
    /// `csv` for rows, `text` for anything else, the reason of a failure among it.
    pub format: String,
    /// The result itself.
    pub text: String,
}

/// The results of an instance's tasks, from the answer about them.
pub(super) fn results(answer: &Answer) -> Result<Vec<TaskResult>, String> {
    let read = |task: &Element| {
        let result = task.child("Result");
        let attribute = |name| result.and_then(|result| result.attribute(name)).unwrap_or_default();
        let raw = result.map(|result| result.text.as_str()).unwrap_or_default();
        let text = if attribute("Transform").eq_ignore_ascii_case("base64") {
            String::from_utf8(from_base64(raw)?).map_err(|error| format!("a result is not UTF-8: {error}"))?
        } else {
            raw.to_owned()
        };
        Ok(TaskResult {
            name: task.value("Name").to_owned(),
            status: TaskStatus::read(task.value("Status")),
            format: attribute("Format").to_ascii_lowercase(),
            text,
        })
    };
    listed(&document(answer, "Instance")?, "Tasks", "Task").map(read).collect()
}

/// A stage of a running task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stage {
    /// Such as `M1_Stg1_job0`.
    pub id: String,
    /// Workers that have ended.
    pub terminated: u64,
    /// Workers that run.
    pub running: u64,
    /// All workers.
    pub total: u64,
    /// Records read.
    pub input_records: u64,
    /// Records written.
    pub output_records: u64,
    /// 0 to 100.
    pub percent: u64,
}

/// The stages of a task, from the answer about its progress.
pub(super) fn stages(answer: &Answer) -> Result<Vec<Stage>, String> {
    let read = |stage: &Element| {
        let count = |name: &str| stage.value(name).parse().unwrap_or_default();
        Stage {
            id: stage.attribute("ID").unwrap_or_default().to_owned(),
            terminated: count("TerminatedWorkers"),
            running: count("RunningWorkers"),
            total: count("TotalWorkers"),
            input_records: count("InputRecords"),
            output_records: count("OutputRecords"),
            percent: count("FinishedPercentage"),
        }
    };
    if answer.body.is_empty() {
        return Ok(Vec::new());
    }
    // Nothing is known of the root's name.
    Ok(Element::parse(&answer.body)?.all("Stage").map(read).collect())
}

/// What an instance was submitted with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The name of the submission; empty if it had none.
    pub guid: String,
    /// The label.
    pub name: String,
    /// The statements, or the algorithm's name.
    pub what: String,
}

impl Submission {
    pub(super) fn read(answer: &Answer) -> Result<Self, String> {
        let tree = Element::parse(&answer.body)?;
        let text = |name: &str| tree.find(name).map(|found| found.text.trim().to_owned());
        if let Some(flow) = tree.find("XflowInstance") {
            let value = |name: &str| flow.value(name).to_owned();
            return Ok(Self { guid: value("Guid"), name: String::new(), what: value("Xflow") });
        }
        let job = tree.find("Job").ok_or("it is neither a Job nor an XflowInstance")?;
        Ok(Self {
            guid: job.value("Guid").to_owned(),
            name: job.value("Name").to_owned(),
            what: text("Query").unwrap_or_default(),
        })
    }
}

/// A step of a running algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// `Local`, `Instance` or `SubWorkflow`.
    pub kind: String,
    /// The instance that carries it out; empty if there is none.
    pub instance: String,
    /// Its name.
    pub name: String,
    /// What it says, if it has ended.
    pub result: String,
}

/// The steps of an algorithm, from the answer about them.
pub(super) fn actions(answer: &Answer) -> Result<Vec<Action>, String> {
    let read = |action: &Element| Action {
        kind: action.attribute("NodeType").unwrap_or_default().to_owned(),
        instance: action.value("InstanceId").to_owned(),
        name: action.value("Name").to_owned(),
        result: action.value("Result").to_owned(),
    };
    Ok(listed(&document(answer, "Xinstance")?, "Actions", "Action").map(read).collect())
}

/// What a task has used.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// For a person.
    pub text: String,
    /// The service's own JSON; null if there is none.
    pub detail: Value,
}

impl Summary {
    pub(super) fn read(answer: &Answer) -> Result<Self, String> {
        let value: Value =
            serde_json::from_slice(&answer.body).map_err(|error| format!("it is not JSON: {error}"))?;
        let instance = value.get("Instance").unwrap_or(&value);
        let text = |name: &str| instance.get(name).and_then(Value::as_str).unwrap_or_default();
        Ok(Self {
            text: text("Summary").to_owned(),
            detail: serde_json::from_str(text("JsonSummary")).unwrap_or_default(),
        })
    }
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// Such as `AVAILABLE`.
    pub state: String,
    /// Whose it is.
    pub owner: String,
}

impl Project {
    pub(super) fn read(answer: &Answer) -> Result<Self, String> {
        let tree = document(answer, "Project")?;
        let text = |name: &str| tree.value(name).to_owned();
        Ok(Self { name: text("Name"), state: text("State"), owner: text("Owner") })
    }
}

/// The root of an answer, which has this name.
pub(super) fn document(answer: &Answer, name: &str) -> Result<Element, String> {
    let tree = Element::parse(&answer.body).map_err(|error| format!("it {error}"))?;
    if tree.name == name { Ok(tree) } else { Err(format!("it is a `{}` and not a `{name}`", tree.name)) }
}

fn listed<'a>(tree: &'a Element, list: &str, item: &'a str) -> impl Iterator<Item = &'a Element> {
    tree.child(list).into_iter().flat_map(move |list| list.all(item))
}
