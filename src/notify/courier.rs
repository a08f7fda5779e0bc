//! The task that looks at the history and sends.

use super::message::{Kind, Message};
use super::outbox::{self, Line, Outbox, Pending};
use super::target::{self, Outcome};
use crate::runtime::shell::{Gone, Handle, now};
use crate::secrets::Vault;
use crate::views::present;
use backends::cloud::http::{Http, HttpSettings};
use backends::cloud::proxy::ProxySettings;
use engine::event::Event;
use engine::event::v1::{ExperimentEnd, PauseReason, TrialEnd};
use engine::id::{ExperimentId, Seq, TrialId};
use engine::spec::{Notify, Target};
use engine::state::{Experiment, ExperimentStatus, State};
use engine::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long a look at the history waits for more, so that many records are looked at once.
const GATHER: Duration = Duration::from_millis(100);
/// Records looked at together.
const BATCH: usize = 4_096;
/// Records without news after which the cursor is written all the same.
const UNWRITTEN: u64 = 100_000;
/// Longest sleep: clocks may be set.
const MAX_SLEEP: Duration = Duration::from_mins(1);
/// Until a target has answered.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of an answer.
const ANSWER_BYTES: usize = 64 << 10;

/// Speaks to the task.
#[derive(Debug)]
pub struct Courier {
    finish: mpsc::Sender<oneshot::Sender<()>>,
}

impl Courier {
    /// Starts it for a store whose engine is about to run. What an earlier process has left is sent as well.
    pub fn start(store: &Path, handle: Handle) -> Self {
        let path = outbox::path(store);
        let head = handle.durable().0;
        let loaded = Outbox::load(&path).unwrap_or_else(|error| {
            tracing::warn!("{} cannot be read, and what it held is not told: {error}", path.display());
            None
        });
        // The history may have been replaced by an older one.
        let written = loaded.filter(|outbox| outbox.cursor <= head);
        let outbox = written.clone().unwrap_or_else(|| Outbox::from(head));
        let settings = HttpSettings {
            timeout: TIMEOUT,
            answer_bound: ANSWER_BYTES,
            proxy: ProxySettings::from_environment(|name| std::env::var(name).ok()),
            ..HttpSettings::default()
        };
        let http = Http::new(&settings).map_err(|error| error.to_string());
        let (finish, asked) = mpsc::channel(1);
        let (told, results) = mpsc::unbounded_channel();
        let mut task = Task {
            written,
            http,
            vault: Vault::of(store),
            store: store.to_owned(),
            path,
            outbox,
            targets: BTreeMap::new(),
            busy: BTreeSet::new(),
            told,
        };
        if task.written.is_none() {
            // Before anything happens that would have to be told.
            task.save();
        }
        tokio::spawn(task.run(handle, asked, results));
        Self { finish }
    }

    /// Looks once more at what has happened, and waits until every message was tried, or for the time given. What was
    /// not delivered is left to the next process. Ends the task; the engine must still run.
    pub async fn finish(self, patience: Duration) {
        let (reply, done) = oneshot::channel();
        if self.finish.send(reply).await.is_ok() {
            let _ = tokio::time::timeout(patience, done).await;
        }
    }
}

/// What became of the try to send a message.
type Tried = (Pending, Outcome);

struct Task {
    /// Or why requests cannot be sent from here.
    http: Result<Http, String>,
    vault: Vault,
    store: PathBuf,
    path: PathBuf,
    outbox: Outbox,
    /// The cursor and the outbox as they were written last.
    written: Option<Outbox>,
    /// The targets of those for whom something waits.
    targets: BTreeMap<Line, Notify>,
    busy: BTreeSet<Line>,
    told: mpsc::UnboundedSender<Tried>,
}

