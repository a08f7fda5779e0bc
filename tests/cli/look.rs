//! Commands that look: ls, show, trials, best, logs, events, watch, export, check, doctor, completions, man.

use super::support::{Lab, Running, experiment, until, wait_for, with};
use serde_json::{Value, json};
use std::process::Stdio;

fn finished(trials: u32) -> Lab {
    let lab = Lab::new();
    lab.expect(0, &["run", &lab.spec(&experiment(trials, "echo score=${x}; echo oops >&2"))]);
    lab
}

/// A lab with a run whose tasks wait for `gate`.
fn running() -> (Lab, Running) {
    let lab = Lab::new();
    let command = format!(
        "echo before; echo $RETRIAL_TRIAL >> '${{spec_dir}}/started'; {}; echo score=1",
        wait_for("gate")
    );
    let run = lab.start(&["run", &lab.spec(&experiment(2, &command))]);
    lab.until_lines("started", 2);
    (lab, run)
}

#[test]
fn tables_have_a_head_and_a_line_for_each_row() {
    let lab = finished(3);
    let list = lab.expect(0, &["ls"]);
    assert!(
        list.out.starts_with("ID") && list.out.contains("FINISHED") && list.out.contains("3/3"),
        "{list}"
    );
    let trials = lab.expect(0, &["trials", "lab"]);
    assert_eq!(trials.out.lines().count(), 4);
    assert_eq!(trials.out.matches("SUCCEEDED *").count(), 1, "the best one is marked: {trials}");
    let shown = lab.expect(0, &["show", "lab"]);
    for part in ["experiment", "FINISHED", "maximize score", "random (seed 7)", "best"] {
        assert!(shown.out.contains(part), "{part} is missing: {shown}");
    }
    let best = lab.expect(0, &["best", "lab"]);
    assert!(best.out.contains("  x = "), "{best}");
}

#[test]
fn an_experiment_is_meant_by_its_id_a_unique_beginning_or_its_name() {
    let lab = finished(1);
    let id = lab.json(&["show", "lab"])["experiment"].as_str().unwrap().to_owned();
    for name in [id.as_str(), &id[..3]] {
        assert_eq!(lab.json(&["show", name])["experiment"], json!(id));
    }
    let unknown = lab.expect(1, &["show", "labb"]);
    assert!(unknown.err.contains("no experiment is called `labb`"), "{unknown}");
    // 27 ids begin with 26 letters: two of them share one.
    for _ in 0..26 {
        lab.expect(0, &["clone", "lab"]);
    }
    let all = lab.json(&["ls"]);
    let mut letters: Vec<char> = all
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|known| known["experiment"].as_str()?.chars().next())
        .collect();
    letters.sort_unstable();
    let twice = letters.windows(2).find(|pair| pair[0] == pair[1]).unwrap()[0];
    let ambiguous = lab.expect(1, &["show", &twice.to_string()]);
    assert!(ambiguous.err.contains("begins several ids"), "{ambiguous}");
}

#[test]
fn logs_show_what_a_trial_wrote_on_either_stream_and_follow_it_to_its_end() {
    let (lab, run) = running();
    let now = until("the first line", || {
        let done = lab.retrial(&["logs", "lab", "0"]);
        done.out.contains("before").then_some(done)
    });
    assert_eq!(now.out, "before\n");
    let following = lab.start(&["logs", "lab", "0", "--follow"]);
    until("the follower's first line", || following.out().contains("before").then_some(()));
    lab.open_gate("gate");
    let done = following.end();
    assert_eq!((done.code, done.out.as_str()), (Some(0), "before\nscore=1\n"));
    assert_eq!(run.end().code, Some(0));
    assert_eq!(lab.expect(0, &["logs", "lab", "0", "--stderr"]).out, "");
    let unknown = lab.expect(1, &["logs", "lab", "9"]);
    assert!(unknown.err.contains("no trial 9"), "{unknown}");
    lab.expect(1, &["logs", "lab", "0", "--attempt", "2"]);
    lab.expect(1, &["logs", "lab", "0", "--task", "2"]);
}

