//! All jobs, and what time does to them.
//!
//! Nothing here waits or reads a clock: [`World::advance`] brings the jobs to a time, and [`World::take_work`] says
//! which processes are to be started and ended. Every answer is computed after `advance`.

use super::job::{Job, is_reserving, is_terminal, named};
use super::limits;
use super::mount::{self, Mount};
use super::refusal::Refusal;
use super::script::{Life, Phase, Rule, Script};
use crate::dice::Dice;
use crate::oss;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Something to do with processes of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Start the command of a pod.
    Start {
        /// The pod's identity.
        uid: String,
        /// The command, for a shell.
        command: String,
        /// Variables beside the machine's own `PATH` and `HOME`.
        variables: BTreeMap<String, String>,
        /// What must be there before it starts.
        mounts: Vec<Mount>,
    },
    /// End the process of a pod.
    End {
        /// The pod's identity.
        uid: String,
        /// How long it may take, in milliseconds.
        grace_ms: u64,
    },
}

/// All jobs.
#[derive(Debug)]
pub struct World {
    /// What was told.
    pub script: Script,
    /// Random choices.
    pub dice: Dice,
    jobs: Vec<Job>,
    by_id: BTreeMap<String, usize>,
    /// Jobs by the time at which something happens to them.
    due: BTreeSet<(i64, usize)>,
    scheduled: Vec<Option<i64>>,
    /// Jobs that wait for capacity: the highest priority first, then the oldest.
    waiting: BTreeSet<(i64, usize)>,
    waits_with: BTreeMap<usize, i64>,
    holding: usize,
    /// The jobs of pods whose process runs.
    running: BTreeMap<String, usize>,
    work: Vec<Work>,
}

impl World {
    /// A world without jobs.
    pub fn new(script: Script) -> Self {
        Self {
            dice: Dice::new(script.seed),
            script,
            jobs: Vec::new(),
            by_id: BTreeMap::new(),
            due: BTreeSet::new(),
            scheduled: Vec::new(),
            waiting: BTreeSet::new(),
            waits_with: BTreeMap::new(),
            holding: 0,
            running: BTreeMap::new(),
            work: Vec::new(),
        }
    }

    /// All jobs, in the order in which they were created.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// The jobs of these ids, in the order in which they were created.
    pub fn of_ids(&self, ids: &[&str]) -> Vec<&Job> {
        let numbers: BTreeSet<usize> = ids.iter().filter_map(|id| self.by_id.get(*id).copied()).collect();
        numbers.into_iter().filter_map(|number| self.jobs.get(number)).collect()
    }

    /// What is to be done with processes; each is told once.
    pub fn take_work(&mut self) -> Vec<Work> {
        std::mem::take(&mut self.work)
    }

    /// A job that was not removed.
    pub fn job(&self, id: &str) -> Result<&Job, Refusal> {
        self.number(id).and_then(|number| self.jobs.get(number).ok_or_else(|| Refusal::not_found("job")))
    }

    /// A job that was not removed, to change what time does not change.
    pub fn job_mut(&mut self, id: &str) -> Result<&mut Job, Refusal> {
        let number = self.number(id)?;
        self.jobs.get_mut(number).ok_or_else(|| Refusal::not_found("job"))
    }

    fn number(&self, id: &str) -> Result<usize, Refusal> {
        let number = self.by_id.get(id).copied();
        number
            .filter(|number| self.jobs.get(*number).is_some_and(|job| !job.deleted))
            .ok_or_else(|| Refusal::not_found(&format!("job {id}")))
    }

    /// Creates a job.
    pub fn create(&mut self, body: Value, workspace: String, user: &str, at_ms: i64) -> String {
        let life = self.life(&body);
        let id = format!("dlc{}", self.dice.characters(13));
        let job = Job::new(id.clone(), body, workspace, user, life, at_ms, &mut self.dice);
        self.by_id.insert(id.clone(), self.jobs.len());
        self.jobs.push(job);
        self.scheduled.push(None);
        self.settle(self.jobs.len() - 1, at_ms);
        id
    }

