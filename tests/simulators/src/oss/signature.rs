//! Verifying the service's signatures, version 1 and version 4, in headers and in queries, from the bytes of a request.
//!
//! This is written from the rules alone and shares nothing with the client, so that a mistake of the one is not
//! hidden by the same mistake of the other. Begin with [`Claim::read`]; whether the time, the token and the region are
//! right is for the gate to say (`gate.rs`).

use super::refusal::Refusal;
use super::script::Version;
use super::service::Target;
use crate::clock;
use crate::wire::Wire;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

const ALGORITHM: &str = "OSS4-HMAC-SHA256";

/// What of a query is part of what version 1 signs.
const SUB_RESOURCES: &str = "acl append asyncFetch bucketInfo callback callback-var cname comp continuation-token cors \
    delete encryption endTime group inventory inventoryId lifecycle link live location logging metaQuery objectInfo \
    objectMeta partNumber policy position qos qosInfo referer replication replicationLocation replicationProgress \
    requestPayment response-cache-control response-content-disposition response-content-encoding \
    response-content-language response-content-type response-expires restore security-token sequential startTime stat \
    status symlink tagging transferAcceleration uploadId uploads versionId versioning versions vod website worm \
    wormExtend wormId x-oss-ac-source-ip x-oss-process x-oss-request-payer x-oss-traffic-limit";

/// What a request says of its signer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The access key id.
    pub key_id: String,
    /// The session's token.
    pub token: Option<String>,
    /// When it was signed, or for a query of version 1 when it ends; as it stands there.
    pub time: String,
    /// For how many seconds a signed query is valid.
    pub expires_s: Option<i64>,
    /// The region of version 4.
    pub region: Option<String>,
    /// Whether it stands in the query.
    pub in_query: bool,
    scope_date: String,
    additional: Vec<String>,
    signature: String,
}

impl Claim {
    /// Reads what a request says; a request without a signature is refused, for every bucket here is private.
    pub fn read(wire: &Wire) -> Result<Self, Refusal> {
        let query: BTreeMap<String, String> = wire.pairs().into_iter().collect();
        let of = |name: &str| query.get(name).cloned();
        if let Some(authorization) = wire.header("authorization") {
            let token = wire.header("x-oss-security-token").map(str::to_owned);
            let time = |names: [&str; 2]| names.iter().find_map(|name| wire.header(name)).unwrap_or_default();
            if let Some(rest) = authorization.strip_prefix("OSS ") {
                let (key_id, signature) = rest.split_once(':').ok_or_else(malformed)?;
                let time = time(["x-oss-date", "date"]);
                return Ok(Self { token, ..Self::v1(key_id, signature, time) });
            }
            let rest = authorization.strip_prefix(ALGORITHM).ok_or_else(malformed)?;
            let parts: BTreeMap<&str, &str> =
                rest.split(',').filter_map(|part| part.trim().split_once('=')).collect();
            let part = |name: &str| parts.get(name).copied().unwrap_or_default();
            let claim = Self::v4(part("Credential"), part("AdditionalHeaders"), part("Signature"))?;
            return Ok(Self { token, time: time(["x-oss-date", "x-oss-date"]).to_owned(), ..claim });
        }
        if let Some(credential) = of("x-oss-credential") {
            let additional = of("x-oss-additional-headers").unwrap_or_default();
            let claim = Self::v4(&credential, &additional, &of("x-oss-signature").unwrap_or_default())?;
            let expires_s = of("x-oss-expires").and_then(|text| text.parse().ok());
            return Ok(Self {
                token: of("x-oss-security-token"),
                time: of("x-oss-date").unwrap_or_default(),
                expires_s: Some(expires_s.ok_or_else(malformed)?),
                in_query: true,
                ..claim
            });
        }
        if let (Some(key_id), Some(signature)) = (of("OSSAccessKeyId"), of("Signature")) {
            let claim = Self::v1(&key_id, &signature, &of("Expires").unwrap_or_default());
            return Ok(Self { token: of("security-token"), in_query: true, ..claim });
        }
        Err(Refusal::new(403, "AccessDenied", "Anonymous access is forbidden for this operation."))
    }

    fn v1(key_id: &str, signature: &str, time: &str) -> Self {
        Self {
            key_id: key_id.to_owned(),
            token: None,
            time: time.to_owned(),
            expires_s: None,
            region: None,
            in_query: false,
            scope_date: String::new(),
            additional: Vec::new(),
            signature: signature.to_owned(),
        }
    }

    fn v4(credential: &str, additional: &str, signature: &str) -> Result<Self, Refusal> {
        let mut parts = credential.split('/');
        let mut next = || parts.next().unwrap_or_default();
        let (key_id, scope_date, region, service, end) = (next(), next(), next(), next(), next());
        if service != "oss" || end != "aliyun_v4_request" || signature.is_empty() {
            return Err(malformed());
        }
        Ok(Self {
            region: Some(region.to_owned()),
            scope_date: scope_date.to_owned(),
            additional: additional.split(';').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            ..Self::v1(key_id, signature, "")
        })
    }

