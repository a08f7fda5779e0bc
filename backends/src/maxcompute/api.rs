//! The operations of MaxCompute that trials need, typed. Begin with [`MaxCompute`].
//!
//! Nothing here decides what becomes of a submission in doubt: that is the business of the backend. What became of an
//! instance is put together in [`crate::maxcompute::watch`].

use crate::cloud::client::{Call, CallError, Client, Effect};
use crate::cloud::codes;
use crate::cloud::encode::percent;
use crate::cloud::http::Answer;
use crate::cloud::retry::Repeat;
use crate::cloud::secret::Secret;
use crate::cloud::xml::Element;
use crate::maxcompute::fault::explained;
use crate::maxcompute::job::{Job, termination};
use crate::maxcompute::model::{
    Action, Instance, InstancePage, Project, Stage, Submission, Summary, Task, TaskResult, actions, document,
    results, stages, tasks,
};
use engine::time::Timestamp;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Instances asked for at once in a list.
pub const PAGE_SIZE: u32 = 1_000;
/// Most pages that one search reads.
const PAGE_BOUND: usize = 200;
/// Most characters of an instance's name.
const ID_BOUND: usize = 128;
/// Most bytes of the address of a console.
const HOST_BOUND: usize = 512;

/// A project of MaxCompute at one endpoint.
#[derive(Debug, Clone)]
pub struct MaxCompute {
    client: Arc<Client>,
    project: String,
    address: String,
    logview_host: Option<String>,
    /// Whether its calls wait among those of output.
    bulk: bool,
}

/// An instance that was created, now or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its name.
    pub id: String,
    /// The results, if it has ended already; empty if it still has to be waited for.
    pub results: Vec<TaskResult>,
}

/// Which instances are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceFilter {
    /// `Running`, `Suspended` or `Terminated`.
    pub status: Option<String>,
    /// Begun at or after this time.
    pub from: Option<Timestamp>,
    /// Begun before this time.
    pub to: Option<Timestamp>,
    /// Only those of the caller.
    pub own: bool,
    /// With this label.
    pub name: Option<String>,
    /// On one page.
    pub page_size: Option<u32>,
    /// From the page before.
    pub marker: String,
}

impl InstanceFilter {
    fn parameters(&self) -> Vec<(String, String)> {
        let second =
            |at: Option<Timestamp>| at.map(|at| at.0.div_euclid(1_000).to_string()).unwrap_or_default();
        let ranged = self.from.is_some() || self.to.is_some();
        let range = ranged.then(|| format!("{}:{}", second(self.from), second(self.to)));
        let pairs = [
            ("status", self.status.clone()),
            ("daterange", range),
            ("onlyowner", self.own.then(|| "yes".to_owned())),
            ("maxitems", self.page_size.map(|size| size.to_string())),
            ("jobname", self.name.clone()),
            ("marker", Some(self.marker.clone()).filter(|marker| !marker.is_empty())),
        ];
        pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

/// All instances that a filter gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceList {
    /// Each once.
    pub instances: Vec<Instance>,
    /// Whether the last page was reached.
    pub complete: bool,
}

impl MaxCompute {
    /// Over this client, whose protocol is [`crate::maxcompute::protocol::Odps`] for the same project. `address` is
    /// that of the endpoint, for links.
    pub fn new(client: Client, project: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            client: Arc::new(client),
            project: project.into(),
            address: address.into(),
            logview_host: None,
            bulk: false,
        }
    }

    /// With the address of the console that links lead to, instead of asking the service for it.
    #[must_use]
    pub fn with_logview_host(mut self, host: Option<String>) -> Self {
        self.logview_host = host;
        self
    }

    /// The same for reads of what tasks have given, which may be many and for which no other call should wait.
    #[must_use]
    pub fn for_output(&self) -> Self {
        Self { bulk: true, ..self.clone() }
    }

    /// The client, for its pace and its clock.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The project.
    pub fn project_name(&self) -> &str {
        &self.project
    }

