//! How a job carries the key of its submission, so that it is found again and never started twice.
//!
//! The service has no idempotency token, and names are not unique. So the key stands in four places of each job: at the
//! end of its name, in a tag, in a variable and in its description. A job is ours only if its name and its tag or
//! variable say so.

use engine::id::SubmissionKey;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The tag that holds the key.
pub const KEY_TAG: &str = "retrial-key";
/// The tag that holds the experiment: what a sweep for duplicates asks for.
pub const EXPERIMENT_TAG: &str = "retrial-experiment";
/// How all our tags begin.
pub const TAG_PREFIX: &str = "retrial-";
/// The variable that holds the key.
pub const KEY_VARIABLE: &str = "RETRIAL_KEY";
/// Characters of the longest name that the service takes.
pub const MAX_NAME_CHARS: usize = 256;
/// Characters that a key may need at the end of a name, with the `-` before it: 8 for the experiment, 10 for each of
/// trial and attempt, 5 for the task.
pub const KEY_CHARS: usize = 37;
/// The name of jobs for which the experiment file gives none.
pub const DEFAULT_NAME: &str = "retrial";

/// What marks the job of one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    key: SubmissionKey,
    token: String,
}

impl Marks {
    /// The marks of a key.
    pub fn new(key: &SubmissionKey) -> Self {
        // Lower case already, as it must be: a search by name ignores the case.
        Self { key: *key, token: key.to_string() }
    }

    /// The text to search for in names.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The name of the job: what the experiment file says, and the key.
    pub fn display_name(&self, name: &str) -> String {
        format!("{name}-{}", self.token)
    }

    /// The tags of the job.
    pub fn tags(&self) -> [(&'static str, String); 2] {
        [(KEY_TAG, self.token.clone()), (EXPERIMENT_TAG, self.key.experiment.to_string())]
    }

    /// The variables of the job: its key, and the same as a local task has.
    pub fn variables(&self) -> [(&'static str, String); 5] {
        [
            (KEY_VARIABLE, self.token.clone()),
            ("RETRIAL_EXPERIMENT", self.key.experiment.to_string()),
            ("RETRIAL_TRIAL", self.key.trial.to_string()),
            ("RETRIAL_ATTEMPT", self.key.attempt.to_string()),
            ("RETRIAL_TASK", self.key.task.to_string()),
        ]
    }

    /// The description of the job: what the experiment file says, and what it is.
    pub fn description(&self, text: &str) -> String {
        let space = if text.is_empty() { "" } else { " " };
        let SubmissionKey { experiment, trial, attempt, task } = self.key;
        format!(
            "{text}{space}[Retrial: experiment {experiment}, trial {trial}, attempt {attempt}, task {task}; key {}]",
            self.token
        )
    }

    /// Whether a job of this name, with these tags and variables, is the one of this key. The name alone is no proof: a
    /// search finds `x-1-1-10` for `x-1-1-1`, and a job that was cloned by hand keeps its tags.
    pub fn are_on(
        &self,
        display_name: &str,
        tags: &BTreeMap<String, String>,
        envs: &BTreeMap<String, String>,
    ) -> bool {
        let named = display_name
            .strip_suffix(&self.token)
            .is_some_and(|before| before.is_empty() || before.ends_with('-'));
        let holds = |map: &BTreeMap<String, String>, name: &str| map.get(name) == Some(&self.token);
        named && (holds(tags, KEY_TAG) || holds(envs, KEY_VARIABLE))
    }

    /// The value of `Tags` in a search: JSON text.
    pub fn tag_filter(&self) -> String {
        let mut tags = Map::new();
        tags.insert(KEY_TAG.to_owned(), Value::String(self.token.clone()));
        Value::Object(tags).to_string()
    }
}

/// Whether a text can stand in the name of a job: letters, digits, `_`, `.` and `-`.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::id::{AttemptNo, ExperimentId, TaskIndex, TrialId};

    fn key(trial: u32, attempt: u32, task: u16) -> SubmissionKey {
        SubmissionKey {
            experiment: ExperimentId::from_random(u64::MAX),
            trial: TrialId(trial),
            attempt: AttemptNo(attempt),
            task: TaskIndex(task),
        }
    }

    fn map<const N: usize>(pairs: [(&'static str, String); N]) -> BTreeMap<String, String> {
        pairs.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
    }

    #[test]
    fn a_key_stands_in_four_places() {
        let marks = Marks::new(&key(12, 2, 0));
        let token = key(12, 2, 0).to_string();
        assert_eq!(marks.display_name("mnist"), format!("mnist-{token}"));
        assert_eq!(map(marks.tags())["retrial-key"], token);
        assert_eq!(map(marks.tags())["retrial-experiment"], token[..8]);
        assert_eq!(map(marks.variables())["RETRIAL_KEY"], token);
        assert_eq!(map(marks.variables())["RETRIAL_TRIAL"], "12");
        let about =
            format!("[Retrial: experiment {}, trial 12, attempt 2, task 0; key {token}]", &token[..8]);
        assert_eq!(marks.description(""), about);
        assert_eq!(marks.description("mine"), format!("mine {about}"));
        assert_eq!(marks.tag_filter(), format!("{{\"retrial-key\":\"{token}\"}}"));
    }

    #[test]
    fn the_longest_key_has_room_in_a_name() {
        let longest = Marks::new(&key(u32::MAX, u32::MAX, u16::MAX));
        assert_eq!(longest.display_name("").len(), KEY_CHARS);
        assert_eq!(longest.token(), longest.token().to_lowercase());
        assert!(is_name(&longest.display_name(DEFAULT_NAME)));
    }

    #[test]
    fn a_job_is_ours_only_by_its_exact_name_and_its_tag_or_variable() {
        let marks = Marks::new(&key(1, 1, 1));
        let other = Marks::new(&key(1, 1, 10));
        let upper = marks.display_name("x").to_uppercase();
        let none = BTreeMap::new();
        let (tags, envs) = (map(marks.tags()), map(marks.variables()));
        for (name, tags, envs, ours) in [
            (marks.display_name("x"), &tags, &envs, true),
            (marks.display_name("another"), &tags, &none, true),
            (marks.display_name("x"), &none, &envs, true),
            (marks.token().to_owned(), &tags, &none, true),
            (marks.display_name("x"), &none, &none, false),
            (marks.display_name("x"), &map(other.tags()), &map(other.variables()), false),
            (other.display_name("x"), &tags, &envs, false),
            (format!("x{}", marks.token()), &tags, &envs, false),
            (format!("{}_copy", marks.display_name("x")), &tags, &envs, false),
            (upper, &tags, &envs, false),
        ] {
            assert_eq!(marks.are_on(&name, tags, envs), ours, "{name}");
        }
    }

    #[test]
    fn names_have_letters_digits_and_three_signs() {
        assert!(is_name("tf-mnist_1.0"));
        for bad in ["", "a b", "a/b", "größe", "a:b"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
