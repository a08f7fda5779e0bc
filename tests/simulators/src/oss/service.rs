//! The operations of the service: which call is which, and what each answers.

use super::listing;
use super::refusal::Refusal;
use super::reply::{Reply, escape};
use super::store::{About, Store, content_md5, crc64};
use crate::clock;
use crate::wire::{Wire, decode};
use std::collections::BTreeMap;

/// What a call is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The bucket; empty for the service itself.
    pub bucket: String,
    /// The object's key; empty for the bucket itself.
    pub key: String,
}

impl Target {
    /// Reads it from a request. Under an address or `localhost` the bucket is the first part of the path, else of the
    /// host's name.
    pub fn of(wire: &Wire) -> Self {
        let path = decode(wire.path.strip_prefix('/').unwrap_or(&wire.path));
        let host = wire.header("host").unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let in_path =
            name == "localhost" || name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok();
        let (bucket, key) = if in_path {
            path.split_once('/').unwrap_or((&path, ""))
        } else {
            (name.split('.').next().unwrap_or_default(), path.as_str())
        };
        Self { bucket: bucket.to_owned(), key: key.to_owned() }
    }

    /// The resource that a signature is over.
    pub fn resource(&self) -> String {
        if self.bucket.is_empty() { "/".to_owned() } else { format!("/{}/{}", self.bucket, self.key) }
    }
}

/// Which operation a call is.
pub fn operation(wire: &Wire, target: &Target) -> Option<&'static str> {
    let query = wire.pairs();
    let asks = |name: &str| query.iter().any(|(key, _)| key == name);
    let unknown = ["uploads", "uploadId", "acl", "tagging", "delete"].into_iter().any(asks);
    Some(match (wire.method.as_str(), target.key.is_empty()) {
        _ if target.bucket.is_empty() || unknown => return None,
        ("GET", true) if asks("bucketInfo") => "GetBucketInfo",
        ("GET", true) if asks("location") => "GetBucketLocation",
        ("GET", true) if query.iter().any(|(key, value)| key == "list-type" && value == "2") => {
            "ListObjectsV2"
        }
        ("GET", true) => "ListObjects",
        ("GET", false) => "GetObject",
        ("HEAD", false) if asks("objectMeta") => "GetObjectMeta",
        ("HEAD", false) => "HeadObject",
        ("PUT", false) => "PutObject",
        ("POST", false) if asks("append") => "AppendObject",
        ("DELETE", false) => "DeleteObject",
        _ => return None,
    })
}

/// Lets a call take effect, and answers it.
pub fn act(
    store: &mut Store,
    region: &str,
    operation: &str,
    wire: &Wire,
    target: &Target,
    now_ms: i64,
) -> Result<Reply, Refusal> {
    let query: BTreeMap<String, String> = wire.pairs().into_iter().collect();
    let key = target.key.as_str();
    match operation {
        "GetBucketInfo" => Ok(bucket_info(&target.bucket, region)),
        "GetBucketLocation" => {
            Ok(Reply::xml(&format!("<LocationConstraint>oss-{}</LocationConstraint>", escape(region))))
        }
        "ListObjects" | "ListObjectsV2" => listing::list(&target.bucket, &store.all(), &query),
        "GetObject" | "HeadObject" | "GetObjectMeta" => {
            let (about, bytes) = store.get(key).ok_or_else(|| Refusal::no_key(key))?;
            get(wire, &about, bytes)
        }
        "PutObject" => {
            let exists = wire.header("x-oss-forbid-overwrite") == Some("true") && store.about(key).is_some();
            if exists {
                let message = "The object you specified already exists and can not be overwritten.";
                return Err(Refusal::new(409, "FileAlreadyExists", message));
            }
            check_md5(wire)?;
            let about = store.put(key, wire.body.clone(), kept(wire), now_ms)?;
            Ok(written(&about, &wire.body))
        }
        "AppendObject" => {
            let position = query.get("position").and_then(|text| text.parse().ok());
            let position = position.ok_or_else(|| Refusal::argument("position is not a number"))?;
            check_md5(wire)?;
            let about = store.append(key, position, &wire.body, kept(wire), now_ms)?;
            let (_, whole) = store.get(key).ok_or_else(|| Refusal::no_key(key))?;
            Ok(written(&about, &whole).with("x-oss-next-append-position", about.size.to_string()))
        }
        "DeleteObject" => {
            store.delete(key);
            Ok(Reply::empty(204))
        }
        other => Err(Refusal::new(501, "NotImplemented", format!("{other} is not simulated"))),
    }
}

/// The headers that are kept with an object.
fn kept(wire: &Wire) -> Vec<(String, String)> {
    let keeps = |name: &str| name == "content-type" || name.starts_with("x-oss-meta-");
    wire.headers.iter().filter(|(name, _)| keeps(name)).cloned().collect()
}

fn check_md5(wire: &Wire) -> Result<(), Refusal> {
    match wire.header("content-md5") {
        Some(told) if told != content_md5(&wire.body) => Err(Refusal::new(
            400,
            "InvalidDigest",
            "The Content-MD5 you specified did not match what we received.",
        )),
        _ => Ok(()),
    }
}

fn written(about: &About, whole: &[u8]) -> Reply {
    Reply::empty(200)
        .with("etag", format!("\"{}\"", about.etag))
        .with("x-oss-hash-crc64ecma", crc64(whole).to_string())
}