    /// How a job lives: by the first rule that fits, else as the script says.
    fn life(&mut self, body: &Value) -> Life {
        let fits = |rule: &Rule| {
            let text = |field: &str| body.get(field).and_then(Value::as_str).unwrap_or_default();
            let specs = body.get("JobSpecs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let image = |wanted: &str| {
                let named = |spec: &Value| spec.get("Image").and_then(Value::as_str).map(str::to_owned);
                specs.iter().filter_map(named).any(|image| image.contains(wanted))
            };
            rule.display_name.as_deref().is_none_or(|wanted| text("DisplayName").contains(wanted))
                && rule.command.as_deref().is_none_or(|wanted| text("UserCommand").contains(wanted))
                && rule.image.as_deref().is_none_or(image)
        };
        if let Some(at) = self.script.rules.iter().position(fits)
            && let Some(rule) = self.script.rules.get_mut(at)
        {
            let life = rule.life.clone();
            match rule.times {
                0 => {}
                1 => drop(self.script.rules.remove(at)),
                _ => rule.times -= 1,
            }
            return life;
        }
        let mut life = self.script.life.clone();
        // A process decides for itself how long it runs and how it ends.
        if self.script.processes.is_some()
            && let Some(at) = life.phases.iter().position(|phase| phase.status == "Running")
        {
            life.phases.truncate(at + 1);
            if let Some(phase) = life.phases.last_mut() {
                phase.ms = None;
            }
        }
        life
    }

    /// Brings all jobs to a time.
    pub fn advance(&mut self, now_ms: i64) {
        while let Some((at_ms, number)) = self.due.first().copied().filter(|(at_ms, _)| *at_ms <= now_ms) {
            self.due.pop_first();
            if let Some(scheduled) = self.scheduled.get_mut(number) {
                *scheduled = None;
            }
            self.step(number, at_ms);
        }
    }

    fn step(&mut self, number: usize, at_ms: i64) {
        let full = self.script.capacity.is_some_and(|capacity| self.holding >= capacity);
        let Some(job) = self.jobs.get_mut(number) else { return };
        if matches!(job.status(), "Running" | "Restarting") && job.deadline_ms.is_some_and(|ms| ms <= at_ms) {
            let phase = Phase {
                reason_code: "JobMaxRunningTimeExceeded".to_owned(),
                reason_message: "the job has run for JobMaxRunningTimeMinutes".to_owned(),
                ..named("Failed")
            };
            job.go_on([phase], at_ms, &mut self.dice);
        } else if job.status() == "Queuing" && full && !job.holds_capacity {
            job.due_ms = None;
            let rank = -job.priority(at_ms);
            self.waiting.insert((rank, number));
            self.waits_with.insert(number, rank);
        } else {
            if job.status() == "Queuing" && !job.holds_capacity {
                job.holds_capacity = true;
                self.holding += 1;
            }
            job.step(at_ms, &mut self.dice);
        }
        self.settle(number, at_ms);
    }

