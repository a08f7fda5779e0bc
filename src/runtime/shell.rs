//! Threads, time and real backends around the synchronous runtime.

use super::call::{Answer, Call};
use super::complaints::Trouble;
use super::dispatcher::{Dispatcher, Fatal, Refused};
use super::executor::{Calls, Executor};
use crate::metrics::Metrics;
use crate::traces;
use engine::command::Command;
use engine::effect::Effect;
use engine::id::{ActorId, ExperimentId, Seq};
use engine::ports::backend::Backend;
use engine::ports::journal::{JournalError, Room};
use engine::state::State;
use engine::time::{Span, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// Messages taken in before the state is settled.
const MAX_ROUND: usize = 1_024;
/// Calls of one backend under way at once: as many reads, as many submissions with the searches for them, and as many
/// others, so that neither a poll nor a stop waits for thousands of submissions or reads.
const MAX_CALLS: usize = 64;
/// Time between two looks at the room on the store's device.
const ROOM_INTERVAL: Span = Span::from_secs(10);
/// Longest sleep: clocks may be set.
const MAX_SLEEP: Duration = Duration::from_mins(1);

/// The machine's clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Tells whoever asked.
type Telling = Box<dyn FnOnce() + Send>;
type Query = Box<dyn FnOnce(&Runtime) -> Telling + Send>;
type Work = Box<dyn FnOnce(&mut Dispatcher) -> Result<Telling, Fatal> + Send>;

enum Message {
    Command { command: Command, actor: Option<String>, reply: oneshot::Sender<Result<Seq, Refused>> },
    Work(Work),
    Query(Query),
    Answer(Answer),
    Changed(String),
    Durable,
    Hold { reply: oneshot::Sender<()> },
    Close { reply: oneshot::Sender<()> },
}

/// The runtime has ended.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the engine has stopped")]
pub struct Gone;

/// Speaks to the runtime. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    inbox: mpsc::UnboundedSender<Message>,
    durable: watch::Receiver<Seq>,
}

impl Handle {
    /// Executes a command; returns when what it did is durable.
    pub async fn execute(
        &self,
        command: Command,
        actor: Option<String>,
    ) -> Result<Result<Seq, Refused>, Gone> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Command { command, actor, reply }).map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    /// Works on the engine in one piece: nothing else happens in between. The answer is given when everything that was done is
    /// durable; an error ends the engine.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Dispatcher) -> Result<T, Fatal> + Send + 'static,
    ) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |dispatcher| {
            let done = work(dispatcher)?;
            Ok(Box::new(move || {
                // Whoever asked may have gone.
                let _ = reply.send(done);
            }))
        });
        self.inbox.send(Message::Work(work)).map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    /// Looks at the state; the answer is given when everything that it may show is durable.
    pub async fn query<T: Send + 'static>(
        &self,
        look: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        self.look(move |runtime| look(runtime.dispatcher.state())).await
    }

    /// The same, also at what keeps experiments from going on now, which is in no state.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Runtime) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        let query: Query = Box::new(move |runtime| {
            let seen = look(runtime);
            Box::new(move || {
                // Whoever asked may have gone.
                let _ = reply.send(seen);
            })
        });
        self.inbox.send(Message::Query(query)).map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    /// The last record that is known to be durable.
    pub fn durable(&self) -> Seq {
        *self.durable.borrow()
    }

    /// Waits until more has become durable.
    pub async fn changed(&mut self) -> Result<Seq, Gone> {
        self.durable.changed().await.map_err(|_| Gone)?;
        Ok(*self.durable.borrow_and_update())
    }

    /// From now on starts nothing; what runs is seen to as before.
    pub async fn hold(&self) -> Result<(), Gone> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Hold { reply }).map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    /// Ends the runtime in good order; running tasks are left to the next process.
    pub async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self.inbox.send(Message::Close { reply }).is_ok() {
            let _ = answer.await;
        }
    }
}

