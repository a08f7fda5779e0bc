//! Requests signed with ACS3-HMAC-SHA256, as the SDKs of Alibaba Cloud sign them: verified from what came over the wire.
//! Source: "V3 request structure and signature" of Alibaba Cloud's OpenAPI documentation.

use super::access::{Access, Identity, same};
use super::problem::Problem;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use backends::cloud::encode::percent;
use engine::time::{Span, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The name of the algorithm.
pub const ALGORITHM: &str = "ACS3-HMAC-SHA256";
/// How far a request's time may be from ours.
const SKEW: Span = Span::from_secs(15 * 60);
/// Nonces that are remembered; within [`SKEW`] a client that sends more is refused for a while.
const MAX_NONCES: usize = 1_000_000;

/// Nonces that were used, with the time until which they must not be used again.
#[derive(Debug, Default)]
pub struct Nonces {
    used: Mutex<BTreeMap<String, Timestamp>>,
}

impl Nonces {
    fn take(&self, nonce: &str, now: Timestamp) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= MAX_NONCES {
            used.retain(|_, until| *until > now);
        }
        if used.len() >= MAX_NONCES {
            return false;
        }
        let until = now.after(Span(SKEW.0 * 2));
        used.insert(nonce.to_owned(), until).is_none_or(|before| before <= now)
    }
}

/// A request as far as it is signed.
pub struct Signed<'a> {
    /// The method.
    pub method: &'a Method,
    /// The address as it was sent.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
}

fn refused(message: impl Into<String>, cure: &str) -> Problem {
    Problem::coded(StatusCode::UNAUTHORIZED, crate::codes::NOT_AUTHENTICATED, message, cure)
}

/// Who has signed a request. `authorization` is what follows the algorithm's name in the header.
pub fn verify(
    access: &Access,
    nonces: &Nonces,
    request: &Signed<'_>,
    authorization: &str,
    now: Timestamp,
) -> Result<Identity, Problem> {
    let part = |name: &str| {
        let mut parts = authorization.split(',').map(str::trim);
        parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
    };
    let (id, names, signature) = (part("Credential"), part("SignedHeaders"), part("Signature"));
    let header = |name: &str| {
        let mut values = request.headers.get_all(name).iter();
        let value = values.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
        if values.next().is_some() { "" } else { value.trim() }
    };
    let unclear = "sign the request as the SDKs of Alibaba Cloud do";
    let signed: Vec<&str> = names.split(';').collect();
    for name in ["host", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"] {
        if !signed.contains(&name) || header(name).is_empty() {
            return Err(refused(format!("the header `{name}` is missing or not signed"), unclear));
        }
    }
    if !same(header("x-acs-content-sha256").as_bytes(), hex(&Sha256::digest(request.body)).as_bytes()) {
        return Err(refused("the body is not the one that was signed", unclear));
    }
    let key = access.key(id);
    // Whether or not there is such a key, the same is computed.
    let secret = key.map_or("", |key| key.secret.expose().as_str());
    let expected = sign(secret, &text(request, &signed, &header));
    let fits = same(expected.as_bytes(), signature.as_bytes());
    let Some(key) = key.filter(|_| fits) else {
        return Err(refused(
            "the access key is unknown, or the request is not signed with its secret",
            "check access key id and secret",
        ));
    };
    let date: Option<jiff::Timestamp> = header("x-acs-date").parse().ok();
    let date = date.map(|date| Timestamp(date.as_millisecond()));
    if date.is_none_or(|date| date.since(now).max(now.since(date)) > SKEW) {
        return Err(refused(
            "the request's time `x-acs-date` is too far from this machine's",
            "set the clock",
        ));
    }
    if !nonces.take(&format!("{id} {}", header("x-acs-signature-nonce")), now) {
        return Err(refused("a request with this nonce has come before", "sign every request anew"));
    }
    Ok(key.owner.clone())
}

/// The text that is signed.
fn text<'a>(request: &Signed<'_>, signed: &[&str], header: &dyn Fn(&str) -> &'a str) -> String {
    let headers: String = signed.iter().map(|name| format!("{name}:{}\n", header(name))).collect();
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        request.method,
        request.uri.path(),
        query(request.uri.query().unwrap_or_default()),
        signed.join(";"),
        header("x-acs-content-sha256"),
    );
    format!("{ALGORITHM}\n{}", hex(&Sha256::digest(canonical.as_bytes())))
}

/// The query in its canonical form: decoded, encoded anew, sorted.
fn query(raw: &str) -> String {
    let mut pairs: Vec<String> = raw
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            format!("{}={}", percent(&decoded(name)), percent(&decoded(value)))
        })
        .collect();
    pairs.sort();
    pairs.join("&")
}

/// A part of a query as it was meant: `+` is a space.
pub fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

fn sign(secret: &str, text: &str) -> String {
    // A key of any length is taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
