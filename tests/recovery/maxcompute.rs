//! Trials of three tasks on a simulated `MaxCompute` that drops, delays, refuses and throttles, under a controller that is
//! killed: no task runs twice or is left out, and a further attempt repeats nothing that has succeeded. `RETRIAL_KILLS`
//! says how often it is killed; with 70 there are 300 trials.
//!
//! What is to happen to each trial is known before: see [`scripted`] and [`expected`]. Three witnesses are asked
//! afterwards: the journal, the service's instances, and the rows and tables that tasks have left.

use super::cloud;
use super::kill::{kills, run_through_kills};
use super::support::Lab;
use serde_json::{Value, json};
use simulators::maxcompute::instance::Status;
use simulators::maxcompute::table::Cell;
use simulators::maxcompute::warehouse::Circumstances;
use simulators::maxcompute::{Script, Simulator};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

const PROJECT: &str = "simulated_project";
/// The tries of a task that fails, and of one that the service loses.
const TRIES: (u32, u32) = (2, 3);
/// How long a run of an algorithm must not have been found: longer than it is on its way at most.
const WAIT_SECONDS: u32 = 5;

/// How a task ends that does not succeed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// By an error that may pass.
    Lost,
    /// By its own error.
    Failed,
    /// It is refused when it is submitted.
    Refused,
}
use End::{Failed, Lost, Refused};

/// A task within its trial, counted as in keys: attempts from one, tasks from zero.
type Task = (u32, u32);

/// The tasks of a trial that do not succeed.
const fn scripted(trial: u32) -> &'static [(Task, End)] {
    match trial % 12 {
        0 => &[((1, 1), Lost)],
        1 => &[((1, 2), Failed)],
        2 => &[((1, 0), Lost)],
        3 => &[((1, 1), Lost), ((2, 1), Lost)],
        4 => &[((1, 0), Failed), ((2, 1), Lost)],
        5 => &[((1, 2), Failed), ((2, 2), Failed)],
        6 => &[((1, 1), Lost), ((2, 1), Lost), ((3, 1), Lost)],
        7 => &[((1, 1), Refused)],
        8 => &[((1, 2), Lost), ((2, 2), Failed)],
        _ => &[],
    }
}

/// Which tasks of a trial are submitted, in order, each with its end unless that is success, and how the trial ends. A
/// further attempt begins where the one before has failed.
fn expected(trial: u32) -> (Vec<(Task, Option<End>)>, &'static str) {
    let (mut tasks, mut attempt, mut task) = (Vec::new(), 1, 0);
    while task < 3 {
        let end = scripted(trial).iter().find(|(at, _)| *at == (attempt, task)).map(|(_, end)| *end);
        tasks.push(((attempt, task), end));
        match end {
            None => task += 1,
            Some(Failed) if attempt < TRIES.0 => attempt += 1,
            Some(Lost) if attempt < TRIES.1 => attempt += 1,
            Some(Lost) => return (tasks, "LOST"),
            Some(Failed | Refused) => return (tasks, "FAILED"),
        }
    }
    (tasks, "SUCCEEDED")
}

/// How instances live that are not to succeed.
fn rules(trials: u32) -> Value {
    let rule = |trial: u32, ((attempt, task), end): (Task, End)| {
        let text = match end {
            Lost => "ODPS-0010000: System internal error - fuxi job failed",
            Failed => "ODPS-0123055: User script exception - it broke",
            Refused => return None,
        };
        let life = json!({"waiting_ms": 30, "running_ms": 100, "fails": text});
        Some(json!({"contains": format!("-{trial}-{attempt}-{task}</Guid>"), "life": life}))
    };
    (0..trials).flat_map(|trial| scripted(trial).iter().filter_map(move |end| rule(trial, *end))).collect()
}

fn refusal(status: u16, code: &str, wait_s: Option<u32>) -> Value {
    json!({"error": {"status": status, "code": code, "message": "simulated", "retry_after_s": wait_s}})
}

