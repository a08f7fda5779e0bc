//! One life of the process: the real dispatcher and executor, and what waits for the disk. The same steps as in
//! `runtime::shell`, without threads and time.

use super::disk::{Recorder, Snapshots};
use super::run::Bug;
use engine::command::Command;
use engine::effect::Effect;
use engine::id::{ActorId, Seq};
use engine::ports::backend::Capabilities;
use engine::time::Timestamp;
use retrial::runtime::call::Answer;
use retrial::runtime::dispatcher::{Dispatcher, Fatal, Refused};
use retrial::runtime::executor::{Calls, Executor};
use std::collections::{BTreeMap, VecDeque};

enum Release {
    Effects(Vec<Effect>),
    Reply,
}

pub struct Life {
    pub dispatcher: Dispatcher,
    pub executor: Executor,
    held: VecDeque<(Seq, Release)>,
    bug: Option<Bug>,
    /// The last record of which something was shown outside.
    pub shown: Seq,
    /// Ends that were recorded, for a planted bug.
    ends: Vec<Command>,
}

impl Life {
    pub fn new(journal: Recorder, capabilities: Capabilities, bug: Option<Bug>) -> Result<Self, Fatal> {
        let forgets: &[&str] = match bug {
            Some(Bug::LosesAnIndex) => &["unsettled", "held", "ready"],
            Some(Bug::ForgetsATrial) => &["ended_order"],
            _ => &[],
        };
        Ok(Self {
            dispatcher: Dispatcher::open(Box::new(journal), Box::new(Snapshots { forgets }))?,
            executor: Executor::new(BTreeMap::from([("fake".to_owned(), capabilities)])),
            held: VecDeque::new(),
            bug,
            shown: Seq(0),
            ends: Vec::new(),
        })
    }

    /// Everything that follows is decided, handed to the disk, and what is durable is let out.
    pub fn turn(&mut self, at: Timestamp) -> Result<Calls, Fatal> {
        for id in self.executor.woken(at) {
            self.dispatcher.touch(id);
        }
        let (seq, mut effects) = self.dispatcher.settle(at)?;
        if self.bug == Some(Bug::LosesTimers) {
            effects.retain(|effect| !matches!(effect, Effect::Wake { .. }));
        }
        if !effects.is_empty() {
            self.held.push_back((seq, Release::Effects(effects)));
        }
        self.dispatcher.flush()?;
        let mut calls = self.release(at)?;
        calls.extend(self.executor.tick(self.dispatcher.state(), at));
        self.dispatcher.keep_snapshot(false)?;
        Ok(calls)
    }

    fn release(&mut self, at: Timestamp) -> Result<Calls, Fatal> {
        let durable = self.dispatcher.journal().durable()?;
        let mut calls = Calls::new();
        let mut waiting = VecDeque::new();
        for (seq, release) in std::mem::take(&mut self.held) {
            let early = match release {
                Release::Reply => self.bug == Some(Bug::AnswersEarly),
                Release::Effects(_) => self.bug == Some(Bug::SubmitsEarly),
            };
            // In order, as the real loop does it.
            if !early && (seq > durable || !waiting.is_empty()) {
                waiting.push_back((seq, release));
                continue;
            }
            match release {
                Release::Reply => self.shown = self.shown.max(seq),
                Release::Effects(effects) => {
                    if self.bug != Some(Bug::SubmitsEarly) {
                        self.shown = self.shown.max(seq);
                    }
                    calls.extend(self.executor.begin(self.dispatcher.state(), &effects, at));
                }
            }
        }
        self.held = waiting;
        Ok(calls)
    }

    /// Somebody asks for something; the answer waits for the disk.
    pub fn ask(&mut self, command: &Command, at: Timestamp) -> Result<bool, Fatal> {
        match self.dispatcher.execute(command, ActorId::ENGINE, at) {
            Ok(seq) => {
                self.held.push_back((seq, Release::Reply));
                Ok(true)
            }
            Err(Refused::Rejected(_)) => Ok(false),
            Err(Refused::Fatal(fatal)) => Err(fatal),
        }
    }

    /// News of the backend.
    pub fn hear(&mut self, answer: Answer, at: Timestamp) -> Result<Calls, Fatal> {
        let (mut commands, calls) = self.executor.answer(self.dispatcher.state(), answer, at);
        self.plant(&mut commands);
        for command in commands {
            match self.dispatcher.execute(&command, ActorId::BACKEND, at) {
                Ok(_) | Err(Refused::Rejected(_)) => {}
                Err(Refused::Fatal(fatal)) => return Err(fatal),
            }
        }
        Ok(calls)
    }

    /// Planted bugs between the backend's news and the core.
    fn plant(&mut self, commands: &mut Vec<Command>) {
        let state = self.dispatcher.state();
        if self.bug == Some(Bug::CountsReportsTwice) {
            let again: Vec<Command> = commands
                .iter()
                .filter(|command| matches!(command, Command::ReportMetrics { .. }))
                .cloned()
                .map(|mut command| {
                    if let Command::ReportMetrics { first, points, .. } = &mut command {
                        *first += points.len() as u32;
                    }
                    command
                })
                .collect();
            let end = commands.iter().position(|c| matches!(c, Command::RecordEnded { .. }));
            let place = end.unwrap_or(commands.len());
            commands.splice(place..place, again);
        }
        if self.bug == Some(Bug::CountsLateResults) {
            for old in &self.ends {
                let Command::RecordEnded { key, outcome, ended } = old else { continue };
                let attempt = state
                    .experiment(key.experiment)
                    .and_then(|known| known.trial(key.trial))
                    .and_then(|trial| trial.attempt())
                    .filter(|attempt| attempt.number > key.attempt);
                if let Some(attempt) = attempt {
                    let mut key = *key;
                    key.attempt = attempt.number;
                    commands.push(Command::RecordEnded { key, outcome: outcome.clone(), ended: *ended });
                }
            }
            self.ends.extend(commands.iter().filter(|c| matches!(c, Command::RecordEnded { .. })).cloned());
        }
    }

    /// Keeps a snapshot if everything is durable.
    pub fn snapshot(&mut self) {
        let head = self.dispatcher.state().head();
        let bytes = serde_json::to_vec(self.dispatcher.state()).unwrap();
        let journal = self.dispatcher.journal();
        if journal.durable() == Ok(head) {
            // A cache: a disk that is about to fail may refuse it.
            let _ = journal.save_snapshot(head, &bytes);
        }
    }
}
