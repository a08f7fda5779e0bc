//! What can be asked of whoever holds a store, over its socket and over HTTP.

use crate::error::{Failure, exit};
use crate::labels;
use crate::views::find;
use engine::command::Command;
use engine::id::{ExperimentId, TrialId};
use engine::state::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What can be asked of the process that holds a store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Stop the experiment.
    Stop { experiment: String },
    /// Stop single trials.
    StopTrials { experiment: String, trials: Vec<u32> },
    /// Start no further trials.
    Pause { experiment: String },
    /// Start trials again.
    Resume { experiment: String },
    /// Try ended trials again.
    Retry { experiment: String, trials: Vec<u32> },
    /// Replace the specification.
    Update { experiment: String, spec: Value },
    /// Try this point next.
    Enqueue { experiment: String, params: Value },
    /// Hide an ended experiment.
    Remove { experiment: String },
    /// Set labels, and take away those without a value.
    Label { experiment: String, labels: BTreeMap<String, Option<String>> },
    /// Create an experiment with this specification, without running it.
    Create {
        experiment: String,
        spec: Value,
        seed: u64,
        #[serde(default)]
        labels: BTreeMap<String, String>,
    },
}

impl Request {
    /// Have an experiment seen by its creator and admins only, or by everybody.
    pub fn see(experiment: String, private: bool) -> Self {
        let value = if private { labels::PRIVATE } else { labels::PUBLIC };
        let labels = [(labels::ACCESSIBILITY.to_owned(), Some(value.to_owned()))].into();
        Self::Label { experiment, labels }
    }

    /// The command that it stands for.
    pub fn command(&self, state: &State) -> Result<Command, Failure> {
        let ids = |trials: &[u32]| trials.iter().map(|id| TrialId(*id)).collect::<Vec<_>>();
        let parse = |text: &str| -> Result<ExperimentId, Failure> {
            text.parse().map_err(|error| Failure::new(exit::USAGE, format!("{error}"), ""))
        };
        Ok(match self {
            Self::Stop { experiment } => Command::StopExperiment { experiment: parse(experiment)? },
            Self::StopTrials { experiment, trials } => {
                Command::StopTrials { experiment: parse(experiment)?, trials: ids(trials) }
            }
            Self::Pause { experiment } => Command::PauseExperiment { experiment: parse(experiment)? },
            Self::Resume { experiment } => Command::ResumeExperiment { experiment: parse(experiment)? },
            Self::Retry { experiment, trials } => {
                Command::RetryTrials { experiment: parse(experiment)?, trials: ids(trials) }
            }
            Self::Update { experiment, spec } => {
                Command::UpdateExperiment { experiment: parse(experiment)?, spec: spec.to_string() }
            }
            Self::Enqueue { experiment, params } => {
                let id = parse(experiment)?;
                let known = find::find(state, experiment)?;
                let point = known.spec.space.from_json(params, "params").map_err(|details| Failure {
                    details,
                    code: Some(engine::decide::codes::OUTSIDE_SPACE.to_string()),
                    ..Failure::new(exit::USAGE, "the point is outside the search space", "")
                })?;
                Command::EnqueuePoint { experiment: id, point }
            }
            Self::Remove { experiment } => Command::RemoveExperiment { experiment: parse(experiment)? },
            Self::Label { experiment, labels } => {
                Command::LabelExperiment { experiment: parse(experiment)?, labels: labels.clone() }
            }
            Self::Create { experiment, spec, seed, labels } => Command::CreateExperiment {
                experiment: parse(experiment)?,
                spec: spec.to_string(),
                seed: *seed,
                labels: labels.clone(),
            },
        })
    }
}

/// A request as it is sent to a daemon: below `/v1/experiments`, with a body unless it is null.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: String,
    /// The body.
    pub body: Value,
}

impl Request {
    /// How a daemon is asked for it. It gives ids and seeds itself to what it creates.
    pub fn call(&self) -> Call {
        let post = |path: String, body: Value| Call { method: "POST", path, body };
        match self {
            Self::Stop { experiment } => post(format!("/{experiment}/stop"), Value::Null),
            Self::StopTrials { experiment, trials } => {
                post(format!("/{experiment}/trials/stop"), json!({"trials": trials}))
            }
            Self::Pause { experiment } => post(format!("/{experiment}/pause"), Value::Null),
            Self::Resume { experiment } => post(format!("/{experiment}/resume"), Value::Null),
            Self::Retry { experiment, trials } => {
                post(format!("/{experiment}/trials/retry"), json!({"trials": trials}))
            }
            Self::Update { experiment, spec } => {
                Call { method: "PUT", path: format!("/{experiment}"), body: json!({"spec": spec}) }
            }
            Self::Enqueue { experiment, params } => {
                post(format!("/{experiment}/queue"), json!({"params": params}))
            }
            Self::Remove { experiment } => {
                Call { method: "DELETE", path: format!("/{experiment}"), body: Value::Null }
            }
            Self::Label { experiment, labels } => {
                post(format!("/{experiment}/labels"), json!({"labels": labels}))
            }
            Self::Create { spec, labels, .. } => post(String::new(), json!({"spec": spec, "labels": labels})),
        }
    }
}

/// Who acts: user and machine.
pub fn me() -> String {
    // Each request of a daemon without users asks, and the system reads its files of users each time.
    static ME: LazyLock<String> = LazyLock::new(|| {
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        format!("{}@{}", user.as_deref().unwrap_or("unknown"), host.as_deref().unwrap_or("localhost"))
    });
    ME.clone()
}

/// 64 bits from the operating system.
pub fn random_bits() -> Result<u64, Failure> {
    use rand::TryRng;
    rand::rngs::SysRng.try_next_u64().map_err(|error| {
        Failure::new(exit::FAILED, format!("the operating system gives no random numbers: {error}"), "")
    })
}

/// An id that no experiment of the store has.
pub fn new_id(state: &State) -> Result<ExperimentId, Failure> {
    loop {
        let id = ExperimentId::from_random(random_bits()?);
        if state.experiment(id).is_none() {
            return Ok(id);
        }
    }
}
