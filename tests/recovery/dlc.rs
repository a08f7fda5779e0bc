//! Trials as jobs of a simulated service that drops, delays, repeats and refuses, under a controller that is killed:
//! each submission runs once, and its job's outcome is recorded. `RETRIAL_KILLS` says how often it is killed; with 70
//! there are 300 trials.
//!
//! [`Cloud`] is the service with a place to run the program in.

use super::cloud;
use super::kill::{kills, run_through_kills};
use super::support::{Done, Lab, Running, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use simulators::dlc::{Script, Simulator};
use std::time::Instant;

/// How often states are asked for; a search for surplus jobs comes every twelfth time.
const POLL_SECONDS: &str = "0.2";
/// How long a job runs: longer than a copy of its submission is on its way, and than a killed controller may need to
/// find it, on a machine that does much else.
const RUNNING_MS: u64 = 15_000;

struct Cloud {
    lab: Lab,
    simulator: Simulator,
}

impl Cloud {
    fn new(faults: &Value, list_lag_ms: u64) -> Self {
        let script: Script = serde_json::from_value(json!({
            "seed": 20_261_126,
            "list_lag_ms": list_lag_ms,
            "faults": faults,
            "life": {
                "phases": [
                    {"status": "Creating", "ms": 100}, {"status": "Queuing", "ms": 100},
                    {"status": "Running", "ms": RUNNING_MS}, {"status": "Succeeded"},
                ],
                "log": [{"text": "y=0.{n}", "times": 3, "every_ms": 1_000}],
            },
        }))
        .unwrap();
        Self { lab: Lab::new(), simulator: Simulator::anywhere(script).unwrap() }
    }

    /// Writes the experiment file; `dlc` are further settings of the backend.
    fn spec(&self, trials: u32, concurrency: u32, dlc: &Value) -> String {
        let mut config = json!({
            "command": "train --x ${x}",
            "endpoint": format!("http://{}", self.simulator.address()),
            "workspace_id": "10001",
            "JobType": "PyTorchJob",
            "JobSpecs": [{"Type": "Worker", "Image": "image", "EcsSpec": "ecs.g6.large"}],
            "reconcile": {"wait_seconds": 3, "searches": 2, "pause_seconds": 0.5},
        });
        config.as_object_mut().unwrap().extend(dlc.as_object().unwrap().clone());
        self.lab.spec(&json!({
            "name": "cloud",
            "space": {"x": {"uniform": [0, 1]}},
            "objective": {"metric": "y", "goal": "minimize"},
            "metric": {"stdout": "y=([0-9.]+)"},
            "sampler": "random",
            "seed": 5,
            "budget": {"trials": trials, "concurrency": concurrency, "grace": "1s"},
            "run": {"dlc": config},
        }))
    }

    fn start(&self, args: &[&str]) -> Running {
        cloud::start(&self.lab, POLL_SECONDS, args)
    }

    fn expect(&self, code: i32, args: &[&str]) -> Done {
        let done = self.start(args).end();
        assert_eq!(done.code, Some(code), "retrial {}\n{done}", args.join(" "));
        done
    }

    /// The jobs of a trial's first attempt.
    fn jobs_of(&self, trial: u32) -> usize {
        let key = format!("-{trial}-1-0");
        self.simulator.jobs(|jobs| jobs.iter().filter(|job| job.tags["retrial-key"].ends_with(&key)).count())
    }

    /// Every trial ended with the outcome of its one job, and no other job was left to run. Gives the number of jobs
    /// that were stopped as surplus.
    fn is_proven(&self, trials: u32) -> usize {
        let (lab, simulator) = (&self.lab, &self.simulator);
        let twice = simulator.duplicates("retrial-key");
        assert!(twice.is_empty(), "{twice:?}");
        let all = lab.trials("cloud");
        assert_eq!(all.len(), trials as usize);
        let mut own = Vec::new();
        for trial in &all {
            assert_eq!(trial["status"], "SUCCEEDED", "{trial}");
            let attempts = trial["attempts"].as_array().unwrap();
            assert_eq!(attempts.len(), 1, "found again, not run again: {trial}");
            assert_eq!(attempts[0]["outcome"], "succeeded", "{trial}");
            assert_eq!(trial["reports"].as_array().unwrap().len(), 3, "each report once: {trial}");
            own.push(attempts[0]["job"].as_str().unwrap().to_owned());
        }
        let surplus = simulator.jobs(|jobs| {
            let is_own = |id: &str| own.iter().any(|handle| handle.contains(&format!("/jobs/{id}?")));
            let surplus: Vec<_> = jobs.iter().filter(|job| !is_own(&job.id)).collect();
            for job in &surplus {
                assert!(job.stop_asked_ms.is_some(), "{} is {} and was not stopped", job.id, job.status());
            }
            assert_eq!(jobs.len() - surplus.len(), trials as usize);
            surplus.len()
        });
        assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
        assert_eq!(lab.json(&["show", "cloud"])["status"], "FINISHED");
        surplus
    }
}

/// What goes wrong with calls, by chance.
fn faults(long: bool) -> Value {
    let refused = json!({"error": {"status": 500, "code": "InternalError"}});
    let page =
        json!({"raw": {"status": 502, "content_type": "text/html", "body": "<html>bad gateway</html>"}});
    let mut faults = vec![
        json!({"acts": true, "answer": "drop"}),
        json!({"answer": "drop"}),
        json!({"acts": true, "answer": refused}),
        json!({"acts": true, "answer": page}),
        json!({"answer": refused}),
        json!({"hold_request_ms": 1_500}),
        json!({"hold_answer_ms": 1_500}),
        // It arrives while it is looked for; when it has been sent again; beside itself.
        json!({"answer": "drop", "repeat_after_ms": 1_500}),
        json!({"answer": "drop", "repeat_after_ms": 6_000}),
        json!({"repeat_after_ms": 1_000}),
        json!({"acts": true, "answer": "drop", "repeat_after_ms": 3_000}),
    ];
    for fault in &mut faults {
        (fault["operation"], fault["times"], fault["chance"]) = (json!("CreateJob"), json!(0), json!(0.05));
    }
    for operation in ["ListJobs", "GetJob", "StopJob", "GetPodLogs"] {
        for answer in [&refused, &json!("drop")] {
            faults.push(json!({
                "operation": operation, "times": 0, "chance": 0.02, "acts": true, "answer": answer,
            }));
        }
    }
    if long {
        // The client waits 20 s for an answer.
        let held = json!({"operation": "CreateJob", "skip": 100, "times": 3, "hold_answer_ms": 30_000});
        faults.insert(0, held);
    }
    json!(faults)
}

#[test]
fn jobs_run_once_whatever_happens_to_calls_and_controllers() {
    let kills = kills();
    let trials = 20 + kills * 4;
    let cloud = Cloud::new(&faults(kills > 20), 500);
    let file = cloud.spec(trials, 40, &json!({}));
    let began = Instant::now();
    let start = || cloud.start(&["run", &file, "--json", "--durability", "disk"]);
    let killed =
        run_through_kills(kills, 0x9e37_79b9_7f4a_7c15, 300..3_300, start, |run, _| drop(run.kill()));
    let surplus = cloud.is_proven(trials);
    let calls = cloud.simulator.calls();
    let sent_again = cloud.lab.events("cloud").iter().filter(|event| event["kind"] == "TaskCleared").count();
    let hit = calls.iter().filter(|call| call.fault).count();
    assert!(hit > 0 && killed > 0, "{hit} calls hit, {killed} kills");
    #[expect(clippy::print_stderr, reason = "figures for docs/measurements/dlc.md")]
    {
        eprintln!(
            "{trials} trials, {killed} kills, {} calls of which {hit} hit, {sent_again} sent again, {} jobs, {surplus} of \
             them stopped as surplus, {} s",
            calls.len(),
            cloud.simulator.jobs(<[_]>::len),
            began.elapsed().as_secs()
        );
    }
}

#[test]
fn a_strict_trial_in_doubt_waits_visibly_until_a_person_gives_it_up_and_retries_it() {
    let lost = json!([{"operation": "CreateJob", "contains": "-0-1-0", "times": 0, "answer": "drop"}]);
    let cloud = Cloud::new(&lost, 0);
    let file = cloud.spec(2, 2, &json!({"strict": true}));
    let run = cloud.start(&["run", &file]);
    cloud.lab.until_trials("cloud", "UNKNOWN", 1);
    cloud.lab.until_trials("cloud", "SUCCEEDED", 1);
    let shown = cloud.expect(0, &["show", "cloud"]).out;
    assert!(shown.contains("trial 0 is in doubt: the service shows no job with `"), "{shown}");
    assert!(shown.contains("`retrial stop ") && shown.contains(" 0` gives the trial up"), "{shown}");
    let attempt = &cloud.lab.trials("cloud")[0]["attempts"][0];
    assert_eq!(attempt["tasks"][0]["phase"], "doubtful");
    assert!(attempt["reason"].as_str().unwrap().contains("with `strict` nothing is sent again"), "{attempt}");
    let told = run.err();
    assert!(told.contains("and its trial waits") && told.contains("retrial stop"), "{told}");
    cloud.expect(0, &["stop", "cloud", "0"]);
    let done = run.end();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(cloud.lab.trials("cloud")[0]["status"], "USER_CANCELED");
    cloud.expect(0, &["retry", "cloud", "0"]);
    cloud.expect(0, &["run", &file]);
    let all = cloud.lab.trials("cloud");
    assert_eq!((all.len(), &all[2]["status"], &all[2]["retry_of"]), (3, &json!("SUCCEEDED"), &json!(0)));
    assert_eq!(cloud.jobs_of(0), 0);
    assert_eq!(cloud.simulator.jobs(<[_]>::len), 2);
}

#[test]
fn a_strict_trial_in_doubt_goes_on_if_its_job_appears() {
    let late = json!([{"operation": "CreateJob", "answer": "drop", "repeat_after_ms": 4_000}]);
    let cloud = Cloud::new(&late, 0);
    let file = cloud.spec(1, 1, &json!({"strict": true}));
    let run = cloud.start(&["run", &file]);
    cloud.lab.until_trials("cloud", "UNKNOWN", 1);
    assert_eq!(run.end().code, Some(0));
    assert_eq!((cloud.is_proven(1), cloud.jobs_of(0)), (0, 1));
}

#[test]
fn an_interrupted_run_leaves_a_submission_under_way_to_the_next_one() {
    let slow = json!([{"operation": "CreateJob", "acts": true, "hold_answer_ms": 60_000}]);
    let cloud = Cloud::new(&slow, 2_000);
    let file = cloud.spec(1, 1, &json!({}));
    let run = cloud.start(&["run", &file]);
    until("the job", || (cloud.jobs_of(0) == 1).then_some(()));
    run.signal(Signal::SIGINT);
    let done = run.end();
    assert_eq!(done.code, Some(130), "{done}");
    done.no_panic();
    cloud.expect(0, &["run", &file]);
    assert_eq!((cloud.is_proven(1), cloud.jobs_of(0)), (0, 1));
}

#[test]
fn a_second_interruption_ends_a_trial_in_doubt() {
    let lost = json!([{"operation": "CreateJob", "times": 0, "answer": "drop"}]);
    let cloud = Cloud::new(&lost, 0);
    let file = cloud.spec(1, 1, &json!({"strict": true}));
    let run = cloud.start(&["run", &file]);
    cloud.lab.until_trials("cloud", "UNKNOWN", 1);
    run.signal(Signal::SIGINT);
    until("the question", || run.err().contains("Ctrl-C again").then_some(()));
    run.signal(Signal::SIGINT);
    let done = run.end();
    assert_eq!(done.code, Some(130), "{done}");
    assert!(done.err.contains("ended 1 trial."), "{done}");
    assert_eq!(cloud.lab.trials("cloud")[0]["status"], "USER_CANCELED");
    assert_eq!(cloud.simulator.jobs(<[_]>::len), 0);
}
