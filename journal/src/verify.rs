//! Proof that the history is whole. Read [`verify`] first. Repairs nothing.
//!
//! Checked are: every checksum, the chain of hashes, density of seqs and of positions within each experiment, that
//! both copies are equal byte for byte, that every payload decodes, and whatever the caller's replay checks.

use crate::anchor::Anchor;
use crate::bounds::MAX_PROBLEMS;
use crate::copies::{Copies, Copy, State, Step};
use crate::error::JournalError;
use crate::inspect::Inspection;
use crate::record::{GENESIS, Hash, Unreadable};
use crate::store::SledJournal;
use engine::envelope::Envelope;
use engine::id::{ExperimentId, Seq};
use engine::limits::MAX_COMMIT_RECORDS;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The record.
    pub seq: Seq,
    /// Where.
    pub copy: Copy,
    /// What is wrong.
    pub reason: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "record {} ({}): {}", self.seq, self.copy, self.reason)
    }
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Records that were checked.
    pub records: u64,
    /// The last of them.
    pub head: Seq,
    /// Its hash: two stores with the same one have the same history.
    pub head_hash: Hash,
    /// The first [`MAX_PROBLEMS`] problems, in the order in which they were met.
    pub problems: Vec<Problem>,
    /// All problems.
    pub problem_count: u64,
    /// Records of kinds that only a newer program knows; they are checked except for their payload.
    pub unknown: u64,
    /// What is worth knowing and no damage: for example the end of a commit that a crash interrupted.
    pub notes: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn ok(&self) -> bool {
        self.problem_count == 0
    }

    /// The problem with the smallest seq.
    pub fn first_bad(&self) -> Option<&Problem> {
        self.problems.iter().min_by_key(|p| p.seq)
    }
}

/// Checks each record in order, beyond what the journal can know; an `Err` says what is wrong with it.
pub type Replay<'a> = &'a mut dyn FnMut(&Envelope) -> Result<(), String>;

/// Verifies a store that no process has open; [`SledJournal::verify`] is for one that is open here.
pub fn verify(store: &Path, replay: Replay<'_>) -> Result<VerifyReport, JournalError> {
    let inspection = Inspection::of(store)?;
    let anchor = Anchor::load(store)?;
    let mut report = check(&inspection.copies(true), Seq(u64::MAX), anchor, replay)?;
    if let Some(reason) = &inspection.sled_reason {
        let reason = format!("sled does not open: {reason}");
        report.problem(Problem { seq: Seq(1), copy: Copy::Sled, reason });
    }
    Ok(report)
}

impl SledJournal {
    /// Verifies everything that is durable, while the journal is in use.
    pub fn verify(&self, replay: Replay<'_>) -> Result<VerifyReport, JournalError> {
        let durable = self.watermark().get();
        if durable.0 == 0 {
            return Ok(VerifyReport::default());
        }
        check(&self.copies(true), durable, None, replay)
    }
}

impl VerifyReport {
    fn problem(&mut self, problem: Problem) {
        self.problem_count += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }
}

/// What has to hold from one record to the next.
struct Checker<'r> {
    report: VerifyReport,
    positions: BTreeMap<ExperimentId, u32>,
    /// Records at the very end that one copy lacks so far, with which copy that is.
    behind: Option<(Copy, Seq, u64)>,
    replay: Replay<'r>,
}

