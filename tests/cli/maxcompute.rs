//! Experiments on a simulated `MaxCompute`, and what is said when it refuses something.

use super::support::{Done, Lab, Running, until, with};
use serde_json::{Value, json};
use simulators::maxcompute::Simulator;
use std::collections::BTreeSet;

/// A project on this machine and a place to work in.
struct Stage {
    lab: Lab,
    simulator: Simulator,
}

impl Stage {
    /// Instances live no longer than their work takes, unless the script says otherwise.
    fn new(more: &Value) -> Self {
        let life = json!({"life": {"waiting_ms": 0, "running_ms": 0}});
        let script = serde_json::from_value(with(life, more.clone())).unwrap();
        Self { lab: Lab::new(), simulator: Simulator::anywhere(script).unwrap() }
    }

    /// An experiment whose trials write a row each.
    fn spec(&self, more: Value) -> Value {
        let spec = json!({
            "name": "lab",
            "space": {"x": {"uniform": [0, 1]}},
            "metric": {"table": "SELECT auc FROM m_${exp_id}_${trial_id}_${attempt}", "keys": ["auc"]},
            "objective": {"metric": "auc", "goal": "maximize"},
            "sampler": "random",
            "seed": 7,
            "budget": {"trials": 2, "concurrency": 1},
            "retry": {"failed": 1, "lost": 1},
            "run": {"maxcompute": {
                "endpoint": self.simulator.endpoint(),
                "project": "simulated_project",
                "tasks": ["CREATE TABLE m_${exp_id}_${trial_id}_${attempt} AS SELECT ${x} AS auc"],
            }},
        });
        with(spec, more)
    }

    /// Begins a command with these variables, and no others of the cloud.
    fn start(&self, variables: &[(&str, &str)], args: &[&str]) -> Running {
        let mut command = self.lab.command(args);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().to_lowercase();
            let cloud = ["alibaba_cloud", "odps_", "pyodps_"].iter().any(|prefix| text.starts_with(prefix));
            if cloud || text.ends_with("proxy") {
                command.env_remove(name);
            }
        }
        command.env("HOME", self.lab.dir()).env("RETRIAL_POLL_SECONDS", "0.05");
        command.env("RETRIAL_CALLS_PER_SECOND", "1000").env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
        command.env("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAISimulatedKey");
        command.env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "simulated-secret");
        command.envs(variables.iter().copied());
        Running::begin(&self.lab, command)
    }

    fn run(&self, variables: &[(&str, &str)], more: Value) -> Done {
        let file = self.lab.spec(&self.spec(more));
        self.start(variables, &["run", &file]).end()
    }
}

fn assert_says(done: &Done, code: i32, parts: &[&str]) {
    let said = format!("{}{}", done.out, done.err);
    for part in parts {
        assert!(said.contains(part), "`{part}` is missing:\n{done}");
    }
    assert_eq!(done.code, Some(code), "{done}");
    assert!(!said.contains("simulated-secret"), "{done}");
}

