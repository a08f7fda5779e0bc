//! From whatever a crash or damage left, to two equal copies. Read [`recover`] first.
//!
//! The rule: a record that was acknowledged is in both copies or the opening fails and names it. What was never
//! acknowledged may be kept (if one copy has all of it) or cut off (if it is the torn end of the last commit).

use crate::anchor::Anchor;
use crate::bounds::SEGMENT_BYTES;
use crate::copies::{Copies, Copy, State};
use crate::error::{JournalError, on_file};
use crate::files;
use crate::mirror::{self, Mirror, SegmentFile};
use crate::record::{GENESIS, Hash, Record};
use crate::segment::{self, BEGINS, HEADER_BYTES, Item, Scan};
use crate::sled::{self, NotOpened};
use crate::table::Table;
use engine::event::READABLE;
use engine::id::Seq;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Mirrors of up to this many bytes are compared with sled in full at every opening.
const ALWAYS_COMPARED_BYTES: u64 = 2 * 1_048_576;

/// The places in a store that belong to the journal.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) store: PathBuf,
    pub(crate) db: PathBuf,
    /// What sled has yet to take.
    pub(crate) tail: PathBuf,
    pub(crate) mirror: PathBuf,
    pub(crate) snapshots: PathBuf,
    /// A file that asks the next opening for a full comparison.
    pub(crate) suspect: PathBuf,
}

impl Layout {
    pub(crate) fn of(store: &Path) -> Self {
        Self {
            store: store.to_owned(),
            db: store.join("db"),
            tail: store.join("tail"),
            mirror: store.join("mirror"),
            snapshots: store.join("snapshots"),
            suspect: store.join("suspect"),
        }
    }
}

/// One thing that was put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// In which copy.
    pub copy: Copy,
    /// The first record concerned; zero if it concerns none in particular.
    pub first: Seq,
    /// The last one.
    pub last: Seq,
    /// What was done and why.
    pub what: String,
}

impl Repair {
    pub(crate) fn note(copy: Copy, what: impl Into<String>) -> Self {
        Self { copy, first: Seq(0), last: Seq(0), what: what.into() }
    }

    /// Adds one record, joined to the entry before if that ends just before it.
    pub(crate) fn add(list: &mut Vec<Self>, copy: Copy, seq: Seq, what: String) {
        let joins = |r: &&mut Self| r.copy == copy && r.last.next() == seq && r.what == what;
        if let Some(entry) = list.iter_mut().rev().find(joins) {
            entry.last = seq;
        } else {
            list.push(Self { copy, first: seq, last: seq, what });
        }
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (Seq(0), _) => write!(f, "{}: {}", self.copy, self.what),
            (a, b) if a == b => write!(f, "{}: record {a}: {}", self.copy, self.what),
            (a, b) => write!(f, "{}: records {a} to {b}: {}", self.copy, self.what),
        }
    }
}

/// Two equal copies and where they end.
pub(crate) struct Recovered {
    pub(crate) table: Table,
    pub(crate) mirror: Mirror,
    pub(crate) head: Seq,
    pub(crate) hash: Hash,
    pub(crate) repairs: Vec<Repair>,
    /// A kind and version that this program does not know, if one was met.
    pub(crate) unknown: Option<(u16, u8)>,
}

/// The end of the mirror as its last segments show it.
struct Tail {
    /// The first record of the last segment that has any; zero if the mirror is empty.
    from: Seq,
    head: Seq,
    record: Vec<u8>,
    /// The first record of the last commit.
    commit: Seq,
    /// Whether everything in those segments is as it should be.
    sound: bool,
}

fn tail(dir: &Path) -> Result<Tail, JournalError> {
    let mut tail = Tail { from: Seq(0), head: Seq(0), record: Vec::new(), commit: Seq(0), sound: true };
    for file in mirror::segments(dir)?.iter().rev() {
        let bytes = file.read()?;
        tail.sound &= segment::header_is_intact(&bytes, file.first);
        let mut expected = file.first;
        for item in Scan::new(&bytes, file.first) {
            match item {
                Item::Record { begins, record } => {
                    if begins {
                        tail.commit = record.seq();
                    }
                    tail.sound &= record.seq() == expected;
                    expected = record.seq().next();
                    tail.head = record.seq();
                    tail.record = record.bytes().to_vec();
                }
                Item::Gap => tail.sound = false,
                Item::End { torn, .. } => tail.sound &= torn == 0,
            }
        }
        tail.from = file.first;
        if tail.head.0 > 0 {
            break;
        }
    }
    Ok(tail)
}