/// What goes wrong with calls: some submissions are refused for good, and any call may be hit by chance.
fn faults(trials: u32, long: bool) -> Value {
    let refused = |trial: u32, ((attempt, task), end): (Task, End)| {
        let contains = format!("-{trial}-{attempt}-{task}</Guid>");
        let answer = refusal(400, "InvalidArgument", None);
        let fault =
            json!({"operation": "CreateInstance", "contains": contains, "times": 0, "answer": answer});
        (end == Refused).then_some(fault)
    };
    let all =
        (0..trials).flat_map(|trial| scripted(trial).iter().filter_map(move |end| refused(trial, *end)));
    let mut faults: Vec<Value> = all.collect();
    if long {
        // The client waits 20 s for an answer.
        faults
            .push(json!({"operation": "CreateInstance", "skip": 100, "times": 3, "hold_answer_ms": 30_000}));
    }
    let failed = refusal(500, "InternalServerError", None);
    let page =
        json!({"raw": {"status": 502, "content_type": "text/html", "body": "<html>bad gateway</html>"}});
    let conflict = refusal(409, "InstanceConflict", Some(1));
    for fault in [
        json!({"acts": true, "answer": "drop"}),
        json!({"answer": "drop"}),
        json!({"acts": true, "answer": failed}),
        json!({"acts": true, "answer": page}),
        json!({"answer": failed}),
        json!({"answer": conflict}),
        json!({"hold_request_ms": 1_500}),
        json!({"hold_request_ms": 1_500, "acts": true, "answer": "drop"}),
        json!({"hold_answer_ms": 1_500}),
        // What only SQL survives, of which the service takes a second copy for the first.
        json!({"contains": "<SQL>", "acts": true, "answer": conflict}),
        json!({"contains": "<SQL>", "repeat_after_ms": 1_000}),
        json!({"contains": "<SQL>", "acts": true, "answer": "drop", "repeat_after_ms": 3_000}),
    ] {
        faults.push(fault);
        let Some(fault) = faults.last_mut() else { continue };
        (fault["operation"], fault["times"], fault["chance"]) =
            (json!("CreateInstance"), json!(0), json!(0.03));
    }
    let looks = ["ListInstances", "GetInstance", "GetTaskStatus", "GetResult", "GetSource", "GetXflowSource"];
    for operation in looks {
        for answer in [&failed, &json!("drop")] {
            faults.push(json!({"operation": operation, "times": 0, "chance": 0.01, "answer": answer}));
        }
    }
    faults.push(json!({"times": 0, "chance": 0.002, "answer": refusal(429, "FlowExceeded", Some(1))}));
    json!(faults)
}

struct Cloud {
    lab: Lab,
    simulator: Simulator,
    trials: u32,
}

/// An instance that a task has become.
struct Instance {
    task: Task,
    id: String,
    status: Status,
    starts: u32,
    /// From its creation to its end, in milliseconds.
    time: (i64, Option<i64>),
}

impl Cloud {
    fn new(trials: u32, long: bool) -> Self {
        let script: Script = serde_json::from_value(json!({
            "seed": 20_261_126,
            "list_lag_ms": 300,
            "conflict_ms": 400,
            "life": {"waiting_ms": 30, "running_ms": 300},
            "rules": rules(trials),
            "faults": faults(trials, long),
        }))
        .unwrap();
        let simulator = Simulator::anywhere(script).unwrap();
        let ledger = "CREATE TABLE ran (trial BIGINT, attempt BIGINT, task BIGINT)";
        simulator.warehouse(PROJECT, |house| house.run(ledger, &Circumstances::default())).unwrap().unwrap();
        Self { lab: Lab::new(), simulator, trials }
    }

    /// Writes the experiment file. Each task leaves a row or a table that names it, and needs what the one before has
    /// left; the rows would be doubled by a task that ran twice.
    fn spec(&self) -> String {
        let tasks = [
            "SET odps.sql.submit.mode=script;\n\
             CREATE TABLE made_${trial_id} AS SELECT ${trial_id} AS trial, ${x} AS x UNION ALL SELECT ${trial_id}, ${x};\n\
             INSERT INTO ran SELECT ${trial_id}, ${attempt}, ${task};",
            "PAI -name split -project algo_public -DinputTableName=made_${trial_id} -Dfraction=0.5 -Dseed=1 \
             -Doutput1TableName=part_${trial_id} -Doutput2TableName=split_${trial_id}_${attempt}_${task}",
            "INSERT INTO ran SELECT trial, ${attempt}, ${task} FROM part_${trial_id}",
        ];
        self.lab.spec(&json!({
            "name": "cloud",
            "space": {"x": {"uniform": [0, 1]}},
            "metric": {"table": "SELECT x AS y FROM part_${trial_id}", "keys": ["y"]},
            "objective": {"metric": "y", "goal": "minimize"},
            "sampler": "random",
            "seed": 5,
            "budget": {"trials": self.trials, "concurrency": 20},
            // Whichever trials end first, some of them are to fail.
            "first_failures": 0,
            "retry": {"failed": TRIES.0, "lost": TRIES.1, "resume": true},
            "run": {"maxcompute": {
                "endpoint": self.simulator.endpoint(), "project": PROJECT, "wait_seconds": WAIT_SECONDS, "tasks": tasks,
            }},
        }))
    }