#[test]
fn an_experiment_of_several_tasks_finds_its_best_trial() {
    let stage = Stage::new(&json!({}));
    let tasks = json!([
        "CREATE TABLE m_${exp_id}_${trial_id}_${attempt} (auc DOUBLE, recall DOUBLE)",
        "SET odps.sql.type.system.odps2=true; \
         INSERT OVERWRITE TABLE m_${exp_id}_${trial_id}_${attempt} SELECT ${x}, 1 - ${x} * ${x}",
    ]);
    // Two questions, one row each: the mean counts. That of x and 1 - x² is best at 0.5.
    let metric = json!({
        "table": [
            "SELECT auc AS score FROM m_${exp_id}_${trial_id}_${attempt}",
            "SELECT recall AS score FROM m_${exp_id}_${trial_id}_${attempt};",
        ],
        "keys": ["score"], "final": "avg",
    });
    let more = json!({
        "metric": metric, "objective": {"metric": "score"}, "budget": {"trials": 6, "concurrency": 2},
        "space": {"x": {"uniform": null, "choice": [0.1, 0.2, 0.5, 0.6, 0.9, 1.0]}}, "sampler": "grid", "seed": null,
        "run": {"maxcompute": {"tasks": tasks}},
    });
    let file = stage.lab.spec(&stage.spec(more));
    let shown = stage.start(&[], &["check", &file, "--dry-run"]).end();
    assert!(shown.out.contains("\n<?xml version=\"1.0\"") && shown.out.contains("<Guid>retrial-"), "{shown}");
    let done = stage.start(&[], &["run", &file, "--json"]).end();
    assert_eq!(done.code, Some(0), "{done}");
    let result = done.json();
    assert_eq!((&result["best"]["params"]["x"], &result["best"]["value"]), (&json!(0.5), &json!(0.625)));
    let guids: Vec<String> = stage
        .simulator
        .instances(|all| all.iter().filter_map(|instance| instance.submission.guid.clone()).collect());
    let tasks: Vec<&String> = guids.iter().filter(|guid| guid.starts_with("retrial-")).collect();
    assert_eq!((tasks.len(), tasks.iter().collect::<BTreeSet<_>>().len()), (12, 12), "{guids:?}");
    let link = stage.start(&[], &["logs", "lab", "0", "--stderr"]).end();
    assert!(link.out.starts_with("http://") && link.out.contains("logview"), "{link}");
    let stage_lines =
        link.out.lines().skip(1).filter(|line| line.contains(" workers have ended, 100 %")).count();
    assert!(stage_lines > 0, "{link}");
    assert!(!done.out.contains("logview") && !done.err.contains("logview"), "{done}");
}

