//! Dense records one behind the other, and how they are packed into one value of sled. Read [`Chunk`].
//!
//! sled keeps each value two or three times, so a value holds nothing that follows from the rest: not the hash of the
//! record before, except for the first one, and not the records' checksums. Packed, a chunk is (little-endian):
//!
//! | bytes | field |
//! |---|---|
//! | 4 | [`MAGIC`] |
//! | 8 | seq of the first record |
//! | 2 | number of records |
//! | 32 | hash of the record before the first |
//! | 4 | bytes of the records' rest before compression |
//! | | the records' rest, as an LZ4 block |
//! | 4 | CRC32C of everything before |

use crate::bounds::CHUNK_BYTES;
use crate::record::{HEADER_BYTES, Hash, PREVIOUS, Record, TRAILER_BYTES};
use engine::id::Seq;
use engine::limits::MAX_RECORD_BYTES;
use lz4_flex::block;

/// How a packed chunk begins.
const MAGIC: [u8; 4] = *b"RTC1";
/// Bytes before the compressed ones.
const HEAD: usize = 4 + 8 + 2 + 32 + 4;
/// Bytes that a chunk unpacks to at most: it is full, or has a single record.
const MAX_REST_BYTES: usize = if CHUNK_BYTES > MAX_RECORD_BYTES { CHUNK_BYTES } else { MAX_RECORD_BYTES };

/// Records and where each begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chunk {
    first: u64,
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
}

impl Chunk {
    /// An empty chunk whose first record will be `first`.
    pub(crate) const fn begin(first: Seq) -> Self {
        Self { first: first.0, bytes: Vec::new(), ends: Vec::new() }
    }

    /// Whether a record belongs into the next chunk.
    pub(crate) const fn is_full_for(&self, record: &[u8]) -> bool {
        !self.bytes.is_empty() && self.bytes.len() + record.len() > CHUNK_BYTES
    }

    /// Adds the next record.
    pub(crate) fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
    }

    /// The first record's seq.
    pub(crate) const fn first(&self) -> Seq {
        Seq(self.first)
    }

    /// The last record's seq, if there is any.
    pub(crate) fn last(&self) -> Option<Seq> {
        let count = Some(self.ends.len()).filter(|n| *n > 0)?;
        Some(Seq(self.first + count as u64 - 1))
    }

    /// The bytes of a record.
    pub(crate) fn get(&self, seq: Seq) -> Option<&[u8]> {
        let index = usize::try_from(seq.0.checked_sub(self.first)?).ok()?;
        let from = index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.bytes.get(from..*self.ends.get(index)?)
    }

    fn records(&self) -> impl Iterator<Item = &[u8]> {
        (self.first..).map_while(|seq| self.get(Seq(seq)))
    }

    /// The chunk as one value; it must hold a record.
    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut rest = Vec::with_capacity(self.bytes.len());
        for record in self.records() {
            let end = record.len().saturating_sub(TRAILER_BYTES);
            rest.extend_from_slice(record.get(..PREVIOUS).unwrap_or_default());
            rest.extend_from_slice(record.get(HEADER_BYTES..end).unwrap_or_default());
        }
        let count = u16::try_from(self.ends.len()).unwrap_or(u16::MAX);
        let mut out = Vec::with_capacity(HEAD + block::get_maximum_output_size(rest.len()) + 4);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(self.bytes.get(PREVIOUS..HEADER_BYTES).unwrap_or_default());
        out.extend_from_slice(&(rest.len() as u32).to_le_bytes());
        out.extend_from_slice(&block::compress(&rest));
        let sum = crc32c::crc32c(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// The chunk that was packed; `None` for anything else. Never panics, whatever the bytes.
    pub(crate) fn unpack(packed: &[u8]) -> Option<Self> {
        let (body, sum) = packed.split_last_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
            return None;
        }
        let body = body.strip_prefix(&MAGIC)?;
        let (first, body) = body.split_first_chunk::<8>()?;
        let (count, body) = body.split_first_chunk::<2>()?;
        let (previous, body) = body.split_first_chunk::<32>()?;
        let (size, compressed) = body.split_first_chunk::<4>()?;
        let size = usize::try_from(u32::from_le_bytes(*size)).ok().filter(|n| *n <= MAX_REST_BYTES)?;
        let rest = block::decompress(compressed, size).ok().filter(|rest| rest.len() == size)?;
        let count = usize::from(u16::from_le_bytes(*count));
        let mut chunk = Self::begin(Seq(u64::from_le_bytes(*first)));
        chunk.bytes.reserve(size + count * (HEADER_BYTES - PREVIOUS + TRAILER_BYTES));
        let (mut rest, mut previous) = (rest.as_slice(), *previous);
        for _ in 0..count {
            (rest, previous) = chunk.restore(rest, &previous)?;
        }
        rest.is_empty().then_some(chunk)
    }

    /// Adds the record at the start of `rest`; gives what follows it, and its hash.
    fn restore<'r>(&mut self, rest: &'r [u8], previous: &Hash) -> Option<(&'r [u8], Hash)> {
        let (head, rest) = rest.split_at_checked(PREVIOUS)?;
        let (payload, rest) = rest.split_at_checked(Record::payload_bytes(head)?)?;
        let from = self.bytes.len();
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(previous);
        self.bytes.extend_from_slice(payload);
        let body = self.bytes.get(from..)?;
        let (hash, sum) = (*blake3::hash(body).as_bytes(), crc32c::crc32c(body));
        self.bytes.extend_from_slice(&sum.to_le_bytes());
        self.ends.push(self.bytes.len());
        Some((rest, hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{GENESIS, encode};
    use engine::testing::history::envelope;

    fn chunk(first: u64, count: u64) -> Chunk {
        let mut chunk = Chunk::begin(Seq(first));
        let mut previous = GENESIS;
        for seq in 1..first + count {
            let (bytes, hash) = encode(&envelope(Seq(seq)), &previous).unwrap();
            if seq >= first {
                chunk.push(&bytes);
            }
            previous = hash;
        }
        chunk
    }

    #[test]
    fn a_chunk_unpacks_to_the_same_records() {
        for (first, count) in [(1, 1), (1, 300), (77, 1), (77, 40)] {
            let chunk = chunk(first, count);
            let packed = chunk.pack();
            let unpacked = Chunk::unpack(&packed).unwrap();
            assert_eq!((&unpacked.bytes, &unpacked.ends), (&chunk.bytes, &chunk.ends));
            assert_eq!(unpacked.first(), chunk.first());
            assert_eq!(unpacked.last(), Some(Seq(first + count - 1)));
            assert!(unpacked.records().all(|r| Record::exactly(r).is_ok()));
            assert!(count < 40 || packed.len() * 2 < chunk.bytes.len(), "{} bytes", packed.len());
        }
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        let packed = chunk(5, 20).pack();
        for at in 0..packed.len() {
            let mut bad = packed.clone();
            bad[at] ^= 0x10;
            assert!(Chunk::unpack(&bad).is_none(), "flip at {at}");
            assert!(Chunk::unpack(&packed[..at]).is_none(), "cut at {at}");
        }
        assert!(Chunk::unpack(&[packed.as_slice(), &[0]].concat()).is_none());
    }
}
