//! What is still to be told, and up to which record the history has been looked at: one file, replaced as a whole.
//!
//! The cursor and what follows from the records up to it are written together. After a crash the records after the cursor
//! are looked at again; a message that was sent and not yet crossed out is sent again, under the same id.

use super::message::Message;
use super::target::Outcome;
use engine::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Messages that wait for one target; the oldest are given up for newer ones.
pub(super) const MAX_PENDING: usize = 100;
/// Tries of one message; with the pauses between them they take about 35 minutes.
pub(super) const MAX_TRIES: u32 = 12;
/// The pause after the first failure; it doubles with each further one, up to [`LONGEST_PAUSE`].
const PAUSE: Span = Span::from_secs(1);
const LONGEST_PAUSE: Span = Span::from_secs(300);

/// An experiment's target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) experiment: String,
    pub(super) target: String,
}

/// A message that was not delivered yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) line: Line,
    pub(super) message: Message,
    /// Tries that have failed.
    pub(super) tries: u32,
    due_ms: i64,
}

/// The best trial that a target was told of last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    line: Line,
    trial: u32,
    at_ms: i64,
    /// Whether a newer one may wait for its time.
    waits: bool,
}

/// What is on disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Outbox {
    /// The last record that was looked at.
    pub(super) cursor: u64,
    pending: Vec<Pending>,
    told: Vec<Told>,
}

/// Where the outbox of a store is.
pub(super) fn path(store: &Path) -> PathBuf {
    store.join("notify").join("outbox.json")
}

/// The last record of a store that was looked at for notifications; `None` if none ever was.
pub fn looked_at(store: &Path) -> std::io::Result<Option<u64>> {
    Ok(Outbox::load(&path(store))?.map(|outbox| outbox.cursor))
}

/// Keeps what is still to be told of one store in another one, where another record was the last to be looked at.
pub fn moved(from: &Path, to: &Path, cursor: u64) -> std::io::Result<()> {
    Outbox::load(&path(from))?.map_or(Ok(()), |outbox| Outbox { cursor, ..outbox }.save(&path(to)))
}

impl Outbox {
    /// Nothing to tell of the records up to this one.
    pub(super) fn from(cursor: u64) -> Self {
        Self { cursor, ..Self::default() }
    }

    /// Whether it holds what the other one holds, wherever their cursors are.
    pub(super) fn holds_the_same(&self, other: &Self) -> bool {
        self.pending == other.pending && self.told == other.told
    }

    /// Reads the file; nothing if there is none.
    pub(super) fn load(path: &Path) -> std::io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file, durably.
    pub(super) fn save(&self, path: &Path) -> std::io::Result<()> {
        let dir = path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(dir)?;
        let draft = path.with_extension("new");
        let mut file = File::create(&draft)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(dir)?.sync_all()
    }

    /// Puts in a message. Gives back one that has to make room for it.
    pub(super) fn add(&mut self, line: Line, message: Message, at: Timestamp) -> Option<Pending> {
        let same = |pending: &Pending| pending.line == line;
        if self.pending.iter().any(|pending| same(pending) && pending.message.id == message.id) {
            return None;
        }
        let full = self.pending.iter().filter(|pending| same(pending)).count() >= MAX_PENDING;
        let oldest = self.pending.iter().position(same).filter(|_| full);
        let dropped = oldest.map(|oldest| self.pending.remove(oldest));
        self.pending.push(Pending { line, message, tries: 0, due_ms: at.0 });
        dropped
    }

    /// What can be sent now: for each target its oldest message, unless one is under way or its time has not come.
    pub(super) fn due(&self, busy: &BTreeSet<Line>, at: Timestamp) -> Vec<Pending> {
        let mut seen = busy.clone();
        let first = self.pending.iter().filter(|pending| seen.insert(pending.line.clone()));
        first.filter(|pending| pending.due_ms <= at.0).cloned().collect()
    }

    /// When something is due, with nothing of the busy targets.
    pub(super) fn next_time(&self, busy: &BTreeSet<Line>) -> Option<Timestamp> {
        let mut seen = busy.clone();
        let first = self.pending.iter().filter(|pending| seen.insert(pending.line.clone()));
        first.map(|pending| pending.due_ms).min().map(Timestamp)
    }