    /// The instances of each trial in the order in which they were created.
    fn instances(&self) -> BTreeMap<u32, Vec<Instance>> {
        let mut all: BTreeMap<u32, Vec<Instance>> = BTreeMap::new();
        self.simulator.instances(|instances| {
            for instance in instances {
                // A metric's question has no Guid, and may be asked again.
                let Some(guid) = &instance.submission.guid else { continue };
                let numbers: Vec<u32> =
                    guid.rsplitn(4, '-').take(3).map(|part| part.parse().unwrap()).collect();
                let [task, attempt, trial] = numbers[..] else { panic!("{guid}") };
                all.entry(trial).or_default().push(Instance {
                    task: (attempt, task),
                    id: instance.id.clone(),
                    status: instance.status,
                    starts: instance.starts,
                    time: (instance.created_ms, instance.ended_ms),
                });
            }
        });
        all
    }

    /// The tasks of which a row or a table tells, by their trials; one that ran twice is there twice.
    fn traces(&self) -> BTreeMap<u32, Vec<Task>> {
        let mut all: BTreeMap<u32, Vec<Task>> = BTreeMap::new();
        let (rows, tables) = self
            .simulator
            .warehouse(PROJECT, |house| {
                (house.read("ran", &[], None).unwrap().rows, house.tables.keys().cloned().collect::<Vec<_>>())
            })
            .unwrap();
        let number = |cell: &Cell| cell.number().unwrap() as u32;
        let rows = rows.iter().map(|row| row.iter().map(number).collect::<Vec<_>>());
        let names = tables.iter().filter_map(|table| table.strip_prefix("split_"));
        let names = names.map(|name| name.split('_').map(|part| part.parse().unwrap()).collect());
        for numbers in rows.chain(names) {
            let [trial, attempt, task] = numbers[..] else { panic!("{numbers:?}") };
            // Tasks are counted from one where people read.
            all.entry(trial).or_default().push((attempt, task - 1));
        }
        for tasks in all.values_mut() {
            tasks.sort_unstable();
        }
        all
    }

    /// The journal, the instances and the traces say of every trial what was to happen, and nothing else has happened.
    fn is_proven(&self) {
        let trials = self.lab.trials("cloud");
        assert_eq!(trials.len(), self.trials as usize);
        let (mut instances, mut traces) = (self.instances(), self.traces());
        for (trial, told) in (0..self.trials).zip(&trials) {
            let (tasks, status) = expected(trial);
            assert_eq!((&told["trial"], &told["status"]), (&json!(trial), &json!(status)), "{told}");
            if status == "SUCCEEDED" {
                assert_eq!(told["value"], told["params"]["x"], "{told}");
                assert_eq!(told["reports"].as_array().unwrap().len(), 1, "{told}");
            }
            let ran = instances.remove(&trial).unwrap_or_default();
            assert_eq!(journal(told), tasks_told(&tasks, &ran), "{told}");
            let accepted: Vec<Task> =
                tasks.iter().filter(|(_, end)| *end != Some(Refused)).map(|(task, _)| *task).collect();
            assert_eq!(
                ran.iter().map(|instance| instance.task).collect::<Vec<_>>(),
                accepted,
                "trial {trial}"
            );
            for (instance, (_, end)) in ran.iter().zip(&tasks) {
                // What fails by script does not begin its work.
                let wanted = if end.is_none() { (Status::Success, 1) } else { (Status::Failed, 0) };
                assert_eq!((instance.status, instance.starts), wanted, "trial {trial}, {:?}", instance.task);
            }
            for pair in ran.windows(2) {
                let [before, after] = pair else { continue };
                assert!(
                    before.time.1.is_some_and(|end| end <= after.time.0),
                    "trial {trial}: {:?}",
                    after.task
                );
            }
            let done: Vec<Task> =
                tasks.iter().filter(|(_, end)| end.is_none()).map(|(task, _)| *task).collect();
            assert_eq!(traces.remove(&trial).unwrap_or_default(), done, "trial {trial}");
        }
        assert!(instances.is_empty() && traces.is_empty(), "{:?}, {traces:?}", instances.keys());
        assert!(self.simulator.duplicates().is_empty());
        assert_eq!(self.lab.json(&["audit", "verify"])["ok"], true);
        assert_eq!(self.lab.json(&["show", "cloud"])["status"], "FINISHED");
    }
}

