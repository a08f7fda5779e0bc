//! What stands before a task's own command: the files and variables that every trial finds, wherever it runs.
//!
//! A job sees no disk of ours, so what a local task finds in its directory is written by the job itself, from text in its
//! command. Any POSIX shell will do.

use super::words::quote;
use engine::id::SubmissionKey;
use engine::ports::backend::TaskOrder;
use std::fmt::Write as _;

/// The variable that names the directory for checkpoints.
const CHECKPOINT_VARIABLE: &str = "RETRIAL_CHECKPOINT_DIR";

/// A template file of which the text is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// Where it is written; relative to the job's working directory.
    pub target: String,
    /// The text.
    pub text: String,
}

/// The file of `RETRIAL_PARAMS`: no two jobs on one machine share it.
pub(super) fn params_file(key: &SubmissionKey) -> String {
    format!("/tmp/retrial-{key}.json")
}

/// The lines before the command. `checkpoints` is the directory, as jobs see it, below which each attempt gets one.
pub(super) fn script(order: &TaskOrder, checkpoints: Option<&str>, templates: &[Filled]) -> String {
    let mut script = String::new();
    let params = serde_json::Value::Object(order.params.clone()).to_string();
    let said = "echo 'Retrial: failed to write the file of RETRIAL_PARAMS' >&2";
    // A String takes whatever is written to it.
    let _ = writeln!(script, "printf '%s' {} >{} || {said}", quote(&params), params_file(&order.key));
    for Filled { target, text } in templates {
        let file = quote(target);
        let dir = target.rsplit_once('/').map(|(dir, _)| dir).filter(|dir| !dir.is_empty());
        let make = dir.map_or_else(String::new, |dir| format!("mkdir -p {} && ", quote(dir)));
        let said = quote(&format!("Retrial: failed to write {target}"));
        let _ =
            writeln!(script, "{make}printf '%s' {} >{file} || {{ echo {said} >&2; exit 1; }}", quote(text));
    }
    let Some(root) = checkpoints else { return script };
    let dir = |trial: String, attempt: String| {
        quote(&format!("{}/{}/{trial}/{attempt}", root.trim_end_matches('/'), order.key.experiment))
    };
    let own = dir(order.key.trial.to_string(), order.key.attempt.to_string());
    let _ = writeln!(script, "export {CHECKPOINT_VARIABLE}={own}; mkdir -p \"${CHECKPOINT_VARIABLE}\"");
    let earlier: Vec<String> = order
        .resume_from
        .iter()
        .map(|earlier| dir(earlier.trial.to_string(), earlier.attempt.to_string()))
        .collect();
    if !earlier.is_empty() {
        // The first that holds anything: an attempt may end before it has saved.
        let _ = writeln!(
            script,
            "for d in {}; do [ -z \"$(ls -A \"$d\" 2>/dev/null)\" ] || {{ export RETRIAL_RESUME_FROM=\"$d\"; break; }}; done",
            earlier.join(" ")
        );
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::id::{AttemptNo, ExperimentId, TaskIndex, TrialId};
    use engine::ports::backend::{CommandLine, Earlier};
    use serde_json::json;
    use std::path::Path;
    use std::process::Command;

    fn order(number: u64) -> TaskOrder {
        let key = SubmissionKey {
            experiment: ExperimentId::from_random(number ^ u64::from(std::process::id()) << 8),
            trial: TrialId(3),
            attempt: AttemptNo(2),
            task: TaskIndex(0),
        };
        engine::testing::backend::order(key, CommandLine::Shell(String::new()))
    }

    /// What a shell prints that runs the script and then a command.
    fn run(script: &str, command: &str, dir: &Path) -> String {
        let done =
            Command::new("sh").args(["-c", &format!("{script}{command}")]).current_dir(dir).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    #[test]
    fn a_shell_finds_parameters_and_files_with_the_very_same_text() {
        let dir = tempfile::tempdir().unwrap();
        let odd = "it's $HOME `x` $(date) \\ \"q\" 50% ü\n\tend";
        let mut order = order(1);
        order.params.insert("how".to_owned(), json!(odd));
        let templates = [("a b/c.conf", odd), ("plain", "x")]
            .map(|(target, text)| Filled { target: target.to_owned(), text: text.to_owned() });
        let script = script(&order, None, &templates);
        assert!(!script.contains("$(d"), "{script}");
        let params = params_file(&order.key);
        let said = run(&script, &format!("cat {params}; rm {params}"), dir.path());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&said).unwrap(), json!({"how": odd}));
        assert_eq!(std::fs::read_to_string(dir.path().join("a b/c.conf")).unwrap(), odd);
        assert_eq!(std::fs::read_to_string(dir.path().join("plain")).unwrap(), "x");
    }

    #[test]
    fn an_attempt_goes_on_from_the_first_checkpoint_that_holds_anything() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        let mut order = order(2);
        order.resume_from = [(3, 1), (1, 4), (1, 1)]
            .map(|(t, a)| Earlier { trial: TrialId(t), attempt: AttemptNo(a) })
            .to_vec();
        let base = format!("{root}/{}", order.key.experiment);
        let show = format!(
            "echo ${CHECKPOINT_VARIABLE} ${{RETRIAL_RESUME_FROM-none}}; rm {}",
            params_file(&order.key)
        );
        let script = script(&order, Some(&format!("{root}/")), &[]);
        assert_eq!(run(&script, &show, dir.path()), format!("{base}/3/2 none\n"));
        for (kept, from) in [("1/1", "1/1"), ("1/4", "1/4")] {
            std::fs::create_dir_all(format!("{base}/{kept}/x")).unwrap();
            assert_eq!(run(&script, &show, dir.path()), format!("{base}/3/2 {base}/{from}\n"));
        }
    }
}
