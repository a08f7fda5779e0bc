//! What the simulator is told to do: which buckets there are, who may call, and what goes wrong.
//!
//! A [`Script`] is data, so that it can stand in a JSON file; a field that is not given has the default named here.

use crate::dlc::script::Account;
use crate::fault::Fault;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything that the simulator is told before it starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Who may call. By default one account with a made-up key: see [`Account`].
    pub accounts: Vec<Account>,
    /// The buckets; by default one that is called `simulated`.
    pub buckets: Vec<Bucket>,
    /// A folder; each folder in it is a bucket too, and the files in that are its objects.
    pub folder: Option<PathBuf>,
    /// The region of buckets that do not name theirs.
    pub region: String,
    /// The versions of the signature that are taken; `v1` is refused by buckets made since September 2025.
    pub signatures: Vec<Version>,
    /// How far the simulator's clock is ahead of the machine's, in milliseconds.
    pub clock_offset_ms: i64,
    /// Feeds every random choice.
    pub seed: u64,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            accounts: vec![Account::default()],
            buckets: vec![Bucket { name: "simulated".to_owned(), ..Bucket::default() }],
            folder: None,
            region: "cn-hangzhou".to_owned(),
            signatures: vec![Version::V1, Version::V4],
            clock_offset_ms: 0,
            seed: 0,
            faults: Vec::new(),
        }
    }
}

impl Script {
    /// The folder whose files are the objects of a bucket, if it has one. It need not exist.
    pub fn folder_of(&self, bucket: &str) -> Option<PathBuf> {
        match self.buckets.iter().find(|known| known.name == bucket) {
            Some(known) => known.folder.clone(),
            None if bucket.is_empty() || bucket.starts_with('.') || bucket.contains('/') => None,
            None => self.folder.as_ref().map(|folder| folder.join(bucket)),
        }
    }
}

/// A version of the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// HMAC-SHA1.
    V1,
    /// OSS4-HMAC-SHA256, which names the region.
    V4,
}

/// A bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Its region; that of the script if absent.
    pub region: Option<String>,
    /// A folder whose files are its objects; in memory if absent.
    pub folder: Option<PathBuf>,
}