/// Brings both copies of the store to the same head, or says why that cannot be.
pub(crate) fn recover(layout: &Layout, durable: bool, compare_all: bool) -> Result<Recovered, JournalError> {
    files::create_dir(&layout.mirror)?;
    let mut repairs = Vec::new();
    let suspect = layout.suspect.exists();
    if Anchor::is_damaged(&layout.store)? {
        repairs.push(Repair::note(Copy::Both, "the file anchor was damaged; written anew"));
    }
    let anchor = Anchor::load(&layout.store)?;
    // sled scans its own log while the mirror's end is read.
    let (opened, tail) = std::thread::scope(|scope| {
        let opening = scope.spawn(|| Table::open(&layout.db, &layout.tail, durable));
        let tail = tail(&layout.mirror);
        (opening.join(), tail)
    });
    let tail = tail?;
    let opened = opened.unwrap_or_else(|_| Err(NotOpened::Damaged("sled panicked".to_owned())));
    let (table, rebuilt) = match opened {
        Ok(table) => (table, false),
        Err(NotOpened::Error(error)) => return Err(error),
        Err(NotOpened::Damaged(reason)) => reopen(layout, durable, &reason, anchor.as_ref(), &mut repairs)?,
    };
    let last = table.last().ok().flatten();
    let table_head = last.as_ref().map_or(Seq(0), |(seq, _)| *seq);
    let equal = tail.head == table_head && last.is_none_or(|(_, bytes)| *bytes == *tail.record);
    let small = mirror_bytes(&layout.mirror)? <= ALWAYS_COMPARED_BYTES;
    let from = if rebuilt || suspect || compare_all || small || anchor.is_none() {
        Some(Seq(1))
    } else if equal && tail.sound {
        None
    } else {
        // Neither copy is trusted further back than where they last agree.
        Some(Seq(tail.from.0.min(tail.head.0.min(table_head.0) + 1).max(1)))
    };
    let Some(from) = from else { return finish(layout, durable, table, anchor, repairs, None) };
    let unknown = unite(layout, &table, from, &mut repairs)?;
    if tail.sound {
        // A kill between the two copies of one commit is nothing to repair: nobody was told of it yet.
        repairs.retain(|r| !(r.copy == Copy::Sled && r.first >= tail.commit && r.first.0 > 0));
    }
    let mended = !rebuilt && repairs.iter().any(|r| r.copy == Copy::Sled);
    let table = if mended { reassure(layout, durable, table, &mut repairs)? } else { table };
    finish(layout, durable, table, anchor, repairs, unknown)
}

/// Makes both copies equal from `from` on, with what stands in the tail. Gives a kind that is unknown, if one was met.
fn unite(
    layout: &Layout,
    table: &Table,
    from: Seq,
    repairs: &mut Vec<Repair>,
) -> Result<Option<(u16, u8)>, JournalError> {
    let mut unknown = reconcile(layout, table, from, repairs)?;
    // What is left in the tail did not join sled's end while that end was missing.
    let taken = table.take_tail()?;
    if taken.any {
        unknown = unknown.or(reconcile(layout, table, from, repairs)?);
    }
    if taken.proof {
        let seq = table.last()?.map_or(Seq(1), |(seq, _)| seq.next());
        let reason = "neither copy has it, and there are later records".to_owned();
        return Err(JournalError::Corrupt { seq, reason });
    }
    table.clear_tail()?;
    Ok(unknown)
}

/// sled may forget what it was given if its file is damaged where it does not look until it is opened: so it is opened
/// again after a repair, and rebuilt if the repair did not last.
fn reassure(
    layout: &Layout,
    durable: bool,
    table: Table,
    repairs: &mut Vec<Repair>,
) -> Result<Table, JournalError> {
    let last = table.last()?;
    drop(table);
    let reason = match Table::open(&layout.db, &layout.tail, durable) {
        Ok(table) if table.last().is_ok_and(|again| again == last) => return Ok(table),
        Ok(_) => "it forgot what was repaired".to_owned(),
        Err(NotOpened::Damaged(reason)) => reason,
        // A sled that panicked does not let go of its file; nobody else can have it while the store's lock is ours.
        Err(NotOpened::Error(JournalError::Busy { .. })) => "it panicked on its file".to_owned(),
        Err(NotOpened::Error(error)) => return Err(error),
    };
    let table = rebuild(layout, durable, &reason, repairs)?;
    unite(layout, &table, Seq(1), &mut Vec::new())?;
    Ok(table)
}

fn mirror_bytes(dir: &Path) -> Result<u64, JournalError> {
    let mut total = 0;
    for file in mirror::segments(dir)? {
        total += fs::metadata(&file.path).map_err(|e| on_file(&file.path, "look at", &e))?.len();
    }
    Ok(total)
}

