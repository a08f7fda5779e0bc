//! The loop of time: what happens next, in an order that follows from the seed.

use super::check::{self, Evidence};
use super::disk::{Recorder, Written};
use super::life::Life;
use super::plan::{Plan, act};
use super::summary::Summary;
use super::truth::{Files, world};
use backends::fake::{Draw, FakeWorld, Faults};
use engine::command::Command;
use engine::id::Seq;
use engine::ports::backend::{Capabilities, Found, Reports};
use engine::state::{ExperimentStatus, TrialStatus};
use engine::time::{Span, Timestamp};
use journal::SimulatedDisk;
use journal::simulated::Fault;
use retrial::runtime::call::{Answer, Call};
use retrial::runtime::dispatcher::Fatal;
use retrial::runtime::executor::Calls;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Callers are answered before their records are durable.
    AnswersEarly,
    /// Effects begin before their records are durable.
    SubmitsEarly,
    /// A search for a job says that there is none, without looking.
    NeverLooks,
    /// Times at which something is due are forgotten.
    LosesTimers,
    /// The end of a superseded attempt is taken for the end of the current one.
    CountsLateResults,
    /// What was read is counted twice.
    CountsReportsTwice,
    /// Indices of a snapshot are not whole.
    LosesAnIndex,
    /// The order of ends, which samplers are rebuilt from, is not whole after recovery.
    ForgetsATrial,
    /// The disk calls durable what is not.
    DiskLies,
    /// The disk gives back something else.
    DiskForges,
}

enum Happening {
    /// The disk takes a step.
    Disk,
    /// A call reaches the backend.
    Arrive(Call),
    /// Its answer comes back.
    Deliver(Answer),
    /// A person acts.
    Act,
    /// The process dies.
    Crash,
    /// The next one starts.
    Boot,
    /// Faults, crashes and people come to an end.
    Calm,
    /// Somebody looks after what waits for a person.
    Nurse,
}

/// Records, steps and virtual time that no seed should need.
const MAX_RECORDS: usize = 200_000;
const MAX_STEPS: u32 = 2_000_000;
const MAX_CALM: Span = Span::from_secs(24 * 3_600);

struct Simulation {
    plan: Plan,
    bug: Option<Bug>,
    draw: Draw,
    now: Timestamp,
    /// The error of the process's clock.
    skew: i64,
    agenda: BTreeMap<(Timestamp, u64), Happening>,
    count: u64,
    turn: Option<Timestamp>,
    disk: SimulatedDisk,
    disk_busy: bool,
    written: Written,
    shown: Seq,
    world: FakeWorld,
    files: Arc<Mutex<Files>>,
    life: Option<Life>,
    created: usize,
    calm: Option<Timestamp>,
    summary: Summary,
}

/// Runs a seed; an error says which promise was broken.
pub fn simulate(seed: u64, bug: Option<Bug>) -> Result<Summary, String> {
    let plan = Plan::new(seed);
    let (mut world, files) = world(seed, plan.idempotency, plan.faults);
    world.set_window(plan.window);
    let mut simulation = Simulation {
        plan,
        bug,
        draw: Draw::new(seed),
        now: Timestamp(1_790_000_000_000),
        skew: 0,
        agenda: BTreeMap::new(),
        count: 0,
        turn: None,
        disk: SimulatedDisk::default(),
        disk_busy: false,
        written: Written::default(),
        shown: Seq(0),
        world,
        files,
        life: None,
        created: 0,
        calm: None,
        summary: Summary::default(),
    };
    simulation.run()?;
    simulation.finish()
}

impl Simulation {
    fn later(&mut self, span: u64, what: Happening) {
        self.count += 1;
        self.agenda.insert((self.now.after(Span(span)), self.count), what);
    }

    /// A delay that is mostly short.
    fn delay(&mut self) -> u64 {
        match self.draw.below(20) {
            0 => self.draw.below(20_000),
            1..=3 => self.draw.below(1_500),
            _ => self.draw.below(60),
        }
    }

    fn clock(&self) -> Timestamp {
        Timestamp(self.now.0 + self.skew)
    }

