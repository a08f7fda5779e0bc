//! kill -9 of a daemon under load: local tasks, jobs of a simulated service and trials of workers at once, while clients write all
//! the time. Whatever a client was told stays; nothing runs twice; clients go on with the next daemon by themselves.
//! `RETRIAL_KILLS` says how often it is killed.

use super::cloud;
use super::kill::{kills, next};
use crate::client::Client;
use crate::daemon::Daemon;
use crate::support::{Lab, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use simulators::dlc::{Script, Simulator};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Experiments with local tasks, on the simulated service, and for workers, beside the one that never ends.
const LOCAL: usize = 12;
const JOBS: usize = 8;
const WORKERS: usize = 29;
/// The one that never ends: somebody writes all the time.
const STEADY: &str = "steady";
/// How long clients may wait for an answer, or all experiments for their end after the last kill.
const PATIENCE: Duration = Duration::from_mins(4);

/// What clients were told, by experiment.
#[derive(Default)]
struct Told {
    /// Experiments by the key under which they were created.
    made: BTreeMap<String, String>,
    /// Points of trials that were given to workers.
    points: BTreeMap<(String, u64), Value>,
    /// Results that were taken.
    results: BTreeMap<(String, u64), f64>,
    /// Steps that were reported.
    reports: BTreeMap<(String, u64), Vec<u64>>,
    /// Events that somebody has seen who followed all of them.
    events: Vec<Value>,
}

/// What all threads share: where the daemon listens now, what was told, and whether it is over.
struct World {
    address: Mutex<String>,
    told: Mutex<Told>,
    over: AtomicBool,
    answers: AtomicUsize,
}

impl World {
    /// Sends a request until it is answered: with the same bytes, to whichever daemon there is. None if it is over before.
    fn send(
        &self,
        client: &mut Option<Client>,
        method: &str,
        path: &str,
        key: &str,
        body: &Value,
    ) -> Option<(u16, Value)> {
        while !self.over.load(Ordering::Relaxed) {
            let address = self.address.lock().unwrap().clone();
            if client.is_none() {
                *client = Client::connect(&address).ok();
            }
            let more: Vec<(&str, &str)> =
                (!key.is_empty()).then_some(("Idempotency-Key", key)).into_iter().collect();
            let sent = client.as_mut().map(|client| client.try_send(method, path, &more, &body.to_string()));
            match sent {
                Some(Ok(answer)) if answer.status != 503 => {
                    self.answers.fetch_add(1, Ordering::Relaxed);
                    return Some((answer.status, answer.json()));
                }
                _ => {
                    *client = None;
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
        None
    }

    /// Asks, reports and tells until the experiment has ended. Every request may be repeated.
    fn work(&self, id: &str, worker: &str) {
        let mut client = None;
        for number in 0.. {
            let ask =
                json!({"request_id": format!("{worker}-{number}"), "worker": worker, "lease_seconds": 600});
            let Some((status, given)) =
                self.send(&mut client, "POST", &format!("/v1/experiments/{id}/ask"), "", &ask)
            else {
                return;
            };
            assert_eq!(status, 200, "{given}");
            let Some(trial) = given["trials"].as_array().unwrap().first().cloned() else {
                if given["status"] == "FINISHED" {
                    return;
                }
                // Others have what is left.
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            let number = trial["trial"].as_u64().unwrap();
            let value = trial["params"]["x"].as_f64().unwrap();
            let key = (id.to_owned(), number);
            let before = self.told.lock().unwrap().points.insert(key.clone(), trial["params"].clone());
            assert_eq!(before, None, "trial {number} of {id} was given twice");
            let at = format!("/v1/experiments/{id}/trials/{number}");
            for step in 1..=3_u64 {
                let report = json!({"attempt": trial["attempt"], "step": step, "value": value * step as f64});
                let Some((status, answer)) =
                    self.send(&mut client, "POST", &format!("{at}/report"), "", &report)
                else {
                    return;
                };
                assert_eq!((status, &answer["decision"]), (200, &json!("continue")), "{answer}");
                self.told.lock().unwrap().reports.entry(key.clone()).or_default().push(step);
            }
            let tell = json!({"attempt": trial["attempt"], "value": value});
            let Some((status, answer)) = self.send(&mut client, "POST", &format!("{at}/tell"), "", &tell)
            else {
                return;
            };
            assert_eq!(status, 200, "{answer}");
            self.told.lock().unwrap().results.insert(key, value);
        }
    }

    /// Creates an experiment under a key.
    fn create(&self, client: &mut Option<Client>, key: &str, spec: &Value) -> Option<String> {
        let (status, answer) = self.send(client, "POST", "/v1/experiments", key, &json!({"spec": spec}))?;
        assert!(status == 200 || status == 201, "{answer}");
        let id = answer["experiment"].as_str().unwrap().to_owned();
        let known = self.told.lock().unwrap().made.insert(key.to_owned(), id.clone());
        assert!(known.is_none_or(|known| known == id), "{key} was created twice");
        Some(id)
    }

    /// Creates experiments one after the other, and works for those that are for workers.
    fn run<'s>(&self, specs: impl Iterator<Item = &'s (String, Value)>, worker: &str) {
        let mut client = None;
        for (key, spec) in specs {
            let Some(id) = self.create(&mut client, key, spec) else { return };
            // The same again, as one does who has not heard the answer.
            self.create(&mut client, key, spec);
            if spec.get("run").is_none() && (key != STEADY || worker == STEADY) {
                self.work(&id, worker);
            }
        }
    }

    /// Waits until all experiments but the one have ended, and whoever follows has seen it.
    fn until_ended(&self, daemon: &Daemon, experiments: usize) {
        let (began, mut client) = (Instant::now(), Client::of(daemon));
        loop {
            let page = client.get("/v1/experiments?limit=1000&status=FINISHED");
            let ended = page["experiments"].as_array().unwrap().len();
            let told = self.told.lock().unwrap();
            let seen = told.events.iter().filter(|event| event["kind"] == "ExperimentEnded").count();
            drop(told);
            if ended == experiments - 1 && seen == ended {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{ended} of {experiments} have ended, {seen} were seen to");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Follows all events, from one daemon to the next.
    fn follow(&self) {
        let mut last = 0;
        while !self.over.load(Ordering::Relaxed) {
            let address = self.address.lock().unwrap().clone();
            let followed =
                Client::connect(&address).and_then(|client| client.try_follow("/v1/events", Some(last)));
            let Ok(mut followed) = followed else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            while let Some(event) = followed.next() {
                assert!(event.id > last, "event {} came after {last}", event.id);
                last = event.id;
                self.told.lock().unwrap().events.push(event.data);
            }
        }
    }

    /// What clients were told is there, as another process and the daemon see it.
    fn nothing_is_lost(&self, lab: &Lab) {
        let address = self.address.lock().unwrap().clone();
        let told = self.told.lock().unwrap();
        let mut client = Client::connect(&address).unwrap();
        let mut trials: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for id in told.made.values() {
            trials.insert(id, all_trials(&mut client, id));
        }
        for ((id, number), params) in &told.points {
            assert_eq!(trials[&**id][*number as usize]["params"], *params, "trial {number} of {id}");
        }
        for ((id, number), value) in &told.results {
            let trial = &trials[&**id][*number as usize];
            assert_eq!(
                (&trial["status"], trial["value"].as_f64()),
                (&json!("SUCCEEDED"), Some(*value)),
                "{trial}"
            );
        }
        for ((id, number), steps) in &told.reports {
            let trial = &trials[&**id][*number as usize];
            let kept: Vec<u64> = trial["reports"]
                .as_array()
                .unwrap()
                .iter()
                .map(|report| report["step"].as_u64().unwrap())
                .collect();
            assert!(
                kept.starts_with(steps) && kept.len() <= 3,
                "{steps:?} were reported, and {kept:?} are there"
            );
        }
        drop(told);
        assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
    }
}

/// Ends the threads' work, also where a test fails.
struct Over<'w>(&'w World);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

fn all_trials(client: &mut Client, id: &str) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/v1/experiments/{id}/trials?limit=1000{after}"));
        all.extend(page["trials"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_u64() else { return all };
        after = format!("&after={next}");
    }
}

/// Specifications by the keys under which they are created; those that workers run have no `run`.
fn specs(lab: &Lab, simulator: &Simulator, trials: usize) -> Vec<(String, Value)> {
    let base = |name: String, trials: usize, concurrency: usize| {
        json!({
            "name": name,
            "space": {"x": {"uniform": [0, 1]}},
            "objective": {"metric": "y", "goal": "minimize"},
            "sampler": "random",
            "budget": {"trials": trials, "concurrency": concurrency},
        })
    };
    let log = lab.file("log").display().to_string();
    let local = (0..LOCAL).map(|number| {
        let mut spec = base(format!("local-{number}"), trials, 2);
        spec["metric"] = json!({"stdout": "y=([0-9.e-]+)"});
        let note = |word: &str| format!("echo {word} $RETRIAL_EXPERIMENT-$RETRIAL_TRIAL-$RETRIAL_ATTEMPT >> '{log}'");
        spec["run"] = json!({"local": {"command": format!("{}; sleep 0.2; echo y=${{x}}; {}", note("start"), note("end"))}});
        spec
    });
    let jobs = (0..JOBS).map(|number| {
        let mut spec = base(format!("job-{number}"), trials, 2);
        spec["metric"] = json!({"stdout": "y=([0-9.]+)"});
        spec["run"] = json!({"dlc": {
            "command": "train --x ${x}",
            "endpoint": format!("http://{}", simulator.address()),
            "workspace_id": "10001",
            "JobType": "PyTorchJob",
            "JobSpecs": [{"Type": "Worker", "Image": "image", "EcsSpec": "ecs.g6.large"}],
            "reconcile": {"wait_seconds": 3, "searches": 2, "pause_seconds": 0.5},
        }});
        spec
    });
    let workers = (0..WORKERS).map(|number| base(format!("worker-{number}"), trials, 2));
    let workers = std::iter::once(base(STEADY.to_owned(), 1_000_000, 2)).chain(workers);
    local.chain(jobs).chain(workers).map(|spec| (spec["name"].as_str().unwrap().to_owned(), spec)).collect()
}

/// The next daemon, of which clients are told.
fn serve(lab: &Lab, world: &World) -> Daemon {
    let args = ["serve", "--listen", "127.0.0.1:0", "--json", "--durability", "disk"];
    let daemon = Daemon::begin(lab, cloud::command(lab, "0.2", &args));
    daemon.address().clone_into(&mut world.address.lock().unwrap());
    daemon
}

/// What goes wrong with calls of the service, by chance: requests and answers are lost, and errors come with and without an
/// effect. No copies, which would end before anybody can look for them.
fn faults() -> Vec<Value> {
    let refused = json!({"error": {"status": 500, "code": "InternalError"}});
    let mut faults = Vec::new();
    for (operation, chance) in
        [("CreateJob", 0.08), ("ListJobs", 0.02), ("GetJob", 0.02), ("GetPodLogs", 0.02)]
    {
        for answer in [&refused, &json!("drop")] {
            for acts in [true, false] {
                faults.push(json!({
                    "operation": operation, "times": 0, "chance": chance, "acts": acts, "answer": answer,
                }));
            }
        }
    }
    faults
}

#[test]
fn a_daemon_under_load_loses_nothing_it_has_said_and_runs_nothing_twice() {
    let script: Script = serde_json::from_value(json!({
        "seed": 20_261_126,
        "faults": faults(),
        "life": {
            "phases": [{"status": "Creating", "ms": 50}, {"status": "Running", "ms": 500}, {"status": "Succeeded"}],
            "log": [{"text": "y=0.{n}", "times": 2, "every_ms": 100}],
        },
    }))
    .unwrap();
    let (lab, simulator) = (Lab::new(), Simulator::anywhere(script).unwrap());
    // Enough work for all the kills.
    let trials = 4 + kills() as usize / 4;
    let specs = specs(&lab, &simulator, trials);
    let world = World {
        address: Mutex::default(),
        told: Mutex::default(),
        over: AtomicBool::new(false),
        answers: AtomicUsize::new(0),
    };
    std::thread::scope(|scope| {
        let over = Over(&world);
        let mut daemon = serve(&lab, &world);
        scope.spawn(|| world.follow());
        for part in 0..10 {
            let (world, specs) = (&world, &specs);
            scope.spawn(move || world.run(specs.iter().skip(part).step_by(10), &format!("w{part}")));
        }
        let steady = specs.iter().filter(|(key, _)| key == STEADY);
        scope.spawn(|| world.run(steady, STEADY));
        let mut seed = 0x6a09_e667_f3bc_c908;
        for _ in 0..kills() {
            let moment = Duration::from_millis(50 + next(&mut seed) % 600);
            // Some are killed before they have answered anybody.
            let least = world.answers.load(Ordering::Relaxed) + (next(&mut seed) % 4) as usize;
            let began = Instant::now();
            until("answers to clients", || {
                (began.elapsed() >= moment && world.answers.load(Ordering::Relaxed) >= least).then_some(())
            });
            daemon.running().signal(Signal::SIGKILL);
            drop(daemon);
            daemon = serve(&lab, &world);
            world.nothing_is_lost(&lab);
        }
        world.until_ended(&daemon, specs.len());
        drop(over);
        // This ends what is told to those who follow.
        daemon.end();
    });
    let daemon = serve(&lab, &world);
    world.nothing_is_lost(&lab);
    let mut client = Client::of(&daemon);
    let told = world.told.into_inner().unwrap();
    assert_eq!(told.made.len(), specs.len());
    assert!(told.results.len() > WORKERS * trials);
    assert_eq!(
        client.get("/v1/experiments?limit=1000")["experiments"].as_array().unwrap().len(),
        specs.len()
    );
    // Nothing has run twice: neither a task, nor a job, nor a trial of a worker.
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in lab.text("log").lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    assert_eq!(counts.len(), LOCAL * trials * 2);
    let twice = simulator.duplicates("retrial-key");
    assert!(twice.is_empty(), "{twice:?}");
    let hit = simulator.calls().iter().filter(|call| call.fault).count();
    assert!(hit > 0, "no call of the service was hit");
    for (key, id) in told.made.iter().filter(|(key, _)| *key != STEADY) {
        let all = all_trials(&mut client, id);
        assert_eq!(all.len(), trials, "{key}");
        for trial in all {
            assert_eq!(trial["status"], "SUCCEEDED", "{trial}");
            assert!(trial["attempts"].as_array().unwrap().len() <= 1, "adopted, not run again: {trial}");
        }
    }
    // Who followed has seen everything, in its order, and once.
    for id in told.made.values() {
        let seen: Vec<&Value> =
            told.events.iter().filter(|event| event["experiment"] == id.as_str()).collect();
        let known = lab.events(id);
        assert!(seen.len() <= known.len() && seen.iter().zip(&known).all(|(seen, known)| *seen == known));
        let ended = known.iter().any(|event| event["kind"] == "ExperimentEnded");
        assert!(!ended || seen.len() == known.len(), "of {} events {} were seen", known.len(), seen.len());
    }
    println!(
        "{} answers, {} results, {} events, {hit} calls of the service hit",
        world.answers.into_inner(),
        told.results.len(),
        told.events.len()
    );
    daemon.end();
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
}