    /// Creates an instance, or is given the one that the same submission has created before.
    ///
    /// `repeat` is safe only for queries that change nothing. Else a submission is never sent twice where it may have
    /// arrived: [`Effect::Unknown`] means that it has to be looked for, or, an SQL job, submitted again unchanged.
    pub async fn create(&self, job: &Job, repeat: Repeat) -> Result<Created, CallError> {
        let mut call = self.call("CreateInstance", "POST", &["instances"])?;
        call.body = job.document();
        call.repeat = repeat;
        self.exchange(&call, |answer| {
            let location = answer.header("location").unwrap_or_default();
            let id = location.rsplit('/').next().unwrap_or_default();
            if !is_id(id) {
                return Err(format!("its Location `{}` names no instance", location.escape_debug()));
            }
            // The instance exists, whatever else is said.
            let results =
                if answer.body.is_empty() { Vec::new() } else { results(answer).unwrap_or_default() };
            Ok(Created { id: id.to_owned(), results })
        })
        .await
    }

    /// How far an instance is.
    pub async fn instance(&self, id: &str) -> Result<Instance, CallError> {
        let call = self.call("GetInstance", "GET", &["instances", id])?;
        self.exchange(&call, |answer| Instance::read(id, answer)).await
    }

    /// How far its tasks are.
    pub async fn tasks(&self, id: &str) -> Result<Vec<Task>, CallError> {
        self.exchange(&self.about("GetTaskStatus", id, "taskstatus")?, tasks).await
    }

    /// What its tasks have written as results: rows, or why they failed.
    pub async fn results(&self, id: &str) -> Result<Vec<TaskResult>, CallError> {
        self.exchange(&self.about("GetResult", id, "result")?, results).await
    }

    /// The stages of one task.
    pub async fn progress(&self, id: &str, task: &str) -> Result<Vec<Stage>, CallError> {
        let mut call = self.call("GetProgress", "GET", &["instances", id])?;
        call.query =
            vec![("instanceprogress".to_owned(), task.to_owned()), ("taskname".to_owned(), task.to_owned())];
        self.exchange(&call, stages).await
    }

    /// What one task has used.
    pub async fn summary(&self, id: &str, task: &str) -> Result<Summary, CallError> {
        let mut call = self.about("GetSummary", id, "instancesummary")?;
        call.query.push(("taskname".to_owned(), task.to_owned()));
        self.exchange(&call, Summary::read).await
    }

    /// What an instance of an SQL job was submitted with.
    pub async fn source(&self, id: &str) -> Result<Submission, CallError> {
        self.exchange(&self.about("GetSource", id, "source")?, Submission::read).await
    }

    /// What an instance of an algorithm was submitted with.
    pub async fn xflow_source(&self, id: &str) -> Result<Submission, CallError> {
        self.exchange(&self.about("GetXflowSource", id, "xsource")?, Submission::read).await
    }

    /// The steps of an algorithm, with the instances that carry them out; more may appear while it runs.
    pub async fn actions(&self, id: &str) -> Result<Vec<Action>, CallError> {
        self.exchange(&self.about("GetXflowResult", id, "xresult")?, actions).await
    }

    /// Asks an instance to end; that it has is seen by [`MaxCompute::instance`].
    pub async fn terminate(&self, id: &str) -> Result<(), CallError> {
        let mut call = self.call("TerminateInstance", "PUT", &["instances", id])?;
        call.body = termination();
        self.exchange(&call, |_| Ok(())).await
    }

    /// One page of instances.
    pub async fn list(&self, filter: &InstanceFilter) -> Result<InstancePage, CallError> {
        let mut call = self.call("ListInstances", "GET", &["instances"])?;
        call.query = filter.parameters();
        self.exchange(&call, InstancePage::read).await
    }

    /// All instances of a filter, page by page.
    pub async fn list_all(&self, filter: &InstanceFilter) -> Result<InstanceList, CallError> {
        let mut filter = filter.clone();
        filter.page_size = Some(filter.page_size.unwrap_or(PAGE_SIZE));
        let (mut seen, mut instances) = (BTreeSet::new(), Vec::new());
        for _ in 0..PAGE_BOUND {
            let page = self.list(&filter).await?;
            instances.extend(page.instances.into_iter().filter(|instance| seen.insert(instance.id.clone())));
            // A marker that leads nowhere would be followed for ever.
            if page.marker.is_empty() || page.marker == filter.marker {
                return Ok(InstanceList { instances, complete: page.marker.is_empty() });
            }
            filter.marker = page.marker;
        }
        Ok(InstanceList { instances, complete: false })
    }