    fn run(&mut self) -> Result<(), String> {
        let unrest = self.plan.unrest.0;
        self.later(0, Happening::Boot);
        self.later(unrest, Happening::Calm);
        for _ in 0..self.plan.acts {
            let at = self.draw.below(unrest);
            self.later(at, Happening::Act);
        }
        self.next_crash();
        for _ in 0..MAX_STEPS {
            let next = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let turn = self.turn.filter(|_| self.life.is_some());
            match (next, turn) {
                (None, None) => return Err("does not end: nothing more would ever happen".to_owned()),
                (Some(at), turn) if turn.is_none_or(|turn| at <= turn) => {
                    self.now = self.now.max(at);
                    if let Some(((..), what)) = self.agenda.pop_first() {
                        self.happen(what)?;
                    }
                }
                (_, turn) => {
                    self.now = self.now.max(turn.unwrap_or(self.now));
                    self.take_turn()?;
                }
            }
            if self.is_over() {
                return Ok(());
            }
            let late = self.calm.is_some_and(|calm| self.now.since(calm) > MAX_CALM);
            if late || self.written.lock().unwrap().len() > MAX_RECORDS {
                break;
            }
        }
        Err(self.endless())
    }

    fn is_over(&self) -> bool {
        let Some(life) = &self.life else { return false };
        self.calm.is_some()
            && self.created == self.plan.experiments.len()
            && self.disk.pending() == 0
            && life.dispatcher.state().live().next().is_none()
    }

    fn endless(&self) -> String {
        let live: Vec<String> = self
            .life
            .iter()
            .flat_map(|life| life.dispatcher.state().live())
            .map(|live| {
                let trials: Vec<_> = live
                    .active_trials()
                    .map(|trial| (trial.id, &trial.stopping, trial.attempt().and_then(|a| a.task())))
                    .collect();
                format!("{} is {}, {:?}: {trials:?}", live.id, live.status, live.end)
            })
            .collect();
        format!("an experiment does not end ({} records): {live:?}", self.written.lock().unwrap().len())
    }

    fn happen(&mut self, what: Happening) -> Result<(), String> {
        match what {
            Happening::Disk => self.step_disk(),
            Happening::Arrive(call) => {
                let answer = self.perform(call);
                let twice =
                    matches!(answer, Answer::Polled(_) | Answer::Stopped(..)) && self.draw.happens(30);
                if twice {
                    let delay = self.delay();
                    self.later(delay, Happening::Deliver(answer.clone()));
                }
                let delay = self.delay();
                self.later(delay, Happening::Deliver(answer));
            }
            Happening::Deliver(answer) => {
                let at = self.clock();
                if let Some(life) = &mut self.life {
                    let heard = life.hear(answer, at);
                    self.after(heard)?;
                }
            }
            Happening::Act if self.calm.is_none() => {
                let command = self
                    .life
                    .as_ref()
                    .and_then(|life| act(&mut self.draw, &self.plan, life.dispatcher.state()));
                match command {
                    Some(command) => self.ask(&command)?,
                    None => self.later(30_000, Happening::Act),
                }
                if self.draw.happens(60) {
                    let fault =
                        [Fault::Full, Fault::FailsToSync, Fault::AlmostFull][self.draw.below(3) as usize];
                    self.disk.set_fault(fault);
                }
            }
            Happening::Act => {}
            Happening::Crash => {
                if self.calm.is_none() {
                    self.crash();
                    self.next_crash();
                }
            }
            Happening::Boot => self.boot()?,
            Happening::Calm => {
                self.calm = Some(self.now);
                self.world.set_faults(Faults::default());
                self.disk.set_fault(Fault::None);
                self.later(1_000, Happening::Nurse);
            }
            Happening::Nurse => {
                self.nurse()?;
                self.later(60_000, Happening::Nurse);
            }
        }
        Ok(())
    }

