//! The folder of a store's secrets: `secrets/key`, and a file for each: `secrets/NAME.sealed` of one that somebody has set, `secrets/NAME.brought` of
//! one that came with a configuration, which goes when nobody needs it any more (`src/secrets/unneeded.rs`). While experiments leave for an archive
//! `secrets/leaving` names what they have named.
//!
//! Each file is replaced as a whole, so that any process may set secrets while another uses them; nobody holds a lock.

use super::SecretError;
use super::seal::{Key, random};
use crate::codes;
use backends::cloud::secret::Secret;
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Names the file of the key instead of the one in the store.
pub const KEY_VARIABLE: &str = "RETRIAL_SECRETS_KEY";
/// Most bytes of one secret: 64 KiB.
const MAX_SECRET_BYTES: usize = 64 << 10;
/// Most characters of a name.
const MAX_NAME_CHARS: usize = 64;
/// Most bytes of a file that is read here.
const MAX_FILE_BYTES: u64 = 128 << 10;
/// How the file's name ends of a secret that somebody has set.
const SET: &str = ".sealed";
/// The same of one that came with a configuration. What somebody has set under its name counts more.
const BROUGHT: &str = ".brought";
/// The file of the names of those that may go once experiments have left.
const LEAVING: &str = "leaving";
/// What names of secrets that came with a configuration begin with.
pub const DERIVED: &str = "pai-";

/// A secret that is there, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// When it was set, in milliseconds since 1970.
    pub set: i64,
}

/// The secrets of one store.
#[derive(Debug, Clone)]
pub struct Vault {
    dir: PathBuf,
    key: PathBuf,
}