#[test]
fn logs_of_several_tasks_come_in_order_or_one_by_one() {
    let lab = Lab::new();
    let spec = with(
        experiment(1, ""),
        json!({"run": {"local": {"command": null, "tasks": ["echo one; echo 1 >&2", ["echo", "score=2"]]}}}),
    );
    lab.expect(0, &["run", &lab.spec(&spec)]);
    assert_eq!(lab.expect(0, &["logs", "lab", "0"]).out, "one\nscore=2\n");
    assert_eq!(lab.expect(0, &["logs", "lab", "0", "--task", "2"]).out, "score=2\n");
    assert_eq!(lab.expect(0, &["logs", "lab", "0", "--stderr"]).out, "1\n");
}

#[test]
fn events_and_watch_follow_a_run_to_its_end() {
    let (lab, run) = running();
    let events = lab.start(&["events", "lab", "-f", "--json"]);
    let watch = lab.start(&["watch", "lab"]);
    until("the first events", || events.out().contains("TrialSuggested").then_some(()));
    until("the first picture", || watch.out().contains("lab").then_some(()));
    lab.open_gate("gate");
    assert_eq!(run.end().code, Some(0));
    let events = events.end();
    assert_eq!(events.code, Some(0), "{events}");
    assert_eq!(events.json()["kind"], "ExperimentEnded", "{events}");
    let seen: Vec<u64> = events
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["position"].as_u64().unwrap())
        .collect();
    assert_eq!(seen, (1..=seen.len() as u64).collect::<Vec<_>>(), "each event once and in order");
    let watch = watch.end();
    assert_eq!(watch.code, Some(0), "{watch}");
    assert!(watch.out.contains("FINISHED") && watch.out.contains("trial    1 ok"), "{watch}");
}