    /// Lets the schedule, the capacity and the processes follow from a job's state.
    fn settle(&mut self, number: usize, at_ms: i64) {
        let Some(job) = self.jobs.get_mut(number) else { return };
        if let Some(scheduled) = self.scheduled.get_mut(number)
            && *scheduled != job.due_ms
        {
            if let Some(old) = *scheduled {
                self.due.remove(&(old, number));
            }
            *scheduled = job.due_ms;
            if let Some(new) = job.due_ms {
                self.due.insert((new, number));
            }
        }
        if job.status() != "Queuing"
            && let Some(rank) = self.waits_with.remove(&number)
        {
            self.waiting.remove(&(rank, number));
        }
        let grace_ms = grace_ms(job);
        for pod in &job.pods {
            for uid in pod.incarnations().map(|pod| &pod.uid) {
                let ends = *uid != pod.uid || pod.finished_ms.is_some();
                if ends && self.running.remove(uid).is_some() {
                    self.work.push(Work::End { uid: uid.clone(), grace_ms });
                }
            }
        }
        let unbound = job.steps.last().is_some_and(|step| step.phase.ms.is_none());
        if self.script.processes.is_some() && job.status() == "Running" && unbound {
            for start in starts(job, &self.script.storage) {
                if let Work::Start { uid, .. } = &start
                    && self.running.insert(uid.clone(), number).is_none()
                {
                    self.work.push(start);
                }
            }
        }
        if job.holds_capacity && is_terminal(job.status()) {
            job.holds_capacity = false;
            self.holding -= 1;
            if let Some((_, next)) = self.waiting.pop_first() {
                self.waits_with.remove(&next);
                self.step(next, at_ms);
            }
        }
    }

    /// Asks a job to stop.
    pub fn stop(&mut self, id: &str, at_ms: i64) -> Result<(), Refusal> {
        let stop = self.script.stop.clone();
        let number = self.number(id)?;
        let Some(job) = self.jobs.get_mut(number) else { return Err(Refusal::not_found("job")) };
        let status = job.status().to_owned();
        if is_terminal(&status) {
            let message = format!("Job can't be stopped, because it is {status}");
            return Err(Refusal::new(400, "400", message));
        }
        job.stop_asked_ms.get_or_insert(at_ms);
        if status == "Stopping" {
            return Ok(());
        }
        if is_reserving(&status) {
            let outcome = status.trim_end_matches("Reserving").to_owned();
            job.go_on([named(&outcome)], at_ms, &mut self.dice);
        } else {
            let own = job.plan.iter().rev().find(|phase| is_terminal(&phase.status)).cloned();
            let end = own.filter(|_| stop.loses).unwrap_or_else(|| named("Stopped"));
            let live: Vec<String> = job
                .pods
                .iter()
                .filter(|pod| self.running.contains_key(&pod.uid))
                .map(|pod| pod.uid.clone())
                .collect();
            // Where processes run, the job is `Stopping` until they have ended.
            let ms = live.is_empty().then_some(stop.ms);
            job.go_on([Phase { ms, ..named("Stopping") }, end], at_ms, &mut self.dice);
            let grace_ms = grace_ms(job);
            self.work.extend(live.into_iter().map(|uid| Work::End { uid, grace_ms }));
        }
        self.settle(number, at_ms);
        Ok(())
    }

    /// Lets a job go on with other states than it would have.
    pub fn redirect(&mut self, id: &str, phases: Vec<Phase>, at_ms: i64) -> Result<(), Refusal> {
        let number = self.number(id)?;
        if let Some(job) = self.jobs.get_mut(number) {
            job.go_on(phases, at_ms, &mut self.dice);
        }
        self.settle(number, at_ms);
        Ok(())
    }

    /// Takes a line that the process of a pod has written.
    pub fn wrote(&mut self, uid: &str, line: String, at_ms: i64) {
        let number = self.running.get(uid).copied();
        let jobs = &mut self.jobs;
        let pod = number
            .and_then(|number| jobs.get_mut(number))
            .and_then(|job| job.pods.iter_mut().find(|pod| pod.uid == uid));
        if let Some(pod) = pod {
            pod.write(at_ms, line);
        }
    }