impl Checker<'_> {
    fn step(&mut self, step: &Step<'_>) {
        let (seq, header) = (step.record.seq(), step.record.header());
        self.copies(step);
        let report = &mut self.report;
        let mut wrong = Vec::new();
        let mut bad = |reason: String| wrong.push(reason);
        if header.previous != report.head_hash {
            bad("it does not follow the record before it (hash chain broken)".to_owned());
        }
        let position = self.positions.entry(header.experiment).or_insert(0);
        if header.position != position.saturating_add(1) {
            bad(format!("its position in its experiment is {}, due is {}", header.position, *position + 1));
        }
        *position = header.position;
        match step.record.envelope() {
            Ok(envelope) => {
                if let Err(reason) = (self.replay)(&envelope) {
                    bad(reason);
                }
            }
            Err(Unreadable::Unknown { .. }) => report.unknown += 1,
            Err(unreadable) => bad(unreadable.to_string()),
        }
        report.records += 1;
        report.head = seq;
        report.head_hash = step.record.hash();
        for reason in wrong {
            report.problem(Problem { seq, copy: Copy::Both, reason });
        }
    }

    fn copies(&mut self, step: &Step<'_>) {
        let seq = step.record.seq();
        let lacking = match (&step.mirror, &step.table) {
            (State::Missing, _) => Some(Copy::Mirror),
            (_, State::Missing) => Some(Copy::Sled),
            _ => None,
        };
        // What is missing at the very end may be a commit that a crash interrupted: known only later.
        match (self.behind, lacking) {
            (Some((copy, first, count)), Some(now)) if copy == now => {
                self.behind = Some((copy, first, count + 1));
            }
            (open, lacking) => {
                if let Some((copy, first, count)) = open {
                    self.missing(copy, first, count);
                }
                self.behind = lacking.map(|copy| (copy, seq, 1));
            }
        }
        for (copy, state) in [(Copy::Mirror, &step.mirror), (Copy::Sled, &step.table)] {
            if matches!(state, State::Damaged(_) | State::Differs) {
                let reason = state.reason().to_owned();
                self.report.problem(Problem { seq, copy, reason });
            }
        }
    }

    fn missing(&mut self, copy: Copy, first: Seq, count: u64) {
        let reason = format!("missing or damaged, with {} more behind it", count - 1);
        self.report.problem(Problem { seq: first, copy, reason });
    }
}

fn check(
    copies: &Copies<'_>,
    upto: Seq,
    anchor: Option<Anchor>,
    replay: Replay<'_>,
) -> Result<VerifyReport, JournalError> {
    let report = VerifyReport { head_hash: GENESIS, ..VerifyReport::default() };
    let mut checker = Checker { report, positions: BTreeMap::new(), behind: None, replay };
    let mut anchored = None;
    let ending = copies.walk(Seq(1), upto, &mut |step| {
        checker.step(&step);
        if anchor.is_some_and(|a| a.seq == step.record.seq()) {
            anchored = Some(step.record.hash());
        }
        ControlFlow::Continue(())
    })?;
    let promised = anchor.map_or(Seq(0), |a| a.seq);
    if let Some((copy, first, count)) = checker.behind {
        // One commit at most can be in one copy only.
        let more = usize::try_from(count).is_ok_and(|count| count > MAX_COMMIT_RECORDS);
        if first <= promised || more || upto != Seq(u64::MAX) {
            checker.missing(copy, first, count);
        } else {
            checker.report.notes.push(format!(
                "{copy} lacks the last {count} records, from {first} on: \
                 a crash interrupted a commit; opening the store completes it"
            ));
        }
    }
    let mut report = checker.report;
    for first in &ending.headers {
        let reason = "the header of the segment that begins with it is damaged".to_owned();
        report.problem(Problem { seq: *first, copy: Copy::Mirror, reason });
    }
    if ending.beyond {
        report.problem(Problem { seq: ending.next, copy: Copy::Both, reason: ending.reason });
    } else if promised >= ending.next {
        let reason = format!("{promised} records were durable once, and both copies end before it");
        report.problem(Problem { seq: ending.next, copy: Copy::Both, reason });
    } else if ending.torn_bytes > 0 && report.head == Seq(ending.next.0 - 1) {
        report.notes.push(format!("{} bytes behind the last record are no record", ending.torn_bytes));
    }
    if let (Some(anchor), Some(hash)) = (anchor, anchored)
        && anchor.hash != hash
    {
        let reason = "it is not the record that was once durable".to_owned();
        report.problem(Problem { seq: anchor.seq, copy: Copy::Both, reason });
    }
    Ok(report)
}