#[test]
fn followers_end_when_their_reader_goes() {
    use std::io::BufRead;
    let (lab, run) = running();
    for command in [&["events", "lab", "-f"][..], &["watch", "lab"], &["logs", "lab", "0", "-f"]] {
        let mut command = lab.command(command);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let status = until("the end of a follower", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{first}");
        assert!(child.wait_with_output().unwrap().stderr.is_empty());
    }
    lab.open_gate("gate");
    assert_eq!(run.end().code, Some(0));
}

#[test]
fn long_output_into_a_closed_pipe_ends_quietly() {
    use std::io::BufRead;
    let lab = finished(300);
    for command in
        [&["events", "lab"][..], &["trials", "lab"], &["trials", "lab", "--json"], &["audit", "log", "lab"]]
    {
        let mut command = lab.command(command);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = Vec::new();
        let mut out = std::io::BufReader::with_capacity(16, child.stdout.take().unwrap());
        out.read_until(b' ', &mut line).unwrap();
        drop(out);
        let done = child.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn trials_are_written_as_csv_and_json_whole_or_not_at_all() {
    let lab = finished(3);
    lab.expect(0, &["export", "lab", "-o", "trials.csv"]);
    let csv = lab.text("trials.csv");
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines[0], "trial,status,value,param.x,param.kind,attempts,suggested_ms,ended_ms,reason");
    assert_eq!(lines.len(), 5);
    for (line, trial) in lines[1..4].iter().zip(lab.trials("lab")) {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells[2].parse::<f64>().unwrap(), trial["value"].as_f64().unwrap());
        assert_eq!(cells[3].parse::<f64>().unwrap(), trial["params"]["x"].as_f64().unwrap());
    }
    assert_eq!(lab.json(&["export", "lab", "-o", "trials.json"])["trials"], 3);
    let json: Value = serde_json::from_str(&lab.text("trials.json")).unwrap();
    assert_eq!(json["trials"].as_array().unwrap(), &lab.trials("lab"));
    assert_eq!(json["spec"]["name"], "lab");
    let wrong = lab.expect(2, &["export", "lab", "-o", "trials.xls"]);
    assert!(wrong.err.contains(".csv"), "{wrong}");
    let nowhere = lab.expect(1, &["export", "lab", "-o", "no/such/folder/trials.csv"]);
    assert!(nowhere.err.contains("no/such/folder"), "{nowhere}");
}

#[test]
fn a_failure_with_commas_quotes_and_lines_stays_in_its_csv_cell() {
    let lab = Lab::new();
    let spec = with(experiment(1, "printf 'a,\"b\"\\nc' >&2; exit 3"), json!({"first_failures": 0}));
    lab.expect(3, &["run", &lab.spec(&spec)]);
    lab.expect(0, &["export", "lab", "-o", "t.csv"]);
    let csv = lab.text("t.csv");
    assert!(csv.contains("a,\"\"b\"\"\nc\"\r\n"), "{csv}");
}

#[test]
fn a_file_is_checked_and_its_first_task_shown_without_any_store() {
    let lab = Lab::new();
    let file = lab.spec(&experiment(3, "train --x ${x}"));
    let done = lab.expect(0, &["check", &file, "--dry-run"]);
    assert!(done.out.contains("is right: 2 parameters") && done.out.contains("train --x 0."), "{done}");
    assert_eq!(lab.json(&["check", &file])["name"], "lab");
    assert!(!lab.store().exists(), "nothing was created");
}

#[test]
fn the_machine_is_examined() {
    let lab = Lab::new();
    let done = lab.retrial(&["doctor", "--json"]);
    let checks = done.json()["checks"].as_array().unwrap().clone();
    let names: Vec<&str> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!(names, ["disk", "room", "clock", "shell", "store", "backends", "credentials"]);
    let text = lab.retrial(&["doctor"]);
    assert!(text.out.contains("fdatasync"), "{text}");
    assert!(!lab.store().exists(), "nothing was created");
    let lab = finished(1);
    assert!(lab.retrial(&["doctor"]).out.contains("1 experiments"));
    lab.write("plain", "");
    let bad = lab.retrial(&["doctor", "--store", "plain"]);
    assert_eq!(bad.code, Some(1), "{bad}");
}

#[test]
fn the_credentials_of_a_cloud_are_named_and_never_shown() {
    let lab = Lab::new();
    let doctor = |variables: &[(&str, &str)]| {
        let mut command = lab.command(&["doctor"]);
        // The machine's own are not looked at.
        let own: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
        for name in own.iter().filter(|name| name.to_string_lossy().starts_with("ALIBABA_CLOUD_")) {
            command.env_remove(name);
        }
        command.env("HOME", lab.dir()).envs(variables.iter().copied());
        let output = command.output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert!(!text.contains("planted"), "{text}");
        text.lines().find(|line| line.contains("credentials")).unwrap().to_owned()
    };
    let keys = [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAIplantedWXYZ"),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "planted-secret"),
        ("ALIBABA_CLOUD_SECURITY_TOKEN", "planted-token"),
    ];
    assert_eq!(doctor(&keys), "ok   credentials temporary access key ending in WXYZ, from the environment");
    let off = [("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")];
    assert_eq!(doctor(&off), "ok   credentials none, which only clouds need");
    assert!(doctor(&[]).contains("this machine's role, if it has one, from the metadata service"));
    std::fs::create_dir(lab.file(".aliyun")).unwrap();
    let profiles = r#"{"current": "work", "profiles": [{"name": "work", "mode": "RamRoleArn",
        "access_key_id": "LTAIplanted1234", "access_key_secret": "planted", "ram_role_arn": "acs:ram::1:role/tuner"}]}"#;
    lab.write(".aliyun/config.json", profiles);
    let named = doctor(&[]);
    assert!(named.contains("role acs:ram::1:role/tuner by access key ending in 1234"), "{named}");
    assert!(named.contains("the profile `work`"), "{named}");
}

