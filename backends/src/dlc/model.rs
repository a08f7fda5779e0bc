//! What DLC tells of jobs, pods and machines, read leniently: see [`crate::dlc::lenient`].
//!
//! Begin with [`Job`] and [`Status`]. Times are in milliseconds by the service's clock.

use crate::dlc::lenient::Fields;
use crate::dlc::name::{EXPERIMENT_TAG, KEY_TAG, KEY_VARIABLE};
use engine::time::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// A job's status. The set is open: what is new is kept as it is and never taken for an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// `Creating`, `Queuing`, `Bidding`, `EnvPreparing` or `SanityChecking`: accepted, and not running yet.
    Waiting,
    /// `Running`.
    Running,
    /// `Restarting`: it ran, and will again.
    Restarting,
    /// `Stopping`: asked to stop, and not over yet.
    Stopping,
    /// `SucceededReserving`: the work has ended well, and its machines are still held.
    SucceededReserving,
    /// `FailedReserving`: the work has failed, and its machines are still held.
    FailedReserving,
    /// `Succeeded`.
    Succeeded,
    /// `Failed`, or `SubmitFailed`.
    Failed,
    /// `Stopped`.
    Stopped,
    /// `Deleted`.
    Deleted,
    /// Something that this version does not know.
    Unknown,
}

impl Status {
    /// The status of this name; names are case-sensitive.
    pub fn from_name(name: &str) -> Self {
        match name {
            "Creating" | "Queuing" | "Bidding" | "EnvPreparing" | "SanityChecking" => Self::Waiting,
            "Running" => Self::Running,
            "Restarting" => Self::Restarting,
            "Stopping" => Self::Stopping,
            "SucceededReserving" => Self::SucceededReserving,
            "FailedReserving" => Self::FailedReserving,
            "Succeeded" => Self::Succeeded,
            "Failed" | "SubmitFailed" => Self::Failed,
            "Stopped" => Self::Stopped,
            "Deleted" => Self::Deleted,
            _ => Self::Unknown,
        }
    }

    /// Whether the job's own work is over, its machines held or not.
    pub fn is_over(&self) -> bool {
        match self {
            Self::SucceededReserving
            | Self::FailedReserving
            | Self::Succeeded
            | Self::Failed
            | Self::Stopped
            | Self::Deleted => true,
            Self::Waiting | Self::Running | Self::Restarting | Self::Stopping | Self::Unknown => false,
        }
    }

    /// Whether its work is over and machines are still held for it, which costs money until it is stopped.
    pub fn holds_machines(&self) -> bool {
        matches!(self, Self::SucceededReserving | Self::FailedReserving)
    }
}

/// A job, from `GetJob` or from a list; texts that the service leaves out are empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The service's name for it, opaque.
    pub job_id: String,
    /// Not unique.
    pub display_name: String,
    /// Such as `PyTorchJob`.
    pub job_type: String,
    /// What it does now.
    pub status: Status,
    /// The status as the service writes it.
    pub status_name: String,
    /// More about the status; preemption shows here.
    pub sub_status: String,
    /// Why it is so; an open set.
    pub reason_code: String,
    /// The same in words.
    pub reason_message: String,
    /// Of the workspace.
    pub workspace_id: String,
    /// The quota that it runs on; empty for public resources.
    pub resource_id: String,
    /// Free text.
    pub description: String,
    /// Variables of all its pods.
    pub envs: BTreeMap<String, String>,
    /// `Settings.Tags`.
    pub tags: BTreeMap<String, String>,
    /// 1 to 9.
    pub priority: Option<i64>,
    /// In seconds.
    pub duration_s: Option<i64>,
    /// Such as `0/10`: restarts so far and at most.
    pub restart_times: String,
    /// When the service took it.
    pub created: Option<Timestamp>,
    /// When it began to run.
    pub running: Option<Timestamp>,
    /// When it ended, however.
    pub ended: Option<Timestamp>,
    /// Whether a list still names a deleted job.
    pub deleted: bool,
    /// Its pods; lists give less of them than `GetJob`.
    pub pods: Vec<Pod>,
    /// Its statuses so far.
    pub history: Vec<Transition>,
}

impl Job {
    /// Reads a job.
    pub fn read(value: &Value) -> Self {
        let job = Fields(value);
        let status_name = job.text("Status");
        let ends = ["GmtFinishTime", "GmtSuccessedTime", "GmtFailedTime", "GmtStoppedTime"];
        Self {
            job_id: job.text("JobId"),
            display_name: job.text("DisplayName"),
            job_type: job.text("JobType"),
            status: Status::from_name(&status_name),
            status_name,
            sub_status: job.text("SubStatus"),
            reason_code: job.text("ReasonCode"),
            reason_message: job.text("ReasonMessage"),
            workspace_id: job.text("WorkspaceId"),
            resource_id: job.text("ResourceId"),
            description: job.text("Description"),
            envs: job.map("Envs"),
            tags: job.inner("Settings").map("Tags"),
            priority: job.integer("Priority"),
            duration_s: job.integer("Duration"),
            restart_times: job.text("RestartTimes"),
            created: job.time("GmtCreateTime"),
            running: job.time("GmtRunningTime"),
            ended: ends.iter().find_map(|key| job.time(key)),
            deleted: job.flag("IsDeleted").unwrap_or(false),
            pods: job.list("Pods").map(Pod::read).collect(),
            history: job.list("StatusHistory").map(Transition::read).collect(),
        }
    }

