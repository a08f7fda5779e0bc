//! What a job's status means for its task. Begin with [`Seen::state`].
//!
//! Only the status says how far a job is. Reasons are an open set of words: they are kept as evidence, and decide one
//! thing only, whether a job that did not succeed lost its machine.

use crate::dlc::model::Status;
use engine::event::v1::Outcome;
use engine::limits::MAX_REASON_BYTES;
use engine::ports::backend::JobState;
use engine::time::Timestamp;

/// Parts of reasons, in lower case, of jobs whose machine was taken away. The service lists none but the pods' `Evicted`;
/// the rest is inferred.
const PREEMPTED: &[&str] = &["evict", "preempt", "reclaim"];
/// The same for machines that failed; all inferred.
const LOST: &[&str] = &["nodelost", "nodefail", "nodenotready", "nodeunhealthy", "nodedown"];

/// What the service says about a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen<'a> {
    /// `Status`.
    pub status: &'a str,
    /// `SubStatus`, of the job or of the pod that failed.
    pub sub_status: &'a str,
    /// `ReasonCode`.
    pub reason_code: &'a str,
    /// `ReasonMessage`.
    pub reason_message: &'a str,
    /// `GmtRunningTime`.
    pub started: Option<Timestamp>,
    /// `GmtFinishTime`, or the time of the end that there is.
    pub ended: Option<Timestamp>,
}

impl Seen<'_> {
    /// The state of the job. `at` is when it was seen, for times that the service leaves out.
    pub fn state(&self, at: Timestamp) -> JobState {
        let outcome =
            match Status::from_name(self.status) {
                Status::Waiting => return JobState::Queued,
                Status::Running | Status::Restarting => {
                    return JobState::Running { started: self.started.unwrap_or(at) };
                }
                Status::Stopping => {
                    return self.started.map_or(JobState::Queued, |started| JobState::Running { started });
                }
                Status::Unknown => {
                    return JobState::Unknown(format!("unknown status `{}`", cut(self.status, 64)));
                }
                Status::Succeeded | Status::SucceededReserving => Outcome::Succeeded,
                Status::Failed | Status::FailedReserving => self
                    .machine()
                    .unwrap_or_else(|| Outcome::Failed { exit: None, signal: None, reason: self.reason() }),
                Status::Stopped => self.machine().unwrap_or(Outcome::Stopped),
                Status::Deleted => Outcome::Lost { reason: self.reason() },
            };
        let ended = self.ended.unwrap_or(at);
        // Both clocks are the service's, in whole seconds.
        JobState::Ended { started: self.started.map(|started| started.min(ended)), ended, outcome }
    }

    /// The outcome, if the machine and not the command is the cause.
    fn machine(&self) -> Option<Outcome> {
        let said = format!("{} {}", self.sub_status, self.reason_code).to_ascii_lowercase();
        let said: String = said.chars().filter(|c| c.is_ascii_alphanumeric() || *c == ' ').collect();
        let any = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
        if any(PREEMPTED) {
            Some(Outcome::Preempted { reason: self.reason() })
        } else if any(LOST) {
            Some(Outcome::Lost { reason: self.reason() })
        } else {
            None
        }
    }

    /// All that the service says, bounded.
    fn reason(&self) -> String {
        let said = [self.status, self.sub_status, self.reason_code, self.reason_message];
        let said: Vec<&str> = said.into_iter().filter(|part| !part.is_empty()).collect();
        cut(&said.join(": "), MAX_REASON_BYTES).to_owned()
    }
}

