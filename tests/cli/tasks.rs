//! What a task sees, and how it is ended.

use super::support::{Lab, Running, alive, experiment, until, wait_for, with};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn variables(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[test]
fn a_task_sees_the_agreed_variables_its_parameters_and_its_own_directory() {
    let lab = Lab::new();
    let spec = with(
        experiment(
            2,
            "env > '${spec_dir}/env-${trial_id}'; pwd > '${spec_dir}/pwd-${trial_id}'; cat $RETRIAL_PARAMS > '${spec_dir}/params-${trial_id}'; echo score=1",
        ),
        json!({"run": {"local": {"env": {"EXTRA": "x is ${x}"}}}}),
    );
    let result = lab.json(&["run", &lab.spec(&spec)]);
    let trials = lab.trials("lab");
    for (trial, recorded) in trials.iter().enumerate() {
        let seen = variables(&lab.text(&format!("env-{trial}")));
        assert_eq!(seen["RETRIAL_EXPERIMENT"], result["experiment"].as_str().unwrap());
        assert_eq!(seen["RETRIAL_TRIAL"], trial.to_string());
        assert_eq!(seen["RETRIAL_ATTEMPT"], "1");
        assert!(!seen.contains_key("RETRIAL_RESUME_FROM"));
        assert_eq!(seen["EXTRA"], format!("x is {}", recorded["params"]["x"]));
        for (name, is_dir) in [("RETRIAL_PARAMS", false), ("RETRIAL_CHECKPOINT_DIR", true)] {
            let path = std::path::Path::new(&seen[name]);
            assert!(path.is_absolute() && path.is_dir() == is_dir && path.exists(), "{name}");
        }
        assert!(seen["RETRIAL_REPORT"].starts_with(lab.store().to_str().unwrap()));
        let params: Value = serde_json::from_str(&lab.text(&format!("params-{trial}"))).unwrap();
        assert_eq!(params, recorded["params"]);
    }
    assert_ne!(lab.text("pwd-0"), lab.text("pwd-1"));
    assert_ne!(
        variables(&lab.text("env-0"))["RETRIAL_CHECKPOINT_DIR"],
        variables(&lab.text("env-1"))["RETRIAL_CHECKPOINT_DIR"]
    );
}

#[test]
fn a_template_is_looked_for_beside_the_experiment_file_wherever_the_program_is_started() {
    let lab = Lab::new();
    lab.write("in.txt", "score=${x}\n");
    let templates = json!({"run": {"local": {"templates": ["in.txt,conf/out.txt"]}}});
    let file = lab.spec(&with(experiment(1, "cat conf/out.txt"), templates));
    let mut command = lab.command(&["run", &file]);
    command.current_dir("/");
    let done = Running::begin(&lab, command).end();
    assert_eq!(done.code, Some(0), "{done}");
    let trial = &lab.trials("lab")[0];
    assert_eq!(trial["value"], trial["params"]["x"]);
}

#[test]
fn trials_are_given_only_devices_that_the_program_itself_may_use() {
    let lab = Lab::new();
    let run = |gpus: u32| {
        let line = "echo $CUDA_VISIBLE_DEVICES >> '${spec_dir}/devices'; echo score=1";
        let spec = with(experiment(2, line), json!({"run": {"local": {"gpus": gpus}}}));
        let mut command = lab.command(&["run", &lab.spec(&spec), "--new"]);
        command.env("CUDA_VISIBLE_DEVICES", "5,7");
        Running::begin(&lab, command).end()
    };
    let refused = run(3);
    assert_eq!(refused.code, Some(2), "{refused}");
    let said = ["E0504", "run.local.gpus", "3 devices", "CUDA_VISIBLE_DEVICES=5,7"];
    assert!(said.iter().all(|part| refused.err.contains(part)), "{refused}");
    assert_eq!(lab.text("devices"), "", "nothing was started");
    assert_eq!(run(2).code, Some(0));
    let mut seen: Vec<String> = lab.text("devices").lines().map(str::to_owned).collect();
    seen.sort();
    assert_eq!(seen, ["5", "7"]);
}

#[test]
fn a_command_as_a_list_runs_without_a_shell() {
    let lab = Lab::new();
    let spec = with(
        experiment(1, ""),
        json!({
            "space": {"x": null, "kind": {"choice": ["$(touch bad); 'a' \"b\" *"]}},
            "run": {"local": {"command": ["printf", "score=1 <%s>\\n", "${kind}"]}},
        }),
    );
    lab.expect(0, &["run", &lab.spec(&spec)]);
    assert_eq!(lab.expect(0, &["logs", "lab", "0"]).out, "score=1 <$(touch bad); 'a' \"b\" *>\n");
}

#[test]
fn as_many_trials_run_at_once_as_the_budget_says_each_in_a_slot_of_its_own() {
    let lab = Lab::new();
    let command = format!("echo $RETRIAL_SLOT >> '${{spec_dir}}/slots'; {}; echo score=1", wait_for("gate"));
    let spec = with(experiment(6, &command), json!({"budget": {"concurrency": 3}}));
    let run = lab.start(&["run", &lab.spec(&spec)]);
    let mut slots = lab.until_lines("slots", 3);
    slots.sort();
    assert_eq!(slots, ["0", "1", "2"]);
    assert_eq!(lab.until_trials("lab", "RUNNING", 3).len(), 3);
    lab.open_gate("gate");
    assert_eq!(run.end().code, Some(0));
    assert!(lab.text("slots").lines().all(|slot| ["0", "1", "2"].contains(&slot)));
}

#[test]
fn a_task_that_ignores_the_request_to_end_is_killed_with_all_that_it_started() {
    let lab = Lab::new();
    let command = "trap '' TERM; (trap '' TERM; echo $$ >> '${spec_dir}/pids'; sh -c 'echo $$ >> \"$0\"; trap \"\" TERM; \
                   while :; do sleep 0.05; done' '${spec_dir}/pids') & setsid sh -c 'echo $$ >> \"$0\"; trap \"\" TERM; while :; do sleep \
                   0.05; done' '${spec_dir}/pids' & while :; do sleep 0.05; done";
    let spec = with(
        experiment(1, command),
        json!({"budget": {"trial_timeout": "1s", "grace": "300ms"}, "first_failures": 0}),
    );
    let done = lab.expect(3, &["run", &lab.spec(&spec)]);
    assert!(done.out.contains("its time was over: `budget.trial_timeout` is 1s"), "{done}");
    let pids = lab.until_lines("pids", 3);
    for pid in pids {
        assert!(!alive(pid.parse().unwrap()), "{pid} lives on");
    }
    assert_eq!(lab.trials("lab")[0]["attempts"][0]["outcome"], "timed_out");
    lab.until_quiet();
}

#[test]
fn a_task_that_ends_when_asked_is_not_killed() {
    let lab = Lab::new();
    let command =
        "trap 'echo bye >> \"${spec_dir}/bye\"; exit 0' TERM; echo score=1; while :; do sleep 0.05; done";
    let spec =
        with(experiment(1, command), json!({"budget": {"trial_timeout": "500ms"}, "first_failures": 0}));
    lab.expect(3, &["run", &lab.spec(&spec)]);
    assert_eq!(lab.text("bye"), "bye\n");
}

#[test]
fn a_task_ended_by_a_signal_says_which() {
    let lab = Lab::new();
    let spec = with(experiment(1, "echo last words >&2; kill -SEGV $$"), json!({"first_failures": 0}));
    let done = lab.expect(3, &["run", &lab.spec(&spec)]);
    assert!(done.out.contains("SIGSEGV") && done.out.contains("last words"), "{done}");
}

#[test]
fn templates_are_filled_in_and_the_model_path_is_told() {
    let lab = Lab::new();
    lab.write("config.template", "x: ${x}\nkind: ${kind}\nhome: ${HOME}\n");
    let spec = with(
        experiment(1, "cat config.yaml; echo score=1"),
        json!({
            "model_path": "/models/${exp_id}/${trial_id}",
            "run": {"local": {"templates": [{"source": "${spec_dir}/config.template", "target": "config.yaml"}]}},
        }),
    );
    let result = lab.json(&["run", &lab.spec(&spec)]);
    let trial = &lab.trials("lab")[0];
    let log = lab.expect(0, &["logs", "lab", "0"]).out;
    assert!(log.contains(&format!("x: {}", trial["params"]["x"])) && log.contains("home: ${HOME}"), "{log}");
    assert_eq!(trial["model"], json!(format!("/models/{}/0", result["experiment"].as_str().unwrap())));
}

#[test]
fn a_task_that_leaves_a_process_behind_ends_and_so_does_that_process() {
    let lab = Lab::new();
    let command = "(while :; do sleep 0.05; done) & echo $! > '${spec_dir}/pid'; echo score=1";
    lab.expect(0, &["run", &lab.spec(&with(experiment(1, command), json!({"budget": {"grace": "200ms"}})))]);
    let pid = lab.text("pid").trim().parse().unwrap();
    until("the end of what was left behind", || (!alive(pid)).then_some(()));
    lab.until_quiet();
}

#[test]
fn a_task_and_its_supervisor_hold_nothing_that_the_program_was_given_open() {
    let lab = Lab::new();
    let task = "readlink /proc/self/fd/* /proc/$PPID/fd/* >> '${spec_dir}/open'; echo score=1";
    let inner = lab.command(&["run", &lab.spec(&experiment(1, task))]);
    let mut outer = std::process::Command::new("sh");
    outer.args(["-c", "exec 7>held; exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer.current_dir(lab.dir());
    assert_eq!(Running::begin(&lab, outer).end().code, Some(0));
    let open = lab.text("open");
    assert!(open.contains("pipe:"), "{open}");
    for kept in ["held", "store/lock", "socket:"] {
        assert!(!open.contains(kept), "{kept} in {open}");
    }
}