    /// Every pod that it has or had, with those that a restart has replaced, oldest of a pod first.
    pub fn all_pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.iter().flat_map(|pod| pod.replaced.iter().chain([pod]))
    }
}

/// A pod of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Read, never built from the job's: the same role has different names.
    pub pod_id: String,
    /// Another one after each restart.
    pub pod_uid: String,
    /// Its role, such as `worker`.
    pub role: String,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub status: String,
    /// `Normal`, or `Evicted` by preemption.
    pub sub_status: String,
    /// The machine.
    pub node: String,
    /// When it began to run.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Those that it has replaced, oldest first.
    pub replaced: Vec<Pod>,
}

impl Pod {
    fn read(pod: Fields<'_>) -> Self {
        let mut replaced: Vec<Self> = pod.list("HistoryPods").map(Self::read).collect();
        replaced.sort_by_key(|pod| pod.started);
        Self {
            pod_id: pod.text("PodId"),
            pod_uid: pod.text("PodUid"),
            role: pod.text("Type"),
            status: pod.text("Status"),
            sub_status: pod.text("SubStatus"),
            node: pod.text("NodeName"),
            started: pod.time("GmtStartTime"),
            ended: pod.time("GmtFinishTime"),
            replaced,
        }
    }
}

/// One status of a job's past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// As the service writes it.
    pub status: String,
    /// Why.
    pub reason_code: String,
    /// The same in words.
    pub reason_message: String,
    /// Since when.
    pub started: Option<Timestamp>,
    /// Until when.
    pub ended: Option<Timestamp>,
}

impl Transition {
    fn read(item: Fields<'_>) -> Self {
        Self {
            status: item.text("Status"),
            reason_code: item.text("ReasonCode"),
            reason_message: item.text("ReasonMessage"),
            started: item.time("StartTime"),
            ended: item.time("EndTime"),
        }
    }
}

/// What is read of a list: whose each job is, and how far it is. A job has three times as many fields, and its
/// description, command and variables are long.
pub const LISTED: &[&str] = &[
    "Jobs",
    "TotalCount",
    "Code",
    "Message",
    "JobId",
    "DisplayName",
    "Status",
    "SubStatus",
    "ReasonCode",
    "ReasonMessage",
    "IsDeleted",
    "GmtCreateTime",
    "GmtRunningTime",
    "GmtFinishTime",
    "GmtSuccessedTime",
    "GmtFailedTime",
    "GmtStoppedTime",
    "Envs",
    KEY_VARIABLE,
    "Settings",
    "Tags",
    KEY_TAG,
    EXPERIMENT_TAG,
];

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct JobPage {
    /// In the order asked for.
    pub jobs: Vec<Job>,
    /// How many there are on all pages.
    pub total: Option<i64>,
}

impl JobPage {
    /// Reads a page.
    pub fn read(value: &Value) -> Self {
        let page = Fields(value);
        Self {
            jobs: page.list("Jobs").map(|job| Job::read(job.0)).collect(),
            total: page.integer("TotalCount"),
        }
    }
}

/// Lines that a pod has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodLogs {
    /// The pod.
    pub pod_id: String,
    /// The incarnation that wrote them, if the service says so.
    pub pod_uid: String,
    /// Without line ends.
    pub lines: Vec<String>,
}

impl PodLogs {
    /// Reads an answer.
    pub fn read(value: &Value) -> Self {
        let logs = Fields(value);
        Self { pod_id: logs.text("PodId"), pod_uid: logs.text("PodUid"), lines: logs.texts("Logs") }
    }
}

/// A kind of machine.
#[derive(Debug, Clone, PartialEq)]
pub struct EcsSpec {
    /// What `EcsSpec` of a job takes.
    pub instance_type: String,
    /// `CPU` or `GPU`.
    pub accelerator: String,
    /// Cores.
    pub cpu: Option<i64>,
    /// In GiB.
    pub memory_gib: Option<i64>,
    /// Devices.
    pub gpu: Option<i64>,
    /// Such as `V100`; empty without devices.
    pub gpu_type: String,
    /// Whether there are any now, if the service says so.
    pub available: Option<bool>,
}

impl EcsSpec {
    /// Reads one of a list.
    pub fn read(spec: Fields<'_>) -> Self {
        Self {
            instance_type: spec.text("InstanceType"),
            accelerator: spec.text("AcceleratorType"),
            cpu: spec.integer("Cpu"),
            memory_gib: spec.integer("Memory"),
            gpu: spec.integer("Gpu"),
            gpu_type: spec.text("GpuType"),
            available: spec.flag("IsAvailable"),
        }
    }
}