impl Vault {
    /// The secrets of a store, which need not be there yet.
    pub fn of(store: &Path) -> Self {
        let key = std::env::var_os(KEY_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        Self::with_key(store, key)
    }

    /// As [`Vault::of`], with the file of the key elsewhere if one is named.
    pub fn with_key(store: &Path, key: Option<PathBuf>) -> Self {
        let dir = store.join("secrets");
        Self { key: key.unwrap_or_else(|| dir.join("key")), dir }
    }

    /// Keeps a secret, in place of one of that name.
    pub fn set(&self, name: &str, secret: &Secret<String>) -> Result<(), SecretError> {
        let path = self.path(name, SET)?;
        self.seal(name, &path, secret)
    }

    fn seal(&self, name: &str, path: &Path, secret: &Secret<String>) -> Result<(), SecretError> {
        let bytes = secret.expose().as_bytes();
        let refused = |message: String| {
            Err(SecretError::new(codes::BAD_SECRET, message, "give the secret itself on standard input"))
        };
        if bytes.is_empty() {
            return refused("the secret is empty".to_owned());
        }
        if bytes.len() > MAX_SECRET_BYTES {
            return refused(format!("the secret has more than {MAX_SECRET_BYTES} bytes"));
        }
        self.prepare()?;
        let sealed = self.key_or_new()?.seal(name, bytes)?;
        self.write(path, &sealed, true)
    }

    /// The name under which [`Vault::keep`] keeps a secret.
    pub fn name_of(&self, secret: &Secret<String>) -> Result<String, SecretError> {
        self.prepare()?;
        Ok(format!("{DERIVED}{}", self.key_or_new()?.name_of(secret.expose())))
    }

    /// Keeps a secret that came with a configuration under a name derived from it, the same for the same secret.
    pub fn keep(&self, secret: &Secret<String>) -> Result<String, SecretError> {
        let name = self.name_of(secret)?;
        // One that is damaged is put right.
        if self.open(&name).is_err() {
            self.seal(&name, &self.path(&name, BROUGHT)?, secret)?;
        }
        Ok(name)
    }

    /// A secret, for whoever sends or signs with it.
    pub fn open(&self, name: &str) -> Result<Secret<String>, SecretError> {
        let mut found = Vec::new();
        for end in [SET, BROUGHT] {
            found.extend(read(&self.path(name, end)?)?);
        }
        if found.is_empty() {
            return Err(missing(name));
        }
        let key = self.key()?.ok_or_else(|| self.no_key("is missing"))?;
        let opened =
            |sealed: &Vec<u8>| key.open(name, sealed).and_then(|bytes| String::from_utf8(bytes).ok());
        found.iter().find_map(opened).map(Secret::new).ok_or_else(|| {
            SecretError::new(
                codes::SECRETS_FILE,
                format!("the secret `{name}` is damaged, or was sealed with another key"),
                "set it again with `retrial secret set`, or give back the key with which it was set",
            )
        })
    }

    /// What is there, in the order of names. Other files in the folder are passed over.
    pub fn list(&self) -> Result<Vec<Kept>, SecretError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(SecretError::of_file(&self.dir, "listed", &error)),
        };
        let mut kept = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| SecretError::of_file(&self.dir, "listed", &error))?;
            let file = entry.file_name();
            let Some(name) = file.to_str().and_then(|file| name_in(file, SET).or(name_in(file, BROUGHT)))
            else {
                continue;
            };
            let set = entry.metadata().and_then(|about| about.modified()).ok();
            let set = set.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
            if kept.iter().all(|known: &Kept| known.name != name) {
                let set = set.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
                kept.push(Kept { name: name.to_owned(), set });
            }
        }
        kept.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(kept)
    }

    /// Removes a secret.
    pub fn remove(&self, name: &str) -> Result<(), SecretError> {
        let gone = [self.unlink(name, SET)?, self.unlink(name, BROUGHT)?];
        if gone.contains(&true) { Ok(()) } else { Err(missing(name)) }
    }

    /// The names of the secrets that came with configurations.
    pub(super) fn brought(&self) -> Result<BTreeSet<String>, SecretError> {
        let there = |kept: &Kept| self.path(&kept.name, BROUGHT).is_ok_and(|path| path.exists());
        let kept = self.list()?.into_iter().filter(there);
        Ok(kept.map(|kept| kept.name).collect())
    }

    /// Removes a secret as it came with a configuration. What somebody has set under its name stays.
    pub(super) fn forget(&self, name: &str) -> Result<(), SecretError> {
        self.unlink(name, BROUGHT).map(|_| ())
    }

    /// Notes the names of secrets that may go, durably, so that they go also after a kill.
    pub(super) fn note(&self, names: &BTreeSet<String>) -> Result<(), SecretError> {
        let text: String = names.iter().map(|name| format!("{name}\n")).collect();
        self.write(&self.dir.join(LEAVING), text.as_bytes(), true)
    }

    /// The names that were noted.
    pub(super) fn noted(&self) -> Result<BTreeSet<String>, SecretError> {
        let text = read(&self.dir.join(LEAVING))?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
    }

    /// Forgets which names were noted.
    pub(super) fn settle(&self) {
        // What is noted still says only what may go: it is looked at anew.
        let _ = fs::remove_file(self.dir.join(LEAVING));
    }

    /// Removes a file; tells whether it was there.
    fn unlink(&self, name: &str, end: &str) -> Result<bool, SecretError> {
        let path = self.path(name, end)?;
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(SecretError::of_file(&path, "removed", &error)),
        }
    }

    fn path(&self, name: &str, end: &str) -> Result<PathBuf, SecretError> {
        if is_name(name) {
            return Ok(self.dir.join(format!("{name}{end}")));
        }
        // Not repeated: the secret may have been given in its place.
        Err(SecretError::new(
            codes::BAD_SECRET,
            "this is no name of a secret",
            "a name has 1 to 64 letters, digits, `-`, `_` and `.`, and begins with a letter or a digit",
        ))
    }

    fn prepare(&self) -> Result<(), SecretError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.map_err(|error| SecretError::of_file(&self.dir, "made", &error))
    }

    /// The key, if there is one.
    fn key(&self) -> Result<Option<Key>, SecretError> {
        let about = match fs::metadata(&self.key) {
            Ok(about) => about,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SecretError::of_file(&self.key, "read", &error)),
        };
        if about.permissions().mode() & 0o077 != 0 {
            let message = format!("others than its owner may read {}", self.key.display());
            return Err(SecretError::new(codes::SECRETS_FILE, message, "`chmod 600` it"));
        }
        let Some(bytes) = read(&self.key)? else { return Ok(None) };
        let key = std::str::from_utf8(&bytes).ok().and_then(Key::of_hex);
        key.map(Some).ok_or_else(|| self.no_key("is not one of 64 hexadecimal digits"))
    }

    /// The key; in the store it is made when it is first needed. One that was named must be there.
    fn key_or_new(&self) -> Result<Key, SecretError> {
        if let Some(key) = self.key()? {
            return Ok(key);
        }
        let own = self.key == self.dir.join("key");
        // With another key than the secrets that are there, half of them would be lost without a word.
        if !own || !self.list()?.is_empty() {
            return Err(self.no_key("is missing"));
        }
        let key = Key::random()?;
        self.write(&self.key, format!("{}\n", key.hex()).as_bytes(), false)?;
        // Another process may have been first.
        self.key()?.ok_or_else(|| self.no_key("is missing"))
    }

    fn no_key(&self, what: &str) -> SecretError {
        let message = format!("the key of the secrets, {}, {what}", self.key.display());
        SecretError::new(
            codes::SECRETS_FILE,
            message,
            "give back the file, or remove the secrets and set them again; `RETRIAL_SECRETS_KEY` names another file",
        )
    }

    /// Writes a whole file or none, durably and for this user only. Without `replace`, what is there stays.
    fn write(&self, path: &Path, bytes: &[u8], replace: bool) -> Result<(), SecretError> {
        let failed = |error: std::io::Error| SecretError::of_file(path, "written", &error);
        let draft = self.dir.join(format!(".{:016x}", u64::from_le_bytes(random()?)));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
        let written = file
            .set_permissions(Permissions::from_mode(0o600))
            .and_then(|()| file.write_all(bytes))
            .and_then(|()| file.sync_all())
            .and_then(|()| if replace { fs::rename(&draft, path) } else { fs::hard_link(&draft, path) });
        // It is gone already where it was renamed.
        let _ = fs::remove_file(&draft);
        match written {
            Err(error) if !replace && error.kind() == ErrorKind::AlreadyExists => {}
            other => other.map_err(failed)?,
        }
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(failed)
    }
}

