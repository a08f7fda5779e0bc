//! Lists of objects, in the form of version 1 (markers) and of version 2 (continuation tokens).

use super::refusal::Refusal;
use super::reply::{Reply, escape};
use super::signature::encode;
use super::store::About;
use crate::clock;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::{BTreeMap, BTreeSet};

/// The entries of a page if a call does not say.
const PAGE: usize = 100;
/// The most entries of a page.
const MOST_PAGE: usize = 1000;

/// Lists a bucket.
pub fn list(
    bucket: &str,
    objects: &BTreeMap<String, About>,
    query: &BTreeMap<String, String>,
) -> Result<Reply, Refusal> {
    let of = |name: &str| query.get(name).map_or("", String::as_str);
    let second = of("list-type") == "2";
    let (prefix, delimiter) = (of("prefix"), of("delimiter"));
    let most = match of("max-keys") {
        "" => PAGE,
        text => {
            let number = text.parse().ok().filter(|number| (1..=MOST_PAGE).contains(number));
            number
                .ok_or_else(|| Refusal::argument(format!("max-keys is not from 1 to {MOST_PAGE}: {text}")))?
        }
    };
    let coded = match of("encoding-type") {
        "" => false,
        "url" => true,
        other => return Err(Refusal::argument(format!("encoding-type is unknown: {other}"))),
    };
    let name = |text: &str| if coded { encode(text, "/") } else { escape(text) };
    let after = match (second, of("continuation-token")) {
        (false, _) => of("marker").to_owned(),
        (true, "") => of("start-after").to_owned(),
        (true, token) => STANDARD
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| Refusal::argument("The continuation token is invalid."))?,
    };
    let page = page(objects, prefix, delimiter, &after, most);
    let mut text = format!("<Name>{}</Name><Prefix>{}</Prefix>", escape(bucket), name(prefix));
    text.push_str(&format!("<MaxKeys>{most}</MaxKeys><Delimiter>{}</Delimiter>", name(delimiter)));
    if coded {
        text.push_str("<EncodingType>url</EncodingType>");
    }
    text.push_str(&format!("<IsTruncated>{}</IsTruncated>", page.next.is_some()));
    if second {
        text.push_str(&format!("<KeyCount>{}</KeyCount>", page.keys.len() + page.folders.len()));
        text.push_str(&format!("<StartAfter>{}</StartAfter>", name(of("start-after"))));
        if let Some(next) = &page.next {
            let token = STANDARD.encode(next);
            text.push_str(&format!("<NextContinuationToken>{token}</NextContinuationToken>"));
        }
    } else {
        text.push_str(&format!("<Marker>{}</Marker>", name(&after)));
        if let Some(next) = &page.next {
            text.push_str(&format!("<NextMarker>{}</NextMarker>", name(next)));
        }
    }
    for (key, about) in &page.keys {
        text.push_str(&format!(
            "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>\"{}\"</ETag><Type>{}</Type>\
             <Size>{}</Size><StorageClass>Standard</StorageClass></Contents>",
            name(key),
            clock::text(Some(about.modified_ms)).replace('Z', ".000Z"),
            about.etag,
            if about.appendable { "Appendable" } else { "Normal" },
            about.size
        ));
    }
    for folder in &page.folders {
        text.push_str(&format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", name(folder)));
    }
    Ok(Reply::xml(&format!("<ListBucketResult>{text}</ListBucketResult>")))
}

struct Page<'a> {
    keys: Vec<(&'a str, &'a About)>,
    folders: BTreeSet<String>,
    /// The last entry of the page, if others follow it.
    next: Option<String>,
}

fn page<'a>(
    objects: &'a BTreeMap<String, About>,
    prefix: &str,
    delimiter: &str,
    after: &str,
    most: usize,
) -> Page<'a> {
    let mut page = Page { keys: Vec::new(), folders: BTreeSet::new(), next: None };
    let mut last = String::new();
    for (key, about) in objects.iter().filter(|(key, _)| key.starts_with(prefix)) {
        let rest = key.get(prefix.len()..).unwrap_or_default();
        let cut = if delimiter.is_empty() { None } else { rest.find(delimiter) };
        let folder = cut.and_then(|at| key.get(..prefix.len() + at + delimiter.len()));
        let entry = folder.unwrap_or(key);
        if entry <= after || (folder.is_some() && page.folders.contains(entry)) {
            continue;
        }
        if page.keys.len() + page.folders.len() == most {
            page.next = Some(last);
            break;
        }
        entry.clone_into(&mut last);
        match folder {
            Some(folder) => drop(page.folders.insert(folder.to_owned())),
            None => page.keys.push((key, about)),
        }
    }
    page
}
