//! Records: every event survives its bytes, and no bytes whatever make the decoder panic.
#![expect(clippy::unwrap_used, reason = "tests")]

use engine::envelope::Envelope;
use engine::event::v1;
use engine::id::{ActorId, AttemptNo, ExperimentId, Seq, TrialId};
use engine::testing::history::envelope;
use engine::time::Timestamp;
use proptest::prelude::*;
use retrial_journal::record::{Damage, GENESIS, Record, encode};

fn envelopes() -> impl Strategy<Value = Envelope> {
    let header = (1..u64::MAX, any::<u64>(), any::<u32>(), any::<i64>(), any::<u32>(), any::<u32>());
    let points = prop::collection::vec((any::<u64>(), prop::collection::vec(-1e300..1e300, 0..4)), 0..20);
    (header, points, ".{0,200}").prop_map(|((seq, id, position, time, actor, back), points, text)| {
        let event = if points.is_empty() {
            v1::ActorNamed { actor: ActorId(actor), name: text }.into()
        } else {
            let points = points
                .into_iter()
                .map(|(step, values)| v1::ReportPoint { step, values, last: false })
                .collect();
            let (trial, attempt) = (TrialId(position), AttemptNo(back));
            v1::MetricReported { trial, attempt, first: actor, points }.into()
        };
        Envelope {
            seq: Seq(seq),
            experiment: ExperimentId::from_random(id),
            position,
            time: Timestamp(time),
            actor: ActorId(actor),
            cause: Seq(seq.saturating_sub(u64::from(back).max(1))),
            event,
        }
    })
}

proptest! {
    #[test]
    fn an_envelope_survives_its_record(envelope in envelopes(), previous in any::<[u8; 32]>()) {
        let (bytes, hash) = encode(&envelope, &previous).unwrap();
        let record = Record::exactly(&bytes).unwrap();
        prop_assert_eq!(record.header().previous, previous);
        prop_assert_eq!(record.hash(), hash);
        prop_assert_eq!(record.envelope().unwrap(), envelope);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), format in any::<bool>()) {
        let mut bytes = bytes;
        if let (true, Some(first)) = (format, bytes.first_mut()) {
            *first = 1;
        }
        if let Ok(record) = Record::first_of(&bytes) {
            let _ = record.envelope();
        }
    }

    #[test]
    fn any_payload_under_a_correct_checksum_never_panics(
        kind in 0_u16..70, version in 0_u8..3, payload in prop::collection::vec(any::<u8>(), 0..200)
    ) {
        let (mut bytes, _) = encode(&envelope(Seq(5)), &GENESIS).unwrap();
        bytes.truncate(71);
        bytes[1] = version;
        bytes[2..4].copy_from_slice(&kind.to_le_bytes());
        bytes[4..6].copy_from_slice(&u16::try_from(payload.len()).unwrap().to_le_bytes());
        bytes.extend(payload);
        let sum = crc32c::crc32c(&bytes);
        bytes.extend(sum.to_le_bytes());
        let _ = Record::exactly(&bytes).unwrap().envelope();
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let (bytes, _) = encode(&envelope(Seq(4)), &GENESIS).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            assert!(Record::exactly(&bad).is_err(), "bit {bit} of byte {at}");
        }
        assert_eq!(Record::exactly(&bytes[..at]), Err(Damage::Short), "cut at {at}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(Record::exactly(&longer), Err(Damage::Long));
    assert_eq!(Record::first_of(&longer).unwrap().bytes(), bytes);
}
