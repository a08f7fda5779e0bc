//! The operations of DLC that trials need, typed.
//!
//! Begin with [`Dlc`]. Nothing here decides: what a status means for a trial, and what becomes of a submission in
//! doubt, is the business of the backend.

use crate::cloud::client::{Call, CallError, Client, Effect};
use crate::cloud::codes;
use crate::cloud::encode::percent;
use crate::cloud::retry::Repeat;
use crate::dlc::lenient::Fields;
use crate::dlc::model::{EcsSpec, Job, JobPage, LISTED, PodLogs};
use crate::dlc::query::{EventQuery, JobFilter, LogQuery, PAGE_SIZE, SpecQuery};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Most pages that one search reads: 20,000 jobs.
const PAGE_BOUND: i64 = 200;

/// DLC in one region.
#[derive(Debug)]
pub struct Dlc {
    client: Client,
}

/// All jobs that a filter gives.
#[derive(Debug, Clone, PartialEq)]
pub struct JobList {
    /// Each once, in the order asked for.
    pub jobs: Vec<Job>,
    /// Whether as many were seen as the service says there are. Jobs may come and go while pages are read.
    pub complete: bool,
}

/// What `UpdateJob` sets; `None` leaves it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobUpdate {
    /// 1 to 9. Silently ignored by the service once the job runs, or without a quota.
    pub priority: Option<i64>,
    /// `PRIVATE` or `PUBLIC`.
    pub accessibility: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Roles, as in `CreateJob`.
    pub job_specs: Option<Value>,
    /// The command.
    pub user_command: Option<String>,
}

fn call(action: &'static str, method: &'static str, path: String) -> Call {
    Call { action, method, path, query: Vec::new(), body: Vec::new(), repeat: Repeat::Safe, bulk: false }
}

