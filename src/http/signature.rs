//! Requests signed with ACS3-HMAC-SHA256, as the SDKs of Alibaba Cloud sign them: verified from what came over the wire.
//! Source: "V3 request structure and signature" of Alibaba Cloud's `OpenAPI` documentation.

use super::access::{Access, Identity, same};
use super::problem::Problem;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use backends::cloud::encode::percent;
use engine::time::{Span, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

/// The name of the algorithm.
pub const ALGORITHM: &str = "ACS3-HMAC-SHA256";
/// How far a request's time may be from ours.
const SKEW: Span = Span::from_secs(15 * 60);
/// Nonces that are remembered; within [`SKEW`] a client that sends more is refused for a while.
const MAX_NONCES: usize = 1_000_000;

/// Nonces that were used and must not be used again.
#[derive(Debug, Default)]
pub struct Nonces {
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    /// By their digests, which have one size.
    known: BTreeSet<[u8; 32]>,
    /// In the order in which they came, with the time until which they count.
    order: VecDeque<(Timestamp, [u8; 32])>,
}

impl Nonces {
    fn take(&self, nonce: &str, now: Timestamp) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, over)) = used.order.pop_front_if(|(until, _)| *until <= now) {
            used.known.remove(&over);
        }
        let nonce = *blake3::hash(nonce.as_bytes()).as_bytes();
        if used.order.len() >= MAX_NONCES || !used.known.insert(nonce) {
            return false;
        }
        used.order.push_back((now.after(Span(SKEW.0 * 2)), nonce));
        true
    }
}

/// A request without its body, of which a header says what it is.
pub struct Signed<'a> {
    /// The method.
    pub method: &'a Method,
    /// The address as it was sent.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// What a signed body has to be: its SHA-256 in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyDigest(String);

impl BodyDigest {
    /// An error unless this is the body.
    pub fn check(&self, body: &[u8]) -> Result<(), Problem> {
        if same(self.0.as_bytes(), hex(&Sha256::digest(body)).as_bytes()) {
            return Ok(());
        }
        Err(refused("the body is not the one that was signed", UNCLEAR))
    }
}

/// The cure for what is not signed as it has to be.
const UNCLEAR: &str = "sign the request as the SDKs of Alibaba Cloud do";

fn refused(message: impl Into<String>, cure: &str) -> Problem {
    Problem::coded(StatusCode::UNAUTHORIZED, crate::codes::NOT_AUTHENTICATED, message, cure)
}