/// The name of the secret in a file's name with this end.
fn name_in<'a>(file: &'a str, end: &str) -> Option<&'a str> {
    file.strip_suffix(end).filter(|name| is_name(name))
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=MAX_NAME_CHARS).contains(&name.len())
        && name.chars().all(fits)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn missing(name: &str) -> SecretError {
    SecretError::new(
        codes::NO_SECRET,
        format!("there is no secret `{name}`"),
        "`retrial secret set NAME` keeps one, `retrial secret ls` names those that are there",
    )
}

/// All of a small file; `None` if there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, SecretError> {
    let failed = |error: std::io::Error| SecretError::of_file(path, "read", &error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_secret_is_kept_replaced_listed_and_removed() {
        let store = tempfile::tempdir().unwrap();
        let vault = Vault::with_key(store.path(), None);
        assert_eq!(vault.list().unwrap(), []);
        assert_eq!(vault.open("robot").unwrap_err().code, codes::NO_SECRET);
        for value in ["planted-1", "planted-2"] {
            vault.set("robot", &secret(value)).unwrap();
            assert_eq!(vault.open("robot").unwrap(), secret(value));
        }
        assert_eq!(vault.open("secret:robot").unwrap_err().code, codes::BAD_SECRET, "names are bare here");
        let names: Vec<String> = vault.list().unwrap().into_iter().map(|kept| kept.name).collect();
        assert_eq!(names, ["robot"]);
        for file in fs::read_dir(store.path().join("secrets")).unwrap() {
            let file = file.unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
            assert!(!String::from_utf8_lossy(&fs::read(file.path()).unwrap()).contains("planted"));
        }
        vault.remove("robot").unwrap();
        assert_eq!(vault.remove("robot").unwrap_err().code, codes::NO_SECRET);
    }

    #[test]
    fn what_is_no_name_is_refused_and_not_repeated() {
        let store = tempfile::tempdir().unwrap();
        let vault = Vault::with_key(store.path(), None);
        for wrong in ["", ".", "..", "../key", "a/b", "-x", "planted name", &"x".repeat(65), "é"] {
            let error = vault.set(wrong, &secret("planted")).unwrap_err();
            assert_eq!(error.code, codes::BAD_SECRET, "{wrong}");
            assert!(!error.to_string().contains("planted"));
        }
        assert_eq!(vault.set("empty", &secret("")).unwrap_err().code, codes::BAD_SECRET);
        assert!(!store.path().join("secrets").exists());
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_gone_is_not_used_and_not_replaced() {
        let store = tempfile::tempdir().unwrap();
        let vault = Vault::with_key(store.path(), None);
        vault.set("robot", &secret("planted")).unwrap();
        let key = store.path().join("secrets/key");
        fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
        assert!(vault.open("robot").unwrap_err().message.contains("others than its owner"));
        fs::remove_file(&key).unwrap();
        assert!(vault.open("robot").unwrap_err().message.contains("is missing"));
        assert!(vault.set("another", &secret("planted")).unwrap_err().message.contains("is missing"));
        assert!(!key.exists());
        let elsewhere = Vault::with_key(store.path(), Some(store.path().join("nowhere")));
        assert!(elsewhere.set("another", &secret("planted")).is_err(), "a named key is never made");
    }

    #[test]
    fn a_configurations_secret_has_one_name_however_often_it_comes() {
        let store = tempfile::tempdir().unwrap();
        let vault = Vault::with_key(store.path(), None);
        let name = vault.keep(&secret("planted")).unwrap();
        assert_eq!(vault.keep(&secret("planted")).unwrap(), name);
        assert_ne!(vault.keep(&secret("planted-2")).unwrap(), name);
        assert_eq!(vault.open(&name).unwrap(), secret("planted"));
        assert!(name.starts_with("pai-") && !name.contains("planted"));
    }

    #[test]
    fn what_somebody_has_set_counts_more_than_what_came_and_is_never_forgotten() {
        let store = tempfile::tempdir().unwrap();
        let vault = Vault::with_key(store.path(), None);
        let name = vault.keep(&secret("planted")).unwrap();
        vault.set("robot", &secret("planted-robot")).unwrap();
        assert_eq!(vault.brought().unwrap(), BTreeSet::from([name.clone()]));
        vault.set(&name, &secret("planted-2")).unwrap();
        assert_eq!(vault.open(&name).unwrap(), secret("planted-2"));
        assert_eq!(vault.list().unwrap().len(), 2, "a name is listed once");
        for name in [&*name, "robot"] {
            vault.forget(name).unwrap();
        }
        assert_eq!(vault.brought().unwrap(), BTreeSet::new());
        assert_eq!(vault.open(&name).unwrap(), secret("planted-2"));
        assert_eq!(vault.open("robot").unwrap(), secret("planted-robot"));
        vault.remove(&name).unwrap();
        assert_eq!(vault.open(&name).unwrap_err().code, codes::NO_SECRET);
        // What was set and is damaged does not hide what comes again.
        vault.set(&name, &secret("planted-3")).unwrap();
        fs::write(store.path().join(format!("secrets/{name}.sealed")), "damaged").unwrap();
        assert_eq!(vault.open(&name).unwrap_err().code, codes::SECRETS_FILE);
        assert_eq!(vault.keep(&secret("planted")).unwrap(), name);
        assert_eq!(vault.open(&name).unwrap(), secret("planted"));
        vault.remove(&name).unwrap();
        assert_eq!(vault.list().unwrap().len(), 1);
    }

    #[test]
    fn processes_that_need_the_first_key_at_once_agree_on_one() {
        let store = tempfile::tempdir().unwrap();
        let vault = Vault::with_key(store.path(), None);
        vault.prepare().unwrap();
        let key = |vault: &Vault| vault.key_or_new().unwrap().hex();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let vault = vault.clone();
                std::thread::spawn(move || key(&vault))
            })
            .collect();
        let keys: Vec<String> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(keys.iter().all(|one| *one == key(&vault)), "two keys were used");
    }
}