    /// Which version it is.
    pub fn version(&self) -> Version {
        if self.region.is_some() { Version::V4 } else { Version::V1 }
    }

    /// When it was signed, in milliseconds since 1970; for a query of version 1, when it ends.
    pub fn time_ms(&self) -> Option<i64> {
        match (self.version(), self.in_query) {
            (Version::V4, _) => {
                clock::parse_basic(&self.time).filter(|_| self.time.starts_with(&self.scope_date))
            }
            (Version::V1, true) => {
                self.time.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(1000))
            }
            (Version::V1, false) => clock::parse_http(&self.time),
        }
    }

    /// Compares the signature with what it must be.
    pub fn verify(&self, wire: &Wire, target: &Target, secret: &str) -> Result<(), Refusal> {
        let (text, signature) = match &self.region {
            None => {
                let text = self.text_v1(wire, target);
                let signature = STANDARD.encode(mac::<Hmac<Sha1>>(secret.as_bytes(), &text));
                (text, signature)
            }
            Some(region) => {
                let scope = format!("{}/{region}/oss/aliyun_v4_request", self.scope_date);
                let canonical = self.canonical_v4(wire, target);
                let text =
                    format!("{ALGORITHM}\n{}\n{scope}\n{}", self.time, hex(&Sha256::digest(canonical)));
                let date = mac::<Hmac<Sha256>>(format!("aliyun_v4{secret}").as_bytes(), &self.scope_date);
                let region = mac::<Hmac<Sha256>>(&date, region);
                let service = mac::<Hmac<Sha256>>(&region, "oss");
                let key = mac::<Hmac<Sha256>>(&service, "aliyun_v4_request");
                let signature = hex(&mac::<Hmac<Sha256>>(&key, &text));
                (text, signature)
            }
        };
        if signature == self.signature { Ok(()) } else { Err(Refusal::mismatch(&text)) }
    }

    fn text_v1(&self, wire: &Wire, target: &Target) -> String {
        let header = |name: &str| wire.header(name).unwrap_or_default();
        let mut own: Vec<(&str, &str)> = wire
            .headers
            .iter()
            .filter(|(name, _)| name.starts_with("x-oss-"))
            .map(|(name, value)| (name.as_str(), value.trim()))
            .collect();
        own.sort_unstable();
        let own: String = own.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let mut signed: Vec<(String, String)> = wire.pairs();
        signed.retain(|(key, _)| SUB_RESOURCES.split_ascii_whitespace().any(|known| known == key));
        signed.sort();
        let signed: Vec<String> = signed
            .iter()
            .map(|(key, value)| if value.is_empty() { key.clone() } else { format!("{key}={value}") })
            .collect();
        let question = if signed.is_empty() { "" } else { "?" };
        format!(
            "{}\n{}\n{}\n{}\n{own}{}{question}{}",
            wire.method,
            header("content-md5"),
            header("content-type"),
            self.time,
            target.resource(),
            signed.join("&")
        )
    }

    fn canonical_v4(&self, wire: &Wire, target: &Target) -> String {
        let mut pairs: Vec<(String, String)> = wire
            .pairs()
            .into_iter()
            .filter(|(key, _)| key != "x-oss-signature")
            .map(|(key, value)| (encode(&key, ""), encode(&value, "")))
            .collect();
        pairs.sort();
        let pairs: Vec<String> = pairs
            .into_iter()
            .map(|(key, value)| if value.is_empty() { key } else { format!("{key}={value}") })
            .collect();
        let always =
            |name: &str| name.starts_with("x-oss-") || matches!(name, "content-type" | "content-md5");
        let mut headers: Vec<String> = wire
            .headers
            .iter()
            .filter(|(name, _)| always(name) || self.additional.contains(name))
            .map(|(name, value)| format!("{name}:{}\n", value.trim()))
            .collect();
        headers.sort_unstable();
        let payload = wire.header("x-oss-content-sha256").unwrap_or("UNSIGNED-PAYLOAD");
        format!(
            "{}\n{}\n{}\n{}\n{}\n{payload}",
            wire.method,
            encode(&target.resource(), "/"),
            pairs.join("&"),
            headers.concat(),
            self.additional.join(";")
        )
    }
}

fn malformed() -> Refusal {
    Refusal::argument("Authorization header is invalid.")
}

/// HMAC takes keys of every length, so there is no error to hide.
fn mac<M: Mac + KeyInit>(key: &[u8], text: &str) -> Vec<u8> {
    <M as KeyInit>::new_from_slice(key)
        .map(|mut mac| {
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        })
        .unwrap_or_default()
}

/// Percent-encoding of all but `A-Za-z0-9-_.~` and what is kept, upper hexadecimal.
pub fn encode(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || kept.as_bytes().contains(&byte) {
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