/// Who has signed a request, and what its body has to be. `authorization` is what follows the algorithm's name in the header.
pub fn verify(
    access: &Access,
    nonces: &Nonces,
    request: &Signed<'_>,
    authorization: &str,
    now: Timestamp,
) -> Result<(Identity, BodyDigest), Problem> {
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
    let signed: Vec<&str> = names.split(';').collect();
    for name in ["host", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"] {
        if !signed.contains(&name) || header(name).is_empty() {
            return Err(refused(format!("the header `{name}` is missing or not signed"), UNCLEAR));
        }
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
    Ok((key.owner.clone(), BodyDigest(header("x-acs-content-sha256").to_owned())))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A request as the official Python SDK for PAI `AutoML` has sent it, signed with the secret FAKESECRET.
    const SENT: &[(&str, &str)] = &[
        ("accept-encoding", "identity"),
        ("host", "127.0.0.1:42777"),
        ("x-acs-version", "2022-08-28"),
        ("x-acs-action", "CreateHpoExperiment"),
        ("user-agent", "AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/2"),
        ("x-acs-date", "2026-11-23T19:15:58Z"),
        ("x-acs-signature-nonce", "3803a8be3912309b58517713138bf392"),
        ("accept", "application/json"),
        ("content-type", "application/json; charset=utf-8"),
        ("x-acs-content-sha256", "9f65f88cbb341f163cba0d9a68ce52e606248cdab48292d7be2d0bfa76ba6b2a"),
        ("x-acs-credentials-provider", "static_ak"),
    ];
    const SIGNED: &str = "accept;content-type;host;user-agent;x-acs-action;x-acs-content-sha256;x-acs-credentials-provider;x-acs-date;\
                          x-acs-signature-nonce;x-acs-version";
    const SIGNATURE: &str = "d905545eb7388a1e47aa8e037213999a0af07b9c11d4acbce9eaa732859b1fa1";
    const BODY: &str = r#"{"Accessibility":"PRIVATE","Description":"d","HpoExperimentConfiguration":{"k8s_config":{"nni_container_cpu_limit":"1"},"metric_config":{"final_mode":"best","metric_dict":{"accuracy=([0-9\\.]+)":1},"metric_source":["cmd1"],"metric_type":"stdout"},"oss_config":{"accessKeyID":"FAKE","accessKeySecret":"FAKE","endpoint":"http://127.0.0.1:9000","role_arn":"x"},"platform_config":{"cmd":["dlc submit pytorchjob --name=t_${exp_id}_${trial_id} --command \"python train.py --lr=${lr}\""],"name":"DLC","resume":"1"},"search_space":{"${lr}":{"_type":"uniform","_value":[0.0001,0.1]},"${batch_size}":{"_type":"choice","_value":[16,32]}},"yml_config":{"assessor":{"class_args":{"earlystop":true,"moving_avg":"True","optimize_mode":"maximize","proportion":0.5,"start_step":2},"name":"PAIAssessor"},"max_trial_number":5,"trial_concurrency":2,"tuner":{"class_args":{"optimize_mode":"maximize"},"name":"TPE"}}},"Name":"exp1","WorkspaceId":"ws1"}"#;

    /// A request that may be changed before it is looked at.
    struct Sent {
        uri: Uri,
        headers: HeaderMap,
        body: String,
    }

    impl Sent {
        fn new() -> Self {
            let name = |name: &'static str| axum::http::HeaderName::from_static(name);
            let headers = SENT.iter().map(|(key, value)| (name(key), value.parse().unwrap())).collect();
            let uri = Uri::from_static("/api/automl/v1/hpo/experiment");
            Self { uri, headers, body: BODY.to_owned() }
        }

        fn set(&mut self, name: &'static str, value: &str) {
            self.headers.insert(name, value.parse().unwrap());
        }

        fn signed(&self) -> Signed<'_> {
            Signed { method: &Method::POST, uri: &self.uri, headers: &self.headers }
        }

        fn signature(&self, secret: &str) -> String {
            let names: Vec<&str> = SIGNED.split(';').collect();
            let header = |name: &str| self.headers.get(name).map_or("", |value| value.to_str().unwrap());
            sign(secret, &text(&self.signed(), &names, &header))
        }
    }

    const SECRET: &str = "a-secret-of-the-test";

    fn access() -> Access {
        let file = format!(
            "[[user]]\nname = 'ann'\nrole = 'user'\naccess_key_id = 'FAKEID'\naccess_key_secret = '{SECRET}'"
        );
        Access::of(&file).unwrap()
    }

    fn refusal(sent: &Sent, signature: &str, nonces: &Nonces, now: Timestamp) -> Option<String> {
        let authorization = format!("Credential=FAKEID,SignedHeaders={SIGNED},Signature={signature}");
        match verify(&access(), nonces, &sent.signed(), &authorization, now) {
            Ok((who, _)) if who.name != "ann" => Some(who.name),
            Ok((_, body)) => body.check(sent.body.as_bytes()).err().map(|problem| problem.message),
            Err(problem) => Some(problem.message),
        }
    }

    fn then(later: i64) -> Timestamp {
        let date: jiff::Timestamp = "2026-11-23T19:15:58Z".parse().unwrap();
        Timestamp(date.as_millisecond() + later * 1_000)
    }

    #[test]
    fn what_the_official_sdk_has_signed_has_this_signature() {
        assert_eq!(hex(&Sha256::digest(BODY)), SENT[9].1);
        assert_eq!(Sent::new().signature("FAKESECRET"), SIGNATURE);
        assert_ne!(Sent::new().signature("FAKESECRES"), SIGNATURE);
    }

    #[test]
    fn a_signed_request_is_taken_once_within_its_time_and_unchanged() {
        let sent = Sent::new();
        let signature = sent.signature(SECRET);
        let refused = |sent: &Sent, at: Timestamp| refusal(sent, &signature, &Nonces::default(), at);
        for later in [-899, 0, 899] {
            assert_eq!(refused(&sent, then(later)), None, "{later}");
        }
        for later in [-901, 901] {
            assert!(refused(&sent, then(later)).unwrap().contains("x-acs-date"), "{later}");
        }
        let mut changed = Sent::new();
        changed.body = BODY.replace("exp1", "exp2");
        assert!(refused(&changed, then(0)).unwrap().contains("body"));
        let digest = hex(&Sha256::digest(&changed.body));
        changed.set("x-acs-content-sha256", &digest);
        assert!(refused(&changed, then(0)).unwrap().contains("signed with its secret"));
        let mut elsewhere = Sent::new();
        elsewhere.uri = Uri::from_static("/api/automl/v1/hpo/experiment?x=1");
        assert!(refused(&elsewhere, then(0)).unwrap().contains("signed with its secret"));
        assert!(refusal(&sent, SIGNATURE, &Nonces::default(), then(0)).is_some(), "of another secret");
        let mut twice = Sent::new();
        twice.headers.append("x-acs-date", "2026-11-23T19:15:58Z".parse().unwrap());
        assert!(refused(&twice, then(0)).unwrap().contains("missing"));

        let nonces = Nonces::default();
        assert_eq!(refusal(&sent, &signature, &nonces, then(0)), None);
        assert!(refusal(&sent, &signature, &nonces, then(1)).unwrap().contains("nonce"));
    }

    #[test]
    fn queries_are_signed_in_one_form_however_they_are_written() {
        let sent = "MinCreateTime=2023-03-31+10%3A29%3A30&Name=%E5%85%B3%E9%94%AE&Status=&a=~%2A";
        let canonical = "MinCreateTime=2023-03-31%2010%3A29%3A30&Name=%E5%85%B3%E9%94%AE&Status=&a=~%2A";
        assert_eq!(query(sent), canonical);
        assert_eq!(query("b=2&a=1&a=0"), "a=0&a=1&b=2");
        assert_eq!(query(""), "");
    }
}