    /// Whether a message was never tried.
    pub(super) fn is_fresh(&self) -> bool {
        // What waits behind a message that failed waits with it.
        let mut seen = BTreeSet::new();
        let mut first = self.pending.iter().filter(|pending| seen.insert(&pending.line));
        first.any(|pending| pending.tries == 0)
    }

    /// Takes in what became of a try. Gives what a person should know.
    pub(super) fn settle(&mut self, tried: &Pending, outcome: &Outcome, at: Timestamp) -> Option<String> {
        let same = |pending: &Pending| pending.line == tried.line && pending.message.id == tried.message.id;
        let place = self.pending.iter().position(same)?;
        let experiment = &tried.message.experiment;
        match outcome {
            Outcome::Delivered => {
                self.pending.remove(place);
                None
            }
            Outcome::Never(why) => {
                self.pending.remove(place);
                Some(format!("a notification of {experiment} is given up: {why}"))
            }
            Outcome::Later(why) => {
                let pending = self.pending.get_mut(place)?;
                pending.tries += 1;
                if pending.tries >= MAX_TRIES {
                    self.pending.remove(place);
                    return Some(format!(
                        "a notification of {experiment} is given up after {MAX_TRIES} tries: {why}"
                    ));
                }
                let pause = PAUSE.0.saturating_mul(1 << (pending.tries - 1).min(20)).min(LONGEST_PAUSE.0);
                pending.due_ms = at.after(Span(pause)).0;
                (pending.tries == 1).then(|| {
                    format!("a notification of {experiment} was not delivered, and is sent again: {why}")
                })
            }
        }
    }

    /// Drops what waits for targets that their experiments no longer have.
    pub(super) fn keep_to(&mut self, has: impl Fn(&Line) -> bool) {
        self.pending.retain(|pending| has(&pending.line));
        self.told.retain(|told| has(&told.line));
    }

    /// Whether a target is to be told of this best trial now. `ended` are the trials that have just ended: where nothing was
    /// told before, only one of them is news. If it is too early, the target waits.
    pub(super) fn is_news(
        &mut self,
        line: &Line,
        best: u32,
        ended: &BTreeSet<u32>,
        every: Span,
        at: Timestamp,
    ) -> bool {
        let Some(told) = self.told.iter_mut().find(|told| told.line == *line) else {
            if ended.contains(&best) {
                self.told.push(Told { line: line.clone(), trial: best, at_ms: at.0, waits: false });
            }
            return ended.contains(&best);
        };
        let early = at < Timestamp(told.at_ms).after(every);
        told.waits = told.trial != best && early;
        if told.trial == best || early {
            return false;
        }
        told.trial = best;
        told.at_ms = at.0;
        true
    }