    /// After something happened to the process: it takes a turn at once, or a little later with more.
    fn after(&mut self, result: Result<Calls, Fatal>) -> Result<(), String> {
        match result {
            Ok(calls) => {
                self.send(calls);
                let wait = if self.draw.happens(700) { 0 } else { self.draw.below(40) };
                let at = self.now.after(Span(wait));
                self.turn = Some(self.turn.map_or(at, |turn| turn.min(at)));
                Ok(())
            }
            Err(fatal) => self.die(&fatal),
        }
    }

    /// A process that cannot go on ends; only the disk may be the reason.
    fn die(&mut self, fatal: &Fatal) -> Result<(), String> {
        match fatal {
            Fatal::Journal(_) => {
                self.crash();
                Ok(())
            }
            other => Err(format!("the process ended: {other}")),
        }
    }

    fn send(&mut self, calls: Calls) {
        for (_, call) in calls {
            let delay = self.delay();
            self.later(delay, Happening::Arrive(call));
        }
    }

    fn perform(&mut self, call: Call) -> Answer {
        let (world, now) = (&mut self.world, self.now);
        match call {
            Call::Submit { order } => Answer::Submitted(order.key, world.submit(&order, now)),
            Call::Find { order } if self.bug == Some(Bug::NeverLooks) => {
                Answer::Found(order.key, Found::NoneForSure)
            }
            Call::Find { order } => Answer::Found(order.key, world.find(&order.key, now)),
            Call::Poll { jobs } => {
                let (keys, handles): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
                Answer::Polled(keys.into_iter().zip(world.poll(&handles, now)).collect())
            }
            Call::Read { key, handle, source, from, limit } => {
                // Small parts, so that lines are cut anywhere.
                let limit = limit.min(1 + self.draw.below(90) as usize);
                let chunk = world.read(&handle, &source, from, limit, now);
                Answer::Read(key, source, chunk)
            }
            Call::List { key, .. } => Answer::Listed(key, Ok(Vec::new())),
            Call::Stop { key, handle } => Answer::Stopped(key, world.stop(&handle, now)),
        }
    }

    fn take_turn(&mut self) -> Result<(), String> {
        let at = self.clock();
        let Some(life) = &mut self.life else { return Ok(()) };
        let result = life.turn(at);
        self.shown = self.shown.max(life.shown);
        match result {
            Ok(calls) => {
                let next = life.executor.next_time(life.dispatcher.state());
                if self.draw.happens(10) {
                    life.snapshot();
                }
                let sleep = next.map_or(60_000, |next| next.since(at).0).clamp(1, 60_000);
                self.turn = Some(self.now.after(Span(sleep)));
                self.send(calls);
                self.wake_disk();
                Ok(())
            }
            Err(fatal) => self.die(&fatal),
        }
    }

    fn wake_disk(&mut self) {
        if !self.disk_busy && self.disk.pending() > 0 {
            self.disk_busy = true;
            let wait = 1 + self.draw.below(self.plan.disk.0);
            self.later(wait, Happening::Disk);
        }
    }

    fn step_disk(&mut self) {
        self.disk_busy = false;
        let count = if self.draw.happens(500) { usize::MAX } else { 1 + self.draw.below(4) as usize };
        // A disk that failed stays failed until the process finds out.
        if self.disk.step(count) > 0 {
            self.wake_disk();
        }
        self.turn = Some(self.now);
    }

    fn ask(&mut self, command: &Command) -> Result<(), String> {
        let at = self.clock();
        let Some(life) = &mut self.life else { return Ok(()) };
        let asked = life.ask(command, at).map(|_| Calls::new());
        self.after(asked)
    }

    /// People come back to what is paused or in doubt.
    fn nurse(&mut self) -> Result<(), String> {
        let mut commands = Vec::new();
        for live in self.life.iter().flat_map(|life| life.dispatcher.state().live()) {
            let experiment = live.id;
            if live.status == ExperimentStatus::Waiting {
                commands.push(Command::ResumeExperiment { experiment });
            }
            let doubtful = live.active_trials().filter(|trial| trial.status == TrialStatus::Unknown);
            let trials: Vec<_> = doubtful.map(|trial| trial.id).collect();
            if !trials.is_empty() {
                commands.push(Command::StopTrials { experiment, trials });
            }
        }
        commands.iter().try_for_each(|command| self.ask(command))
    }

