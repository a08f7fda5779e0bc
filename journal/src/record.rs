//! One record: a fixed header, the payload, and a checksum. Read [`Record::first_of`] and [`encode`].
//!
//! All numbers are little-endian:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | format, [`FORMAT`] |
//! | 1 | 1 | version of the payload |
//! | 2 | 2 | kind of the event |
//! | 4 | 2 | length of the payload |
//! | 6 | 8 | seq |
//! | 14 | 5 | experiment |
//! | 19 | 4 | position within the experiment |
//! | 23 | 8 | time in ms since 1970 |
//! | 31 | 4 | actor |
//! | 35 | 4 | cause, as the distance back from seq; 0 for none |
//! | 39 | 32 | hash of the record before |
//! | 71 | | payload |
//! | | 4 | CRC32C of everything before |
//!
//! The hash of a record is BLAKE3 over header and payload, so a record commits to the whole history before it.

use crate::codec::{CodecError, Payload, PayloadBytes};
use crate::error::JournalError;
use engine::envelope::Envelope;
use engine::event::Event;
use engine::id::{ActorId, ExperimentId, Seq};
use engine::limits::MAX_RECORD_BYTES;
use engine::time::Timestamp;

/// The layout described above.
pub const FORMAT: u8 = 1;
/// Bytes before the payload.
pub const HEADER_BYTES: usize = 71;
/// Bytes after the payload.
pub const TRAILER_BYTES: usize = 4;
/// Where the hash of the record before stands: the last field of the header.
pub(crate) const PREVIOUS: usize = 39;

/// Identifies a record together with everything before it.
pub type Hash = [u8; 32];

/// What stands for the hash before the first record.
pub const GENESIS: Hash = [0; 32];

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Fewer bytes than the record needs.
    #[error("it is cut short")]
    Short,
    /// More bytes than the record needs.
    #[error("bytes follow its end")]
    Long,
    /// Another layout, or not a record at all.
    #[error("its format {0} is unknown")]
    Format(u8),
    /// The checksum disagrees.
    #[error("its checksum is wrong")]
    Checksum,
    /// The checksum agrees but a field is impossible.
    #[error("its field `{0}` is impossible")]
    Field(&'static str),
}

/// Why the event of an intact record cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A newer program wrote it.
    #[error("event kind {kind} version {version} is unknown to this program")]
    Unknown {
        /// The kind.
        kind: u16,
        /// The version of the payload.
        version: u8,
    },
    /// The payload is not what its kind says.
    #[error("its payload is not an event of kind {kind}: {source}")]
    Payload {
        /// The kind.
        kind: u16,
        /// What is wrong.
        source: CodecError,
    },
}

impl Unreadable {
    /// As the error of reading the record `seq`.
    pub fn at(self, seq: Seq) -> JournalError {
        match self {
            Self::Unknown { .. } => JournalError::Newer { reason: format!("record {seq}: {self}") },
            Self::Payload { .. } => JournalError::Corrupt { seq, reason: self.to_string() },
        }
    }
}

/// The header of a record, except for what the layout itself implies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Version of the payload.
    pub version: u8,
    /// Kind of the event.
    pub kind: u16,
    /// The record's place.
    pub seq: Seq,
    /// The experiment.
    pub experiment: ExperimentId,
    /// The place within the experiment.
    pub position: u32,
    /// When it was decided.
    pub time: Timestamp,
    /// Who caused it.
    pub actor: ActorId,
    /// What it follows from; zero if nothing.
    pub cause: Seq,
    /// Hash of the record before.
    pub previous: Hash,
}