impl Task {
    async fn run(
        mut self,
        mut handle: Handle,
        mut asked: mpsc::Receiver<oneshot::Sender<()>>,
        mut results: mpsc::UnboundedReceiver<Tried>,
    ) {
        // Whoever asked to finish; it is told by being dropped.
        let mut finishing: Option<oneshot::Sender<()>> = None;
        if self.look(&handle).await.is_err() {
            return;
        }
        loop {
            self.send(now());
            if finishing.is_some() && self.busy.is_empty() && !self.outbox.is_fresh() {
                self.save();
                return;
            }
            let sleep = self.next_time().map_or(MAX_SLEEP, |next| Duration::from_millis(next.since(now()).0));
            tokio::select! {
                changed = handle.changed(), if finishing.is_none() => {
                    tokio::time::sleep(GATHER).await;
                    if changed.is_err() || self.look(&handle).await.is_err() {
                        self.save();
                        return;
                    }
                }
                Some((tried, outcome)) = results.recv() => {
                    self.busy.remove(&tried.line);
                    if let Some(complaint) = self.outbox.settle(&tried, &outcome, now()) {
                        tracing::warn!("{complaint}");
                    }
                    self.save();
                }
                reply = asked.recv(), if finishing.is_none() => {
                    let looked = self.look(&handle).await;
                    match reply {
                        Some(reply) if looked.is_ok() => finishing = Some(reply),
                        _ => {
                            self.save();
                            return;
                        }
                    }
                }
                () = tokio::time::sleep(sleep.min(MAX_SLEEP)) => {
                    if finishing.is_none() && self.look_at_waiting(&handle).await.is_err() {
                        self.save();
                        return;
                    }
                }
            }
        }
    }

    fn next_time(&self) -> Option<Timestamp> {
        let waiting = self
            .outbox
            .waiting()
            .filter_map(|(line, told)| self.targets.get(line).map(|notify| told.after(notify.every)));
        self.outbox.next_time(&self.busy).into_iter().chain(waiting).min()
    }

    /// Looks at everything that has become durable since the last time.
    async fn look(&mut self, handle: &Handle) -> Result<(), Gone> {
        let waits = self.outbox.experiments();
        let (head, anybody, targets) = handle
            .query(move |state: &State| {
                let anybody = state.experiments().any(|experiment| !experiment.spec.notify.is_empty());
                let known = waits.iter().filter_map(|id| state.experiment(id.parse().ok()?));
                (state.head(), anybody, known.flat_map(lines).collect::<BTreeMap<Line, Notify>>())
            })
            .await?;
        self.keep_to(targets);
        if !anybody {
            self.outbox.cursor = head.0;
        }
        while self.outbox.cursor < head.0 {
            let Some((last, happened)) = self.read().await else { break };
            self.take(handle, happened).await?;
            self.outbox.cursor = last.0;
        }
        self.look_at_waiting(handle).await?;
        let before = self.written.as_ref();
        let news = before.is_none_or(|before| !before.holds_the_same(&self.outbox));
        let behind = before.map_or(0, |before| self.outbox.cursor.saturating_sub(before.cursor));
        if news || behind > UNWRITTEN {
            self.save();
        }
        Ok(())
    }

    /// The targets as experiments have them now; what waits for others is dropped.
    fn keep_to(&mut self, targets: BTreeMap<Line, Notify>) {
        self.outbox.keep_to(|line| targets.contains_key(line));
        self.targets = targets;
    }

