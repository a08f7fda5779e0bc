//! One file of the mirror: a header, then records, each behind a mark, then zeros. Read [`Scan`] first.
//!
//! The header is the magic, the first record's seq, the hash before it, and their CRC32C. The mark before a record
//! says whether the record begins a commit. A commit is acknowledged only when all of it is on the disk, and the
//! next one is written only after that: so damage with a later commit behind it is damage of acknowledged
//! records, and damage without one is the torn end of a commit that nobody was told of.

use crate::record::{FORMAT, Hash, Record};
use engine::id::Seq;

const MAGIC: [u8; 8] = *b"RTRLSEG1";
/// Bytes before the first mark.
pub(crate) const HEADER_BYTES: usize = 52;
/// The mark of a record that begins a commit. Both marks differ in every bit.
pub(crate) const BEGINS: u8 = 0xA5;
/// The mark of a record that continues a commit.
pub(crate) const CONTINUES: u8 = 0x5A;

/// The header of a segment whose first record is `first`.
pub(crate) fn header(first: Seq, previous: &Hash) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&first.0.to_le_bytes());
    out.extend_from_slice(previous);
    let sum = crc32c::crc32c(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// Whether the segment's header is intact and says `first`.
pub(crate) fn header_is_intact(bytes: &[u8], first: Seq) -> bool {
    let Some((body, rest)) = bytes.split_at_checked(HEADER_BYTES - 4) else { return false };
    body.starts_with(&MAGIC)
        && body.get(8..16) == Some(first.0.to_le_bytes().as_slice())
        && rest.get(..4) == Some(crc32c::crc32c(body).to_le_bytes().as_slice())
}

/// The records of one commit as they stand in a segment.
pub(crate) fn frame<'a>(records: impl IntoIterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    let mut mark = BEGINS;
    for record in records {
        out.push(mark);
        out.extend_from_slice(record);
        mark = CONTINUES;
    }
}

/// The name of the segment that begins with `first`.
pub(crate) fn file_name(first: Seq) -> String {
    format!("{:020}.seg", first.0)
}

/// The first seq of a segment with this name.
pub(crate) fn first_of_name(name: &str) -> Option<Seq> {
    let digits = name.strip_suffix(".seg")?;
    if digits.len() == 20 { digits.parse().ok().filter(|n| *n > 0).map(Seq) } else { None }
}

/// What a scan meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// An intact record; seqs ascend but may jump over what is damaged.
    Record {
        /// Whether it begins a commit.
        begins: bool,
        /// The record.
        record: Record<'a>,
    },
    /// Bytes that are not a record, with an intact record behind them.
    Gap,
    /// Nothing but zeros, or bytes that are no record, from here on.
    End {
        /// The offset behind the last intact record.
        at: usize,
        /// How many bytes follow that are not zero, up to the last such one.
        torn: usize,
    },
}

/// Goes through a segment's bytes and never loses its way for good: behind damage it searches for the next record.
pub(crate) struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    expected: u64,
    /// A record found behind damage, with its mark's meaning.
    found: Option<(bool, Record<'a>, usize)>,
    ended: bool,
}

impl<'a> Scan<'a> {
    /// A scan of a whole segment that begins with `first`.
    pub(crate) fn new(bytes: &'a [u8], first: Seq) -> Self {
        Self::resumed(bytes, HEADER_BYTES, first)
    }

    /// A scan from the offset `at`, where the record `expected` should stand.
    pub(crate) fn resumed(bytes: &'a [u8], at: usize, expected: Seq) -> Self {
        Self { bytes, at, expected: expected.0, found: None, ended: false }
    }

    /// The offset behind the last record given.
    pub(crate) const fn offset(&self) -> usize {
        self.at
    }

    fn record_at(&self, at: usize) -> Option<Record<'a>> {
        Record::first_of(self.bytes.get(at..)?).ok().filter(|r| r.seq().0 >= self.expected)
    }

    fn search(&self) -> Option<(bool, Record<'a>, usize)> {
        // Only the mark may be damaged. What it said is unknown; to begin a commit is the careful guess.
        if let Some(record) = self.record_at(self.at + 1) {
            return Some((true, record, self.at + 1));
        }
        let rest = self.bytes.get(self.at + 1..)?;
        let candidates =
            rest.windows(2).enumerate().filter(|(_, w)| matches!(w, [BEGINS | CONTINUES, FORMAT]));
        for (skip, window) in candidates {
            let at = self.at + 1 + skip + 1;
            if let Some(record) = self.record_at(at) {
                return Some((window.first() == Some(&BEGINS), record, at));
            }
        }
        None
    }

    fn give(&mut self, begins: bool, record: Record<'a>, at: usize) -> Item<'a> {
        self.at = at + record.bytes().len();
        self.expected = record.seq().0 + 1;
        Item::Record { begins, record }
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if let Some((begins, record, at)) = self.found.take() {
            return Some(self.give(begins, record, at));
        }
        if self.ended {
            return None;
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if let Some(mark @ (BEGINS | CONTINUES)) = rest.first().copied()
            && let Some(record) = self.record_at(self.at + 1)
        {
            return Some(self.give(mark == BEGINS, record, self.at + 1));
        }
        let torn = rest.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        if torn > 0
            && let Some(found) = self.search()
        {
            self.found = Some(found);
            return Some(Item::Gap);
        }
        self.ended = true;
        Some(Item::End { at: self.at.min(self.bytes.len()), torn })
    }
}
