//! One experiment and its history, wherever it is: in a store of this machine, or at a daemon elsewhere. Begin with [`Source`].

use super::args::Common;
use super::daemon::{Daemon, encoded};
use super::output;
use super::store::{self, Follower};
use crate::error::{Failure, exit};
use crate::runtime::dispatcher::Fatal;
use crate::views::find;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use engine::envelope::Envelope;
use engine::id::{ActorId, ExperimentId, Seq};
use engine::state::{Excerpt, Experiment, State};
use journal::Record;
use serde_json::Value;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Records that are asked for at once.
const PAGE: u64 = 10_000;
/// Time between two looks at a store that another process writes.
const LOOK: Duration = Duration::from_millis(100);
/// How long the parts of a store are waited for while another history takes their place.
const EXCHANGE: Duration = Duration::from_secs(3);
/// Time between two looks at a daemon, after news; it doubles while there are none.
const FIRST_LOOK: Duration = Duration::from_millis(125);
/// The longest time between two looks at a daemon.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// An experiment, with a state in which it is, as of the last look.
pub struct Source {
    id: ExperimentId,
    of: Of,
    pause: Duration,
}

enum Of {
    /// A store, followed without holding it.
    Store { path: PathBuf, follower: Box<Follower> },
    /// A daemon, which gives this experiment only.
    Daemon(Box<There>),
}

/// What is known of an experiment of a daemon.
struct There {
    daemon: Rc<Daemon>,
    excerpt: Excerpt,
    /// The history that the numbers of records belong to.
    history: Option<String>,
    /// The record up to which the history was looked at.
    seen: Seq,
}

/// Shown a record with the state after it.
type See<'a> = &'a mut dyn FnMut(&State, &Envelope);

impl Source {
    /// The experiment that a person means.
    pub fn open(common: &Common, exp: &str) -> Result<Self, Failure> {
        match Daemon::of(common)? {
            Some(daemon) => Self::at(daemon, exp),
            None => {
                let follower = Box::new(store::follower(common)?);
                let id = find::find(&follower.state, exp)?.id;
                Ok(Self { id, of: Of::Store { path: common.store.clone(), follower }, pause: LOOK })
            }
        }
    }

    /// An experiment of a daemon.
    pub fn at(daemon: Rc<Daemon>, exp: &str) -> Result<Self, Failure> {
        let first = Page::get(&daemon, exp, Seq(0))?;
        let id = first.experiment;
        let history = first.history.clone();
        let mut there = There { daemon, excerpt: Excerpt::of(id), history, seen: Seq(0) };
        there.take(&first, &mut |_, _| ())?;
        let mut source = Self { id, of: Of::Daemon(Box::new(there)), pause: FIRST_LOOK };
        source.catch_up(&mut |_, _| ())?;
        Ok(source)
    }

    /// Which one it is.
    pub const fn id(&self) -> ExperimentId {
        self.id
    }

    /// The daemon that has it, unless it is in a store of this machine.
    pub fn daemon(&self) -> Option<&Rc<Daemon>> {
        match &self.of {
            Of::Store { .. } => None,
            Of::Daemon(there) => Some(&there.daemon),
        }
    }

    /// A state that holds the experiment.
    pub fn state(&self) -> &State {
        match &self.of {
            Of::Store { follower, .. } => &follower.state,
            Of::Daemon(there) => there.excerpt.state(),
        }
    }

    /// The experiment.
    pub fn experiment(&self) -> Result<&Experiment, Failure> {
        let gone =
            || Failure::new(exit::FAILED, format!("the experiment {} is not there any more", self.id), "");
        self.state().experiment(self.id).ok_or_else(gone)
    }

    /// The last record up to which the history was looked at.
    pub fn seen(&self) -> Seq {
        match &self.of {
            Of::Store { follower, .. } => follower.state.head(),
            Of::Daemon(there) => there.seen,
        }
    }

    /// Reads what is new, and shows what of it is of the experiment.
    pub fn catch_up(&mut self, see: See<'_>) -> Result<(), Failure> {
        let id = self.id;
        match &mut self.of {
            Of::Store { path, follower } => {
                let read = follower.catch_up(&mut |state, envelope| {
                    if envelope.experiment == id {
                        see(state, envelope);
                    }
                });
                if let Err(failure) = read {
                    **follower = overtaken(path, follower, id, see).ok_or(failure)?;
                }
            }
            Of::Daemon(there) => loop {
                let page = Page::get(&there.daemon, &id.to_string(), there.seen)?;
                if page.history != there.history {
                    there.begin_anew(id, page.history, see)?;
                    continue;
                }
                let more = page.more && page.next > there.seen;
                if !page.records.is_empty() {
                    self.pause = FIRST_LOOK;
                }
                there.take(&page, see)?;
                if !more {
                    break;
                }
            },
        }
        Ok(())
    }

    /// Reads what somebody has done just now.
    pub fn refresh(&mut self) -> Result<(), Failure> {
        match &mut self.of {
            // The store may have been opened, and what was wrong with it put right.
            Of::Store { path, follower } => **follower = Follower::open(path)?,
            Of::Daemon(_) => self.catch_up(&mut |_, _| ())?,
        }
        Ok(())
    }

    /// Visits the experiment's records again, up to the last one that its state knows.
    pub fn records(&self, visit: &mut dyn FnMut(&Envelope) -> ControlFlow<()>) -> Result<(), Failure> {
        match &self.of {
            Of::Store { follower, .. } => follower.records(&mut |envelope| {
                if envelope.experiment == self.id { visit(envelope) } else { ControlFlow::Continue(()) }
            }),
            Of::Daemon(there) => {
                let mut after = Seq(0);
                while after < there.seen {
                    let page = Page::get(&there.daemon, &self.id.to_string(), after)?;
                    there.is_of(page.history.as_deref())?;
                    for envelope in page.envelopes(&there.daemon) {
                        let envelope = envelope?;
                        if envelope.seq > there.seen || visit(&envelope).is_break() {
                            return Ok(());
                        }
                    }
                    if page.next <= after {
                        break;
                    }
                    after = page.next;
                }
                Ok(())
            }
        }
    }