/// The runtime of one store.
pub struct Runtime {
    dispatcher: Dispatcher,
    executor: Executor,
    backends: BTreeMap<String, Arc<dyn Backend>>,
    permits: BTreeMap<String, Permits>,
    inbox: mpsc::UnboundedReceiver<Message>,
    sender: mpsc::UnboundedSender<Message>,
    durable: watch::Sender<Seq>,
    held: VecDeque<(Seq, Release)>,
    room: Room,
    room_due: Timestamp,
    metrics: Arc<Metrics>,
    /// The last record of each part that was handed to the journal and is not known to be durable, and since when.
    handed: VecDeque<(Seq, Instant)>,
}

/// What bounds the calls of one backend.
struct Permits {
    reads: Arc<Semaphore>,
    submissions: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

impl Default for Permits {
    fn default() -> Self {
        let new = || Arc::new(Semaphore::new(MAX_CALLS));
        Self { reads: new(), submissions: new(), others: new() }
    }
}

impl Permits {
    fn of(&self, call: &Call) -> Arc<Semaphore> {
        Arc::clone(match call {
            Call::Read { .. } | Call::List { .. } => &self.reads,
            Call::Submit { .. } | Call::Find { .. } => &self.submissions,
            Call::Poll { .. } | Call::Stop { .. } => &self.others,
        })
    }
}

/// What waits for the durable watermark.
enum Release {
    Effects(Vec<Effect>),
    Reply(oneshot::Sender<Result<Seq, Refused>>),
    Shown(Box<dyn FnOnce() + Send>),
}

impl Runtime {
    /// A runtime over a recovered dispatcher, and the handle to it. [`Runtime::run`] must be polled for anything to happen.
    pub fn new(mut dispatcher: Dispatcher, backends: BTreeMap<String, Arc<dyn Backend>>) -> (Self, Handle) {
        let (sender, inbox) = mpsc::unbounded_channel();
        let (durable, progress) = watch::channel(dispatcher.state().head());
        let executor = Executor::new(
            backends.iter().map(|(name, backend)| (name.clone(), backend.capabilities())).collect(),
        );
        let notify = sender.clone();
        dispatcher.journal().on_durable(Arc::new(move |_progress: &Result<Seq, JournalError>| {
            // The loop reads the watermark itself.
            let _ = notify.send(Message::Durable);
        }));
        let permits = backends.keys().map(|name| (name.clone(), Permits::default())).collect();
        let handle = Handle { inbox: sender.clone(), durable: progress };
        (
            Self {
                dispatcher,
                executor,
                backends,
                permits,
                inbox,
                sender,
                durable,
                held: VecDeque::new(),
                room: Room::Plenty,
                room_due: Timestamp::default(),
                metrics: Arc::default(),
                handed: VecDeque::new(),
            },
            handle,
        )
    }

    /// The state.
    pub const fn state(&self) -> &State {
        self.dispatcher.state()
    }

    /// What keeps an experiment from going on now.
    pub fn troubles(&self, id: ExperimentId) -> Vec<Trouble> {
        let mut troubles = self.executor.troubles(self.state(), id);
        troubles.extend(self.dispatcher.stands_still(id).map(Trouble::of_search));
        troubles
    }

    /// What it counts.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Runs until it is closed or cannot go on.
    pub async fn run(mut self) -> Result<(), Fatal> {
        let hints = self.listen();
        let result = self.turn().await;
        for hint in hints {
            hint.abort();
        }
        result
    }

    fn listen(&self) -> Vec<tokio::task::JoinHandle<()>> {
        self.backends
            .iter()
            .map(|(name, backend)| {
                let (name, backend, sender) = (name.clone(), Arc::clone(backend), self.sender.clone());
                tokio::spawn(async move {
                    loop {
                        backend.changed().await;
                        if sender.send(Message::Changed(name.clone())).is_err() {
                            break;
                        }
                    }
                })
            })
            .collect()
    }

