//! Both copies of the history as one: what one copy lacks is taken from the other. Read [`Copies::walk`] first.

use crate::error::JournalError;
use crate::mirror::{self, SegmentFile};
use crate::record::Record;
use crate::segment::{self, Item, Scan};
use crate::table::Table;
use engine::id::Seq;
use std::ops::ControlFlow;
use std::path::Path;

/// One of the two copies of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copy {
    /// The records in sled, and those that it has yet to take.
    Sled,
    /// The records in the mirror's segment files.
    Mirror,
    /// Both.
    Both,
}

impl std::fmt::Display for Copy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Sled => "sled",
            Self::Mirror => "mirror",
            Self::Both => "both copies",
        })
    }
}

/// How one copy has a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// As it should be.
    Intact,
    /// Not at all.
    Missing,
    /// In a way that cannot be used.
    Damaged(String),
    /// Intact by its checksum, but not the same as in the mirror.
    Differs,
    /// It was not looked at.
    Unread,
}

impl State {
    /// Whether the copy needs the record from the other one.
    pub(crate) const fn is_bad(&self) -> bool {
        matches!(self, Self::Missing | Self::Damaged(_))
    }

    /// In words.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Intact => "intact",
            Self::Missing => "missing",
            Self::Damaged(reason) => reason,
            Self::Differs => "it differs from the mirror",
            Self::Unread => "not read",
        }
    }
}

/// One record of the united history.
pub(crate) struct Step<'a> {
    /// The record.
    pub(crate) record: Record<'a>,
    /// How the mirror has it.
    pub(crate) mirror: State,
    /// How sled has it.
    pub(crate) table: State,
    /// The mirror segment to which it belongs, if there is one.
    pub(crate) segment: Option<Seq>,
}

/// How a walk ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The first seq that was not visited.
    pub(crate) next: Seq,
    /// Whether there is proof that acknowledged records follow, though `next` is in neither copy.
    pub(crate) beyond: bool,
    /// Why `next` could not be had.
    pub(crate) reason: String,
    /// Bytes behind the mirror's last record that are no record.
    pub(crate) torn_bytes: usize,
    /// Segments whose header is damaged.
    pub(crate) headers: Vec<Seq>,
}

/// What a walk looks at.
#[derive(Clone, std::marker::Copy)]
pub(crate) struct Copies<'a> {
    /// The mirror's directory.
    pub(crate) mirror: &'a Path,
    /// sled, if it is at hand.
    pub(crate) table: Option<&'a Table>,
    /// Whether sled is read for every record, rather than only for those that the mirror lacks.
    pub(crate) compare: bool,
}

type Visit<'v> = &'v mut dyn FnMut(Step<'_>) -> ControlFlow<()>;

struct Walk<'a, 'v> {
    copies: Copies<'a>,
    next: Seq,
    upto: Seq,
    reason: String,
    visit: Visit<'v>,
    broken: bool,
}

/// Whether the walk can go on behind the place that was to be reached.
#[derive(PartialEq, Eq)]
enum Reached {
    Yes,
    /// `next` is in neither copy.
    Stuck,
    /// The visitor broke, or `upto` was visited.
    Done,
}

impl Copies<'_> {
    /// Visits the records from `from` to `upto` in order, until the visitor breaks or a record is in neither copy.
    pub(crate) fn walk(&self, from: Seq, upto: Seq, visit: Visit<'_>) -> Result<Ending, JournalError> {
        let segments = mirror::segments(self.mirror)?;
        let mut ending =
            Ending { next: from, beyond: false, reason: String::new(), torn_bytes: 0, headers: Vec::new() };
        let mut walk = Walk { copies: *self, next: from, upto, reason: String::new(), visit, broken: false };
        let start = mirror::index_of(&segments, from);
        let mut reached = Reached::Yes;
        for (index, file) in segments.iter().enumerate().skip(start) {
            let last = index + 1 == segments.len();
            reached = walk.fill(file.first, None);
            if reached == Reached::Yes {
                let mut proof = false;
                reached = walk.segment(file, &mut ending, &mut proof)?;
                // The next segment is begun only after everything in this one is durable.
                ending.beyond |= reached == Reached::Stuck && (proof || !last);
            } else if reached == Reached::Stuck {
                ending.beyond = true;
            }
            if reached != Reached::Yes {
                break;
            }
        }
        if reached == Reached::Yes {
            reached = walk.fill(Seq(u64::MAX), segments.last().map(|s| s.first));
        }
        ending.next = walk.next;
        if reached == Reached::Stuck {
            ending.reason = std::mem::take(&mut walk.reason);
            if let Some(table) = self.table
                && let Ok(Some((last, _))) = table.last()
            {
                ending.beyond |= last >= walk.next;
            }
        }
        Ok(ending)
    }

    /// The bytes of one record from whichever copy has it.
    pub(crate) fn one(&self, seq: Seq) -> Result<Option<Vec<u8>>, JournalError> {
        if let Some(table) = self.table
            && let Ok(Some(bytes)) = table.get(seq)
            && Record::exactly(&bytes).is_ok_and(|r| r.seq() == seq)
        {
            return Ok(Some(bytes));
        }
        let mut found = None;
        self.walk(seq, seq, &mut |step| {
            found = Some(step.record.bytes().to_vec());
            ControlFlow::Break(())
        })?;
        Ok(found)
    }
}

