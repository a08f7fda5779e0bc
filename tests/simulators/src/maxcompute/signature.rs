//! Verifying the service's signatures, versions 2 and 4, from the bytes of a request.
//!
//! This is written from the rules alone and shares nothing with the client, so that a mistake of the one is not hidden
//! by the same mistake of the other. [`verify`] says nothing about times, tokens and permissions: those are the
//! gateway's (`gate.rs`).
//!
//! The official clients disagree where a value of the query holds `+`, `%`, `&` or `=`, or a key comes twice, and
//! which of them the service follows is not documented; a signature is taken if it is right by either.

use super::refusal::Refusal;
use crate::wire::{Wire, decode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use std::collections::BTreeMap;

/// What an `Authorization` header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// The access key id.
    pub key_id: &'a str,
    /// The day (`YYYYMMDD`) and the region of version 4; absent in version 2.
    pub scope: Option<(&'a str, &'a str)>,
    /// The signature, in base64.
    pub signature: &'a str,
}

/// Reads an `Authorization` header.
pub fn authorization(text: &str) -> Result<Authorization<'_>, Refusal> {
    let malformed = || {
        Refusal::new(
            400,
            "InvalidAuthorization",
            "ODPS-0410011: Invalid authorization header - it is malformed",
        )
    };
    let rest = text.strip_prefix("ODPS ").ok_or_else(malformed)?;
    let (who, signature) = rest.rsplit_once(':').ok_or_else(malformed)?;
    let parts: Vec<&str> = who.split('/').collect();
    match parts.as_slice() {
        [key_id] => Ok(Authorization { key_id, scope: None, signature }),
        [key_id, day, region, "odps", "aliyun_v4_request"] => {
            Ok(Authorization { key_id, scope: Some((day, region)), signature })
        }
        _ => Err(malformed()),
    }
}

/// How a client reads its own address before it signs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Each key and value is decoded once.
    Once,
    /// As `PyODPS` does: the whole address is decoded, taken apart, and decoded again; the last of equal keys counts.
    Twice,
}

/// The text that is signed. The path is that behind the endpoint.
pub fn canonical(wire: &Wire, reading: Reading) -> String {
    let path = wire.path.strip_prefix("/api").unwrap_or(&wire.path);
    let (path, query) = match reading {
        Reading::Once => (decode(path), wire.pairs()),
        Reading::Twice => {
            let whole = Wire { query: decode(&wire.query), ..Wire::default() };
            (decode(path), whole.pairs())
        }
    };
    let query: BTreeMap<String, String> = query.into_iter().collect();
    let mut signed: BTreeMap<String, String> =
        ["content-md5", "content-type", "date"].map(|name| (name.to_owned(), String::new())).into();
    for (name, value) in &wire.headers {
        if name.starts_with("x-odps-") {
            signed.insert(name.clone(), format!("{name}:{value}"));
        } else if let Some(known) = signed.get_mut(name) {
            known.clone_from(value);
        }
    }
    for (name, value) in query.iter().filter(|(name, _)| name.starts_with("x-odps-")) {
        signed.insert(name.clone(), format!("{name}:{value}"));
    }
    let mut lines = vec![wire.method.clone()];
    lines.extend(signed.into_values());
    let pairs: Vec<String> = query
        .iter()
        .map(|(key, value)| if value.is_empty() { key.clone() } else { format!("{key}={value}") })
        .collect();
    let mark = if pairs.is_empty() { "" } else { "?" };
    lines.push(format!("{path}{mark}{}", pairs.join("&")));
    lines.join("\n")
}

fn hmac_sha1(key: &[u8], text: &[u8]) -> Vec<u8> {
    // HMAC takes keys of every length, so there is no error to hide.
    Hmac::<Sha1>::new_from_slice(key)
        .map(|mut mac| {
            mac.update(text);
            mac.finalize().into_bytes().to_vec()
        })
        .unwrap_or_default()
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mut mac| {
            mac.update(text);
            mac.finalize().into_bytes().to_vec()
        })
        .unwrap_or_default()
}

/// The signature of a text under a secret, in base64; with a day and a region it is that of version 4.
pub fn signature(text: &str, secret: &str, scope: Option<(&str, &str)>) -> String {
    let key = match scope {
        None => secret.as_bytes().to_vec(),
        Some((day, region)) => [day, region, "odps", "aliyun_v4_request"]
            .iter()
            .fold(format!("aliyun_v4{secret}").into_bytes(), |key, part| hmac_sha256(&key, part.as_bytes())),
    };
    BASE64_STANDARD.encode(hmac_sha1(&key, text.as_bytes()))
}

/// The signature that an application adds, over the value of `Authorization`.
pub fn application(authorization: &str, key: &str) -> String {
    BASE64_STANDARD.encode(hmac_sha1(key.as_bytes(), authorization.as_bytes()))
}

/// Compares a request's signature with what it must be.
pub fn verify(wire: &Wire, authorization: &Authorization<'_>, secret: &str) -> Result<(), Refusal> {
    let right = |reading| {
        signature(&canonical(wire, reading), secret, authorization.scope) == authorization.signature
    };
    if right(Reading::Once) || right(Reading::Twice) {
        return Ok(());
    }
    Err(mismatch())
}

/// The refusal of a signature that is not right.
pub fn mismatch() -> Refusal {
    let message = "ODPS-0410042: Invalid signature value - The request signature we calculated does not match the \
                   signature you provided.";
    Refusal::new(401, "SignatureNotMatch", message)
}