/// An intact record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    header: Header,
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record at the start of `bytes`; more may follow. Never panics, whatever the bytes.
    pub fn first_of(bytes: &'a [u8]) -> Result<Self, Damage> {
        let format = *bytes.first().ok_or(Damage::Short)?;
        if format != FORMAT {
            return Err(Damage::Format(format));
        }
        let payload_bytes = Self::payload_bytes(bytes).ok_or(Damage::Short)?;
        let checked = HEADER_BYTES + payload_bytes;
        let body = bytes.get(..checked).ok_or(Damage::Short)?;
        let mut sum = bytes.get(checked..).ok_or(Damage::Short)?;
        if crc32c::crc32c(body) != u32::from_le_bytes(take(&mut sum)?) {
            return Err(Damage::Checksum);
        }
        let header = Header::read(body)?;
        let bytes = bytes.get(..checked + TRAILER_BYTES).ok_or(Damage::Short)?;
        Ok(Self { header, bytes })
    }

    /// The length of the payload, as the beginning of a record says.
    pub(crate) fn payload_bytes(bytes: &[u8]) -> Option<usize> {
        let length = bytes.get(4..)?.first_chunk::<2>()?;
        Some(usize::from(u16::from_le_bytes(*length)))
    }

    /// The record that `bytes` are, all of them.
    pub fn exactly(bytes: &'a [u8]) -> Result<Self, Damage> {
        let record = Self::first_of(bytes)?;
        if record.bytes.len() == bytes.len() { Ok(record) } else { Err(Damage::Long) }
    }

    /// The header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The place in the journal.
    pub const fn seq(&self) -> Seq {
        self.header.seq
    }

    /// The whole record as stored.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The payload.
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(HEADER_BYTES..self.bytes.len() - TRAILER_BYTES).unwrap_or_default()
    }

    /// The hash, to which the next record refers.
    pub fn hash(&self) -> Hash {
        hash(self.bytes)
    }

    /// The record decoded.
    pub fn envelope(&self) -> Result<Envelope, Unreadable> {
        let Header { version, kind, .. } = self.header;
        let event = Event::read(kind, version, &mut PayloadBytes(self.payload()))
            .map_err(|source| Unreadable::Payload { kind, source })?
            .ok_or(Unreadable::Unknown { kind, version })?;
        Ok(Envelope {
            seq: self.header.seq,
            experiment: self.header.experiment,
            position: self.header.position,
            time: self.header.time,
            actor: self.header.actor,
            cause: self.header.cause,
            event,
        })
    }
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, Damage> {
        let mut rest = bytes;
        let [_format, version] = take(&mut rest)?;
        let kind = u16::from_le_bytes(take(&mut rest)?);
        let _length: [u8; 2] = take(&mut rest)?;
        let seq = u64::from_le_bytes(take(&mut rest)?);
        let [a, b, c, d, e] = take(&mut rest)?;
        let experiment = ExperimentId::from_u64(u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]))
            .ok_or(Damage::Field("experiment"))?;
        let position = u32::from_le_bytes(take(&mut rest)?);
        let time = Timestamp(i64::from_le_bytes(take(&mut rest)?));
        let actor = ActorId(u32::from_le_bytes(take(&mut rest)?));
        let distance = u64::from(u32::from_le_bytes(take(&mut rest)?));
        let previous = take(&mut rest)?;
        if seq == 0 {
            return Err(Damage::Field("seq"));
        }
        let cause = match distance {
            0 => Seq(0),
            back if back < seq => Seq(seq - back),
            _ => return Err(Damage::Field("cause")),
        };
        Ok(Self { version, kind, seq: Seq(seq), experiment, position, time, actor, cause, previous })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Damage> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(Damage::Short)?;
    *rest = tail;
    Ok(*head)
}

/// The hash of a record given as its bytes.
fn hash(record: &[u8]) -> Hash {
    let end = record.len().saturating_sub(TRAILER_BYTES);
    *blake3::hash(record.get(..end).unwrap_or_default()).as_bytes()
}

/// Encodes an envelope that follows the record with the hash `previous`; gives the record and its hash.
pub fn encode(envelope: &Envelope, previous: &Hash) -> Result<(Vec<u8>, Hash), JournalError> {
    let refused = |reason: String| JournalError::Refused { reason };
    let info = envelope.event.info();
    let seq = envelope.seq.0;
    let distance = match envelope.cause.0 {
        0 => 0,
        cause => seq
            .checked_sub(cause)
            .filter(|back| *back > 0)
            .and_then(|back| u32::try_from(back).ok())
            .ok_or_else(|| refused(format!("record {seq} names the cause {cause}")))?,
    };
    let mut out = Vec::with_capacity(HEADER_BYTES + 185);
    out.extend_from_slice(&[FORMAT, info.version]);
    out.extend_from_slice(&info.kind.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend(envelope.experiment.to_u64().to_le_bytes().into_iter().take(5));
    out.extend_from_slice(&envelope.position.to_le_bytes());
    out.extend_from_slice(&envelope.time.0.to_le_bytes());
    out.extend_from_slice(&envelope.actor.0.to_le_bytes());
    out.extend_from_slice(&distance.to_le_bytes());
    out.extend_from_slice(previous);
    envelope.event.write(&mut Payload(&mut out)).map_err(|e| refused(format!("{}: {e}", info.name)))?;
    let length = u16::try_from(out.len() - HEADER_BYTES)
        .ok()
        .filter(|_| out.len() + TRAILER_BYTES <= MAX_RECORD_BYTES)
        .ok_or_else(|| {
            refused(format!("{} takes {} bytes, more than {MAX_RECORD_BYTES}", info.name, out.len()))
        })?;
    if let Some(field) = out.get_mut(4..6) {
        field.copy_from_slice(&length.to_le_bytes());
    }
    let hash = *blake3::hash(&out).as_bytes();
    let sum = crc32c::crc32c(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    Ok((out, hash))
}
