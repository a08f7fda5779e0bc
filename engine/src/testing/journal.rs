//! The conformance suite of the [`Journal`] port. Each implementation runs [`run`] with its own [`Bench`].
#![expect(clippy::unwrap_used, reason = "the suite is a test that lives in a library")]

use crate::envelope::Envelope;
use crate::event::v1;
use crate::id::{Seq, TrialId};
use crate::limits::MAX_RECORD_BYTES;
use crate::ports::journal::{Journal, JournalError, Room};
use crate::testing::history::{envelope, envelopes};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

/// One journal's place, which outlives the journal objects that are opened on it.
pub trait Bench {
    /// The implementation.
    type Journal: Journal;

    /// Opens the journal; the one before has been dropped.
    fn open(&mut self) -> Self::Journal;
}

/// Runs every check, each on a fresh place.
///
/// # Panics
///
/// If the journal does not conform.
pub fn run<B: Bench>(fresh: impl Fn() -> B) {
    an_empty_journal_has_head_zero(&mut fresh());
    what_is_appended_is_read_back_in_order(&mut fresh());
    reading_starts_where_asked_and_stops_when_told(&mut fresh());
    a_history_survives_reopening_and_goes_on(&mut fresh());
    records_out_of_order_are_refused_and_change_nothing(&mut fresh());
    an_oversized_record_is_refused_and_changes_nothing(&mut fresh());
    a_cause_must_lie_before(&mut fresh());
    waiting_for_what_was_never_handed_over_is_refused(&mut fresh());
    progress_is_told_in_order_up_to_the_head(&mut fresh());
    many_small_batches_arrive_whole(&mut fresh());
    a_snapshot_is_given_back_also_after_reopening(&mut fresh());
    a_snapshot_beyond_the_durable_records_is_refused(&mut fresh());
    there_is_room_for_a_small_history(&mut fresh());
}

/// Reads everything from a place on.
///
/// # Panics
///
/// If the journal cannot be read.
pub fn read_all(journal: &impl Journal, from: Seq) -> Vec<Envelope> {
    let mut all = Vec::new();
    journal
        .read(from, &mut |envelope| {
            all.push(envelope);
            ControlFlow::Continue(())
        })
        .unwrap();
    all
}

fn append(journal: &mut impl Journal, first: u64, last: u64) {
    journal.append(envelopes(first, last)).unwrap();
    journal.wait(Seq(last)).unwrap();
}

fn an_empty_journal_has_head_zero(bench: &mut impl Bench) {
    let mut journal = bench.open();
    assert_eq!(journal.head(), Seq(0));
    assert_eq!(journal.durable(), Ok(Seq(0)));
    assert_eq!(journal.wait(Seq(0)), Ok(()));
    assert_eq!(read_all(&journal, Seq(1)), []);
    assert_eq!(journal.load_snapshot(), Ok(None));
    assert_eq!(journal.append(Vec::new()), Ok(()));
    assert_eq!(journal.head(), Seq(0));
}

fn what_is_appended_is_read_back_in_order(bench: &mut impl Bench) {
    let mut journal = bench.open();
    append(&mut journal, 1, 40);
    assert_eq!(journal.head(), Seq(40));
    assert_eq!(journal.durable(), Ok(Seq(40)));
    assert_eq!(read_all(&journal, Seq(1)), envelopes(1, 40));
}

