//! kill -9 of the controller at random moments, through a whole run with running tasks. `RETRIAL_KILLS` says how often;
//! thousands are a matter of patience.

use super::support::{Lab, Running, signal, with};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A small generator: the moments only need to differ.
pub fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// How often a controller is killed.
pub fn kills() -> u32 {
    std::env::var("RETRIAL_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

fn spec(trials: u32) -> Value {
    let line = |word: &str| format!("echo {word} $RETRIAL_TRIAL-$RETRIAL_ATTEMPT >> '${{spec_dir}}/log'");
    json!({
        "name": "kill",
        "space": {"x": {"uniform": [-1, 1]}, "k": {"choice": ["a", "b"]}},
        "objective": {"metric": "y", "goal": "minimize"},
        "metric": {"stdout": "y=([-0-9.e]+)", "final": "best"},
        "sampler": {"tpe": {"seed": 3}},
        "budget": {"trials": trials, "concurrency": 3},
        "run": {"local": {"command": format!(
            "{}; echo y=${{x}}; sleep 0.2; echo '{{\"step\": 7, \"value\": 3}}' >> $RETRIAL_REPORT; sleep 0.1; echo y=2; {}",
            line("start"), line("end"),
        )}},
    })
}

/// What any reader has seen once must stay: what is there now begins with it.
fn nothing_is_lost(lab: &Lab, seen: &mut String) {
    let look = lab.retrial(&["events", "kill", "--json"]);
    if look.code != Some(0) && seen.is_empty() {
        // Killed before there was an experiment.
        return;
    }
    let now = look.out;
    assert!(now.starts_with(seen.as_str()), "what was seen has changed:\n{seen}\nand now\n{now}");
    *seen = now;
}

/// Whether a run ends by itself within a time.
pub fn ended_within(run: &mut Running, moment: Duration) -> bool {
    let began = Instant::now();
    while began.elapsed() < moment {
        if run.has_ended() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

/// Runs the file again and again, each time killed at a random moment by `kill`, until it comes to its end.
fn run_through_kills(
    lab: &Lab,
    file: &str,
    kills: u32,
    seed: u64,
    mut kill: impl FnMut(&Lab, Running, &mut u64),
) {
    let (mut seed, mut killed, mut seen) = (seed, 0, String::new());
    let deadline = Instant::now() + Duration::from_secs(120 + u64::from(kills) * 10);
    loop {
        assert!(Instant::now() < deadline, "the run does not come to its end");
        let mut run = lab.start(&["run", file, "--json", "--durability", "disk"]);
        let moment = if killed < kills {
            Duration::from_millis(30 + next(&mut seed) % 700)
        } else {
            Duration::from_mins(10)
        };
        if ended_within(&mut run, moment) {
            let done = run.end();
            assert_eq!(done.code, Some(0), "{done}");
            return;
        }
        kill(lab, run, &mut seed);
        killed += 1;
        nothing_is_lost(lab, &mut seen);
    }
}

/// How often each line stands in the tasks' common log.
fn counts(lab: &Lab) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for line in lab.text("log").lines() {
        *counts.entry(line.to_owned()).or_insert(0) += 1;
    }
    counts
}

fn proven(lab: &Lab) {
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
    assert_eq!(lab.json(&["audit", "resample", "kill"])["ok"], true);
    assert_eq!(lab.json(&["show", "kill"])["status"], "FINISHED");
    assert_eq!(lab.processes(), Vec::<i32>::new(), "processes are left over");
}

fn reports(trial: &Value) -> usize {
    trial["reports"].as_array().unwrap().len()
}

#[test]
fn a_run_survives_its_controller_being_killed_at_any_moment() {
    let (lab, kills) = (Lab::new(), kills());
    let trials = 10 + kills * 2;
    let file = lab.spec(&spec(trials));
    run_through_kills(&lab, &file, kills, 0x9e37_79b9_7f4a_7c15, |_, run, _| drop(run.kill()));
    let all = lab.trials("kill");
    assert_eq!(all.len(), trials as usize);
    let counts = counts(&lab);
    for trial in &all {
        assert_eq!(trial["status"], "SUCCEEDED", "{trial}");
        assert_eq!(trial["attempts"].as_array().unwrap().len(), 1, "adopted, not run again: {trial}");
        assert_eq!(reports(trial), 3, "each report once: {trial}");
        for word in ["start", "end"] {
            let line = format!("{word} {}-1", trial["trial"]);
            assert_eq!(counts.get(&line), Some(&1), "{line}");
        }
    }
    assert_eq!(counts.len(), all.len() * 2, "something ran that is not recorded");
    proven(&lab);
}

#[test]
fn a_run_survives_controllers_and_supervisors_being_killed_together() {
    let (lab, kills) = (Lab::new(), kills());
    let trials = 8 + kills * 2;
    let file = lab.spec(&with(spec(trials), json!({"retry": {"lost": 100}})));
    run_through_kills(&lab, &file, kills, 0x2545_f491_4f6c_dd1d, |lab, run, seed| {
        let both = next(seed).is_multiple_of(2);
        if both {
            run.kill();
        }
        for pid in lab.supervisors() {
            if next(seed).is_multiple_of(2) {
                signal(pid, Signal::SIGKILL);
            }
        }
    });
    let all = lab.trials("kill");
    assert_eq!(all.len(), trials as usize);
    let counts = counts(&lab);
    for trial in &all {
        assert_eq!(trial["status"], "SUCCEEDED", "{trial}");
        for attempt in trial["attempts"].as_array().unwrap() {
            let of = |word: &str| {
                let line = format!("{word} {}-{}", trial["trial"], attempt["attempt"]);
                counts.get(&line).copied().unwrap_or(0)
            };
            match attempt["outcome"].as_str().unwrap() {
                "succeeded" => assert_eq!((of("start"), of("end")), (1, 1), "{trial}"),
                "lost" => assert!(of("start") <= 1 && of("end") <= of("start"), "{trial}"),
                other => panic!("{other}: {trial}"),
            }
        }
    }
    proven(&lab);
}