/// The path of a job, or below it.
fn path(action: &str, parts: &[&str]) -> Result<String, CallError> {
    let mut path = "/api/v1/jobs".to_owned();
    for part in parts {
        // These would name another place.
        if matches!(*part, "" | "." | "..") {
            return Err(CallError {
                code: codes::REQUEST_REFUSED,
                message: format!("{action}: `{part}` is not the name of a job or pod"),
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

/// What cannot be an answer, although it is JSON.
fn object(value: &Value) -> Result<&Value, String> {
    if value.is_object() { Ok(value) } else { Err("it is not an object".to_owned()) }
}

fn job_id(value: &Value) -> Result<String, String> {
    let id = Fields(value).text("JobId");
    if id.is_empty() { Err(format!("it has no JobId{}", complaint(value))) } else { Ok(id) }
}

/// A success may carry an error in its body.
fn complaint(value: &Value) -> String {
    let (code, message) = (Fields(value).text("Code"), Fields(value).text("Message"));
    if matches!(code.as_str(), "" | "200" | "OK" | "Success") {
        return String::new();
    }
    format!(" but says {code}: {}", message.chars().take(500).collect::<String>())
}

impl Dlc {
    /// Over this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client, for its pace and its clock.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Creates a job from the body of `CreateJob`, and gives its id. Never sent twice where it may have arrived:
    /// [`Effect::Unknown`] means that the job has to be looked for.
    pub async fn create_job(&self, body: Vec<u8>) -> Result<String, CallError> {
        let mut call = call("CreateJob", "POST", path("CreateJob", &[])?);
        call.body = body;
        call.repeat = Repeat::Never;
        self.client.call(&call, job_id).await
    }

    /// One job; with its pods unless `detail` says not.
    pub async fn get_job(&self, id: &str, detail: Option<bool>) -> Result<Job, CallError> {
        let mut call = call("GetJob", "GET", path("GetJob", &[id])?);
        call.query.extend(detail.map(|detail| ("NeedDetail".to_owned(), detail.to_string())));
        self.client.call(&call, |value| job_id(value).map(|_| Job::read(value))).await
    }

    /// The same in turn with what jobs print, which is read of its pods.
    pub async fn get_pods(&self, id: &str) -> Result<Job, CallError> {
        let mut call = call("GetJob", "GET", path("GetJob", &[id])?);
        call.bulk = true;
        self.client.call(&call, |value| job_id(value).map(|_| Job::read(value))).await
    }

    /// One page of jobs; of each, what [`LISTED`] names.
    pub async fn list_jobs(&self, filter: &JobFilter) -> Result<JobPage, CallError> {
        let mut call = call("ListJobs", "GET", path("ListJobs", &[])?);
        call.query = filter.parameters();
        let read = |value: &Value| {
            let page = JobPage::read(object(value)?);
            let said = complaint(value);
            if page.jobs.is_empty() && !said.is_empty() {
                Err(format!("it has no jobs{said}"))
            } else {
                Ok(page)
            }
        };
        self.client.call_for(&call, LISTED, read).await
    }

    /// All jobs of a filter, page by page.
    pub async fn list_all_jobs(&self, filter: &JobFilter) -> Result<JobList, CallError> {
        let mut filter = filter.clone();
        let size = filter.page_size.unwrap_or(PAGE_SIZE);
        filter.page_size = Some(size);
        let mut seen = BTreeSet::new();
        let mut jobs = Vec::new();
        for number in 1..=PAGE_BOUND {
            filter.page_number = Some(number);
            let page = self.list_jobs(&filter).await?;
            let count = page.jobs.len() as i64;
            jobs.extend(page.jobs.into_iter().filter(|job| seen.insert(job.job_id.clone())));
            // Without a total, a page that is not full is the last.
            let complete = page.total.map_or(count < size, |total| jobs.len() as i64 >= total);
            if complete || count == 0 {
                return Ok(JobList { jobs, complete });
            }
        }
        Ok(JobList { jobs, complete: false })
    }

    /// Asks a job to stop; that it has ended is seen by [`Dlc::get_job`]. Refused for one that has ended already.
    pub async fn stop_job(&self, id: &str) -> Result<(), CallError> {
        let call = call("StopJob", "POST", path("StopJob", &[id, "stop"])?);
        self.client.call(&call, done).await
    }

    /// Deletes a job that has ended.
    pub async fn delete_job(&self, id: &str) -> Result<(), CallError> {
        let call = call("DeleteJob", "DELETE", path("DeleteJob", &[id])?);
        self.client.call(&call, done).await
    }

    /// Changes a job.
    pub async fn update_job(&self, id: &str, update: &JobUpdate) -> Result<(), CallError> {
        let mut call = call("UpdateJob", "PUT", path("UpdateJob", &[id])?);
        let fields = [
            ("Accessibility", update.accessibility.clone().map(Value::from)),
            ("Description", update.description.clone().map(Value::from)),
            ("JobSpecs", update.job_specs.clone()),
            ("Priority", update.priority.map(Value::from)),
            ("UserCommand", update.user_command.clone().map(Value::from)),
        ];
        let body: Map<String, Value> =
            fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
        call.body = Value::Object(body).to_string().into_bytes();
        self.client.call(&call, done).await
    }

    /// Lines that a pod has written.
    pub async fn get_pod_logs(&self, id: &str, pod: &str, query: &LogQuery) -> Result<PodLogs, CallError> {
        let mut call = call("GetPodLogs", "GET", path("GetPodLogs", &[id, "pods", pod, "logs"])?);
        call.query = query.parameters();
        call.bulk = true;
        self.client.call(&call, |value| Ok(PodLogs::read(answered(value)?))).await
    }

    /// Events of a pod, as the service words them.
    pub async fn get_pod_events(
        &self,
        id: &str,
        pod: &str,
        query: &EventQuery,
    ) -> Result<Vec<String>, CallError> {
        let mut call = call("GetPodEvents", "GET", path("GetPodEvents", &[id, "pods", pod, "events"])?);
        call.query = query.parameters();
        self.client.call(&call, |value| Ok(Fields(answered(value)?).texts("Events"))).await
    }

    /// Events of a job, as the service words them.
    pub async fn get_job_events(&self, id: &str, query: &EventQuery) -> Result<Vec<String>, CallError> {
        let mut call = call("GetJobEvents", "GET", path("GetJobEvents", &[id, "events"])?);
        call.query = query.parameters();
        self.client.call(&call, |value| Ok(Fields(answered(value)?).texts("Events"))).await
    }

    /// The machines that jobs can ask for: one page, and how many there are on all.
    pub async fn list_ecs_specs(&self, query: &SpecQuery) -> Result<(Vec<EcsSpec>, Option<i64>), CallError> {
        let mut call = call("ListEcsSpecs", "GET", "/api/v1/ecsspecs".to_owned());
        call.query = query.parameters();
        let read = |value: &Value| {
            let page = Fields(answered(value)?);
            Ok((page.list("EcsSpecs").map(EcsSpec::read).collect(), page.integer("TotalCount")))
        };
        self.client.call(&call, read).await
    }

    /// Sets tags on jobs: at most 20 on at most 50.
    pub async fn tag_jobs(
        &self,
        region: &str,
        ids: &[String],
        tags: &BTreeMap<String, String>,
    ) -> Result<(), CallError> {
        let mut call = call("TagResources", "POST", "/api/v1/tags".to_owned());
        let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        let body = json!({"RegionId": region, "ResourceId": ids, "ResourceType": "Job", "Tag": tags});
        call.body = body.to_string().into_bytes();
        self.client.call(&call, done).await
    }
}

/// An object that is no error in disguise.
fn answered(value: &Value) -> Result<&Value, String> {
    let said = complaint(object(value)?);
    if said.is_empty() { Ok(value) } else { Err(format!("it has no data{said}")) }
}

fn done(value: &Value) -> Result<(), String> {
    answered(value).map(|_| ())
}
