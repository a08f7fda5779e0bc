//! States kept so that an opening need not replay everything. A cache: whatever is wrong with one, it is as if it were
//! not there.
//!
//! A file is named by the seq it covers and holds: magic, schema, seq, hash of that record, length, BLAKE3 of the
//! state, the state, and CRC32C of what stands before the state.

use crate::bounds::SNAPSHOTS_KEPT;
use crate::error::{JournalError, on_file};
use crate::files;
use crate::record::Hash;
use engine::id::Seq;
use std::fs;
use std::path::{Path, PathBuf};

const MAGIC: [u8; 8] = *b"RTRLSNP1";
const HEADER_BYTES: usize = 8 + 4 + 8 + 32 + 8 + 32 + 4;

/// The snapshots of a store; cheap to clone, so that saving can be done on another thread.
#[derive(Debug, Clone)]
pub struct Snapshots {
    dir: PathBuf,
    schema: u32,
}

fn header(schema: u32, seq: Seq, hash: &Hash, state: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&schema.to_le_bytes());
    out.extend_from_slice(&seq.0.to_le_bytes());
    out.extend_from_slice(hash);
    out.extend_from_slice(&(state.len() as u64).to_le_bytes());
    out.extend_from_slice(blake3::hash(state).as_bytes());
    let sum = crc32c::crc32c(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

impl Snapshots {
    pub(crate) fn new(dir: PathBuf, schema: u32) -> Self {
        Self { dir, schema }
    }

    fn path(&self, seq: Seq) -> PathBuf {
        self.dir.join(format!("{:020}.snap", seq.0))
    }

    fn list(&self) -> Vec<Seq> {
        let Ok(entries) = fs::read_dir(&self.dir) else { return Vec::new() };
        let name = |path: &Path| path.file_name()?.to_str()?.strip_suffix(".snap")?.parse().ok().map(Seq);
        let mut seqs: Vec<_> = entries.filter_map(|e| name(&e.ok()?.path())).collect();
        seqs.sort_unstable_by_key(|seq| std::cmp::Reverse(*seq));
        seqs
    }

    /// Keeps the state after the record `seq`, whose hash is `hash`, and forgets all but the newest ones.
    pub fn save(&self, seq: Seq, hash: &Hash, state: &[u8]) -> Result<(), JournalError> {
        files::create_dir(&self.dir)?;
        files::replace(&self.path(seq), &[&header(self.schema, seq, hash, state), state])?;
        for old in self.list().into_iter().skip(SNAPSHOTS_KEPT) {
            let path = self.path(old);
            fs::remove_file(&path).map_err(|e| on_file(&path, "remove", &e))?;
        }
        Ok(())
    }

    /// The newest state that is whole, of this program's schema, and belongs to this history: `hash_of` gives the
    /// hash of a durable record.
    pub fn load(&self, mut hash_of: impl FnMut(Seq) -> Option<Hash>) -> Option<(Seq, Vec<u8>)> {
        self.list().into_iter().find_map(|seq| {
            let bytes = fs::read(self.path(seq)).ok()?;
            let (head, state) = bytes.split_at_checked(HEADER_BYTES)?;
            let expected = header(self.schema, seq, &hash_of(seq)?, state);
            (head == expected).then(|| (seq, state.to_vec()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(snapshots: &Snapshots) -> Option<(Seq, Vec<u8>)> {
        snapshots.load(|seq| Some([u8::try_from(seq.0).unwrap(); 32]))
    }

    #[test]
    fn the_newest_usable_snapshot_is_given_and_two_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(dir.path().join("snapshots"), 1);
        assert_eq!(load(&snapshots), None);
        for n in 1..=4_u8 {
            snapshots.save(Seq(u64::from(n)), &[n; 32], &[n; 100]).unwrap();
        }
        assert_eq!(snapshots.list(), [Seq(4), Seq(3)]);
        assert_eq!(load(&snapshots), Some((Seq(4), vec![4; 100])));
        assert_eq!(load(&Snapshots::new(snapshots.dir.clone(), 2)), None, "another schema");
        assert_eq!(snapshots.load(|_| Some([9; 32])), None, "another history");
    }

    #[test]
    fn a_damaged_snapshot_is_passed_over_wherever_the_damage_is() {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(dir.path().to_owned(), 1);
        snapshots.save(Seq(1), &[1; 32], b"old").unwrap();
        snapshots.save(Seq(2), &[2; 32], b"new").unwrap();
        let path = snapshots.path(Seq(2));
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert_eq!(load(&snapshots), Some((Seq(1), b"old".to_vec())), "flip at {at}");
            fs::write(&path, &good[..at]).unwrap();
            assert_eq!(load(&snapshots), Some((Seq(1), b"old".to_vec())), "cut at {at}");
        }
    }
}
