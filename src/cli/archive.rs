//! Experiments that ended long ago leave the store, so that it does not grow for ever: by `audit archive`, and when a daemon starts by the
//! [`Policy`] that it was given.
//!
//! The archive is the whole history as it was, with its own chain. The store goes on with another history: the records of what stays, in
//! their order and under new numbers, and one that says which history it was before. That one is made of the archive as
//! it is read back, beside the old one, verified, and then takes its place in one step. Until then nothing has changed.

use super::args::{Common, Durability};
use super::audit::hex;
use super::part::{self, Part};
use super::{output, store};
use crate::error::{Failure, exit};
use crate::requests::me;
use crate::runtime::dispatcher::{Dispatcher, Refused, recover};
use crate::runtime::shell::now;
use crate::secrets::{self, Vault};
use crate::views::figures;
use crate::{notify, past};
use engine::command::Command;
use engine::envelope::Envelope;
use engine::event::Event;
use engine::id::{ExperimentId, Seq};
use engine::limits::MAX_COMMIT_RECORDS;
use engine::ports::journal::Journal;
use engine::state::{Experiment, State};
use engine::time::{Span, Timestamp};
use journal::{ArchiveReport, JournalError, SledJournal, read_archive};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// One of so many records has to leave before an archive is made by itself. With a half, all archives together hold at most twice
/// what was ever recorded, however often somebody looks.
const WORTHWHILE: u64 = 2;
/// Digits of the history's head in the name of its archive.
const NAME_DIGITS: usize = 16;

/// `audit archive`
pub(super) fn archive(common: &Common, file: &Path, age: Span, dry_run: bool) -> Result<u8, Failure> {
    past::exists(&common.store)?;
    is_outside(&common.store, file)?;
    if dry_run {
        let state = store::read(common)?;
        return shown(common, &ended_before(&state, age, now()), None);
    }
    let (journal, _) = store::hold(common, false)?;
    let (state, _) = recover(&journal, &store::BinarySnapshots)?;
    let leaving = ended_before(&state, age, now());
    if leaving.is_empty() {
        return shown(common, &leaving, None);
    }
    if file.exists() {
        return Err(part::unwritten(file, &std::io::ErrorKind::AlreadyExists.into()));
    }
    let (written, records) = leave(common, journal, &leaving, file)?;
    // Whoever holds the store by now has done it.
    if let Ok((dispatcher, _)) = store::dispatcher(common, false) {
        secrets::forget(&Vault::of(&common.store), dispatcher.state(), now());
    }
    shown(common, &leaving, Some((file, &written, records)))
}

/// Which experiments leave by themselves, and where to.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    /// How long ago they ended at least.
    age: Span,
    /// The folder of the archives.
    pub folder: PathBuf,
}

impl Policy {
    /// A policy for this store, unless its folder is no place for archives.
    pub fn new(store: &Path, age: Span, folder: PathBuf) -> Result<Self, Failure> {
        is_outside(store, &folder)?;
        Ok(Self { age, folder })
    }

    /// The experiments that leave: none if they are too little of the history to be worth an archive of everything.
    ///
    /// How long ago something ended is counted to the last record. So a clock that is far ahead, as some are until a machine has asked for
    /// the time, lets nothing leave; and a store in which nothing happens does not grow.
    pub fn leaving<'a>(&self, state: &'a State, now: Timestamp) -> Vec<&'a Experiment> {
        let mut leaving = ended_before(state, self.age, now.min(state.time()));
        let records: u64 = leaving.iter().map(|one| u64::from(state.next_position(one.id) - 1)).sum();
        if records.saturating_mul(WORTHWHILE) < state.head().0 {
            leaving.clear();
        }
        leaving
    }

    /// Lets them leave a store that nobody holds. Gives the archive; none if somebody has been faster.
    pub fn follow(&self, common: &Common) -> Result<Option<PathBuf>, Failure> {
        let (journal, _) = store::hold(common, false)?;
        let (state, _) = recover(&journal, &store::BinarySnapshots)?;
        let leaving = self.leaving(&state, now());
        if leaving.is_empty() {
            return Ok(None);
        }
        let time = figures::time(state.time()).replace(':', "");
        let head = hex(&journal.head_hash());
        // The same for the same history: what a kill has left under this name is written anew.
        let file = self.folder.join(format!("{time}-{}.archive", head.get(..NAME_DIGITS).unwrap_or(&head)));
        leave(common, journal, &leaving, &file)?;
        Ok(Some(file))
    }
}

/// An error if an archive would be in the folder of its store: what lies in the folders of a history goes with it.
fn is_outside(store: &Path, place: &Path) -> Result<(), Failure> {
    if !real(place)?.starts_with(real(store)?) {
        return Ok(());
    }
    Err(Failure {
        code: Some(crate::codes::IN_THE_STORE.to_string()),
        ..Failure::new(
            exit::USAGE,
            format!(
                "{} is in the folder of the store {}, whose history would take it along when it goes",
                place.display(),
                store.display()
            ),
            "name a place outside of it, best on another device",
        )
    })
}