/// Opens sled after damage: without its snapshots if that is enough, else rebuilt from a complete mirror. Tells whether
/// the table is new and empty.
fn reopen(
    layout: &Layout,
    durable: bool,
    reason: &str,
    anchor: Option<&Anchor>,
    repairs: &mut Vec<Repair>,
) -> Result<(Table, bool), JournalError> {
    if sled::remove_snapshots(&layout.db)?
        && let Ok(table) = Table::open(&layout.db, &layout.tail, durable)
    {
        let what = format!("did not open ({reason}); opened without its own snapshots");
        repairs.push(Repair::note(Copy::Sled, what));
        // What it holds is compared in full.
        return Ok((table, true));
    }
    let copies = Copies { mirror: &layout.mirror, table: None, compare: false };
    let ending = copies.walk(Seq(1), Seq(u64::MAX), &mut |_| ControlFlow::Continue(()))?;
    let promised = anchor.is_some_and(|a| a.seq >= ending.next);
    if ending.beyond || promised {
        let reason = format!("sled does not open ({reason}) and the mirror is incomplete here");
        return Err(JournalError::Corrupt { seq: ending.next, reason });
    }
    Ok((rebuild(layout, durable, reason, repairs)?, true))
}

/// Moves sled's files aside and begins it anew; the mirror must be complete.
fn rebuild(
    layout: &Layout,
    durable: bool,
    reason: &str,
    repairs: &mut Vec<Repair>,
) -> Result<Table, JournalError> {
    let aside = (1..=u16::MAX)
        .map(|n| layout.store.join(format!("db.damaged.{n}")))
        .find(|path| !path.exists())
        .unwrap_or_else(|| layout.store.join("db.damaged"));
    fs::rename(&layout.db, &aside).map_err(|e| on_file(&layout.db, "move aside", &e))?;
    files::sync_dir(&layout.store)?;
    let table = match Table::open(&layout.db, &layout.tail, durable) {
        Ok(table) => table,
        Err(NotOpened::Error(error)) => return Err(error),
        Err(NotOpened::Damaged(reason)) => {
            return Err(JournalError::Io { action: "create a database".to_owned(), reason });
        }
    };
    repairs.push(Repair::note(
        Copy::Sled,
        format!("cannot be used ({reason}); moved to {} and rebuilt from the mirror", aside.display()),
    ));
    Ok(table)
}

/// Makes both copies equal from `from` on. Gives a kind that is unknown, if one was met.
fn reconcile(
    layout: &Layout,
    table: &Table,
    from: Seq,
    repairs: &mut Vec<Repair>,
) -> Result<Option<(u16, u8)>, JournalError> {
    let copies = Copies { mirror: &layout.mirror, table: Some(table), compare: true };
    let known: BTreeSet<_> = READABLE.iter().copied().collect();
    let mut unknown = None;
    let mut wrong = None;
    let mut rewrite: BTreeSet<Seq> = BTreeSet::new();
    let mut expected: Option<Hash> = (from.0 == 1).then_some(GENESIS);
    let ending = copies.walk(from, Seq(u64::MAX), &mut |step| {
        let (seq, header) = (step.record.seq(), step.record.header());
        if expected.is_some_and(|hash| hash != header.previous) {
            let reason = "it does not follow the record before it".to_owned();
            wrong = Some(JournalError::Corrupt { seq, reason });
            return ControlFlow::Break(());
        }
        expected = Some(step.record.hash());
        if !known.contains(&(header.kind, header.version)) {
            unknown = Some((header.kind, header.version));
        }
        if step.table == State::Differs {
            let reason = "both copies have it, and they differ".to_owned();
            wrong = Some(JournalError::Corrupt { seq, reason });
            return ControlFlow::Break(());
        }
        if step.table.is_bad() {
            let what = format!("{}; completed from the mirror", step.table.reason());
            Repair::add(repairs, Copy::Sled, seq, what);
            if let Err(error) = table.put(seq, step.record.bytes()) {
                wrong = Some(error);
                return ControlFlow::Break(());
            }
        }
        if step.mirror.is_bad() {
            let what = "missing or damaged; completed from sled".to_owned();
            Repair::add(repairs, Copy::Mirror, seq, what);
            rewrite.insert(step.segment.unwrap_or(seq));
        }
        ControlFlow::Continue(())
    })?;
    if let Some(error) = wrong {
        return Err(error);
    }
    if ending.beyond {
        return Err(JournalError::Corrupt { seq: ending.next, reason: ending.reason });
    }
    table.sync()?;
    for first in &ending.headers {
        repairs.push(Repair {
            last: *first,
            ..Repair::note(Copy::Mirror, "segment header damaged; written anew")
        });
    }
    rewrite.extend(ending.headers);
    rewrite_segments(layout, table, &rewrite, ending.next)?;
    if ending.torn_bytes > 0 && ending.next.0 > 0 {
        let what = format!(
            "{} bytes behind record {} were the end of a commit that was never acknowledged, or damage; cut off",
            ending.torn_bytes,
            ending.next.0 - 1
        );
        repairs.push(Repair::note(Copy::Mirror, what));
    }
    Ok(unknown)
}