/// A task as the journal knows it: which, the instance, and how it ended.
type Told = (Task, Option<String>, &'static str);

fn tasks_told(tasks: &[(Task, Option<End>)], ran: &[Instance]) -> Vec<Told> {
    let told = |(task, end): &(Task, Option<End>)| {
        let instance = ran.iter().find(|instance| instance.task == *task);
        let end = match end {
            None => "succeeded",
            Some(Lost) => "lost",
            Some(Failed) => "failed",
            Some(Refused) => "refused",
        };
        (*task, instance.map(|instance| instance.id.clone()), end)
    };
    tasks.iter().map(told).collect()
}

/// What the journal says of a trial's tasks.
fn journal(trial: &Value) -> Vec<Told> {
    let ends = ["succeeded", "lost", "failed", "refused"];
    let attempts = trial["attempts"].as_array().unwrap().iter();
    attempts
        .flat_map(|attempt| {
            let number = attempt["attempt"].as_u64().unwrap() as u32;
            attempt["tasks"].as_array().unwrap().iter().map(move |task| {
                let id = task["job"].as_str().map(|job| {
                    let (_, rest) = job.split_once("/instances/").unwrap();
                    rest.split_once('?').unwrap().0.to_owned()
                });
                let end = ends.into_iter().find(|end| task["phase"] == **end).unwrap_or("no end");
                ((number, task["task"].as_u64().unwrap() as u32 - 1), id, end)
            })
        })
        .collect()
}

#[test]
fn tasks_run_once_and_in_order_whatever_happens_to_calls_and_controllers() {
    let kills = kills();
    let cloud = Cloud::new(20 + kills * 4, kills > 20);
    let file = cloud.spec();
    let began = Instant::now();
    let start = || cloud::start(&cloud.lab, "0.2", &["run", &file, "--json", "--durability", "disk"]);
    let killed =
        run_through_kills(kills, 0x6a09_e667_f3bc_c908, 300..3_300, start, |run, _| drop(run.kill()));
    cloud.is_proven();
    let calls = cloud.simulator.calls();
    let count =
        |fits: &dyn Fn(&simulators::maxcompute::Call) -> bool| calls.iter().filter(|call| fits(call)).count();
    let hit = count(&|call| call.fault);
    let submissions = || calls.iter().filter(|call| call.operation == "CreateInstance");
    let created: Vec<&String> =
        submissions().filter(|call| call.acted).filter_map(|call| call.object.as_ref()).collect();
    let given_again = created.len() - created.iter().collect::<BTreeSet<_>>().len();
    let sent_again = cloud.lab.events("cloud").iter().filter(|event| event["kind"] == "TaskCleared").count();
    assert!(hit > 0 && killed > 0, "{hit} calls hit, {killed} kills");
    #[expect(clippy::print_stderr, reason = "figures for docs/measurements/maxcompute.md")]
    {
        eprintln!(
            "{} trials, {killed} kills, {} calls of which {hit} hit, {} of these submissions, {} throttled; {sent_again} sent \
             again, {given_again} given the first instance, {} told to wait for an earlier copy; {} instances of tasks; {} s",
            cloud.trials,
            calls.len(),
            submissions().filter(|call| call.fault).count(),
            count(&|call| call.outcome == "FlowExceeded"),
            count(&|call| call.outcome == "InstanceConflict"),
            cloud.instances().values().map(Vec::len).sum::<usize>(),
            began.elapsed().as_secs()
        );
    }
}
