//! Addresses of files: `oss://`, `s3://` and `file://`.
//!
//! An address is taken as it stands: nothing in it is decoded, and what storages and this machine might understand in
//! two ways (`..`, empty parts) is refused.

use super::codes;
use super::error::FileError;
use std::fmt;
use std::path::{Path, PathBuf};

/// Bytes of a key (OSS: 1023; S3: 1024).
const KEY_BYTES: usize = 1023;
/// Hosts that an address itself may name end so: signed requests, with the token of a session, are sent to them.
const OWN_HOSTS: &str = ".aliyuncs.com";
const CURE: &str = "write oss://BUCKET/KEY, oss://BUCKET.oss-REGION.aliyuncs.com/KEY, s3://BUCKET/KEY or \
                    file:///ABSOLUTE/PATH, without empty parts, `.` or `..`";

/// Where a file or a directory is. Directories may be written with a slash at the end, which means nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub(super) store: Store,
    /// Parts separated by `/`, without one at either end; empty for the root.
    pub(super) key: String,
}

/// What holds files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Store {
    /// The disks of this machine.
    Disk,
    /// A bucket of OSS, and the host that the address names, such as `oss-cn-hangzhou-internal.aliyuncs.com`.
    Oss { bucket: String, host: Option<String> },
    /// A bucket of S3.
    S3 { bucket: String },
}

/// Whether a text is meant as an address, and not as a path: whether it begins with a scheme and `://`.
pub fn is_address(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
    })
}

impl Address {
    /// Reads an address, or says what is wrong with it (E0540).
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let bad = |why: &str| FileError::new(codes::BAD_ADDRESS, why, CURE).at(text);
        let Some((scheme, rest)) = text.split_once("://").filter(|_| is_address(text)) else {
            return Err(bad("this is no address"));
        };
        let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
        let store = match scheme {
            "file" if authority.is_empty() => Store::Disk,
            "file" => return Err(bad("a file is on this machine: three slashes stand before its path")),
            "oss" => {
                let (bucket, host) = match authority.split_once('.') {
                    Some((bucket, host)) => (bucket, Some(host.to_owned())),
                    None => (authority, None),
                };
                if host.as_deref().is_some_and(|host| !is_own(host)) {
                    return Err(bad("the host is none of OSS; one of your own is set as the endpoint"));
                }
                Store::Oss { bucket: bucket.to_owned(), host }
            }
            "s3" => Store::S3 { bucket: authority.to_owned() },
            other => return Err(bad(&format!("`{other}` is not known"))),
        };
        if let Store::Oss { bucket, .. } | Store::S3 { bucket } = &store
            && !is_bucket(bucket, matches!(store, Store::S3 { .. }))
        {
            return Err(bad(&format!("`{bucket}` is no name of a bucket")));
        }
        let key = key.strip_suffix('/').unwrap_or(key);
        check(key).map_err(|why| bad(&why))?;
        Ok(Self { store, key: key.to_owned() })
    }

    /// The address of what is below this one, by a relative path.
    pub fn join(&self, path: &str) -> Result<Self, FileError> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let bad = |why: &str| FileError::new(codes::BAD_ADDRESS, why, CURE).at(&format!("{self}/{path}"));
        if path.is_empty() {
            return Ok(self.clone());
        }
        let key = if self.key.is_empty() { path.to_owned() } else { format!("{}/{path}", self.key) };
        check(&key).map_err(|why| bad(&why))?;
        Ok(Self { store: self.store.clone(), key })
    }

    /// The path on this machine, for [`Store::Disk`].
    pub(super) fn path(&self) -> PathBuf {
        Path::new("/").join(&self.key)
    }

    /// The directory that this is in; none for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.key.is_empty() {
            return None;
        }
        let key = self.key.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
        Some(Self { store: self.store.clone(), key })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.store {
            Store::Disk => f.write_str("file://")?,
            Store::Oss { bucket, host: None } => write!(f, "oss://{bucket}")?,
            Store::Oss { bucket, host: Some(host) } => write!(f, "oss://{bucket}.{host}")?,
            Store::S3 { bucket } => write!(f, "s3://{bucket}")?,
        }
        write!(f, "/{}", self.key)
    }
}

