//! One job: the states it goes through, and its pods.
//!
//! A job is a function of its script and of the times at which things are done to it; it reads no clock. What must
//! be done outside (start a process, end one) is for the caller to see from its state: `world.rs`.

use super::pod::Pod;
use super::script::{Life, Phase};
use crate::dice::Dice;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// A state that a job was in.
#[derive(Debug, Clone)]
pub struct Step {
    /// What it was, and why.
    pub phase: Phase,
    /// Milliseconds since 1970.
    pub start_ms: i64,
    /// Milliseconds since 1970; absent for the present state.
    pub end_ms: Option<i64>,
}

/// A job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// What was asked for.
    pub body: Value,
    /// Its workspace.
    pub workspace: String,
    /// The access key that created it.
    pub user: String,
    /// Its tags: those of `Settings.Tags` and of `TagResources` alike.
    pub tags: BTreeMap<String, String>,
    /// The priorities it was given, and since when each holds.
    pub priorities: Vec<(i64, i64)>,
    /// All its states; never empty.
    pub steps: Vec<Step>,
    /// The states to come.
    pub plan: VecDeque<Phase>,
    /// When the present state ends.
    pub due_ms: Option<i64>,
    /// When the service ends it.
    pub deadline_ms: Option<i64>,
    /// Its pods.
    pub pods: Vec<Pod>,
    /// How often it was restarted.
    pub restarts: u32,
    /// When it was first asked to stop.
    pub stop_asked_ms: Option<i64>,
    /// Whether it was removed.
    pub deleted: bool,
    /// Whether it counts against the capacity.
    pub holds_capacity: bool,
    /// Signals that it was sent.
    pub signals: Vec<Value>,
    life: Life,
}

/// Whether a job in this state has ended and holds nothing.
pub fn is_terminal(status: &str) -> bool {
    matches!(status, "Succeeded" | "Failed" | "Stopped" | "Deleted" | "SubmitFailed")
}

/// Whether a job in this state has ended and still holds its machines.
pub fn is_reserving(status: &str) -> bool {
    matches!(status, "SucceededReserving" | "FailedReserving")
}

impl Job {
    /// A job in its first state.
    pub fn new(
        id: String,
        body: Value,
        workspace: String,
        user: &str,
        life: Life,
        at_ms: i64,
        dice: &mut Dice,
    ) -> Self {
        let priority = body.get("Priority").and_then(Value::as_i64).unwrap_or(1);
        let tags = body.pointer("/Settings/Tags").and_then(Value::as_object);
        let mut job = Self {
            id,
            workspace,
            user: user.to_owned(),
            tags: tags
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            priorities: vec![(at_ms, priority)],
            steps: Vec::new(),
            plan: life.phases.iter().cloned().collect(),
            due_ms: None,
            deadline_ms: None,
            pods: Vec::new(),
            restarts: 0,
            stop_asked_ms: None,
            deleted: false,
            holds_capacity: false,
            signals: Vec::new(),
            life,
            body,
        };
        let first = job.plan.pop_front().unwrap_or_else(|| named("Creating"));
        job.enter(first, at_ms, dice);
        job
    }

    /// The present state.
    pub fn status(&self) -> &str {
        self.steps.last().map_or("", |step| &step.phase.status)
    }

    /// The state at a time; none before it was created.
    pub fn step_at(&self, at_ms: i64) -> Option<&Step> {
        self.steps.iter().rev().find(|step| step.start_ms <= at_ms)
    }

    /// When it was created, in milliseconds since 1970.
    pub fn created_ms(&self) -> i64 {
        self.steps.first().map_or(0, |step| step.start_ms)
    }

    /// When it first was in a state.
    pub fn since(&self, status: &str) -> Option<i64> {
        self.steps.iter().find(|step| step.phase.status == status).map(|step| step.start_ms)
    }

    /// When it ended, in milliseconds since 1970.
    pub fn finished_ms(&self) -> Option<i64> {
        self.steps.iter().find(|step| is_terminal(&step.phase.status)).map(|step| step.start_ms)
    }

    /// Its priority at a time.
    pub fn priority(&self, at_ms: i64) -> i64 {
        self.priorities.iter().rev().find(|(since, _)| *since <= at_ms).map_or(1, |(_, priority)| *priority)
    }