/// The beginning of a text, in at most so many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(9_000);
    const STARTED: Timestamp = Timestamp(5_000);
    const ENDED: Timestamp = Timestamp(8_000);

    fn seen(status: &str) -> Seen<'_> {
        Seen { status, started: Some(STARTED), ended: Some(ENDED), ..Seen::default() }
    }

    #[test]
    fn every_documented_status_has_its_meaning() {
        for (statuses, expected) in [
            (vec!["Creating", "Queuing", "Bidding", "EnvPreparing", "SanityChecking"], Status::Waiting),
            (vec!["Running"], Status::Running),
            (vec!["Restarting"], Status::Restarting),
            (vec!["Stopping"], Status::Stopping),
            (vec!["Succeeded"], Status::Succeeded),
            (vec!["SucceededReserving"], Status::SucceededReserving),
            (vec!["Failed", "SubmitFailed"], Status::Failed),
            (vec!["FailedReserving"], Status::FailedReserving),
            (vec!["Stopped"], Status::Stopped),
            (vec!["Deleted"], Status::Deleted),
            (vec!["", "running", "SUCCEEDED", "Hibernating"], Status::Unknown),
        ] {
            for status in statuses {
                assert_eq!(Status::from_name(status), expected, "{status}");
                let ends = !matches!(
                    expected,
                    Status::Waiting
                        | Status::Running
                        | Status::Restarting
                        | Status::Stopping
                        | Status::Unknown
                );
                assert_eq!(matches!(seen(status).state(AT), JobState::Ended { .. }), ends, "{status}");
                assert_eq!(expected.is_over(), ends, "{status}");
                assert_eq!(expected.holds_machines(), status.ends_with("Reserving"), "{status}");
            }
        }
    }

    #[test]
    fn states_have_the_times_of_the_service_or_else_that_of_the_observation() {
        assert_eq!(seen("Running").state(AT), JobState::Running { started: STARTED });
        assert_eq!(seen("Stopping").state(AT), JobState::Running { started: STARTED });
        let none = |status| Seen { status, ..Seen::default() };
        assert_eq!(none("Running").state(AT), JobState::Running { started: AT });
        assert_eq!(none("Stopping").state(AT), JobState::Queued);
        let ended = |started, ended| JobState::Ended { started, ended, outcome: Outcome::Succeeded };
        assert_eq!(seen("Succeeded").state(AT), ended(Some(STARTED), ENDED));
        assert_eq!(none("SucceededReserving").state(AT), ended(None, AT));
        let late = Seen { started: Some(AT), ..seen("Succeeded") };
        assert_eq!(late.state(AT), ended(Some(ENDED), ENDED));
        let unknown = seen("Hibernating").state(AT);
        assert_eq!(unknown, JobState::Unknown("unknown status `Hibernating`".to_owned()));
    }

    #[test]
    fn a_lost_machine_is_told_from_a_failed_command_and_reasons_are_kept() {
        let outcome = |status, sub_status, reason_code| {
            let seen = Seen { sub_status, reason_code, reason_message: "why", ..seen(status) };
            match seen.state(AT) {
                JobState::Ended { outcome, .. } => outcome,
                other => panic!("{other:?}"),
            }
        };
        let failed = |reason: &str| Outcome::Failed { exit: None, signal: None, reason: reason.to_owned() };
        let preempted = |reason: &str| Outcome::Preempted { reason: reason.to_owned() };
        let lost = |reason: &str| Outcome::Lost { reason: reason.to_owned() };
        for (status, sub, code, expected) in [
            ("Failed", "", "UserError", failed("Failed: UserError: why")),
            ("Failed", "Normal", "", failed("Failed: Normal: why")),
            ("SubmitFailed", "", "InvalidParameter", failed("SubmitFailed: InvalidParameter: why")),
            ("Failed", "Evicted", "", preempted("Failed: Evicted: why")),
            ("Stopped", "", "JobPreempted", preempted("Stopped: JobPreempted: why")),
            ("Failed", "", "Node-Lost", lost("Failed: Node-Lost: why")),
            ("FailedReserving", "", "NodeNotReady", lost("FailedReserving: NodeNotReady: why")),
            ("Stopped", "", "JobStoppedByUser", Outcome::Stopped),
            ("Succeeded", "Evicted", "JobSucceeded", Outcome::Succeeded),
            ("Deleted", "", "", lost("Deleted: why")),
        ] {
            assert_eq!(outcome(status, sub, code), expected, "{status} {sub} {code}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let long = "ü".repeat(MAX_REASON_BYTES);
        let Outcome::Failed { reason, .. } =
            (match (Seen { reason_message: &long, ..seen("Failed") }).state(AT) {
                JobState::Ended { outcome, .. } => outcome,
                other => panic!("{other:?}"),
            })
        else {
            panic!("not failed")
        };
        assert!(reason.len() <= MAX_REASON_BYTES && reason.len() > MAX_REASON_BYTES - 4);
    }
}