fn reading_starts_where_asked_and_stops_when_told(bench: &mut impl Bench) {
    let mut journal = bench.open();
    append(&mut journal, 1, 40);
    assert_eq!(read_all(&journal, Seq(0)), envelopes(1, 40));
    assert_eq!(read_all(&journal, Seq(17)), envelopes(17, 40));
    assert_eq!(read_all(&journal, Seq(41)), []);
    assert_eq!(read_all(&journal, Seq(1_000)), []);
    let mut seen = 0;
    journal
        .read(Seq(1), &mut |_| {
            seen += 1;
            if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(seen, 3);
}

fn a_history_survives_reopening_and_goes_on(bench: &mut impl Bench) {
    for round in 0..4 {
        let mut journal = bench.open();
        assert_eq!(journal.head(), Seq(round * 25));
        assert_eq!(journal.durable(), Ok(Seq(round * 25)));
        append(&mut journal, round * 25 + 1, round * 25 + 25);
        assert_eq!(read_all(&journal, Seq(1)), envelopes(1, round * 25 + 25));
    }
}

fn records_out_of_order_are_refused_and_change_nothing(bench: &mut impl Bench) {
    let mut journal = bench.open();
    append(&mut journal, 1, 3);
    for wrong in [vec![envelope(Seq(3))], vec![envelope(Seq(5))], vec![envelope(Seq(4)), envelope(Seq(6))]] {
        assert!(matches!(journal.append(wrong), Err(JournalError::Refused { .. })));
        assert_eq!(journal.head(), Seq(3));
    }
    append(&mut journal, 4, 6);
    assert_eq!(read_all(&journal, Seq(1)), envelopes(1, 6));
}

fn an_oversized_record_is_refused_and_changes_nothing(bench: &mut impl Bench) {
    let mut journal = bench.open();
    append(&mut journal, 1, 1);
    let ended = |bytes: usize| Envelope {
        event: v1::TrialEnded {
            trial: TrialId(0),
            status: v1::TrialEnd::Failed,
            value: None,
            metrics: Vec::new(),
            reason: "x".repeat(bytes),
        }
        .into(),
        ..envelope(Seq(2))
    };
    assert!(matches!(journal.append(vec![ended(MAX_RECORD_BYTES)]), Err(JournalError::Refused { .. })));
    assert_eq!(journal.head(), Seq(1));
    let large = ended(MAX_RECORD_BYTES - 256);
    journal.append(vec![large.clone()]).unwrap();
    journal.wait(Seq(2)).unwrap();
    assert_eq!(read_all(&journal, Seq(2)), [large]);
}

fn a_cause_must_lie_before(bench: &mut impl Bench) {
    let mut journal = bench.open();
    for cause in [1, 2] {
        let wrong = Envelope { cause: Seq(cause), ..envelope(Seq(1)) };
        assert!(matches!(journal.append(vec![wrong]), Err(JournalError::Refused { .. })));
    }
    assert_eq!(journal.head(), Seq(0));
}

fn waiting_for_what_was_never_handed_over_is_refused(bench: &mut impl Bench) {
    let mut journal = bench.open();
    append(&mut journal, 1, 2);
    assert!(matches!(journal.wait(Seq(3)), Err(JournalError::Refused { .. })));
}

fn progress_is_told_in_order_up_to_the_head(bench: &mut impl Bench) {
    let mut journal = bench.open();
    let told = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&told);
    journal.on_durable(Arc::new(move |progress| theirs.lock().unwrap().push(progress.clone().unwrap())));
    for first in (1..=50).step_by(5) {
        append(&mut journal, first, first + 4);
    }
    // The last word may still be on its way; dropping the journal waits for it.
    drop(journal);
    let told = told.lock().unwrap().clone();
    assert!(told.is_sorted(), "{told:?}");
    assert_eq!(told.last(), Some(&Seq(50)));
}

fn many_small_batches_arrive_whole(bench: &mut impl Bench) {
    let mut journal = bench.open();
    for seq in 1..=500 {
        journal.append(vec![envelope(Seq(seq))]).unwrap();
    }
    assert_eq!(journal.head(), Seq(500));
    journal.wait(Seq(500)).unwrap();
    assert_eq!(read_all(&journal, Seq(1)), envelopes(1, 500));
    drop(journal);
    assert_eq!(read_all(&bench.open(), Seq(1)), envelopes(1, 500));
}

fn a_snapshot_is_given_back_also_after_reopening(bench: &mut impl Bench) {
    let mut journal = bench.open();
    append(&mut journal, 1, 20);
    journal.save_snapshot(Seq(10), b"ten").unwrap();
    assert_eq!(journal.load_snapshot(), Ok(Some((Seq(10), b"ten".to_vec()))));
    journal.save_snapshot(Seq(20), b"twenty").unwrap();
    drop(journal);
    assert_eq!(bench.open().load_snapshot(), Ok(Some((Seq(20), b"twenty".to_vec()))));
}

fn a_snapshot_beyond_the_durable_records_is_refused(bench: &mut impl Bench) {
    let mut journal = bench.open();
    append(&mut journal, 1, 5);
    assert!(matches!(journal.save_snapshot(Seq(6), b"six"), Err(JournalError::Refused { .. })));
    assert_eq!(journal.load_snapshot(), Ok(None));
}

fn there_is_room_for_a_small_history(bench: &mut impl Bench) {
    assert_eq!(bench.open().room(), Room::Plenty);
}