/// Whether a host is one of Alibaba Cloud's: nothing else gets signed requests by an address alone.
fn is_own(host: &str) -> bool {
    let good = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || ".-".contains(letter);
    host.ends_with(OWN_HOSTS) && host.len() > OWN_HOSTS.len() && host.chars().all(good)
}

/// Lower-case letters, digits and hyphens, and dots where S3 has them, 3 to 63 of them.
fn is_bucket(name: &str, dots: bool) -> bool {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.starts_with(plain)
        && name.ends_with(plain)
        && name.chars().all(|letter| plain(letter) || letter == '-' || (dots && letter == '.'))
}

fn check(key: &str) -> Result<(), String> {
    if key.len() > KEY_BYTES {
        return Err(format!("the key has {} bytes, and {KEY_BYTES} are allowed", key.len()));
    }
    if key.chars().any(char::is_control) || key.starts_with('\\') {
        return Err("the key has control characters, or begins with a backslash".to_owned());
    }
    let odd = |part: &str| matches!(part, "" | "." | "..");
    match key.split('/').find(|part| odd(part)) {
        Some(part) if !key.is_empty() => Err(format!("the key has the part `{part}`")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_form_are_read_and_shown() {
        for (text, shown) in [
            ("oss://my-bucket/a/b.json", "oss://my-bucket/a/b.json"),
            ("oss://my-bucket", "oss://my-bucket/"),
            (
                "oss://my-bucket.oss-cn-hangzhou.aliyuncs.com/a/",
                "oss://my-bucket.oss-cn-hangzhou.aliyuncs.com/a",
            ),
            (
                "oss://my-bucket.oss-cn-hangzhou-internal.aliyuncs.com/中 +%20?#",
                "oss://my-bucket.oss-cn-hangzhou-internal.aliyuncs.com/中 +%20?#",
            ),
            ("s3://my.bucket/a", "s3://my.bucket/a"),
            ("file:///tmp/a b/", "file:///tmp/a b"),
            ("file:///", "file:///"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(Address::parse(shown), Ok(address), "what is shown is read again");
        }
    }

    #[test]
    fn what_could_be_understood_in_two_ways_is_refused_with_its_place() {
        for text in [
            "a/b.json",
            "/a",
            "oss:/b/k",
            "hdfs://host/a",
            "oss://",
            "oss://ab/k",
            "oss://Bucket/k",
            "oss://-bucket/k",
            "oss://bucket.example.com/k",
            "oss://bucket.evil-aliyuncs.com/k",
            "oss://bucket.aliyuncs.com/k",
            "oss://bucket.oss-cn-hangzhou.aliyuncs.com:80/k",
            "oss://key:secret@bucket/k",
            "oss://bucket/a//b",
            "oss://bucket//a",
            "oss://bucket/../a",
            "oss://bucket/a/.",
            "oss://bucket/\\a",
            "oss://bucket/a\nb",
            "file://host/a",
            "file:///a/../b",
            "s3://bucket_1/k",
            "://a",
        ] {
            let error = Address::parse(text).unwrap_err();
            assert_eq!((error.code, error.place.as_str()), (codes::BAD_ADDRESS, text));
        }
        let long = format!("oss://bucket/{}", "k".repeat(1024));
        assert!(Address::parse(&long).unwrap_err().message.contains("1024 bytes"));
    }

    #[test]
    fn an_address_is_told_from_a_path() {
        for address in ["oss://b/k", "file:///a", "s3n+x.y://b", "HTTP://x"] {
            assert!(is_address(address), "{address}");
        }
        for path in ["a/b", "/a://b", "", "://", "C:\\a", "a b://c", "1a://b"] {
            assert!(!is_address(path), "{path}");
        }
    }

    #[test]
    fn joining_goes_down_and_parents_go_up() {
        let root = Address::parse("oss://bucket/").unwrap();
        let deep = root.join("a/b/").unwrap().join("c.json").unwrap();
        assert_eq!(deep.to_string(), "oss://bucket/a/b/c.json");
        assert_eq!(deep.join("").unwrap(), deep);
        assert_eq!(deep.parent().and_then(|up| up.parent()), Some(root.join("a").unwrap()));
        assert_eq!((root.join("a").unwrap().parent(), root.parent()), (Some(root.clone()), None));
        for path in ["/a", "../a", "a//b", "a/./b"] {
            assert_eq!(root.join(path).unwrap_err().code, codes::BAD_ADDRESS, "{path}");
        }
    }
}
