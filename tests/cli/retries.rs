//! What is tried again, and what is not.

use super::support::{Lab, experiment, signal, until, wait_for, with};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn outcomes(trial: &Value) -> Vec<&str> {
    trial["attempts"].as_array().unwrap().iter().filter_map(|attempt| attempt["outcome"].as_str()).collect()
}

fn counted(then: &str) -> String {
    format!("echo $RETRIAL_TRIAL-$RETRIAL_ATTEMPT ${{x}} >> '${{spec_dir}}/started'; {then}; echo score=1")
}

#[test]
fn a_task_whose_supervisor_was_killed_is_lost_and_tried_again_with_the_same_parameters() {
    let lab = Lab::new();
    let command = counted(&wait_for("gate"));
    let spec = with(experiment(1, &command), json!({"budget": {"grace": "200ms"}}));
    let run = lab.start(&["run", &lab.spec(&spec)]);
    lab.until_lines("started", 1);
    lab.until_trials("lab", "RUNNING", 1);
    for pid in lab.supervisors() {
        signal(pid, Signal::SIGKILL);
    }
    let started = lab.until_lines("started", 2);
    lab.open_gate("gate");
    let done = run.end();
    assert_eq!(done.code, Some(0), "{done}");
    let (first, second) = (started[0].split_once(' ').unwrap(), started[1].split_once(' ').unwrap());
    assert_eq!((first.0, second.0), ("0-1", "0-2"));
    assert_eq!(first.1, second.1);
    assert_eq!(outcomes(&lab.trials("lab")[0]), ["lost", "succeeded"]);
    lab.until_quiet();
}

#[test]
fn a_task_and_its_controller_killed_together_are_told_apart_by_the_next_run() {
    let lab = Lab::new();
    let file = lab.spec(&experiment(2, &counted(&wait_for("gate"))));
    let run = lab.start(&["run", &file]);
    lab.until_lines("started", 2);
    let supervisors = until("both supervisors", || Some(lab.supervisors()).filter(|all| all.len() == 2));
    run.kill();
    signal(supervisors[0], Signal::SIGKILL);
    lab.open_gate("gate");
    lab.expect(0, &["run", &file]);
    let trials = lab.trials("lab");
    let attempts: Vec<usize> = trials.iter().map(|trial| outcomes(trial).len()).collect();
    let mut sorted = attempts.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [1, 2], "one was adopted, one was lost: {trials:?}");
}

#[test]
fn more_losses_than_allowed_end_the_trial_as_lost() {
    let lab = Lab::new();
    let spec = with(
        experiment(1, &counted("kill -KILL $PPID; sleep 5")),
        json!({"retry": {"lost": 2}, "first_failures": 0}),
    );
    let done = lab.expect(3, &["run", &lab.spec(&spec)]);
    assert!(done.out.contains("lost"), "{done}");
    let trial = &lab.trials("lab")[0];
    assert_eq!(trial["status"], "LOST");
    assert_eq!(outcomes(trial), ["lost", "lost"]);
    lab.until_quiet();
}

#[test]
fn a_failed_task_is_tried_again_only_if_the_file_says_so() {
    let lab = Lab::new();
    let command = counted("[ $RETRIAL_ATTEMPT = 3 ] || exit 7");
    let spec = with(experiment(1, &command), json!({"retry": {"failed": 3, "backoff": "50ms"}}));
    lab.expect(0, &["run", &lab.spec(&spec)]);
    assert_eq!(outcomes(&lab.trials("lab")[0]), ["failed", "failed", "succeeded"]);
    let spec = with(spec, json!({"name": "once", "retry": null, "first_failures": 0}));
    lab.expect(3, &["run", &lab.spec(&spec)]);
    assert_eq!(outcomes(&lab.trials("once")[0]), ["failed"]);
}

#[test]
fn a_retry_goes_on_from_the_checkpoint_and_with_the_first_unfinished_task() {
    let lab = Lab::new();
    let first = "echo first >> '${spec_dir}/tasks'; echo 41 > $RETRIAL_CHECKPOINT_DIR/state";
    let second = "echo second >> '${spec_dir}/tasks'; if [ $RETRIAL_ATTEMPT = 1 ]; then exit 3; fi; \
                  echo score=$(($(cat $RETRIAL_RESUME_FROM/state) + 1))";
    let mut spec = with(experiment(1, ""), json!({"retry": {"attempts": 2, "resume": true}}));
    spec["run"]["local"] = json!({"tasks": [first, second]});
    let result = lab.json(&["run", &lab.spec(&spec)]);
    assert_eq!(result["best"]["value"], 42.0);
    assert_eq!(lab.text("tasks"), "first\nsecond\nsecond\n");
    spec["retry"]["resume"] = json!(false);
    spec["name"] = json!("whole");
    lab.expect(0, &["run", &lab.spec(&spec)]);
    assert_eq!(lab.text("tasks"), "first\nsecond\nsecond\nfirst\nsecond\nfirst\nsecond\n");
}

#[test]
fn a_timed_out_task_is_not_tried_again() {
    let lab = Lab::new();
    let spec = with(
        experiment(1, &counted("sleep 30")),
        json!({"retry": {"attempts": 5}, "budget": {"trial_timeout": "300ms", "grace": "200ms"}, "first_failures": 0}),
    );
    lab.expect(3, &["run", &lab.spec(&spec)]);
    assert_eq!(outcomes(&lab.trials("lab")[0]), ["timed_out"]);
}
