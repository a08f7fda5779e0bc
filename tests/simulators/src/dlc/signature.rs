//! Verifying ACS3-HMAC-SHA256 (the service's signature, version 3) from the bytes of a request.
//!
//! This is written from the rules alone and shares nothing with the client, so that a mistake of the one is not
//! hidden by the same mistake of the other. [`verify`] says nothing about time, nonces and permissions: those are
//! the gateway's (`gate.rs`).

use super::refusal::Refusal;
use crate::wire::Wire;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What an `Authorization` header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// The access key id.
    pub key_id: &'a str,
    /// The names of the signed headers, as listed.
    pub signed: Vec<&'a str>,
    /// The signature, in hexadecimal.
    pub signature: &'a str,
}

/// Reads an `Authorization` header.
pub fn authorization(text: &str) -> Result<Authorization<'_>, Refusal> {
    let (algorithm, rest) = text.split_once(' ').unwrap_or((text, ""));
    if algorithm != "ACS3-HMAC-SHA256" {
        return Err(Refusal::new(
            400,
            "InvalidSignatureMethod",
            format!("the algorithm `{algorithm}` is unknown"),
        ));
    }
    let parts: BTreeMap<&str, &str> =
        rest.split(',').filter_map(|part| part.trim().split_once('=')).collect();
    let part =
        |name: &str| {
            parts.get(name).copied().filter(|text| !text.is_empty()).ok_or_else(|| {
                Refusal::new(400, "IncompleteSignature", format!("Authorization has no {name}"))
            })
        };
    Ok(Authorization {
        key_id: part("Credential")?,
        signed: part("SignedHeaders")?.split(';').collect(),
        signature: part("Signature")?,
    })
}

/// Which headers must be signed, and are not; and which are signed, and are not there.
pub fn coverage(wire: &Wire, signed: &[&str]) -> Result<(), Refusal> {
    let incomplete = |what: String| Refusal::new(400, "IncompleteSignature", what);
    if let Some(absent) = signed.iter().find(|name| wire.header(name).is_none()) {
        return Err(incomplete(format!("the signed header {absent} is not there")));
    }
    let needed = wire.headers.iter().map(|(name, _)| name.as_str()).filter(|name| {
        *name == "host" || name.starts_with("x-acs-") || (*name == "content-type" && !wire.body.is_empty())
    });
    match needed.into_iter().find(|name| !signed.contains(name)) {
        Some(open) => Err(incomplete(format!("the header {open} is not signed"))),
        None => Ok(()),
    }
}

/// The SHA-256 of a body, in lower hexadecimal.
pub fn digest(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

/// The text that a signature of this request is over, before it is hashed.
pub fn canonical_request(wire: &Wire, signed: &[&str]) -> String {
    let mut pairs = wire.pairs();
    pairs.sort();
    let query: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={}", encode(value))).collect();
    let mut names: Vec<&str> = signed.to_vec();
    names.sort_unstable();
    let mut headers = String::new();
    for name in &names {
        let mut values: Vec<&str> =
            wire.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.trim()).collect();
        values.sort_unstable();
        headers.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    let path = if wire.path.is_empty() { "/" } else { &wire.path };
    format!(
        "{}\n{path}\n{}\n{headers}\n{}\n{}",
        wire.method,
        query.join("&"),
        names.join(";"),
        wire.header("x-acs-content-sha256").unwrap_or_default()
    )
}

/// The signature that this request must have under a secret.
pub fn signature(wire: &Wire, signed: &[&str], secret: &str) -> String {
    let text = format!("ACS3-HMAC-SHA256\n{}", digest(canonical_request(wire, signed).as_bytes()));
    // HMAC takes keys of every length, so there is no error to hide.
    Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map(|mut mac| {
            mac.update(text.as_bytes());
            hex(&mac.finalize().into_bytes())
        })
        .unwrap_or_default()
}

/// Compares the body's hash and the signature with what they must be.
pub fn verify(wire: &Wire, authorization: &Authorization<'_>, secret: &str) -> Result<(), Refusal> {
    let mismatch = |what: &str| Err(Refusal::new(400, "SignatureDoesNotMatch", what));
    if wire.header("x-acs-content-sha256") != Some(digest(&wire.body).as_str()) {
        return mismatch("x-acs-content-sha256 is not the hash of the body.");
    }
    if signature(wire, &authorization.signed, secret) != authorization.signature {
        return mismatch("Specified signature is not matched with our calculation.");
    }
    Ok(())
}

/// Percent-encoding of a value: all but `A-Za-z0-9-_.~`, upper hexadecimal.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(byte as char);
        } else {
            // Writing to a text cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
