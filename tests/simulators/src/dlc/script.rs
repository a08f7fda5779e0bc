//! What the simulator is told to do: who may call it, how jobs live, and what goes wrong.
//!
//! A [`Script`] is data, so that it can stand in a JSON file; a field that is not given has the default named here.

use crate::fault::Fault;
use serde::{Deserialize, Serialize};

/// Everything that the simulator is told before it starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Who may call. By default one account with a made-up key: see [`Account`].
    pub accounts: Vec<Account>,
    /// The workspaces that exist; every id is taken for one if this is empty.
    pub workspaces: Vec<String>,
    /// The workspace of a job that names none.
    pub default_workspace: String,
    /// A time (RFC 3339) at which the clock stands until it is moved; without it the clock is the machine's.
    pub standing_clock: Option<String>,
    /// How far the simulator's clock is ahead of the machine's, in milliseconds.
    pub clock_offset_ms: i64,
    /// Feeds every random choice.
    pub seed: u64,
    /// How a job lives if no rule says otherwise.
    pub life: Life,
    /// How some jobs live; the first rule that fits is used.
    pub rules: Vec<Rule>,
    /// How many jobs may be past their queue at once; no bound if absent.
    pub capacity: Option<usize>,
    /// How a stop goes.
    pub stop: Stop,
    /// How far `ListJobs` is behind, in milliseconds.
    pub list_lag_ms: i64,
    /// How far the logs are behind.
    pub logs: Logs,
    /// When a changed priority shows, in milliseconds.
    pub priority_lag_ms: i64,
    /// How fast a caller may call; no bound if absent.
    pub rate: Option<Rate>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Whether jobs run their commands as processes of this machine.
    pub processes: Option<Processes>,
    /// The object storage beside it. Where jobs are processes, buckets that are folders are mounted as jobs ask for it;
    /// who may call is said by whoever starts that storage.
    pub storage: crate::oss::Script,
    /// What `ListEcsSpecs` lists.
    pub ecs_specs: Vec<EcsSpec>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            accounts: vec![Account::default()],
            workspaces: Vec::new(),
            default_workspace: "10001".to_owned(),
            standing_clock: None,
            clock_offset_ms: 0,
            seed: 0,
            life: Life::default(),
            rules: Vec::new(),
            capacity: None,
            stop: Stop::default(),
            list_lag_ms: 0,
            logs: Logs::default(),
            priority_lag_ms: 0,
            rate: None,
            faults: Vec::new(),
            processes: None,
            storage: crate::oss::Script::default(),
            ecs_specs: EcsSpec::some(),
        }
    }
}

/// Somebody who may call.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Account {
    /// The access key id.
    pub access_key_id: String,
    /// The access key's secret.
    pub access_key_secret: String,
    /// The token of a temporary key; a call must then carry it.
    pub security_token: Option<String>,
    /// When the token ends (RFC 3339).
    pub expires_at: Option<String>,
    /// The operations that are denied, such as `CreateJob`.
    pub denied: Vec<String>,
}

/// Without what must stay secret.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("access_key_id", &self.access_key_id)
            .field("expires_at", &self.expires_at)
            .field("denied", &self.denied)
            .finish_non_exhaustive()
    }
}

impl Default for Account {
    fn default() -> Self {
        Self {
            access_key_id: "LTAISimulatedKey".to_owned(),
            access_key_secret: "simulated-secret".to_owned(),
            security_token: None,
            expires_at: None,
            denied: Vec::new(),
        }
    }
}

/// The states of a job's life, one after the other, and what its pods write.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Life {
    /// The states. The last one is not left; `Running` without a time lasts until the job's process ends.
    pub phases: Vec<Phase>,
    /// What each pod writes while it runs.
    pub log: Vec<Written>,
}

impl Default for Life {
    fn default() -> Self {
        let phase = |status: &str, ms| Phase { status: status.to_owned(), ms, ..Phase::default() };
        Self {
            phases: vec![
                phase("Creating", Some(100)),
                phase("Queuing", Some(100)),
                phase("EnvPreparing", Some(200)),
                phase("Running", Some(1000)),
                phase("Succeeded", None),
            ],
            log: Vec::new(),
        }
    }
}

