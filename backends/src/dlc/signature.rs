//! The signature `ACS3-HMAC-SHA256` of Alibaba Cloud's `OpenAPI`: made for our requests, and verified from what came
//! over the wire, as the simulator does.
//!
//! Pure: the time, the nonce and the keys are handed in. Begin with [`canonical`]; both sides go through it.

use crate::cloud::credentials::Credentials;
use crate::cloud::encode::percent;
use crate::cloud::secret::Secret;
use engine::time::{Span, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The name of the algorithm.
pub const ALGORITHM: &str = "ACS3-HMAC-SHA256";
/// How far a request's date may be from the clock of the service.
pub const DATE_WINDOW: Span = Span::from_secs(15 * 60);

/// The form in which a request is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical {
    /// All of the request that is signed, in one agreed order.
    pub request: String,
    /// The names of the headers that are signed, joined by `;`.
    pub signed_headers: String,
    /// The text whose MAC is the signature.
    pub string_to_sign: String,
}

/// Puts a request into canonical form.
///
/// `path` is percent-encoded already. `query` holds plain values; keys are taken as they are, as the official SDK
/// does, so they should be ASCII. `headers` are exactly those to sign. `payload_hash` is from [`payload_hash`].
pub fn canonical<'a>(
    method: &str,
    path: &str,
    query: impl IntoIterator<Item = (&'a str, &'a str)>,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    payload_hash: &str,
) -> Canonical {
    let mut query: Vec<(&str, &str)> = query.into_iter().collect();
    query.sort_unstable();
    let query: Vec<String> =
        query.into_iter().map(|(key, value)| format!("{key}={}", percent(value))).collect();
    let mut merged: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, value) in headers {
        merged.entry(name.to_ascii_lowercase()).or_default().push(value.trim());
    }
    let mut lines = String::new();
    for (name, values) in &mut merged {
        values.sort_unstable();
        lines.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    let signed_headers = merged.into_keys().collect::<Vec<_>>().join(";");
    let path = if path.is_empty() { "/" } else { path };
    let request = format!("{method}\n{path}\n{}\n{lines}\n{signed_headers}\n{payload_hash}", query.join("&"));
    let string_to_sign = format!("{ALGORITHM}\n{}", self::payload_hash(request.as_bytes()));
    Canonical { request, signed_headers, string_to_sign }
}