#[test]
fn completions_and_the_manual_are_generated() {
    let lab = Lab::new();
    for shell in ["bash", "zsh", "fish"] {
        let done = lab.expect(0, &["completions", shell]);
        assert!(done.out.contains("retrial") && done.out.contains("ask-tell"), "{shell}");
    }
    assert!(lab.expect(0, &["man"]).out.contains(".TH retrial"));
    lab.expect(0, &["man", "pages"]);
    assert!(lab.file("pages/retrial-ask-tell.1").exists());
}

#[test]
fn the_list_says_which_experiments_nobody_runs() {
    let lab = Lab::new();
    let run = lab.start(&["run", &lab.spec(&experiment(1, &wait_for("gate")))]);
    lab.until_trials("lab", "RUNNING", 1);
    let held = lab.expect(0, &["ls"]);
    assert_eq!(held.err, "");
    run.kill();
    let left = lab.expect(0, &["ls"]);
    assert!(left.err.contains("no process runs it") && left.err.contains("retrial run "), "{left}");
    assert_eq!(left.out, held.out);
    lab.expect(0, &["stop", "lab"]);
    assert_eq!(lab.expect(0, &["ls"]).err, "");
}

#[test]
fn a_log_says_where_bytes_are_missing_and_comes_as_json_lines() {
    let lab = Lab::new();
    let command = "echo first; i=0; while [ $i -lt 3000 ]; do echo \"line $i of very many\"; i=$((i + 1)); done; echo; echo score=1";
    let mut spec = experiment(1, command);
    spec["run"]["local"]["log_limit"] = serde_json::json!(20_000);
    lab.expect(0, &["run", &lab.spec(&spec)]);
    let log = lab.expect(0, &["logs", "lab", "0"]);
    assert!(log.out.starts_with("first\n") && log.out.ends_with("\n\nscore=1\n"), "{log}");
    assert!(log.err.contains("bytes are missing here"), "{log}");
    let log = lab.expect(0, &["logs", "lab", "0", "--json"]);
    let lines: Vec<serde_json::Value> =
        log.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["text"], "first");
    assert_eq!(lines.iter().filter(|line| line["dropped_bytes"].as_u64().is_some_and(|n| n > 0)).count(), 1);
    let last: Vec<_> = lines.iter().rev().take(2).map(|line| line["text"].clone()).collect();
    assert_eq!(last, ["score=1", ""]);
}

#[test]
fn an_experiment_outside_of_its_schedule_waits_and_says_until_when() {
    let lab = Lab::new();
    // An hour that is twelve hours away from now.
    let hour = (jiff::Timestamp::now().as_second() / 3_600 + 12) % 24;
    let schedule = json!({"from": format!("{hour:02}:00"), "to": format!("{hour:02}:30")});
    let spec = with(experiment(1, "echo score=1"), json!({"schedule": schedule}));
    let run = lab.start(&["run", &lab.spec(&spec)]);
    let shown = until("the window", || {
        let done = lab.retrial(&["show", "lab", "--json"]);
        let shown = if done.code == Some(0) { done.json() } else { return None };
        (!shown["window"]["until_ms"].is_null()).then_some(shown)
    });
    assert_eq!((&shown["status"], &shown["window"]["open"]), (&json!("WAITING"), &json!(false)));
    assert!(shown["window"]["until_ms"].as_i64().unwrap() > jiff::Timestamp::now().as_millisecond());
    assert!(lab.expect(0, &["show", "lab"]).out.contains("outside of its schedule; it goes on at 20"));
    assert!(lab.trials("lab").is_empty());
    until("a word about it", || run.out().contains("it goes on at 20").then_some(()));
    let always = with(spec, json!({"schedule": {"from": "08:00", "to": "08:00", "zone": "Asia/Shanghai"}}));
    lab.expect(0, &["update", "lab", &lab.spec(&always)]);
    assert_eq!(run.end().code, Some(0));
    let wrong = with(always, json!({"schedule": {"zone": "Asia/Shangai"}}));
    assert!(
        lab.expect(2, &["check", &lab.spec(&wrong)]).err.contains("there is no time zone `Asia/Shangai`")
    );
}