/// A path without links, also of what is not there yet.
fn real(path: &Path) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let there = |known: &Path| Some(known.canonicalize().ok()?.join(path.strip_prefix(known).ok()?));
    Ok(path.ancestors().find_map(there).unwrap_or_else(|| path.clone()))
}

/// Lets experiments leave for an archive. Gives what was written to it, and the number of records that the store has then.
fn leave(
    common: &Common,
    journal: SledJournal,
    leaving: &[&Experiment],
    file: &Path,
) -> Result<(ArchiveReport, u64), Failure> {
    let ids = leaving.iter().map(|experiment| experiment.id).collect();
    let (part, written) = Part::write(file, |out| Ok(journal.export(out, None)?))?;
    let replace = || replace(common, journal, part, &written, ids);
    let records = secrets::leave(&Vault::of(&common.store), leaving, replace)?;
    Ok((written, records))
}

/// The experiments that ended so long ago, the oldest end first.
fn ended_before(state: &State, age: Span, at: Timestamp) -> Vec<&Experiment> {
    let old = |experiment: &&Experiment| {
        experiment.status.is_ended() && experiment.ended.is_some_and(|ended| at.since(ended) >= age)
    };
    let mut found: Vec<_> = state.experiments().filter(old).collect();
    found.sort_by_key(|experiment| (experiment.ended, experiment.id));
    found
}

fn shown(
    common: &Common,
    leaving: &[&Experiment],
    done: Option<(&Path, &ArchiveReport, u64)>,
) -> Result<u8, Failure> {
    if common.json {
        let list: Vec<_> = leaving
            .iter()
            .map(|one| {
                let ended = one.ended.map(|ended| ended.0);
                json!({"id": one.id.to_string(), "name": one.spec.name, "trials": one.trials.len(), "ended_ms": ended})
            })
            .collect();
        let archive = done.map(|(file, written, _)| {
            json!({"file": file, "records": written.records, "head": hex(&written.head_hash)})
        });
        let records = done.map(|(.., records)| records);
        output::json(&json!({"ok": true, "experiments": list, "archive": archive, "records": records}))?;
        return Ok(exit::DONE);
    }
    for one in leaving {
        let ended = one.ended.map(figures::time).unwrap_or_default();
        let trials = figures::count(one.trials.len() as u64, "trial");
        output::line(&format!("{} {} ended {ended} with {trials}", one.id, one.spec.name))?;
    }
    match done {
        None if leaving.is_empty() => output::line("no experiment ended so long ago")?,
        None => {}
        Some((file, written, records)) => output::line(&format!(
            "{} left; {} records in {}, head {}; the store has {records}",
            figures::count(leaving.len() as u64, "experiment"),
            written.records,
            file.display(),
            hex(&written.head_hash)
        ))?,
    }
    Ok(exit::DONE)
}

/// Makes the other history of the archive, and puts it in the place of this one. The archive has its name just before. Gives the
/// number of the other one's records.
fn replace(
    common: &Common,
    journal: SledJournal,
    archive: Part,
    written: &ArchiveReport,
    leaving: BTreeSet<ExperimentId>,
) -> Result<u64, Failure> {
    let place = journal.place_for_another()?;
    // What takes the place of a history is on the device first, whatever is asked for.
    let beside = Common { store: place.clone(), durability: Durability::Disk, ..common.clone() };
    let experiments = u32::try_from(leaving.len()).unwrap_or(u32::MAX);
    let looked = notify::looked_at(&common.store)?;
    let (other, _) = store::hold(&beside, true)?;
    let mut writing = Writing {
        journal: other,
        leaving,
        batch: Vec::new(),
        last: Seq(0),
        store_position: 0,
        looked: looked.unwrap_or_default(),
        cursor: 0,
    };
    let source = archive.read()?;
    let read = read_archive(&mut BufReader::with_capacity(1 << 20, source), &mut |record| {
        writing.take(record.envelope().map_err(|unreadable| unreadable.at(record.seq()))?)
    })?;
    if read != *written || read.head_hash != journal.head_hash() {
        let message = format!("{} does not read as what was written to it", archive.path().display());
        return Err(Failure::new(exit::FAILED, message, "the store is as it was; try another device"));
    }
    writing.hand_over()?;
    writing.journal.wait(writing.last)?;
    let cursor = writing.cursor;
    // Everything is replayed here, before anything depends on it.
    let mut dispatcher = Dispatcher::open(Box::new(writing.journal), Box::new(store::BinarySnapshots))?;
    let note = Command::RecordArchive { records: written.records, head: written.head_hash, experiments };
    dispatcher.execute_by(&me(), &note, now()).map_err(refused)?;
    dispatcher.close(now())?;
    let (state, head) = (dispatcher.state().digest(), dispatcher.state().head());
    drop(dispatcher);
    verify(&place, state)?;
    notify::moved(&common.store, &place, cursor)?;
    archive.complete()?;
    journal.replace_by_another()?;
    Ok(head.0)
}

