//! All instances, and what time does to them.
//!
//! Nothing here waits or reads a clock: [`World::advance`] brings the instances to a time, [`World::take_jobs`] says
//! which work is to be begun, and [`World::finished`] takes what it gave. Every answer is computed after `advance`.

use super::instance::{Instance, Outcome, Status};
use super::script::{Life, Rule, Script};
use super::sql::Failure;
use super::submission::{Submission, Work};
use super::tunnel::Sessions;
use super::warehouse::{Answer, Circumstances, Warehouse};
use crate::dice::Dice;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Work to be done.
#[derive(Debug, Clone)]
pub struct Job {
    /// The number of the instance.
    pub number: usize,
    work: Work,
    warehouse: Arc<Mutex<Warehouse>>,
    unwanted: Arc<AtomicBool>,
    now_ms: i64,
}

impl Job {
    /// Does it. This may take long.
    pub fn run(&self) -> Outcome {
        let done = match &self.work {
            Work::Sql { query, settings } => {
                let circumstances = Circumstances {
                    settings: settings.clone(),
                    now_ms: self.now_ms,
                    unwanted: Arc::clone(&self.unwanted),
                };
                self.warehouse.lock().unwrap_or_else(PoisonError::into_inner).run(query, &circumstances)
            }
            Work::Xflow { algorithm, parameters } => {
                let goes_on = || !self.unwanted.load(Ordering::SeqCst);
                super::pai::run(algorithm, parameters, &self.warehouse, self.now_ms, goes_on)
                    .map(Answer::Text)
            }
        };
        match done {
            Ok(Answer::Rows(table)) => Outcome::Rows(Arc::new(table)),
            Ok(Answer::Text(text)) => Outcome::Text(text),
            Err(failure) => Outcome::Failed(failure),
        }
    }
}

/// All instances.
#[derive(Debug)]
pub struct World {
    /// What was told.
    pub script: Script,
    /// Random choices.
    pub dice: Dice,
    /// Downloads through the tunnel.
    pub sessions: Sessions,
    warehouses: BTreeMap<String, Arc<Mutex<Warehouse>>>,
    instances: Vec<Instance>,
    by_id: BTreeMap<String, usize>,
    /// By project and what makes an instance unique.
    by_guid: BTreeMap<(String, String), usize>,
    /// Instances by the time at which something happens to them.
    due: BTreeSet<(i64, usize)>,
    /// Instances that wait for capacity, by their priority.
    waiting: BTreeSet<(i64, usize)>,
    running: usize,
    jobs: Vec<Job>,
}

impl World {
    /// A world without instances, with an empty warehouse for each project.
    pub fn new(script: Script) -> Result<Self, Failure> {
        let warehouse =
            |project: &String| Ok((project.clone(), Arc::new(Mutex::new(Warehouse::new(project)?))));
        Ok(Self {
            dice: Dice::new(script.seed),
            sessions: Sessions::default(),
            warehouses: script.projects.iter().map(warehouse).collect::<Result<_, Failure>>()?,
            script,
            instances: Vec::new(),
            by_id: BTreeMap::new(),
            by_guid: BTreeMap::new(),
            due: BTreeSet::new(),
            waiting: BTreeSet::new(),
            running: 0,
            jobs: Vec::new(),
        })
    }

    /// All instances, in the order in which they were created.
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// The instance of an id, or of the id of its only sub-instance, which ends with `s1`.
    pub fn instance(&self, project: &str, id: &str) -> Option<&Instance> {
        let parent = || id.strip_suffix("s1").and_then(|id| self.by_id.get(id));
        let number = self.by_id.get(id).or_else(parent)?;
        self.instances.get(*number).filter(|instance| instance.project.eq_ignore_ascii_case(project))
    }

    /// The instance of a number.
    pub fn numbered(&self, number: usize) -> Option<&Instance> {
        self.instances.get(number)
    }