impl Walk<'_, '_> {
    fn give(&mut self, step: Step<'_>) -> Reached {
        self.next = step.record.seq().next();
        if (self.visit)(step).is_break() {
            self.broken = true;
        }
        if self.broken || self.next > self.upto { Reached::Done } else { Reached::Yes }
    }

    /// Takes from sled what lies before `until`.
    fn fill(&mut self, until: Seq, segment: Option<Seq>) -> Reached {
        while self.next < until {
            if self.next > self.upto {
                return Reached::Done;
            }
            let Some(table) = self.copies.table else {
                "the mirror does not have it".clone_into(&mut self.reason);
                return Reached::Stuck;
            };
            let bytes = match table.get(self.next) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    "neither copy has it".clone_into(&mut self.reason);
                    return Reached::Stuck;
                }
                Err(e) => {
                    self.reason = format!("the mirror does not have it, and sled cannot be read: {e}");
                    return Reached::Stuck;
                }
            };
            let record = match Record::exactly(&bytes) {
                Ok(record) if record.seq() == self.next => record,
                Ok(_) => {
                    "the mirror does not have it, and sled has another one".clone_into(&mut self.reason);
                    return Reached::Stuck;
                }
                Err(damage) => {
                    self.reason = format!("the mirror does not have it, and in sled {damage}");
                    return Reached::Stuck;
                }
            };
            let step = Step { record, mirror: State::Missing, table: State::Intact, segment };
            if self.give(step) == Reached::Done {
                return Reached::Done;
            }
        }
        Reached::Yes
    }

    fn segment(
        &mut self,
        file: &SegmentFile,
        ending: &mut Ending,
        proof: &mut bool,
    ) -> Result<Reached, JournalError> {
        let bytes = file.read()?;
        if !segment::header_is_intact(&bytes, file.first) {
            ending.headers.push(file.first);
        }
        ending.torn_bytes = 0;
        let mut stuck = false;
        for item in Scan::new(&bytes, file.first) {
            match item {
                Item::End { torn, .. } => ending.torn_bytes = torn,
                Item::Record { begins, .. } if stuck => *proof |= begins,
                Item::Record { begins, record } if record.seq() >= self.next => {
                    match self.fill(record.seq(), Some(file.first)) {
                        Reached::Yes => {}
                        Reached::Done => return Ok(Reached::Done),
                        Reached::Stuck => {
                            stuck = true;
                            *proof |= begins;
                            continue;
                        }
                    }
                    let table = self.table_state(&record);
                    let step = Step { record, mirror: State::Intact, table, segment: Some(file.first) };
                    if self.give(step) == Reached::Done {
                        return Ok(Reached::Done);
                    }
                }
                Item::Gap | Item::Record { .. } => {}
            }
        }
        Ok(if stuck { Reached::Stuck } else { Reached::Yes })
    }

    fn table_state(&self, record: &Record<'_>) -> State {
        let Some(table) = self.copies.table.filter(|_| self.copies.compare) else { return State::Unread };
        match table.get(record.seq()) {
            Ok(Some(bytes)) if *bytes == *record.bytes() => State::Intact,
            Ok(Some(bytes)) => match Record::exactly(&bytes) {
                Ok(_) => State::Differs,
                Err(damage) => State::Damaged(damage.to_string()),
            },
            Ok(None) => State::Missing,
            Err(e) => State::Damaged(e.to_string()),
        }
    }
}