/// The value of the header `x-acs-content-sha256`: the body's SHA-256 in lower-case hexadecimal.
pub fn payload_hash(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The value of the header `Authorization`.
pub fn authorization(canonical: &Canonical, key_id: &str, secret: &Secret<String>) -> String {
    let signature = hex(&mac(secret, &canonical.string_to_sign));
    format!(
        "{ALGORITHM} Credential={key_id},SignedHeaders={},Signature={signature}",
        canonical.signed_headers
    )
}

fn mac(secret: &Secret<String>, text: &str) -> Vec<u8> {
    // A key of HMAC may have any length, so the error does not occur; no signature is the safe answer to it.
    Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

/// What a request is about, before it is signed.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Such as `GET`.
    pub method: &'a str,
    /// Percent-encoded.
    pub path: &'a str,
    /// Plain values under ASCII keys.
    pub query: &'a [(String, String)],
    /// The host, with its port if that is not the protocol's own.
    pub host: &'a str,
    /// Such as `GetJob`.
    pub action: &'a str,
    /// Such as `2020-12-03`.
    pub version: &'a str,
    /// JSON, or empty.
    pub body: &'a [u8],
}

/// All headers of a request, `Authorization` included.
///
/// `at` is the time by the service's clock; `nonce` is new for each sending.
pub fn sign(
    subject: &Subject<'_>,
    user_agent: &str,
    credentials: &Credentials,
    at: Timestamp,
    nonce: &str,
) -> Vec<(&'static str, String)> {
    let hash = payload_hash(subject.body);
    let mut headers = vec![
        ("host", subject.host.to_owned()),
        ("user-agent", user_agent.to_owned()),
        ("accept", "application/json".to_owned()),
        ("x-acs-action", subject.action.to_owned()),
        ("x-acs-version", subject.version.to_owned()),
        ("x-acs-date", date_text(at)),
        ("x-acs-signature-nonce", nonce.to_owned()),
        ("x-acs-content-sha256", hash.clone()),
    ];
    if !subject.body.is_empty() {
        headers.push(("content-type", "application/json; charset=utf-8".to_owned()));
    }
    if let Some(token) = &credentials.security_token {
        headers.push(("x-acs-accesskey-id", credentials.access_key_id.clone()));
        headers.push(("x-acs-security-token", token.expose().clone()));
    }
    let canonical = canonical(
        subject.method,
        subject.path,
        subject.query.iter().map(|(key, value)| (key.as_str(), value.as_str())),
        headers.iter().map(|(name, value)| (*name, value.as_str())),
        &hash,
    );
    let authorization = authorization(&canonical, &credentials.access_key_id, &credentials.access_key_secret);
    headers.push(("authorization", authorization));
    headers
}

/// A moment as `x-acs-date` has it: `YYYY-MM-DDTHH:MM:SSZ`.
pub fn date_text(at: Timestamp) -> String {
    let second = jiff::Timestamp::from_second(at.0.div_euclid(1000)).unwrap_or_default();
    second.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The moment that `YYYY-MM-DDTHH:MM:SSZ` names, if it has that form.
pub fn date_from_text(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    (text.len() == 20 && text.ends_with('Z')).then(|| Timestamp(moment.as_millisecond()))
}

/// A request as it came over the wire.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Such as `GET`.
    pub method: &'a str,
    /// Path and query, as in the request line.
    pub target: &'a str,
    /// Names in any case, values as sent.
    pub headers: &'a [(String, String)],
    /// All of the body.
    pub body: &'a [u8],
}

/// What the verifying side knows.
pub trait Keys {
    /// The secret of a key.
    fn secret(&self, key_id: &str) -> Option<Secret<String>>;
    /// Remembers a nonce; false if it was there already.
    fn take_nonce(&self, nonce: &str) -> bool;
    /// Whether the token goes with the key; `None` if the request carries none.
    fn token(&self, key_id: &str, token: Option<&str>) -> Result<(), Fault>;
}

/// What is wrong with a request's signature. The texts of the service are its own; these are ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A header is not there.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// `Authorization` cannot be read, or names another algorithm.
    #[error("the authorization is not {ALGORITHM}: {0}")]
    BadAuthorization(&'static str),
    /// There is no such key.
    #[error("the access key is not known")]
    UnknownKey,
    /// A header that must be signed is not, or one that is signed is not there.
    #[error("the header {0} has to be sent and signed")]
    NotSigned(String),
    /// The body is not what was signed.
    #[error("the body does not have the hash that was signed")]
    WrongBody,
    /// The date has another form.
    #[error("the date has to be YYYY-MM-DDTHH:MM:SSZ")]
    BadDate,
    /// The date is too far from the service's clock.
    #[error("the date is more than 15 minutes away")]
    Expired,
    /// The request was here before.
    #[error("the nonce was used before")]
    NonceUsed,
    /// The signature is another.
    #[error("the signature does not match; canonical request: {0:?}")]
    Mismatch(String),
    /// A temporary key without its token, or with another.
    #[error("the security token is not right")]
    BadToken,
    /// The session of a temporary key is over.
    #[error("the security token has expired")]
    TokenExpired,
}

impl Fault {
    /// The `Code` in the service's answer, after its general table of errors; its HTTP status is 400 (404 for an
    /// unknown key on some gateways).
    pub fn code(&self) -> String {
        match self {
            Self::Missing(header) => return format!("Missing{header}"),
            Self::BadAuthorization(_) | Self::NotSigned(_) => "IncompleteSignature",
            Self::UnknownKey => "InvalidAccessKeyId.NotFound",
            Self::BadDate => "InvalidTimeStamp.Format",
            Self::Expired => "InvalidTimeStamp.Expired",
            Self::NonceUsed => "SignatureNonceUsed",
            Self::WrongBody | Self::Mismatch(_) => "SignatureDoesNotMatch",
            Self::BadToken => "InvalidSecurityToken.Malformed",
            Self::TokenExpired => "InvalidSecurityToken.Expired",
        }
        .to_owned()
    }
}

/// Who sent a request, once it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The key that signed it.
    pub access_key_id: String,
    /// Such as `GetJob`.
    pub action: String,
    /// Such as `2020-12-03`.
    pub version: String,
}