    /// The project: whether it is there and may be seen.
    pub async fn project(&self) -> Result<Project, CallError> {
        let call = self.call("GetProject", "GET", &[])?;
        self.exchange(&call, Project::read).await
    }

    /// Where results are downloaded: a host, with a port if need be.
    pub async fn tunnel_host(&self) -> Result<String, CallError> {
        let mut call = self.call("GetTunnel", "GET", &["tunnel"])?;
        call.query = vec![("service".to_owned(), String::new())];
        self.exchange(&call, line).await
    }

    /// A link that shows an instance to anybody who has it, for so many hours: as secret as a key.
    pub async fn logview(&self, id: &str, hours: u32) -> Result<Secret<String>, CallError> {
        let host = if let Some(host) = &self.logview_host {
            host.trim_end_matches('/').to_owned()
        } else {
            let mut call = self.call("GetLogviewHost", "GET", &[])?;
            "/logview/host".clone_into(&mut call.path);
            self.exchange(&call, line).await?
        };
        let mut call = self.call("SignBearerToken", "POST", &["authorization"])?;
        call.query = vec![("sign_bearer_token".to_owned(), String::new())];
        let resource = format!("acs:odps:*:projects/{}/instances/{id}", self.project);
        let statement = json!([{"Action": ["odps:Read"], "Effect": "Allow", "Resource": resource}]);
        let policy = json!({"expires_in_hours": hours, "policy": {"Statement": statement, "Version": "1"}});
        call.body = policy.to_string().into_bytes();
        let token = |answer: &Answer| {
            let tree: Element = document(answer, "Authorization")?;
            let token = tree.value("Result");
            if token.is_empty() {
                Err("it has no token".to_owned())
            } else {
                Ok(Secret::new(token.to_owned()))
            }
        };
        let token = self.exchange(&call, token).await?;
        let Self { project, address, .. } = self;
        Ok(Secret::new(format!("{host}/logview/?h={address}&p={project}&i={id}&token={}", token.expose())))
    }

    /// A call about one aspect of an instance, whose name stands alone in the query.
    fn about(&self, action: &'static str, id: &str, aspect: &str) -> Result<Call, CallError> {
        let mut call = self.call(action, "GET", &["instances", id])?;
        call.query = vec![(aspect.to_owned(), String::new())];
        Ok(call)
    }

    fn call(&self, action: &'static str, method: &'static str, below: &[&str]) -> Result<Call, CallError> {
        let path = path(action, &self.project, below)?;
        Ok(Call {
            action,
            method,
            path,
            query: Vec::new(),
            body: Vec::new(),
            repeat: Repeat::Safe,
            bulk: self.bulk,
        })
    }

    async fn exchange<T>(
        &self,
        call: &Call,
        decode: impl Fn(&Answer) -> Result<T, String> + Send,
    ) -> Result<T, CallError> {
        self.client.exchange(call, decode).await.map_err(explained)
    }
}

/// A path within a project.
pub(super) fn path(action: &str, project: &str, below: &[&str]) -> Result<String, CallError> {
    let mut path = "/projects".to_owned();
    for part in [&[project], below].concat() {
        // These would name another place.
        if matches!(part, "" | "." | "..") {
            return Err(CallError {
                code: codes::REQUEST_REFUSED,
                message: format!("{action}: `{part}` is not the name of a project or instance"),
                effect: Effect::Nothing,
                fault: None,
                cure: String::new(),
            });
        }
        path.push('/');
        path.push_str(&percent(part));
    }
    Ok(path)
}

fn is_id(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (1..=ID_BOUND).contains(&text.len()) && text.chars().all(fits)
}

/// An answer that is one short line of text.
fn line(answer: &Answer) -> Result<String, String> {
    let text = String::from_utf8_lossy(&answer.body);
    let text = text.trim();
    let fits = (1..=HOST_BOUND).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err("it is not one address".to_owned()) }
}
