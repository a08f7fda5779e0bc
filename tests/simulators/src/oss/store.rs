//! Where objects are: in memory, or as the files of a folder.
//!
//! In a folder the object `a/b` is the file `a/b`, so that a process can write an object, or read one, as if the bucket
//! were mounted. Such objects have no metadata, and their `ETag` is not an MD5.

use super::refusal::Refusal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

/// How deep folders are looked into.
const DEPTH: usize = 64;

/// What is known of an object without its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Its length in bytes.
    pub size: u64,
    /// Without quotation marks.
    pub etag: String,
    /// When it was last written, in milliseconds since 1970.
    pub modified_ms: i64,
    /// Whether it was made by appending.
    pub appendable: bool,
    /// The headers that came with it and are given back: `content-type` and `x-oss-meta-*`.
    pub headers: Vec<(String, String)>,
}

/// The objects of one bucket.
#[derive(Debug)]
pub enum Store {
    /// In memory, by key.
    Memory(BTreeMap<String, (About, Vec<u8>)>),
    /// The files of a folder.
    Folder(PathBuf),
}

impl Store {
    /// What is known of an object.
    pub fn about(&self, key: &str) -> Option<About> {
        match self {
            Self::Memory(objects) => objects.get(key).map(|(about, _)| about.clone()),
            Self::Folder(root) => of_file(&file(root, key)?),
        }
    }

    /// An object.
    pub fn get(&self, key: &str) -> Option<(About, Vec<u8>)> {
        match self {
            Self::Memory(objects) => objects.get(key).cloned(),
            Self::Folder(root) => {
                let path = file(root, key)?;
                let about = of_file(&path)?;
                let bytes = fs::read(path).ok()?;
                Some((About { size: bytes.len() as u64, ..about }, bytes))
            }
        }
    }

    /// Replaces an object at once.
    pub fn put(
        &mut self,
        key: &str,
        bytes: Vec<u8>,
        headers: Vec<(String, String)>,
        now_ms: i64,
    ) -> Result<About, Refusal> {
        self.keep(key, bytes, headers, false, now_ms)
    }

    /// Adds bytes to the end of an object, which is at `position`.
    pub fn append(
        &mut self,
        key: &str,
        position: u64,
        bytes: &[u8],
        headers: Vec<(String, String)>,
        now_ms: i64,
    ) -> Result<About, Refusal> {
        let (about, mut whole) = self.get(key).unwrap_or_else(|| (appendable(headers), Vec::new()));
        if !about.appendable {
            return Err(Refusal::new(409, "ObjectNotAppendable", "The object is not appendable"));
        }
        if about.size != position {
            let message = "Position is not equal to file length";
            return Err(Refusal::new(409, "PositionNotEqualToLength", message)
                .with_header("x-oss-next-append-position", about.size.to_string()));
        }
        match self {
            Self::Memory(_) => {
                whole.extend_from_slice(bytes);
                self.keep(key, whole, about.headers, true, now_ms)
            }
            // Whoever reads the file meanwhile sees it grow.
            Self::Folder(root) => file(root, key)
                .ok_or_else(|| bad_key(key))
                .and_then(|path| extend(&path, bytes).map_err(|error| failed(&error))),
        }
    }

    /// Removes an object, if there is one.
    pub fn delete(&mut self, key: &str) {
        match self {
            Self::Memory(objects) => drop(objects.remove(key)),
            Self::Folder(root) => {
                if let Some(path) = file(root, key) {
                    // What is not there is removed already.
                    let _ = fs::remove_file(path);
                }
            }
        }
    }

    /// Every object, by key.
    pub fn all(&self) -> BTreeMap<String, About> {
        match self {
            Self::Memory(objects) => {
                objects.iter().map(|(key, (about, _))| (key.clone(), about.clone())).collect()
            }
            Self::Folder(root) => {
                let mut found = BTreeMap::new();
                look_into(root, "", DEPTH, &mut found);
                found
            }
        }
    }