    /// The targets for which a newer best trial may wait, and since when they were told of one.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&Line, Timestamp)> {
        self.told.iter().filter(|told| told.waits).map(|told| (&told.line, Timestamp(told.at_ms)))
    }

    /// An experiment has ended: what was told of it is told with its end.
    pub(super) fn ended(&mut self, experiment: &str) {
        self.told.retain(|told| told.line.experiment != experiment);
    }

    /// Which experiments something waits for.
    pub(super) fn experiments(&self) -> BTreeSet<String> {
        let pending = self.pending.iter().map(|pending| &pending.line);
        pending.chain(self.told.iter().map(|told| &told.line)).map(|line| line.experiment.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Kind;
    use super::*;
    use serde_json::{Value, json};

    const EVERY: Span = Span::from_secs(60);

    fn line(target: &str) -> Line {
        Line { experiment: "kq3m2x7a".to_owned(), target: target.to_owned() }
    }

    fn message(id: u64) -> Message {
        Message {
            id: format!("kq3m2x7a-{id}"),
            event: Kind::Ended,
            time: String::new(),
            experiment: "kq3m2x7a".to_owned(),
            name: String::new(),
            status: String::new(),
            reason: None,
            best: Value::Null,
            front: None,
            trials: json!({}),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000)
    }

    fn sent(outbox: &Outbox, seconds: i64) -> Vec<String> {
        outbox.due(&BTreeSet::new(), at(seconds)).into_iter().map(|one| one.message.id).collect()
    }

    #[test]
    fn messages_of_a_target_go_in_order_and_targets_do_not_wait_for_each_other() {
        let mut outbox = Outbox::default();
        for (target, id) in [("a", 1), ("a", 2), ("b", 3), ("a", 2)] {
            assert_eq!(outbox.add(line(target), message(id), at(0)), None);
        }
        assert_eq!(sent(&outbox, 0), ["kq3m2x7a-1", "kq3m2x7a-3"]);
        assert_eq!(outbox.due(&[line("a")].into(), at(0)).len(), 1);
        let first = outbox.due(&BTreeSet::new(), at(0)).remove(0);
        assert_eq!(outbox.settle(&first, &Outcome::Delivered, at(0)), None);
        assert_eq!(sent(&outbox, 0), ["kq3m2x7a-2", "kq3m2x7a-3"]);
    }

    #[test]
    fn a_failed_try_is_repeated_with_growing_pauses_and_given_up_in_the_end() {
        let mut outbox = Outbox::default();
        outbox.add(line("a"), message(1), at(0));
        let (mut now, mut pauses, mut told) = (at(0), Vec::new(), Vec::new());
        assert!(outbox.is_fresh());
        while let Some(due) = outbox.next_time(&BTreeSet::new()) {
            pauses.push(due.since(now).0 / 1_000);
            now = due;
            let tried = outbox.due(&BTreeSet::new(), now).remove(0);
            told.extend(outbox.settle(&tried, &Outcome::Later("away".to_owned()), now));
            assert!(!outbox.is_fresh());
        }
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(told.len(), 2, "the first failure and the end: {told:?}");
        outbox.add(line("a"), message(2), at(0));
        let tried = outbox.due(&BTreeSet::new(), at(0)).remove(0);
        assert!(outbox.settle(&tried, &Outcome::Never("gone".to_owned()), at(0)).unwrap().contains("gone"));
        assert_eq!(outbox.next_time(&BTreeSet::new()), None);
    }

    #[test]
    fn a_target_that_takes_nothing_holds_back_a_bounded_number() {
        let mut outbox = Outbox::default();
        let dropped: Vec<Pending> =
            (0..MAX_PENDING as u64 + 3).filter_map(|id| outbox.add(line("a"), message(id), at(0))).collect();
        let ids: Vec<&str> = dropped.iter().map(|one| one.message.id.as_str()).collect();
        assert_eq!(ids, ["kq3m2x7a-0", "kq3m2x7a-1", "kq3m2x7a-2"]);
    }

    #[test]
    fn of_a_quick_series_of_best_trials_the_first_is_told_and_then_the_last() {
        let mut outbox = Outbox::default();
        let mut news = |best, ended: &[u32], seconds| {
            outbox.is_news(&line("a"), best, &ended.iter().copied().collect(), EVERY, at(seconds))
        };
        assert!(!news(3, &[4], 0), "3 was the best one before anybody was to be told");
        assert!(news(5, &[5], 1));
        assert!(!news(5, &[6], 2), "it is told once");
        assert!(!news(7, &[7], 3) && !news(8, &[8], 4), "too early");
        assert!(news(8, &[], 61));
        assert!(!news(8, &[], 62));
        assert_eq!(outbox.waiting().count(), 0);
    }

    #[test]
    fn what_is_on_disk_is_what_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify/outbox.json");
        assert_eq!(Outbox::load(&path).unwrap(), None);
        let mut outbox = Outbox::from(7);
        outbox.add(line("a"), message(1), at(0));
        outbox.is_news(&line("a"), 1, &[1].into(), EVERY, at(0));
        outbox.is_news(&line("a"), 2, &[2].into(), EVERY, at(1));
        outbox.save(&path).unwrap();
        let read = Outbox::load(&path).unwrap().unwrap();
        assert_eq!(read, outbox);
        assert_eq!(read.waiting().count(), 1);
        fs::write(&path, "{").unwrap();
        assert!(Outbox::load(&path).is_err());
    }
}