fn refused(refused: Refused) -> Failure {
    match refused {
        Refused::Rejected(rejection) => rejection.into(),
        Refused::Fatal(fatal) => fatal.into(),
    }
}

/// Checks the other history as `audit verify` does.
fn verify(store: &Path, expected: engine::state::Digest) -> Result<(), Failure> {
    let mut state = State::default();
    let report = journal::verify(store, &mut |envelope| state.apply(envelope).map_err(|error| error.reason))?;
    if let Some(problem) = report.first_bad() {
        let message = format!("the new history is not as it was written: {problem}");
        return Err(Failure::new(exit::FAILED, message, "the store is as it was; look after its device"));
    }
    if state.digest() != expected {
        let message = "the new history does not lead to the state that it was written with";
        return Err(Failure::new(exit::FAILED, message, "the store is as it was; please report this"));
    }
    Ok(())
}

/// The history of what stays.
struct Writing {
    journal: SledJournal,
    leaving: BTreeSet<ExperimentId>,
    batch: Vec<Envelope>,
    last: Seq,
    store_position: u32,
    /// The last record of the old history that was looked at for notifications.
    looked: u64,
    /// The same in the new one.
    cursor: u64,
}

impl Writing {
    /// Takes the next record of the old history. Digests of the whole state are of a state that is no more.
    fn take(&mut self, old: Envelope) -> Result<(), JournalError> {
        if !self.leaving.contains(&old.experiment) && !matches!(old.event, Event::CheckpointTaken(_)) {
            let seq = self.last.next();
            // What was decided at once is of one experiment, and stands together.
            let cause = match old.cause {
                Seq(0) => Seq(0),
                cause => Seq(seq.0.saturating_sub(old.seq.0 - cause.0)),
            };
            let position = if old.experiment == ExperimentId::STORE {
                self.store_position += 1;
                self.store_position
            } else {
                old.position
            };
            if old.seq.0 <= self.looked {
                self.cursor = seq.0;
            }
            self.last = seq;
            self.batch.push(Envelope { seq, position, cause, ..old });
        }
        if self.batch.len() >= MAX_COMMIT_RECORDS { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), JournalError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.journal.append(std::mem::take(&mut self.batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::dispatcher::NoSnapshots;
    use std::os::unix::fs::symlink;

    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

    #[test]
    fn a_clock_that_is_ahead_lets_nothing_leave() {
        let store = journal::MemoryStore::default();
        let mut dispatcher = Dispatcher::open(Box::new(store.open()), Box::new(NoSnapshots)).unwrap();
        let spec = json!({
            "name": "lab", "space": {"x": {"uniform": [0, 1]}}, "objective": "maximize", "budget": {"trials": 4},
        });
        let begin = |number: u64| Command::CreateExperiment {
            experiment: ExperimentId::from_random(number),
            spec: spec.to_string(),
            seed: 1,
            labels: std::collections::BTreeMap::new(),
        };
        let day = |day: i64| Timestamp(1_790_000_000_000 + day * DAY_MS);
        dispatcher.execute_by("somebody", &begin(1), day(0)).unwrap();
        let experiment = ExperimentId::from_random(1);
        for command in [
            Command::PauseExperiment { experiment },
            Command::ResumeExperiment { experiment },
            Command::StopExperiment { experiment },
            Command::Advance { experiment },
        ] {
            dispatcher.execute_by("somebody", &command, day(0)).unwrap();
        }
        let policy = Policy { age: Span::from_secs(90 * 24 * 60 * 60), folder: PathBuf::from("archives") };
        let leaving = |dispatcher: &Dispatcher, now| policy.leaving(dispatcher.state(), now).len();
        assert_eq!(leaving(&dispatcher, day(10_000)), 0, "nothing says that so much time has passed");
        dispatcher.execute_by("somebody", &begin(2), day(91)).unwrap();
        assert_eq!(leaving(&dispatcher, day(91)), 1);
        assert_eq!(leaving(&dispatcher, day(89)), 0, "records were written under a clock that was ahead");
    }

    #[test]
    fn no_archive_is_in_its_store_however_it_is_named() {
        let lab = tempfile::tempdir().unwrap();
        let at = |name: &str| lab.path().join(name);
        for folder in ["store/db", "store-2"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        symlink(at("store/db"), at("link")).unwrap();
        symlink(at("store"), at("other")).unwrap();
        let within =
            ["store", "store/db", "store/new/a", "store-2/../store/a", "link/a", "link/new/a", "other/a"];
        for place in within {
            for store in ["store", "other"] {
                let refused = is_outside(&at(store), &at(place)).unwrap_err();
                assert_eq!((refused.exit, refused.code.as_deref()), (exit::USAGE, Some("E0654")), "{place}");
            }
        }
        for place in ["a", "store-2/a", "store.archive", "link/../../a", "new/a"] {
            is_outside(&at("store"), &at(place)).unwrap();
        }
        is_outside(&at("nowhere"), &at("a")).unwrap();
        is_outside(&at("nowhere"), &at("nowhere/a")).unwrap_err();
    }
}