    /// Waits before the next look.
    pub fn pause(&mut self) {
        std::thread::sleep(self.pause);
        if self.daemon().is_some() {
            self.pause = (self.pause * 2).min(LAST_LOOK);
        }
    }
}

const MOVED: &str = "experiments have left the store for an archive, and records have new numbers";

/// Follows the history that has taken the place of another one, and shows only what is new: an experiment's own records keep their
/// places in it. Nothing if no other history has, or if it does not hold what the former one did.
fn overtaken(path: &Path, before: &Follower, id: ExperimentId, see: See<'_>) -> Option<Follower> {
    let mut known = before.state.next_position(id);
    let began = Instant::now();
    // Both histories are whole, but their parts change places one after the other.
    while began.elapsed() < EXCHANGE {
        if before.is_overtaken() {
            let mut anew = Follower::from_start(path).ok()?;
            let read = anew.catch_up(&mut |state, envelope| {
                if envelope.experiment == id && envelope.position >= known {
                    known = envelope.position + 1;
                    see(state, envelope);
                }
            });
            if read.is_ok() {
                output::remark(&format!("note: {MOVED}; looked at anew"));
                return (anew.state.next_position(id) >= known).then_some(anew);
            }
        }
        std::thread::sleep(LOOK);
    }
    None
}

impl There {
    /// Reads the experiment again where its records have other numbers, and shows only what is new: its own records keep their places in
    /// the experiment.
    fn begin_anew(&mut self, id: ExperimentId, history: Option<String>, see: See<'_>) -> Result<(), Failure> {
        let known = self.excerpt.state().next_position(id);
        let mut anew =
            Self { daemon: Rc::clone(&self.daemon), excerpt: Excerpt::of(id), history, seen: Seq(0) };
        output::remark(&format!("note: {MOVED}; looked at anew"));
        let mut more = true;
        while more && anew.excerpt.state().next_position(id) < known {
            let page = Page::get(&anew.daemon, &id.to_string(), anew.seen)?;
            anew.is_of(page.history.as_deref())?;
            more = page.more && page.next > anew.seen;
            anew.take(&page, &mut |state, envelope| {
                if envelope.position >= known {
                    see(state, envelope);
                }
            })?;
        }
        if anew.excerpt.state().next_position(id) < known {
            let what =
                format!("the daemon has fewer records of {id} than before: its history is another one");
            return Err(Failure::new(exit::FAILED, what, "repeat the command"));
        }
        *self = anew;
        Ok(())
    }

    /// An error if numbers of records belong to another history than before.
    fn is_of(&self, history: Option<&str>) -> Result<(), Failure> {
        if history == self.history.as_deref() {
            return Ok(());
        }
        Err(Failure::new(exit::FAILED, MOVED, "repeat the command"))
    }

    fn take(&mut self, page: &Page, see: See<'_>) -> Result<(), Failure> {
        if page.head < self.seen {
            let what = format!(
                "it has {} records, and had {} before: its history is another one",
                page.head, self.seen
            );
            return Err(Failure::new(exit::FAILED, what, "repeat the command"));
        }
        for (actor, name) in &page.actors {
            self.excerpt.name(*actor, name.clone());
        }
        for envelope in page.envelopes(&self.daemon) {
            let envelope = envelope?;
            self.excerpt.apply(&envelope).map_err(|error| Failure::from(Fatal::Replay(error)))?;
            see(self.excerpt.state(), &envelope);
        }
        self.seen = page.next;
        Ok(())
    }
}

/// A part of an experiment's records.
struct Page {
    experiment: ExperimentId,
    history: Option<String>,
    records: Vec<String>,
    actors: Vec<(ActorId, String)>,
    next: Seq,
    more: bool,
    head: Seq,
}

impl Page {
    fn get(daemon: &Daemon, exp: &str, after: Seq) -> Result<Self, Failure> {
        let path = format!("/experiments/{}/records", encoded(exp));
        let page = daemon.get(&path, &[("after", &after.0), ("limit", &PAGE)])?;
        Self::read(&page).ok_or_else(|| daemon.strange("its records have another form"))
    }

    fn read(page: &Value) -> Option<Self> {
        let records = page["records"].as_array()?.iter();
        let actors = page["actors"].as_object()?.iter();
        Some(Self {
            experiment: page["experiment"].as_str()?.parse().ok()?,
            history: page["history"].as_str().map(str::to_owned),
            records: records.map(|record| record.as_str().map(str::to_owned)).collect::<Option<_>>()?,
            actors: actors
                .map(|(actor, name)| Some((ActorId(actor.parse().ok()?), name.as_str()?.to_owned())))
                .collect::<Option<_>>()?,
            next: Seq(page["next"].as_u64()?),
            more: page["more"].as_bool()?,
            head: Seq(page["head"].as_u64()?),
        })
    }

    fn envelopes<'a>(&'a self, daemon: &'a Daemon) -> impl Iterator<Item = Result<Envelope, Failure>> + 'a {
        self.records.iter().map(|text| {
            let bytes = STANDARD.decode(text).map_err(|error| daemon.strange(&error.to_string()))?;
            let record =
                Record::exactly(&bytes).map_err(|damage| daemon.strange(&format!("a record: {damage}")))?;
            record.envelope().map_err(|unreadable| daemon.strange(&unreadable.to_string()))
        })
    }
}