/// Writes the segments that begin at or hold the given seqs anew from sled, which is complete up to before `end`.
fn rewrite_segments(
    layout: &Layout,
    table: &Table,
    which: &BTreeSet<Seq>,
    end: Seq,
) -> Result<(), JournalError> {
    let existing = mirror::segments(&layout.mirror)?;
    let mut done = Seq(0);
    for first in which {
        if *first < done {
            continue;
        }
        let until = existing.iter().map(|s| s.first).find(|s| s > first).unwrap_or(end).min(end);
        done = rewrite_range(layout, table, *first, until.max(*first))?;
    }
    Ok(())
}

fn rewrite_range(layout: &Layout, table: &Table, first: Seq, until: Seq) -> Result<Seq, JournalError> {
    let (mut begin, mut framed) = (first, Vec::new());
    let mut previous = match first.0 {
        0 | 1 => GENESIS,
        n => hash_of(layout, table, Seq(n - 1))?,
    };
    let mut before = previous;
    let mut next = first;
    while next < until {
        let bytes = table.get(next)?.ok_or_else(|| JournalError::Corrupt {
            seq: next,
            reason: "it vanished from sled while the mirror was written anew".to_owned(),
        })?;
        if (HEADER_BYTES + framed.len() + bytes.len() + 1) as u64 > SEGMENT_BYTES {
            mirror::rewrite(&layout.mirror, begin, &before, &framed)?;
            framed.clear();
            (begin, before) = (next, previous);
        }
        // Durable in sled, hence as good as acknowledged: each stands for itself.
        framed.push(BEGINS);
        framed.extend_from_slice(&bytes);
        previous = Record::exactly(&bytes).map_or(GENESIS, |r| r.hash());
        next = next.next();
    }
    mirror::rewrite(&layout.mirror, begin, &before, &framed)?;
    Ok(until)
}

fn hash_of(layout: &Layout, table: &Table, seq: Seq) -> Result<Hash, JournalError> {
    let copies = Copies { mirror: &layout.mirror, table: Some(table), compare: false };
    let bytes = copies.one(seq)?.unwrap_or_default();
    Record::exactly(&bytes)
        .map(|r| r.hash())
        .map_err(|damage| JournalError::Corrupt { seq, reason: damage.to_string() })
}

/// Checks the promise of the anchor and opens the mirror's end for appending.
fn finish(
    layout: &Layout,
    durable: bool,
    table: Table,
    anchor: Option<Anchor>,
    repairs: Vec<Repair>,
    unknown: Option<(u16, u8)>,
) -> Result<Recovered, JournalError> {
    let (head, hash) = match table.last()? {
        None => (Seq(0), GENESIS),
        Some((seq, bytes)) => {
            let record = Record::exactly(&bytes)
                .map_err(|damage| JournalError::Corrupt { seq, reason: damage.to_string() })?;
            (seq, record.hash())
        }
    };
    if let Some(anchor) = anchor {
        if anchor.seq > head {
            let reason = format!("{} records were durable once, and both copies end before it", anchor.seq);
            return Err(JournalError::Corrupt { seq: head.next(), reason });
        }
        if anchor.seq.0 > 0 && hash_of(layout, &table, anchor.seq)? != anchor.hash {
            let reason = "it is not the record that was once durable".to_owned();
            return Err(JournalError::Corrupt { seq: anchor.seq, reason });
        }
    }
    Anchor { seq: head, hash }.save(&layout.store)?;
    let last = continue_at(&layout.mirror, head, &hash)?;
    let mirror = Mirror::open(&layout.mirror, durable, last)?;
    if layout.suspect.exists() {
        fs::remove_file(&layout.suspect).map_err(|e| on_file(&layout.suspect, "remove", &e))?;
    }
    Ok(Recovered { table, mirror, head, hash, repairs, unknown })
}

/// The last segment and the offset behind its last record.
fn continue_at(dir: &Path, head: Seq, hash: &Hash) -> Result<Option<(SegmentFile, u64)>, JournalError> {
    let Some(file) = mirror::segments(dir)?.pop() else { return Ok(None) };
    let bytes = file.read()?;
    if bytes.len() < HEADER_BYTES && file.first == head.next() {
        mirror::rewrite(dir, file.first, hash, &[])?;
        return Ok(Some((file, HEADER_BYTES as u64)));
    }
    let mut scan = Scan::new(&bytes, file.first);
    for item in scan.by_ref() {
        if matches!(item, Item::End { .. } | Item::Gap) {
            break;
        }
    }
    let used = scan.offset() as u64;
    Ok(Some((file, used)))
}