fn bucket_info(bucket: &str, region: &str) -> Reply {
    let (bucket, region) = (escape(bucket), escape(region));
    Reply::xml(&format!(
        "<BucketInfo><Bucket><CreationDate>2026-01-01T00:00:00.000Z</CreationDate>\
         <ExtranetEndpoint>oss-{region}.aliyuncs.com</ExtranetEndpoint>\
         <IntranetEndpoint>oss-{region}-internal.aliyuncs.com</IntranetEndpoint>\
         <Location>oss-{region}</Location><Name>{bucket}</Name><StorageClass>Standard</StorageClass>\
         <Owner><DisplayName>1</DisplayName><ID>1</ID></Owner>\
         <AccessControlList><Grant>private</Grant></AccessControlList></Bucket></BucketInfo>"
    ))
}

fn get(wire: &Wire, about: &About, mut bytes: Vec<u8>) -> Result<Reply, Refusal> {
    let etag = format!("\"{}\"", about.etag);
    let same = |name: &str| wire.header(name).map(|given| given.trim_matches('"') == about.etag);
    if same("if-match") == Some(false) {
        let message = "At least one of the pre-conditions you specified did not hold.";
        return Err(Refusal::new(412, "PreconditionFailed", message).with("Condition", "If-Match"));
    }
    if same("if-none-match") == Some(true) {
        return Ok(Reply::empty(304).with("etag", etag));
    }
    let length = bytes.len() as u64;
    let standard = wire.header("x-oss-range-behavior") == Some("standard");
    let mut reply = Reply::empty(200)
        .with("etag", etag)
        .with("accept-ranges", "bytes")
        .with("last-modified", clock::http_date(about.modified_ms))
        .with("x-oss-object-type", if about.appendable { "Appendable" } else { "Normal" })
        .with("x-oss-hash-crc64ecma", crc64(&bytes).to_string());
    if about.appendable {
        reply = reply.with("x-oss-next-append-position", length.to_string());
    }
    if !about.headers.iter().any(|(name, _)| name == "content-type") {
        reply = reply.with("content-type", "application/octet-stream");
    }
    reply.headers.extend(about.headers.iter().cloned());
    match wire.header("range").map(|text| range(text, length, standard)) {
        Some(Range::Part(from, to)) => {
            let part = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            bytes = bytes.get(part(from)..part(to)).unwrap_or_default().to_vec();
            reply.status = 206;
            reply = reply.with("content-range", format!("bytes {from}-{}/{length}", to - 1));
        }
        Some(Range::Outside) => {
            let asked = wire.header("range").unwrap_or_default().to_owned();
            return Err(Refusal::new(416, "InvalidRange", "The requested range cannot be satisfied")
                .with("ActualObjectSize", length.to_string())
                .with_header("content-range", format!("bytes */{length}"))
                .with("RangeRequested", asked));
        }
        Some(Range::Ignored) | None => {}
    }
    reply.body = bytes;
    Ok(reply)
}

/// What a `Range` asks for.
#[derive(Debug, PartialEq, Eq)]
enum Range {
    /// From a position up to another, which is not part of it.
    Part(u64, u64),
    /// The whole object.
    Ignored,
    /// Nothing that there is.
    Outside,
}

/// Reads a `Range`. A range that reaches beyond the end is cut there if the standard's behaviour is asked for, and
/// ignored otherwise; ranges in several parts are ignored.
fn range(text: &str, length: u64, standard: bool) -> Range {
    let Some((from, to)) = text.strip_prefix("bytes=").and_then(|text| text.split_once('-')) else {
        return Range::Ignored;
    };
    let (from, to) = match (from.trim(), to.trim()) {
        ("", last) => match last.parse::<u64>() {
            Ok(last) => (length.saturating_sub(last), length),
            Err(_) => return Range::Ignored,
        },
        (from, "") => match from.parse() {
            Ok(from) => (from, length),
            Err(_) => return Range::Ignored,
        },
        (from, to) => match (from.parse::<u64>(), to.parse::<u64>()) {
            (Ok(from), Ok(to)) if from <= to => (from, to.saturating_add(1)),
            _ => return Range::Ignored,
        },
    };
    match (from >= length, to > length, standard) {
        (true, _, true) => Range::Outside,
        (true, _, false) | (_, true, false) => Range::Ignored,
        _ => Range::Part(from, to.min(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_refused_or_ignored() {
        let table = [
            ("bytes=0-9", Range::Part(0, 10), Range::Part(0, 10)),
            ("bytes=5-", Range::Part(5, 10), Range::Part(5, 10)),
            ("bytes=-3", Range::Part(7, 10), Range::Part(7, 10)),
            ("bytes=5-100", Range::Part(5, 10), Range::Ignored),
            ("bytes=10-", Range::Outside, Range::Ignored),
            ("bytes=7-5", Range::Ignored, Range::Ignored),
            ("bytes=0-1,3-4", Range::Ignored, Range::Ignored),
            ("lines=0-9", Range::Ignored, Range::Ignored),
        ];
        for (text, standard, own) in table {
            assert_eq!((range(text, 10, true), range(text, 10, false)), (standard, own), "{text}");
        }
        assert_eq!(range("bytes=0-9", 0, true), Range::Outside);
    }

    #[test]
    fn the_bucket_stands_in_the_path_or_in_the_hosts_name() {
        let of = |host: &str, path: &str| {
            let headers = vec![("host".to_owned(), host.to_owned())];
            let target = Target::of(&Wire { path: path.to_owned(), headers, ..Wire::default() });
            (target.bucket, target.key)
        };
        let both = |bucket: &str, key: &str| (bucket.to_owned(), key.to_owned());
        assert_eq!(of("127.0.0.1:80", "/b/a%2Fc/d"), both("b", "a/c/d"));
        assert_eq!(of("localhost:80", "/b"), both("b", ""));
        assert_eq!(of("[::1]:80", "/"), both("", ""));
        assert_eq!(of("b.oss-cn-hangzhou.aliyuncs.com", "/k/"), both("b", "k/"));
    }
}