    fn keep(
        &mut self,
        key: &str,
        bytes: Vec<u8>,
        headers: Vec<(String, String)>,
        appendable: bool,
        now_ms: i64,
    ) -> Result<About, Refusal> {
        match self {
            Self::Memory(objects) => {
                let about = About {
                    size: bytes.len() as u64,
                    etag: hex(&Md5::digest(&bytes)),
                    modified_ms: now_ms,
                    appendable,
                    headers,
                };
                objects.insert(key.to_owned(), (about.clone(), bytes));
                Ok(about)
            }
            Self::Folder(root) => {
                let path = file(root, key).ok_or_else(|| bad_key(key))?;
                replace(&path, &bytes).map_err(|error| failed(&error))
            }
        }
    }
}

fn appendable(headers: Vec<(String, String)>) -> About {
    About { appendable: true, headers, ..About::default() }
}

/// The file of a key; none for a key that no file can have.
fn file(root: &Path, key: &str) -> Option<PathBuf> {
    let good = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    key.split('/').all(good).then(|| root.join(key))
}

fn of_file(path: &Path) -> Option<About> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(About {
        size: metadata.len(),
        etag: format!("{:X}-{:X}", modified.as_nanos(), metadata.len()),
        modified_ms: i64::try_from(modified.as_millis()).ok()?,
        appendable: true,
        headers: Vec::new(),
    })
}

fn look_into(dir: &Path, prefix: &str, depth: usize, found: &mut BTreeMap<String, About>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(HIDDEN) {
            continue;
        }
        let key = format!("{prefix}{name}");
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if depth > 0 {
                look_into(&entry.path(), &format!("{key}/"), depth - 1, found);
            }
        } else if let Some(about) = of_file(&entry.path()) {
            found.insert(key, about);
        }
    }
}

/// How the names of files begin that are being written.
const HIDDEN: &str = ".simulated-";
static WRITTEN: AtomicU64 = AtomicU64::new(0);

fn replace(path: &Path, bytes: &[u8]) -> io::Result<About> {
    let dir = path.parent().unwrap_or(path);
    fs::create_dir_all(dir)?;
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let new = dir.join(format!("{HIDDEN}{}-{number}", std::process::id()));
    fs::write(&new, bytes)?;
    fs::rename(&new, path)?;
    of_file(path).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn extend(path: &Path, bytes: &[u8]) -> io::Result<About> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    fs::OpenOptions::new().append(true).create(true).open(path)?.write_all(bytes)?;
    of_file(path).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn failed(error: &io::Error) -> Refusal {
    Refusal::new(500, "InternalError", format!("the folder of the bucket cannot be written: {error}"))
}

fn bad_key(key: &str) -> Refusal {
    Refusal::new(400, "InvalidObjectName", format!("no file can have the name {key}"))
}

/// The MD5 of a body, as `Content-MD5` has it.
pub fn content_md5(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

/// The checksum that the service gives for every object: CRC-64 of ECMA-182, as XZ computes it.
pub fn crc64(bytes: &[u8]) -> u64 {
    let mut sum = !0_u64;
    for byte in bytes {
        sum ^= u64::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xC96C_5795_D787_0F42 * (sum & 1));
        }
    }
    !sum
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_their_definitions() {
        assert_eq!(crc64(b"123456789"), 0x995D_C9BB_DF19_39FA);
        assert_eq!(content_md5(b""), "1B2M2Y8AsgTpgAmY7PhCfg==");
    }

    #[test]
    fn no_key_leads_out_of_the_folder() {
        let root = Path::new("/bucket");
        assert_eq!(file(root, "a/b.json"), Some(PathBuf::from("/bucket/a/b.json")));
        for key in ["", "../a", "a/../b", "/etc/passwd", "a//b", "a/", "a\0"] {
            assert_eq!(file(root, key), None, "{key:?}");
        }
    }
}
