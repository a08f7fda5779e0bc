//! A lower bound of the journal's length, kept beside the two copies.
//!
//! sled cuts a damaged tail off without a word, and a damaged last commit of the mirror looks like one that was never
//! finished. If both happen, only this file tells that something acknowledged is gone.

use crate::error::JournalError;
use crate::files;
use crate::record::Hash;
use engine::id::Seq;
use std::path::Path;

const NAME: &str = "anchor";
const MAGIC: [u8; 8] = *b"RTRLANC1";

/// What is known to have been durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Anchor {
    /// A durable record.
    pub(crate) seq: Seq,
    /// Its hash.
    pub(crate) hash: Hash,
}

impl Anchor {
    /// The anchor of a store; `None` if there is none that can be used.
    pub(crate) fn load(store: &Path) -> Result<Option<Self>, JournalError> {
        Ok(files::read(&store.join(NAME))?.and_then(|bytes| Self::parse(&bytes)))
    }

    /// Whether there is a file that is no anchor.
    pub(crate) fn is_damaged(store: &Path) -> Result<bool, JournalError> {
        Ok(files::read(&store.join(NAME))?.is_some_and(|bytes| Self::parse(&bytes).is_none()))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_at_checked(48)?;
        if sum != crc32c::crc32c(body).to_le_bytes() {
            return None;
        }
        let rest = body.strip_prefix(&MAGIC)?;
        let (seq, hash) = rest.split_first_chunk::<8>()?;
        Some(Self { seq: Seq(u64::from_le_bytes(*seq)), hash: hash.try_into().ok()? })
    }

    /// Keeps the anchor.
    pub(crate) fn save(&self, store: &Path) -> Result<(), JournalError> {
        let mut body = MAGIC.to_vec();
        body.extend_from_slice(&self.seq.0.to_le_bytes());
        body.extend_from_slice(&self.hash);
        let sum = crc32c::crc32c(&body).to_le_bytes();
        files::replace(&store.join(NAME), &[&body, &sum])
    }
}