    fn next_crash(&mut self) {
        if let Some(mean) = self.plan.crashes {
            let wait = self.draw.below(2 * mean.0);
            self.later(wait, Happening::Crash);
        }
    }

    /// The process dies between any two steps. Calls under way arrive or are lost; answers find nobody.
    fn crash(&mut self) {
        if self.life.take().is_none() {
            return;
        }
        self.summary.crashes += 1;
        self.turn = None;
        self.disk_busy = false;
        for (when, what) in std::mem::take(&mut self.agenda) {
            match what {
                Happening::Arrive(call) => {
                    if self.draw.happens(500) {
                        self.perform(call);
                    }
                }
                Happening::Deliver(_) | Happening::Disk => {}
                other => {
                    self.agenda.insert(when, other);
                }
            }
        }
        let seed = self.draw.next();
        self.disk.crash(seed);
        let down = self.delay() * 5;
        self.later(down, Happening::Boot);
    }

    fn boot(&mut self) -> Result<(), String> {
        let inner = self.disk.open();
        let recovered = check::read_all(&inner, self.bug == Some(Bug::DiskForges))?;
        check::nothing_acknowledged_is_lost(&recovered, &self.written.lock().unwrap(), self.shown)?;
        self.written.lock().unwrap().truncate(recovered.len());
        if self.bug == Some(Bug::DiskLies) {
            self.disk.set_fault(Fault::Lies);
        }
        let forges = self.bug == Some(Bug::DiskForges);
        let journal = Recorder { inner, written: Arc::clone(&self.written), forges };
        let capabilities = Capabilities {
            idempotency: self.plan.idempotency,
            poll_batch: 3,
            poll_interval: Span(1_000),
            poll_rest: Span(12_000),
            reports: Reports::File,
        };
        // Clocks are set while nobody looks.
        self.skew = self.draw.below(6_000) as i64 - 3_000;
        match Life::new(journal, capabilities, self.bug) {
            Ok(life) => {
                check::recovery_is_replay(life.dispatcher.state(), &recovered)?;
                self.life = Some(life);
            }
            Err(fatal) => return Err(format!("the store does not open: {fatal}")),
        }
        self.turn = Some(self.now);
        self.create()
    }

    /// Whoever asked for an experiment asks again until it exists.
    fn create(&mut self) -> Result<(), String> {
        let mut commands = Vec::new();
        if let Some(life) = &self.life {
            for planned in &self.plan.experiments {
                if life.dispatcher.state().experiment(planned.id).is_none() {
                    commands.push(Command::CreateExperiment {
                        experiment: planned.id,
                        spec: planned.specs[0].clone(),
                        seed: planned.seed,
                        labels: BTreeMap::new(),
                    });
                }
            }
        }
        for command in &commands {
            self.ask(command)?;
        }
        self.created = self.plan.experiments.len();
        Ok(())
    }

    fn finish(mut self) -> Result<Summary, String> {
        let Some(life) = self.life.take() else { return Err("no process is left".to_owned()) };
        let state = life.dispatcher.state().clone();
        let starts = self.world.starts(Timestamp(i64::MAX / 2));
        let written = self.written.lock().unwrap().clone();
        let files = self.files.lock().unwrap();
        let mut evidence = Evidence {
            plan: &self.plan,
            state: &state,
            history: &written,
            starts: &starts,
            files: &files,
            world: &mut self.world,
            now: self.now,
        };
        let resampled = check::everything(&mut evidence)?;
        let mut summary = std::mem::take(&mut self.summary);
        summary.records = written.len() as u64;
        summary.started = starts.len() as u64;
        summary.resampled = resampled;
        summary.digest = state.digest().to_string();
        for envelope in &written {
            *summary.kinds.entry(envelope.event.info().name).or_default() += 1;
        }
        for experiment in state.experiments() {
            *summary.ends.entry(experiment.status).or_default() += 1;
            for trial in &experiment.trials {
                *summary.statuses.entry(trial.status).or_default() += 1;
            }
        }
        Ok(summary)
    }
}