/// One state of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Phase {
    /// The `Status`; any text is served as it is.
    pub status: String,
    /// How long it lasts in milliseconds; for ever if absent.
    pub ms: Option<i64>,
    /// The `SubStatus`.
    pub sub_status: String,
    /// The `ReasonCode`.
    pub reason_code: String,
    /// The `ReasonMessage`.
    pub reason_message: String,
}

/// What a pod writes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Written {
    /// When the first line is written, in milliseconds after the pod has started.
    pub after_ms: i64,
    /// The line; `{n}` is its number, from 0, and `{job}` the job's id.
    pub text: String,
    /// How many lines; at most [`super::limits::SCRIPTED_LINES`].
    pub times: usize,
    /// The time between them in milliseconds.
    pub every_ms: i64,
}

impl Default for Written {
    fn default() -> Self {
        Self { after_ms: 0, text: String::new(), times: 1, every_ms: 1000 }
    }
}

/// How some jobs live. What is not given fits every job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// What is in the job's name.
    pub display_name: Option<String>,
    /// What is in the image's name of one of its roles.
    pub image: Option<String>,
    /// What is in its command.
    pub command: Option<String>,
    /// For how many jobs; 0 for all.
    pub times: u32,
    /// How they live.
    pub life: Life,
}

/// How a stop goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stop {
    /// How long a job is `Stopping`, in milliseconds.
    pub ms: i64,
    /// Whether the job's own end wins: it is then `Stopping`, and after that what it would have become.
    pub loses: bool,
}

impl Default for Stop {
    fn default() -> Self {
        Self { ms: 100, loses: false }
    }
}

/// How logs are served.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logs {
    /// How long after it was written a line can be read, in milliseconds.
    pub lag_ms: i64,
    /// By how much more some lines are late, in milliseconds: a line may show after one that was written later.
    pub jitter_ms: i64,
    /// Where longer lines are cut, in bytes; nowhere if absent.
    pub line_bytes: Option<usize>,
}

/// How fast a caller may call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    /// `CreateJob` in a second.
    pub creates_per_second: f64,
    /// Everything else in a second.
    pub others_per_second: f64,
    /// How many may come at once.
    pub burst: f64,
    /// Whether a refusal says after how many milliseconds to come again.
    pub says_when: bool,
}

impl Default for Rate {
    fn default() -> Self {
        Self { creates_per_second: 1.0, others_per_second: 5.0, burst: 5.0, says_when: true }
    }
}

/// How commands of jobs run as processes of this machine.
///
/// Whoever holds the key can then start processes of this user.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Processes {
    /// The folder they start in; the simulator's own if absent.
    pub dir: Option<std::path::PathBuf>,
}

/// A kind of machine that can be rented.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EcsSpec {
    /// Its name, such as `ecs.g6.large`.
    pub instance_type: String,
    /// `CPU` or `GPU`.
    pub accelerator_type: String,
    /// Cores.
    pub cpu: u32,
    /// GiB.
    pub memory: u32,
    /// Cards.
    pub gpu: u32,
    /// The kind of card.
    pub gpu_type: String,
}

impl EcsSpec {
    fn some() -> Vec<Self> {
        let machine = |name: &str, cpu, memory, gpu, card: &str| Self {
            instance_type: name.to_owned(),
            accelerator_type: if gpu == 0 { "CPU" } else { "GPU" }.to_owned(),
            cpu,
            memory,
            gpu,
            gpu_type: card.to_owned(),
        };
        vec![
            machine("ecs.g6.large", 2, 8, 0, ""),
            machine("ecs.g6.xlarge", 4, 16, 0, ""),
            machine("ecs.g6.2xlarge", 8, 32, 0, ""),
            machine("ecs.gn6i-c4g1.xlarge", 4, 15, 1, "NVIDIA T4"),
            machine("ecs.gn6e-c12g1.3xlarge", 12, 92, 1, "NVIDIA V100"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_script_is_the_default_one_and_shows_no_secret() {
        let script: Script = serde_json::from_str("{}").unwrap();
        let text = format!("{script:?}");
        assert_eq!(text, format!("{:?}", Script::default()));
        assert!(text.contains("LTAISimulatedKey") && !text.contains("simulated-secret"));
    }
}
