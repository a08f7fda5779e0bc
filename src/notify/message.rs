//! What is told, for programs and for people.

use crate::views::{figures, present};
use engine::spec::Occasion;
use engine::state::Experiment;
use engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Most bytes of a best trial in a message; of larger ones the parameters are left out.
const MAX_BEST_BYTES: usize = 16 << 10;
/// Parameters that people are shown.
const SHOWN_PARAMS: usize = 20;
/// Characters of a parameter or a reason that people are shown.
const SHOWN_CHARS: usize = 200;

/// What has happened, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The experiment has ended, with a success or on request.
    Ended,
    /// It has ended without a success.
    Failed,
    /// The brake of the first failures has paused it.
    Paused,
    /// It has a new best trial.
    Best,
}

impl Kind {
    /// Whether somebody who wants to hear of these occasions hears of it.
    pub fn concerns(self, wanted: &std::collections::BTreeSet<Occasion>) -> bool {
        let occasions: &[Occasion] = match self {
            Self::Ended => &[Occasion::End],
            Self::Failed => &[Occasion::End, Occasion::Failure],
            Self::Paused => &[Occasion::Pause],
            Self::Best => &[Occasion::Best],
        };
        occasions.iter().any(|occasion| wanted.contains(occasion))
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Ended => "has ended",
            Self::Failed => "has failed",
            Self::Paused => "is paused",
            Self::Best => "has a new best trial",
        }
    }
}

/// One message. Its fields are those of a webhook's JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The same each time that it is sent.
    pub id: String,
    /// What has happened.
    pub event: Kind,
    /// When.
    pub time: String,
    /// The experiment.
    pub experiment: String,
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: String,
    /// Why, where that is known.
    pub reason: Option<String>,
    /// The best trial; null if there is none.
    pub best: Value,
    /// With several objectives how many trials are on the front.
    pub front: Option<usize>,
    /// How many trials have each status.
    pub trials: Value,
}

impl Message {
    /// What is told of an experiment that stands so. `mark` tells it from all others of the experiment, for ever.
    pub fn new(experiment: &Experiment, event: Kind, mark: &str, at: Timestamp) -> Self {
        let mut best = present::best(experiment);
        if best.to_string().len() > MAX_BEST_BYTES {
            best = json!({"trial": best["trial"], "value": best["value"]});
        }
        let several = experiment.spec.objective.outcomes.is_multi();
        Self {
            id: format!("{}-{mark}", experiment.id),
            event,
            time: figures::time(at),
            experiment: experiment.id.to_string(),
            name: experiment.spec.name.clone(),
            status: experiment.status.as_str().to_owned(),
            reason: None,
            best,
            front: several.then_some(experiment.front.len()),
            trials: present::counts(experiment),
        }
    }

    /// The first line for people.
    pub fn title(&self) -> String {
        format!("{} ({}) {}", self.name, self.experiment, self.event.words())
    }

    /// All lines for people, the title first.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.title()];
        if matches!(self.event, Kind::Ended | Kind::Failed) {
            lines.push(format!("status: {}", self.status));
        }
        lines.extend(self.reason.as_deref().map(|reason| format!("reason: {}", shown(reason))));
        if let Some(trial) = self.best["trial"].as_u64() {
            let value =
                self.best["value"].as_f64().map(|value| format!(", value {}", figures::number(value)));
            lines.push(format!("best: trial {trial}{}", value.unwrap_or_default()));
            let params = self.best["params"].as_object();
            for (name, value) in params.into_iter().flatten().take(SHOWN_PARAMS) {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                lines.push(format!("{} = {}", shown(name), shown(&text)));
            }
        }
        lines.extend(self.front.map(|front| format!("front: {}", figures::count(front as u64, "trial"))));
        let counts = self.trials.as_object().into_iter().flatten();
        let counts: Vec<String> = counts.map(|(status, count)| format!("{count} {status}")).collect();
        if !counts.is_empty() {
            lines.push(format!("trials: {}", counts.join(", ")));
        }
        lines
    }
}

/// A text on one line, of bounded length.
fn shown(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_CHARS).collect();
    if text.chars().count() > SHOWN_CHARS { format!("{line}...") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_in_lines_of_bounded_length() {
        let message = Message {
            id: "kq3m2x7a-12".to_owned(),
            event: Kind::Failed,
            time: "2026-11-26T22:00:00Z".to_owned(),
            experiment: "kq3m2x7a".to_owned(),
            name: "digits".to_owned(),
            status: "FAILED".to_owned(),
            reason: Some(format!("a\nb{}", "c".repeat(1_000))),
            best: json!({"trial": 3, "value": 0.5, "params": {"lr": 0.1, "kind": "a\u{1b}b"}}),
            front: None,
            trials: json!({"FAILED": 3}),
        };
        let lines = message.lines();
        assert_eq!(lines[0], "digits (kq3m2x7a) has failed");
        assert!(lines[2].starts_with("reason: a bc") && lines[2].len() < 220, "{}", lines[2]);
        assert_eq!(lines[3..], ["best: trial 3, value 0.5", "lr = 0.1", "kind = a b", "trials: 3 FAILED"]);
    }

    #[test]
    fn a_failure_is_an_end_and_an_end_is_no_failure() {
        let only = |occasion| [occasion].into();
        assert!(
            Kind::Failed.concerns(&only(Occasion::End)) && Kind::Failed.concerns(&only(Occasion::Failure))
        );
        assert!(
            Kind::Ended.concerns(&only(Occasion::End)) && !Kind::Ended.concerns(&only(Occasion::Failure))
        );
        assert!(Kind::Best.concerns(&only(Occasion::Best)) && !Kind::Paused.concerns(&only(Occasion::Best)));
    }
}