    /// A text of what was asked for, such as `DisplayName`; empty if absent.
    pub fn asked(&self, field: &str) -> &str {
        self.body.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// Its roles.
    pub fn specs(&self) -> &[Value] {
        self.body.get("JobSpecs").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Goes on to the next state of its plan, if there is one.
    pub fn step(&mut self, at_ms: i64, dice: &mut Dice) {
        match self.plan.pop_front() {
            Some(phase) => self.enter(phase, at_ms, dice),
            None => self.due_ms = None,
        }
    }

    /// Forgets its plan and goes on with these states at once.
    pub fn go_on(&mut self, phases: impl IntoIterator<Item = Phase>, at_ms: i64, dice: &mut Dice) {
        self.plan = phases.into_iter().collect();
        self.step(at_ms, dice);
    }

    fn enter(&mut self, mut phase: Phase, at_ms: i64, dice: &mut Dice) {
        let before = self.status().to_owned();
        let status = phase.status.clone();
        if let Some(step) = self.steps.last_mut() {
            step.end_ms = Some(at_ms);
        }
        if phase.reason_code.is_empty() {
            let reason = match status.as_str() {
                "Succeeded" => "JobSucceeded",
                "Failed" => "JobFailed",
                "Stopped" => "JobStoppedByUser",
                _ => "",
            };
            reason.clone_into(&mut phase.reason_code);
        }
        let sub_status = phase.sub_status.clone();
        let lasts = phase.ms;
        self.steps.push(Step { phase, start_ms: at_ms, end_ms: None });
        match status.as_str() {
            "Creating" | "Queuing" | "Bidding" | "SubmitFailed" => {}
            "Running" => self.run(&before, at_ms, dice),
            "Restarting" => {
                self.restarts += 1;
                self.finish_pods(at_ms, "Failed", &sub_status);
            }
            "Succeeded" | "SucceededReserving" => self.finish_pods(at_ms, "Succeeded", &sub_status),
            other if is_terminal(other) || is_reserving(other) => {
                self.finish_pods(at_ms, "Failed", &sub_status);
            }
            "Stopping" => {}
            _ => self.make_pods(at_ms, dice),
        }
        self.due_ms = lasts.map(|ms| at_ms + ms);
        if let (Some(deadline), "Running" | "Restarting") = (self.deadline_ms, status.as_str()) {
            self.due_ms = Some(self.due_ms.map_or(deadline, |due| due.min(deadline)));
        }
    }

    fn run(&mut self, before: &str, at_ms: i64, dice: &mut Dice) {
        self.make_pods(at_ms, dice);
        let minutes = self.body.get("JobMaxRunningTimeMinutes").and_then(Value::as_i64).unwrap_or(0);
        if minutes > 0 && self.deadline_ms.is_none() {
            self.deadline_ms = Some(at_ms + minutes * 60_000);
        }
        for pod in &mut self.pods {
            if before == "Restarting" {
                pod.renew(dice.uuid(), at_ms);
            }
            if pod.started_ms.is_none() {
                pod.start(at_ms, &self.id, &self.life.log);
            }
        }
    }

    fn finish_pods(&mut self, at_ms: i64, status: &'static str, sub_status: &str) {
        for pod in &mut self.pods {
            pod.finish(at_ms, status, sub_status);
        }
    }

    fn make_pods(&mut self, at_ms: i64, dice: &mut Dice) {
        if !self.pods.is_empty() {
            return;
        }
        let roles: Vec<(String, i64)> = self
            .specs()
            .iter()
            .map(|spec| {
                let role = spec.get("Type").and_then(Value::as_str).unwrap_or("Worker").to_lowercase();
                (role, spec.get("PodCount").and_then(Value::as_i64).unwrap_or(1))
            })
            .collect();
        // Without a master the first worker becomes it.
        let promotes = matches!(self.asked("JobType"), "PyTorchJob" | "XGBoostJob")
            && !roles.iter().any(|(role, _)| role == "master");
        for (spec, (role, count)) in roles.into_iter().enumerate() {
            for number in 0..count {
                let (role, number) = match (promotes && role == "worker", number) {
                    (true, 0) => ("master".to_owned(), 0),
                    (true, number) => (role.clone(), number - 1),
                    (false, number) => (role.clone(), number),
                };
                let id = format!("{}-{role}-{number}", self.id);
                self.pods.push(Pod::new(id, dice.uuid(), role, spec, at_ms));
            }
        }
    }
}

/// A phase that only has a status.
pub fn named(status: &str) -> Phase {
    Phase { status: status.to_owned(), ..Phase::default() }
}