/// Verifies a request from the bytes of the wire alone; the checks come in the order of the protocol.
pub fn verify(request: &Received<'_>, now: Timestamp, keys: &impl Keys) -> Result<Verified, Fault> {
    let authorization = header(request, "authorization").ok_or(Fault::Missing("Authorization"))?;
    let claimed = Claimed::parse(authorization)?;
    let secret = keys.secret(claimed.key_id).ok_or(Fault::UnknownKey)?;
    let signed: Vec<&str> = claimed.signed_headers.split(';').collect();
    for name in &signed {
        if header(request, name).is_none() {
            return Err(Fault::NotSigned((*name).to_owned()));
        }
    }
    let names = request.headers.iter().map(|(name, _)| name.to_ascii_lowercase());
    let must = names.filter(|name| name.starts_with("x-acs-")).chain(["host".to_owned()]);
    if let Some(open) = must.into_iter().find(|name| !signed.contains(&name.as_str())) {
        return Err(Fault::NotSigned(open));
    }
    let hash = header(request, "x-acs-content-sha256").ok_or(Fault::Missing("ContentSha256"))?;
    if hash != payload_hash(request.body) {
        return Err(Fault::WrongBody);
    }
    let date = header(request, "x-acs-date").ok_or(Fault::Missing("Timestamp"))?;
    let date = date_from_text(date).ok_or(Fault::BadDate)?;
    if date.0.abs_diff(now.0) > DATE_WINDOW.0 {
        return Err(Fault::Expired);
    }
    let nonce = header(request, "x-acs-signature-nonce").ok_or(Fault::Missing("SignatureNonce"))?;
    if !keys.take_nonce(nonce) {
        return Err(Fault::NonceUsed);
    }
    let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
    let query = form_decode(query);
    let canonical = canonical(
        request.method,
        path,
        query.iter().map(|(key, value)| (key.as_str(), value.as_str())),
        request
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| signed.contains(&name.to_ascii_lowercase().as_str())),
        hash,
    );
    // The comparison goes over all bytes whatever they are.
    let ours = mac(&secret, &canonical.string_to_sign);
    if ours.is_empty() || !same(&hex(&ours), claimed.signature) {
        return Err(Fault::Mismatch(canonical.request));
    }
    keys.token(claimed.key_id, header(request, "x-acs-security-token"))?;
    Ok(Verified {
        access_key_id: claimed.key_id.to_owned(),
        action: header(request, "x-acs-action").unwrap_or_default().to_owned(),
        version: header(request, "x-acs-version").unwrap_or_default().to_owned(),
    })
}

fn same(left: &str, right: &str) -> bool {
    left.len() == right.len() && left.bytes().zip(right.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

fn header<'a>(request: &Received<'a>, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The parts of a query string, decoded: `+` is a space, as forms have it.
pub fn form_decode(query: &str) -> Vec<(String, String)> {
    let plain = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(key, value)| (plain(key), plain(value)))
        .collect()
}

struct Claimed<'a> {
    key_id: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Claimed<'a> {
    fn parse(authorization: &'a str) -> Result<Self, Fault> {
        let rest =
            authorization.strip_prefix(ALGORITHM).ok_or(Fault::BadAuthorization("another algorithm"))?;
        let part = |name: &str| {
            rest.split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
                .filter(|v| !v.is_empty())
        };
        Ok(Self {
            key_id: part("Credential").ok_or(Fault::BadAuthorization("no Credential"))?,
            signed_headers: part("SignedHeaders").ok_or(Fault::BadAuthorization("no SignedHeaders"))?,
            signature: part("Signature").ok_or(Fault::BadAuthorization("no Signature"))?,
        })
    }
}