    /// The instance that was created with something that makes it unique, if it does.
    pub fn known(&self, project: &str, submission: &Submission) -> Option<&Instance> {
        if matches!(submission.work, Work::Xflow { .. }) && !self.script.xflow_guids {
            return None;
        }
        let key = (project.to_owned(), submission.guid.clone()?);
        self.by_guid.get(&key).and_then(|number| self.instances.get(*number))
    }

    /// A project's warehouse.
    pub fn warehouse(&self, project: &str) -> Option<&Arc<Mutex<Warehouse>>> {
        self.warehouses
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(project))
            .map(|(_, warehouse)| warehouse)
    }

    /// What is to be begun; each is told once.
    pub fn take_jobs(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.jobs)
    }

    fn life(&mut self, source: &str) -> Life {
        let found = self.script.rules.iter().position(|rule| source.contains(&rule.contains));
        let Some(at) = found else { return self.script.life.clone() };
        let Some(Rule { times, life, .. }) = self.script.rules.get_mut(at) else {
            return self.script.life.clone();
        };
        let life = life.clone();
        match times {
            0 => {}
            1 => drop(self.script.rules.remove(at)),
            _ => *times -= 1,
        }
        life
    }

    /// Creates an instance and gives its number. An instant one runs already, and its job is the caller's to do.
    pub fn create(&mut self, project: &str, owner: &str, submission: Submission, now_ms: i64) -> usize {
        let number = self.instances.len();
        let time = Timestamp::from_millisecond(now_ms).unwrap_or_default();
        let id = format!("{}g{}", time.strftime("%Y%m%d%H%M%S%3f"), self.dice.characters(12));
        let life = self.life(&submission.source);
        self.by_id.insert(id.clone(), number);
        if let Some(guid) = &submission.guid {
            self.by_guid.entry((project.to_owned(), guid.clone())).or_insert(number);
        }
        let begins_ms = now_ms + life.waiting_ms.max(0);
        let instant = life.instant;
        self.instances.push(Instance {
            id,
            project: project.to_owned(),
            owner: owner.to_owned(),
            submission,
            life,
            status: Status::Waiting,
            created_ms: now_ms,
            begun_ms: None,
            ended_ms: None,
            stops_ms: None,
            starts: 0,
            outcome: None,
            unwanted: Arc::default(),
        });
        if instant {
            self.begin(number, now_ms);
        } else {
            self.due.insert((begins_ms, number));
        }
        number
    }

    /// The job of an instant instance, taken from the others.
    pub fn take_job(&mut self, number: usize) -> Option<Job> {
        let at = self.jobs.iter().position(|job| job.number == number)?;
        Some(self.jobs.remove(at))
    }

    /// Asks an instance to end; one that has ended stays as it is.
    pub fn terminate(&mut self, project: &str, id: &str, now_ms: i64) {
        let stops_ms = now_ms + self.script.stop.ms.max(0);
        let Some(number) = self.instance(project, id).and_then(|found| self.by_id.get(&found.id)).copied()
        else {
            return;
        };
        if let Some(instance) = self.instances.get_mut(number)
            && !instance.status.has_ended()
            && instance.stops_ms.is_none()
        {
            instance.stops_ms = Some(stops_ms);
            self.due.insert((stops_ms, number));
        }
        self.advance(now_ms);
    }

    /// Changes how long an instance runs; if that is over, it ends now. Gives whether there is such an instance.
    pub fn run_for(&mut self, id: &str, running_ms: i64, now_ms: i64) -> bool {
        let Some(number) = self.by_id.get(id).copied() else { return false };
        let Some(instance) = self.instances.get_mut(number) else { return false };
        instance.life.running_ms = running_ms;
        if let Some(begun_ms) = instance.begun_ms {
            let ends_ms = begun_ms.saturating_add(running_ms.max(0));
            self.due.insert((ends_ms.max(now_ms), number));
            self.advance(now_ms);
        }
        true
    }

    /// Brings all instances to a time.
    pub fn advance(&mut self, now_ms: i64) {
        while let Some((at_ms, number)) = self.due.first().copied().filter(|(at_ms, _)| *at_ms <= now_ms) {
            self.due.pop_first();
            self.step(number, at_ms);
        }
    }

    /// Lets happen to an instance what is due at a time.
    fn step(&mut self, number: usize, at_ms: i64) {
        let Some(instance) = self.instances.get(number) else { return };
        if instance.stops_ms.is_some_and(|stops| stops <= at_ms)
            && !instance.status.has_ended()
            && !self.script.stop.loses
        {
            instance.unwanted.store(true, Ordering::SeqCst);
            self.end(number, Status::Cancelled, at_ms);
            return;
        }
        match instance.status {
            Status::Waiting => {
                if self.script.capacity.is_some_and(|capacity| self.running >= capacity) {
                    self.waiting.insert((instance.submission.priority, number));
                } else {
                    self.begin(number, at_ms);
                }
            }
            Status::Running => self.end_if_done(number, at_ms),
            _ => {}
        }
    }

    fn begin(&mut self, number: usize, at_ms: i64) {
        let Some(instance) = self.instances.get_mut(number) else { return };
        instance.status = Status::Running;
        instance.begun_ms = Some(at_ms);
        self.running += 1;
        let Life { running_ms, suspends, fails, instant, .. } = &instance.life;
        if !instant {
            self.due.insert((at_ms + (*running_ms).max(0), number));
        }
        if let Some(text) = fails {
            instance.outcome = Some(Outcome::Failed(Failure(text.clone())));
        } else if !suspends {
            instance.starts += 1;
            let warehouse =
                self.warehouses.iter().find(|(name, _)| name.eq_ignore_ascii_case(&instance.project));
            if let Some((_, warehouse)) = warehouse {
                self.jobs.push(Job {
                    number,
                    work: instance.submission.work.clone(),
                    warehouse: Arc::clone(warehouse),
                    unwanted: Arc::clone(&instance.unwanted),
                    now_ms: at_ms,
                });
            }
        }
    }

    /// Takes what an instance's work has given.
    pub fn finished(&mut self, number: usize, outcome: Outcome, now_ms: i64) {
        let Some(instance) = self.instances.get_mut(number) else { return };
        if !instance.status.has_ended() {
            instance.outcome = Some(outcome);
            self.end_if_done(number, now_ms);
        }
    }

    fn end_if_done(&mut self, number: usize, at_ms: i64) {
        let Some(instance) = self.instances.get_mut(number) else { return };
        let least_ms = if instance.life.instant { 0 } else { instance.life.running_ms.max(0) };
        if at_ms < instance.begun_ms.unwrap_or(at_ms) + least_ms {
            return;
        }
        if instance.life.suspends {
            instance.status = Status::Suspended;
            return;
        }
        match &instance.outcome {
            Some(Outcome::Failed(_)) => self.end(number, Status::Failed, at_ms),
            Some(_) => self.end(number, Status::Success, at_ms),
            None => {}
        }
    }

    fn end(&mut self, number: usize, status: Status, at_ms: i64) {
        let Some(instance) = self.instances.get_mut(number) else { return };
        let held = instance.begun_ms.is_some();
        self.waiting.remove(&(instance.submission.priority, number));
        instance.status = status;
        instance.ended_ms = Some(at_ms);
        if held {
            self.running -= 1;
            if let Some((_, next)) = self.waiting.pop_first() {
                self.begin(next, at_ms);
            }
        }
    }

    /// What makes instances unique (by project), where more than one instance began its work under it.
    pub fn duplicates(&self) -> BTreeMap<String, Vec<String>> {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for instance in self.instances.iter().filter(|instance| instance.starts > 0) {
            if let Some(guid) = &instance.submission.guid {
                all.entry(format!("{}/{guid}", instance.project)).or_default().push(instance.id.clone());
            }
        }
        all.retain(|_, ids| ids.len() > 1);
        all
    }
}