    async fn turn(&mut self) -> Result<(), Fatal> {
        loop {
            let at = now();
            for id in self.executor.woken(at) {
                self.dispatcher.touch(id);
            }
            let began = Instant::now();
            let (seq, effects) = self.dispatcher.settle(at)?;
            self.metrics.settled(began.elapsed());
            if !effects.is_empty() {
                self.held.push_back((seq, Release::Effects(effects)));
            }
            self.hand_over(seq)?;
            self.release(at)?;
            self.metrics.waits(self.inbox.len(), self.held.len(), self.dispatcher.waiting().len());
            let calls = self.executor.tick(self.dispatcher.state(), at);
            self.perform(calls);
            self.dispatcher.keep_snapshot(false)?;
            self.watch_room(at);
            let Some(message) = self.next(at).await else { continue };
            let mut closing = self.take(message)?;
            for _ in 0..MAX_ROUND {
                let Ok(message) = self.inbox.try_recv() else { break };
                closing = closing.or(self.take(message)?);
            }
            if let Some(reply) = closing {
                self.dispatcher.settle(now())?;
                self.dispatcher.close(now())?;
                self.release(now())?;
                let _ = reply.send(());
                return Ok(());
            }
        }
    }

    /// Hands the journal what was decided up to a record.
    fn hand_over(&mut self, seq: Seq) -> Result<(), Fatal> {
        self.dispatcher.flush()?;
        if self.handed.back().is_none_or(|(last, _)| *last < seq) && seq > *self.durable.borrow() {
            self.handed.push_back((seq, Instant::now()));
        }
        Ok(())
    }

    /// Says so before the disk is full: trials whose logs find no room wait without a word.
    fn watch_room(&mut self, at: Timestamp) {
        if at < self.room_due {
            return;
        }
        self.room_due = at.after(ROOM_INTERVAL);
        let room = self.dispatcher.journal().room();
        if room == Room::Low && self.room == Room::Plenty {
            tracing::warn!(
                "the device of the store has little room left; when it is full nothing that was acknowledged is lost, but \
                 trials wait until there is room again"
            );
        }
        self.room = room;
    }

    /// The next message; `None` when it is time to look around.
    async fn next(&mut self, at: Timestamp) -> Option<Message> {
        let sleep = self
            .executor
            .next_time(self.dispatcher.state())
            .map_or(MAX_SLEEP, |next| Duration::from_millis(next.since(at).0).min(MAX_SLEEP));
        if let Ok(message) = self.inbox.try_recv() {
            return Some(message);
        }
        tokio::select! {
            message = self.inbox.recv() => message,
            () = tokio::time::sleep(sleep) => None,
        }
    }

    fn take(&mut self, message: Message) -> Result<Option<oneshot::Sender<()>>, Fatal> {
        match message {
            Message::Command { command, actor, reply } => self.command(&command, actor, reply)?,
            Message::Work(work) => {
                let told = work(&mut self.dispatcher)?;
                self.held.push_back((self.dispatcher.state().head(), Release::Shown(told)));
            }
            Message::Query(query) => {
                let shown = query(self);
                self.held.push_back((self.dispatcher.state().head(), Release::Shown(shown)));
            }
            Message::Answer(answer) => {
                let (commands, calls) = self.executor.answer(self.dispatcher.state(), answer, now());
                for command in commands {
                    match self.dispatcher.execute(&command, ActorId::BACKEND, now()) {
                        Ok(_) => {}
                        Err(Refused::Rejected(rejection)) => {
                            tracing::debug!(%rejection, "news of a backend were rejected");
                        }
                        Err(Refused::Fatal(fatal)) => return Err(fatal),
                    }
                }
                self.perform(calls);
            }
            Message::Changed(name) => self.executor.hasten(&name),
            Message::Hold { reply } => {
                self.dispatcher.hold();
                let _ = reply.send(());
            }
            Message::Durable => {}
            Message::Close { reply } => return Ok(Some(reply)),
        }
        Ok(None)
    }