#[test]
fn what_trials_have_left_is_removed_on_demand_and_the_best_trials_stays() {
    let stage = Stage::new(&json!({}));
    let clean = json!(["DROP TABLE IF EXISTS m_${exp_id}_${trial_id}_${attempt}"]);
    let more = json!({
        "budget": {"trials": 5}, "space": {"x": {"uniform": null, "choice": [0.1, 0.2, 0.5, 0.6, 0.9]}},
        "sampler": "grid", "seed": null, "run": {"maxcompute": {"clean": clean}},
    });
    let done = stage.run(&[], more);
    assert_eq!(done.code, Some(0), "{done}");
    let shown = stage.start(&[], &["clean", "lab", "--dry-run"]).end();
    assert_eq!(
        shown.out.lines().filter(|line| line.starts_with("DROP TABLE IF EXISTS m_")).count(),
        4,
        "{shown}"
    );
    let id =
        stage.start(&[], &["show", "lab", "--json"]).end().json()["experiment"].as_str().unwrap().to_owned();
    let left = || -> Vec<u32> {
        let exists = |trial: &u32| {
            let table = format!("m_{id}_{trial}_1");
            stage
                .simulator
                .warehouse("simulated_project", |tables| tables.count(&table, None).is_ok())
                .unwrap()
        };
        (0..5).filter(exists).collect()
    };
    assert_eq!(left(), [0, 1, 2, 3, 4]);
    let best = stage.start(&[], &["best", "lab", "--json"]).end().json()["trial"].as_u64().unwrap() as u32;
    let refused =
        stage.start(&[("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "another-secret")], &["clean", "lab"]).end();
    assert_says(&refused, 1, &["0 of 4 commands done", "E0525"]);
    assert_eq!(left().len(), 5);
    // Twice: whoever was interrupted repeats it.
    for _ in 0..2 {
        let done = stage.start(&[], &["clean", "lab", "--json"]).end();
        assert_eq!(done.json(), json!({"ok": true, "commands": 4, "failures": []}), "{done}");
        assert_eq!(left(), [best]);
    }
    let all = stage.start(&[], &["clean", "lab", "--all"]).end();
    assert!(all.out.contains("5 of 5 commands done"), "{all}");
    assert!(left().is_empty());
}

#[test]
fn who_may_not_come_in_is_told_before_the_experiment_begins() {
    let stage = Stage::new(&json!({}));
    let wrong = [("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "another-secret")];
    let done = stage.run(&wrong, json!({}));
    assert_says(&done, 1, &["E0525", "does not belong to the access key", "retrial doctor"]);
    assert!(!done.err.contains("another-secret"), "{done}");

    let done = stage.run(&[], json!({"run": {"maxcompute": {"project": "elsewhere"}}}));
    assert_says(&done, 1, &["E0554", "elsewhere", "a project is known in its own region only"]);

    let token = "CAIS-simulated-0123456789";
    let account = json!({
        "access_key_id": "LTAISimulatedKey", "access_key_secret": "simulated-secret", "security_token": token,
        "expires_at": "2020-01-01T00:00:00Z",
    });
    let stage = Stage::new(&json!({"accounts": [account]}));
    let done = stage.run(&[("ALIBABA_CLOUD_SECURITY_TOKEN", token)], json!({}));
    assert_says(&done, 1, &["E0528", "the security token has expired", "docs/credentials.md"]);
    assert!(!done.err.contains(token), "{done}");
}

#[test]
fn a_trial_that_fails_says_why_and_where() {
    let used_up =
        json!({"contains": "quota_used_up", "life": {"fails": "ODPS-1830001: Quota exceeded - q is full"}});
    let stage = Stage::new(&json!({"rules": [used_up]}));
    for (task, parts) in [
        ("SELECT * FROM gone", ["E0552", "[1,15]", "simulated_project.gone"]),
        ("SELEC 1", ["E0553", "[1,1]", "the SQL is not correct"]),
        ("SELECT 'quota_used_up'", ["E0555", "q is full", "the quota is used up"]),
    ] {
        let more = json!({"name": parts[0], "run": {"maxcompute": {"tasks": [task]}}});
        assert_says(&stage.run(&[], more), 3, &parts);
    }
    for (question, parts) in [
        ("SELECT 1 AS auc UNION ALL SELECT 2", ["E0556", "gives 2 rows", "LIMIT 1"]),
        ("SELECT 1 AS auc WHERE 1 = 0", ["E0556", "gives no row", "nothing was written for this trial"]),
        ("SELECT 1 AS accuracy", ["SELECT 1 AS accuracy", "gives no result", "`auc`"]),
        ("SELECT NULL AS auc", ["SELECT NULL AS auc", "gives no result", "NULL"]),
    ] {
        let more = json!({"name": question, "metric": {"table": question}});
        assert_says(&stage.run(&[], more), 3, &parts);
    }
}

#[test]
fn what_the_account_may_not_do_is_named_while_it_is_waited_for() {
    let account = json!({
        "access_key_id": "LTAISimulatedKey", "access_key_secret": "simulated-secret", "denied": ["CreateInstance"],
    });
    let stage = Stage::new(&json!({"accounts": [account]}));
    let file = stage.lab.spec(&stage.spec(json!({})));
    let run = stage.start(&[], &["run", &file]);
    let said = until("the reason", || Some(run.err()).filter(|said| said.contains("E0526")));
    assert!(said.contains("odps:CreateInstance") && said.contains("it is tried again"), "{said}");
    run.kill();
    assert!(stage.simulator.instances(<[_]>::is_empty));
}

/// The first task could not be done twice: its table is there already.
#[test]
fn a_trial_that_resumes_goes_on_with_the_task_that_failed() {
    let fails = "ODPS-0010000: System internal error - fuxi job failed";
    let once = json!({"contains": "INSERT OVERWRITE", "times": 1, "life": {"fails": fails}});
    let stage = Stage::new(&json!({"rules": [once]}));
    let more = json!({
        "retry": {"lost": 2, "resume": true},
        "metric": {"table": "SELECT auc FROM m_${exp_id}_${trial_id}"},
        "run": {"maxcompute": {"tasks": [
            "CREATE TABLE m_${exp_id}_${trial_id} (auc DOUBLE)",
            "INSERT OVERWRITE TABLE m_${exp_id}_${trial_id} SELECT ${x}",
        ]}},
    });
    assert_says(&stage.run(&[], more), 0, &["2 succeeded"]);
    let ran = |part: &str| {
        stage.simulator.instances(|all| {
            let guids = all.iter().filter_map(|instance| instance.submission.guid.as_deref());
            guids.filter(|guid| guid.starts_with("retrial-") && guid.ends_with(part)).count()
        })
    };
    assert_eq!((ran("-0-1-0"), ran("-0-1-1"), ran("-0-2-0"), ran("-0-2-1")), (1, 1, 0, 1));
}