    /// What has happened in the next records, and the last one of them; nothing if they cannot be read.
    async fn read(&self) -> Option<(Seq, Vec<Happened>)> {
        let (store, from) = (self.store.clone(), Seq(self.outbox.cursor).next());
        let read = tokio::task::spawn_blocking(move || {
            let (mut last, mut count, mut happened) = (None, 0, Vec::new());
            crate::past::records_from(&store, from, &mut |envelope| {
                last = Some(envelope.seq);
                count += 1;
                happened.extend(What::of(&envelope.event).map(|what| Happened {
                    position: envelope.position,
                    at: envelope.time,
                    experiment: envelope.experiment,
                    what,
                }));
                if count < BATCH { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .map(|()| last.map(|last| (last, happened)))
        });
        match read.await {
            Ok(Ok(found)) => found,
            Ok(Err(failure)) => {
                tracing::warn!("notifications cannot be found in the history: {}", failure.message);
                None
            }
            Err(error) => {
                tracing::warn!("notifications cannot be found in the history: {error}");
                None
            }
        }
    }

    /// Puts into the outbox what is to be told of it.
    async fn take(&mut self, handle: &Handle, happened: Vec<Happened>) -> Result<(), Gone> {
        let mut ended: BTreeMap<ExperimentId, BTreeSet<u32>> = BTreeMap::new();
        let mut edges = Vec::new();
        for one in happened {
            match one.what {
                What::Success(trial) => {
                    ended.entry(one.experiment).or_default().insert(trial.0);
                }
                _ => edges.push(one),
            }
        }
        if edges.is_empty() && ended.is_empty() {
            return Ok(());
        }
        let tried: Vec<ExperimentId> = ended.keys().copied().collect();
        let (told, best) = handle
            .query(move |state: &State| {
                let told: Vec<(Message, Vec<(Line, Notify)>)> = edges
                    .into_iter()
                    .filter_map(|one| {
                        let experiment = state.experiment(one.experiment)?;
                        Some((one.message(experiment), lines(experiment)))
                    })
                    .collect();
                (told, tried.iter().filter_map(|id| leader(state.experiment(*id)?)).collect::<Vec<_>>())
            })
            .await?;
        // A best trial comes before the end that it brings.
        let none = BTreeSet::new();
        for leader in best {
            let ids = ended.get(&leader.experiment).unwrap_or(&none);
            self.tell_best(leader, ids);
        }
        for (message, lines) in told {
            for (line, notify) in lines {
                if message.event.concerns(&notify.on) {
                    self.add(line, notify, message.clone());
                }
            }
            if matches!(message.event, Kind::Ended | Kind::Failed) {
                self.outbox.ended(&message.experiment);
            }
        }
        Ok(())
    }

    /// Tells of best trials that had to wait.
    async fn look_at_waiting(&mut self, handle: &Handle) -> Result<(), Gone> {
        let at = now();
        let due: BTreeSet<ExperimentId> = self
            .outbox
            .waiting()
            .filter(|(line, told)| {
                self.targets.get(line).is_some_and(|notify| told.after(notify.every) <= at)
            })
            .filter_map(|(line, _)| line.experiment.parse().ok())
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let best = handle
            .query(move |state: &State| {
                due.iter().filter_map(|id| leader(state.experiment(*id)?)).collect::<Vec<_>>()
            })
            .await?;
        for leader in best {
            self.tell_best(leader, &BTreeSet::new());
        }
        Ok(())
    }

    fn tell_best(&mut self, leader: Leader, ended: &BTreeSet<u32>) {
        for (line, notify) in leader.lines {
            if !Kind::Best.concerns(&notify.on) {
                continue;
            }
            if self.outbox.is_news(&line, leader.trial, ended, notify.every, now()) {
                self.add(line, notify, leader.message.clone());
            } else {
                // It may wait.
                self.targets.insert(line, notify);
            }
        }
    }

    fn add(&mut self, line: Line, notify: Notify, message: Message) {
        self.targets.insert(line.clone(), notify);
        if let Some(dropped) = self.outbox.add(line, message, now()) {
            tracing::warn!("too many notifications wait: one of {} is given up", dropped.message.experiment);
        }
    }

    /// Begins to send what is due.
    fn send(&mut self, at: Timestamp) {
        for pending in self.outbox.due(&self.busy, at) {
            let Some(notify) = self.targets.get(&pending.line) else { continue };
            self.busy.insert(pending.line.clone());
            let (http, vault, target) = (self.http.clone(), self.vault.clone(), notify.target.clone());
            let told = self.told.clone();
            tokio::spawn(async move {
                let outcome = deliver(&http, &vault, &target, &pending.message).await;
                // Nobody listens once the task has ended; the outbox still holds it.
                let _ = told.send((pending, outcome));
            });
        }
    }

    /// Writes the outbox. That it cannot is told once; messages are sent all the same, perhaps twice.
    fn save(&mut self) {
        match self.outbox.save(&self.path) {
            Ok(()) => self.written = Some(self.outbox.clone()),
            Err(error) => tracing::warn!("{} cannot be written: {error}", self.path.display()),
        }
    }
}

async fn deliver(http: &Result<Http, String>, vault: &Vault, to: &Target, message: &Message) -> Outcome {
    let request = match target::request(to, message, vault, now()) {
        Ok(request) => request,
        Err(why) => return Outcome::Later(why),
    };
    let http = match http {
        Ok(http) => http,
        Err(why) => return Outcome::Later(why.clone()),
    };
    match http.send(&request).await {
        Ok(answer) => target::judge(to, &answer, &request.url),
        Err(error) => Outcome::Later(format!("{}: {error}", target::word(to))),
    }
}

/// What of the history may be told.
#[derive(Debug)]
enum What {
    Ended { status: ExperimentEnd, reason: String },
    Paused { failure: String },
    Success(TrialId),
}

impl What {
    fn of(event: &Event) -> Option<Self> {
        match event {
            Event::ExperimentEnded(ended) => {
                Some(Self::Ended { status: ended.status.clone(), reason: present::end_reason(&ended.reason) })
            }
            Event::ExperimentPaused(paused) => match &paused.reason {
                reason @ PauseReason::Brake { .. } => {
                    Some(Self::Paused { failure: present::pause_reason(reason) })
                }
                PauseReason::Asked => None,
            },
            Event::TrialEnded(ended) if ended.status == TrialEnd::Succeeded => {
                Some(Self::Success(ended.trial))
            }
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Happened {
    /// In the experiment, where it stays what it is when records get other numbers.
    position: u32,
    at: Timestamp,
    experiment: ExperimentId,
    what: What,
}

impl Happened {
    /// What is told of it. How the experiment stands may be newer than what has happened.
    fn message(self, experiment: &Experiment) -> Message {
        let (kind, status, reason) = match self.what {
            What::Ended { status, reason } => {
                let failed = matches!(status, ExperimentEnd::Failed | ExperimentEnd::SysCanceled);
                let kind = if failed { Kind::Failed } else { Kind::Ended };
                (kind, ExperimentStatus::from(&status).as_str(), Some(reason))
            }
            What::Paused { failure } => (Kind::Paused, ExperimentStatus::Waiting.as_str(), Some(failure)),
            What::Success(_) => (Kind::Best, experiment.status.as_str(), None),
        };
        let message = Message::new(experiment, kind, &format!("event-{}", self.position), self.at);
        Message { status: status.to_owned(), reason, ..message }
    }
}

/// The best trial of an experiment and who may be told of it.
struct Leader {
    experiment: ExperimentId,
    trial: u32,
    message: Message,
    lines: Vec<(Line, Notify)>,
}

/// With several objectives there is none.
fn leader(experiment: &Experiment) -> Option<Leader> {
    let (trial, _) = experiment.best.filter(|_| !experiment.spec.notify.is_empty())?;
    let mark = format!("best-{}", trial.0);
    let message = Message::new(experiment, Kind::Best, &mark, experiment.updated);
    Some(Leader { experiment: experiment.id, trial: trial.0, message, lines: lines(experiment) })
}

/// Whom an experiment tells.
fn lines(experiment: &Experiment) -> Vec<(Line, Notify)> {
    let line =
        |notify: &Notify| Line { experiment: experiment.id.to_string(), target: target::key(&notify.target) };
    experiment.spec.notify.iter().map(|notify| (line(notify), notify.clone())).collect()
}
