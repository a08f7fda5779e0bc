//! The signatures of MaxCompute: the older one, here called v2, and v4, whose key is derived for a day and a region.
//!
//! Pure: the time and the keys are handed in. Begin with [`canonical`], the text that both sign; [`authorization`] makes
//! the header of it. The rules are those of the official client PyODPS, its decoding of addresses included: a `+`, `%`,
//! `&` or `=` in a value is signed as that client does it, and is better kept out of queries.

use crate::cloud::encode;
use crate::cloud::secret::Secret;
use engine::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::percent_decode_str;
use sha1::Sha1;
use sha2::Sha256;
use std::collections::BTreeMap;

/// Names the scheme in v4.
const V4: &str = "aliyun_v4";

/// The text that is signed.
///
/// `target` is the path below the endpoint with the query, as sent. Of `headers`, whose names are in any case, those
/// take part that count.
pub fn canonical<'a>(
    method: &str,
    target: &str,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let target = percent_decode_str(target).decode_utf8_lossy();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    // The last of several values of one key counts.
    let query: BTreeMap<String, String> = form(query).collect();
    let mut signed: BTreeMap<String, &str> =
        ["content-md5", "content-type", "date"].map(|name| (name.to_owned(), "")).into();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if signed.contains_key(&name) || name.starts_with("x-odps-") {
            signed.insert(name, value);
        }
    }
    signed.extend(query.iter().filter(|(key, _)| key.starts_with("x-odps-")).map(|(k, v)| (k.clone(), &**v)));
    let mut text = method.to_owned();
    for (name, value) in &signed {
        let name = if name.starts_with("x-odps-") { format!("{name}:") } else { String::new() };
        text.push_str(&format!("\n{name}{value}"));
    }
    let query: Vec<String> = query
        .iter()
        .map(|(key, value)| if value.is_empty() { key.clone() } else { format!("{key}={value}") })
        .collect();
    let question = if query.is_empty() { "" } else { "?" };
    text.push_str(&format!("\n{path}{question}{}", query.join("&")));
    text
}

/// The parts of a query, decoded as forms are.
fn form(query: &str) -> impl Iterator<Item = (String, String)> {
    let plain = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query.split('&').filter(|part| !part.is_empty()).map(move |part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        (plain(key), plain(value))
    })
}

/// The value of the header `Authorization`: v4 if a region is given, else v2. `at` is the time by the service's clock;
/// v4 takes the day from it (UTC).
pub fn authorization(
    canonical: &str,
    key_id: &str,
    secret: &Secret<String>,
    region: Option<&str>,
    at: Timestamp,
) -> String {
    match region {
        None => format!("ODPS {key_id}:{}", sign(secret.expose().as_bytes(), canonical)),
        Some(region) => {
            let day = day(at);
            let signature = sign(v4_key(secret, &day, region).expose(), canonical);
            format!("ODPS {key_id}/{day}/{region}/odps/{V4}_request:{signature}")
        }
    }
}

/// The key that signs for one day and region in v4.
pub fn v4_key(secret: &Secret<String>, day: &str, region: &str) -> Secret<Vec<u8>> {
    let start = format!("{V4}{}", secret.expose()).into_bytes();
    let end = format!("{V4}_request");
    [day, region, "odps", &end].into_iter().fold(Secret::new(start), |key, part| {
        // A key of HMAC may have any length, so the error does not occur; an empty key is the safe answer to it.
        let mac = Hmac::<Sha256>::new_from_slice(key.expose());
        mac.map(|mac| mac.chain_update(part).finalize().into_bytes().to_vec()).unwrap_or_default().into()
    })
}

/// The signature, in base 64. It is of SHA-1 in both schemes.
fn sign(key: &[u8], text: &str) -> String {
    let mac = Hmac::<Sha1>::new_from_slice(key).map(|mac| mac.chain_update(text).finalize().into_bytes());
    mac.map(|mac| encode::base64(&mac)).unwrap_or_default()
}

/// Whether a header `Authorization` is signed by v4.
pub fn is_v4(authorization: &str) -> bool {
    authorization.contains(V4)
}

/// An account of an application, which signs the signature of the person it acts for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppAccount {
    /// Names the key.
    pub access_id: String,
    /// Signs, and is never sent.
    pub access_key: Secret<String>,
}

impl AppAccount {
    /// The value of the header `application-authentication`.
    pub fn authentication(&self, authorization: &str) -> String {
        format!(
            "account_provider:aliyun,signature_method:hmac-sha1,access_id:{},signature:{}",
            self.access_id,
            sign(self.access_key.expose().as_bytes(), authorization)
        )
    }
}

/// A moment as the header `Date` has it (RFC 1123, GMT).
pub fn date_text(at: Timestamp) -> String {
    second(at).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn day(at: Timestamp) -> String {
    second(at).strftime("%Y%m%d").to_string()
}

fn second(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(at.0.div_euclid(1000)).unwrap_or_default()
}
