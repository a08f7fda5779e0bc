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
use engine::time::Span;
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
    if dry_run {
        let state = store::read(common)?;
        return shown(common, &ended_before(&state, age), None);
    }
    let (journal, _) = store::hold(common, false)?;
    let (state, _) = recover(&journal, &store::BinarySnapshots)?;
    let leaving = ended_before(&state, age);
    if leaving.is_empty() {
        return shown(common, &leaving, None);
    }
    if file.exists() {
        return Err(part::unwritten(file, &std::io::ErrorKind::AlreadyExists.into()));
    }
    let vault = Vault::of(&common.store);
    let named = secrets::named(&vault, leaving.iter().copied());
    let (written, records) = leave(common, journal, &leaving, file)?;
    // Where somebody else holds it by now they are kept.
    if let Ok((dispatcher, _)) = store::dispatcher(common, false) {
        secrets::forget(&vault, dispatcher.state(), named, now());
    }
    shown(common, &leaving, Some((file, &written, records)))
}

/// Which experiments leave by themselves, and where to.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    /// How long ago they ended at least.
    pub age: Span,
    /// The folder of the archives.
    pub folder: PathBuf,
}

impl Policy {
    /// Whether so much would leave that it is worth an archive of everything.
    pub fn is_due(&self, state: &State) -> bool {
        let leaving = ended_before(state, self.age);
        let records = |one: &&Experiment| u64::from(state.next_position(one.id) - 1);
        let records: u64 = leaving.iter().map(records).sum();
        records > 0 && records.saturating_mul(WORTHWHILE) >= state.head().0
    }

    /// Lets them leave a store that nobody holds; nothing leaves if somebody has been faster.
    pub fn follow(&self, common: &Common) -> Result<Option<Left>, Failure> {
        let (journal, _) = store::hold(common, false)?;
        let (state, _) = recover(&journal, &store::BinarySnapshots)?;
        if !self.is_due(&state) {
            return Ok(None);
        }
        let leaving = ended_before(&state, self.age);
        let time = figures::time(state.time()).replace(':', "");
        let head = hex(&journal.head_hash());
        // The same for the same history: what a kill has left under this name is written anew.
        let file = self.folder.join(format!("{time}-{}.archive", head.get(..NAME_DIGITS).unwrap_or(&head)));
        let secrets = secrets::named(&Vault::of(&common.store), leaving.iter().copied());
        leave(common, journal, &leaving, &file)?;
        Ok(Some(Left { file, secrets }))
    }
}

/// What has left by itself.
pub(super) struct Left {
    /// The archive.
    pub file: PathBuf,
    /// What secrets from configurations it names.
    pub secrets: BTreeSet<String>,
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
    let records = replace(common, journal, part, &written, ids)?;
    Ok((written, records))
}

/// The experiments that ended so long ago, the oldest end first.
fn ended_before(state: &State, age: Span) -> Vec<&Experiment> {
    let at = now();
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