    fn command(
        &mut self,
        command: &Command,
        actor: Option<String>,
        reply: oneshot::Sender<Result<Seq, Refused>>,
    ) -> Result<(), Fatal> {
        let at = now();
        let done = match actor {
            Some(name) => self.dispatcher.execute_by(&name, command, at),
            None => self.dispatcher.execute(command, ActorId::ENGINE, at),
        };
        match done {
            Ok(seq) => self.held.push_back((seq, Release::Reply(reply))),
            Err(Refused::Fatal(fatal)) => return Err(fatal),
            Err(rejected) => {
                let _ = reply.send(Err(rejected));
            }
        }
        Ok(())
    }

    /// Gives out what the durable watermark has reached.
    fn release(&mut self, at: Timestamp) -> Result<(), Fatal> {
        let durable = self.dispatcher.journal().durable()?;
        let before = *self.durable.borrow();
        // First: whoever is told of something may ask at once up to where everything is durable.
        self.durable.send_if_modified(|known| {
            let more = durable > *known;
            *known = durable;
            more
        });
        while self.held.front().is_some_and(|(seq, _)| *seq <= durable) {
            match self.held.pop_front() {
                Some((_, Release::Effects(effects))) => {
                    let calls = self.executor.begin(self.dispatcher.state(), &effects, at);
                    self.perform(calls);
                }
                Some((seq, Release::Reply(reply))) => {
                    let _ = reply.send(Ok(seq));
                }
                Some((_, Release::Shown(shown))) => shown(),
                None => break,
            }
        }
        while let Some((_, since)) = self.handed.pop_front_if(|(seq, _)| *seq <= durable) {
            self.metrics.committed(durable.0.saturating_sub(before.0), since.elapsed());
            traces::committed(since, durable.0.saturating_sub(before.0));
        }
        Ok(())
    }

    fn perform(&self, calls: Calls) {
        for (name, call) in calls {
            let Some((backend, permits)) = self.backends.get(&name).zip(self.permits.get(&name)) else {
                tracing::error!(backend = %name, "no such backend");
                continue;
            };
            let (backend, permits, sender) = (Arc::clone(backend), permits.of(&call), self.sender.clone());
            let metrics = Arc::clone(&self.metrics);
            tokio::spawn(async move {
                let (kind, planned) = (call.name(), Instant::now());
                let _permit = permits.acquire_owned().await;
                metrics.waited(&name, kind, planned.elapsed());
                let (began, traced) = (Instant::now(), traces::Calling::begin(&call));
                let answer = perform(backend.as_ref(), call).await;
                metrics.called(&name, kind, answer.outcome(), began.elapsed());
                traced.answered(&name, &answer);
                // The runtime may have ended meanwhile; what was asked is asked again by the next one.
                let _ = sender.send(Message::Answer(answer));
            });
        }
    }
}

async fn perform(backend: &dyn Backend, call: Call) -> Answer {
    match call {
        Call::Submit { order } => Answer::Submitted(order.key, backend.submit(&order).await),
        Call::Find { order } => Answer::Found(order.key, backend.find(&order).await),
        Call::Poll { jobs } => {
            let (keys, handles): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
            let states = backend.poll(&handles).await;
            Answer::Polled(keys.into_iter().zip(states).collect())
        }
        Call::Read { key, handle, source, from, limit } => {
            let chunk = backend.read(&handle, &source, from, limit).await;
            Answer::Read(key, source, chunk)
        }
        Call::List { key, handle, dir } => Answer::Listed(key, backend.list(&handle, &dir).await),
        Call::Stop { key, handle } => Answer::Stopped(key, backend.stop(&handle).await),
    }
}

/// Waits until an experiment satisfies a condition; `None` if it is not there.
pub async fn until<T: Send + 'static>(
    handle: &mut Handle,
    id: ExperimentId,
    condition: impl Fn(&engine::state::Experiment) -> Option<T> + Send + Sync + Clone + 'static,
) -> Result<Option<T>, Gone> {
    loop {
        let check = condition.clone();
        let seen = handle.query(move |state| state.experiment(id).map(check)).await?;
        match seen {
            None => return Ok(None),
            Some(Some(value)) => return Ok(Some(value)),
            Some(None) => {
                handle.changed().await?;
            }
        }
    }
}