    /// Takes the end of a pod's process: well, or how else.
    pub fn ended(&mut self, uid: &str, outcome: Result<(), String>, at_ms: i64) {
        let Some(number) = self.running.remove(uid) else { return };
        let Some(job) = self.jobs.get_mut(number) else { return };
        let well = outcome.is_ok();
        if let Some(pod) = job.pods.iter_mut().find(|pod| pod.uid == uid) {
            pod.finish(at_ms, if well { "Succeeded" } else { "Failed" }, "");
        }
        let all = job.pods.iter().all(|pod| pod.finished_ms.is_some());
        match job.status() {
            "Stopping" if all => job.step(at_ms, &mut self.dice),
            "Running" if !well || all => {
                let plan = after_process(job, outcome);
                job.go_on(plan, at_ms, &mut self.dice);
            }
            _ => {}
        }
        self.settle(number, at_ms);
    }

    /// The values of a tag under which more than one job reached `Running` and was not asked to stop, with the jobs.
    pub fn duplicates(&self, tag: &str) -> BTreeMap<String, Vec<String>> {
        let mut jobs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for job in &self.jobs {
            if let Some(value) = job.tags.get(tag)
                && job.since("Running").is_some()
                && job.stop_asked_ms.is_none()
            {
                jobs.entry(value.clone()).or_default().push(job.id.clone());
            }
        }
        jobs.retain(|_, jobs| jobs.len() > 1);
        jobs
    }
}

fn grace_ms(job: &Job) -> u64 {
    let asked = job.body.pointer("/Settings/TerminationGracePeriodSeconds").and_then(Value::as_u64);
    asked.map_or(limits::GRACE_MS, |seconds| seconds.saturating_mul(1000))
}

/// The processes of a job's pods.
fn starts(job: &Job, storage: &oss::Script) -> Vec<Work> {
    let mounts = mount::of(job, storage);
    let mut shared = BTreeMap::new();
    for (key, value) in job.body.get("Envs").and_then(Value::as_object).into_iter().flatten() {
        shared.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
    }
    for entry in job.body.get("CustomEnvs").and_then(Value::as_array).into_iter().flatten() {
        let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        shared.insert(text("Key"), text("Value"));
    }
    shared.remove("");
    let size = job.pods.len();
    job.pods
        .iter()
        .enumerate()
        .filter(|(_, pod)| pod.finished_ms.is_none())
        .map(|(rank, pod)| {
            let spec = job.specs().get(pod.spec);
            let own = spec.and_then(|spec| spec.get("UserCommand")).and_then(Value::as_str);
            let command = own.filter(|own| !own.is_empty()).unwrap_or(job.asked("UserCommand"));
            let mut variables = shared.clone();
            for (key, value) in [
                ("RANK", rank.to_string()),
                ("WORLD_SIZE", size.to_string()),
                ("MASTER_ADDR", "127.0.0.1".to_owned()),
                ("MASTER_PORT", "23456".to_owned()),
                ("JOB_ID", job.id.clone()),
                ("POD_NAME", pod.id.clone()),
            ] {
                variables.entry(key.to_owned()).or_insert(value);
            }
            Work::Start {
                uid: pod.uid.clone(),
                command: command.to_owned(),
                variables,
                mounts: mounts.clone(),
            }
        })
        .collect()
}

/// What follows when the processes of a job have ended, or one of them has failed.
fn after_process(job: &Job, outcome: Result<(), String>) -> Vec<Phase> {
    let policy = job.specs().first().and_then(|spec| spec.get("RestartPolicy")).and_then(Value::as_str);
    let restarts = matches!(policy, Some("Always" | "OnFailure")) && job.restarts < limits::RESTARTS;
    if outcome.is_err() && restarts {
        return vec![Phase { ms: Some(100), ..named("Restarting") }, named("Running")];
    }
    let mut end = named(if outcome.is_ok() { "Succeeded" } else { "Failed" });
    end.reason_message = outcome.err().unwrap_or_default();
    let reserved = job.body.pointer("/Settings/JobReservedMinutes").and_then(Value::as_i64).unwrap_or(0);
    if reserved <= 0 {
        return vec![end];
    }
    let held =
        Phase { status: format!("{}Reserving", end.status), ms: Some(reserved * 60_000), ..end.clone() };
    vec![held, end]
}
