//! What an answer with an error says, whatever its form: JSON under either spelling, XML, HTML or nothing; and what it
//! means, in which the services agree although their words differ.

use crate::cloud::http::Answer;
use crate::cloud::skew::http_date;
use crate::cloud::xml::Element;
use engine::time::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// Most characters of a service's message that are kept.
const MESSAGE_BOUND: usize = 1_000;

/// What an error answer means. What to do about it is said by [`crate::cloud::retry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing more than the status says.
    Plain,
    /// Too many requests: it was not carried out.
    Throttled,
    /// The date of the request is too far from the service's clock.
    ClockWrong,
    /// A request with this nonce was here before.
    NonceUsed,
    /// The service does not take this kind of signature, and would take the other.
    OtherSignature,
    /// The access key is not known.
    KeyUnknown,
    /// The signature was not made with this key.
    SignatureWrong,
    /// The token of a temporary key is over, or no token.
    TokenWrong,
    /// An earlier copy of the same submission is being carried out.
    Pending,
    /// The permission is missing.
    Forbidden,
    /// What it is about does not exist.
    NotFound,
}

impl Meaning {
    /// That of an answer of the `OpenAPI`, in which all services share the codes.
    pub fn of(status: u16, code: &str) -> Self {
        let is = |codes: &[&str]| codes.iter().any(|known| code.starts_with(known));
        if status == 429 || is(&["Throttling"]) {
            Self::Throttled
        } else if is(&["InvalidTimeStamp"]) {
            Self::ClockWrong
        } else if is(&["SignatureNonceUsed"]) {
            Self::NonceUsed
        } else if is(&["InvalidSecurityToken", "MissingSecurityToken"]) {
            Self::TokenWrong
        } else if is(&["InvalidAccessKeyId"]) {
            Self::KeyUnknown
        } else if is(&["InvalidAccessKeySecret", "SignatureDoesNotMatch", "IncompleteSignature"]) {
            Self::SignatureWrong
        } else if status >= 500 {
            Self::Plain
        } else if status == 403 || is(&["NoPermission", "Forbidden"]) {
            Self::Forbidden
        } else if status == 404 {
            Self::NotFound
        } else {
            Self::Plain
        }
    }
}

/// An error answer. The status is always known; the rest as far as the answer says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// HTTP status.
    pub status: u16,
    /// What it means.
    pub meaning: Meaning,
    /// The service's own code, such as `Throttling.User`; empty if it gives none.
    pub code: String,
    /// The service's own words, bounded; empty if it gives none.
    pub message: String,
    /// Names the request for the service's support.
    pub request_id: Option<String>,
    /// No request is welcome before this time has passed.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// Reads an answer whose status is not 2xx. `now` serves to read a `Retry-After` that is a date.
    pub fn read(answer: &Answer, now: Timestamp) -> Self {
        let text = String::from_utf8_lossy(&answer.body);
        let body: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap_or_default();
        // Only old gateways and the older services answer in XML.
        let tree = if body.is_null() { Element::parse(&answer.body).ok() } else { None };
        let element = |name: &str| Some(tree.as_ref()?.find(name)?.text.trim().to_owned());
        let field = |name: &str| member(&body, name).or_else(|| element(name)).unwrap_or_default();
        let mut message = field("Message");
        if let Some(denied) = body.get("AccessDeniedDetail").and_then(Value::as_object) {
            for key in ["AuthAction", "NoPermissionType"] {
                if let Some(value) = denied.get(key).and_then(Value::as_str) {
                    message.push_str(&format!("; {key} {value}"));
                }
            }
        }
        let request_id = Some(field("RequestId")).filter(|id| !id.is_empty());
        let header = || answer.header("x-acs-request-id").or_else(|| answer.header("x-odps-request-id"));
        let code = bounded(&field("Code"));
        Self {
            status: answer.status,
            meaning: Meaning::of(answer.status, &code),
            code,
            message: bounded(&message),
            request_id: request_id.or_else(|| header().map(str::to_owned)),
            retry_after: retry_after(answer, now),
        }
    }
}

/// The longer of `x-acs-retry-after` (milliseconds) and `Retry-After` (seconds, or a date).
fn retry_after(answer: &Answer, now: Timestamp) -> Option<Duration> {
    let own = answer
        .header("x-acs-retry-after")
        .and_then(|text| text.trim().parse().ok())
        .map(Duration::from_millis);
    let standard = answer.header("retry-after").and_then(|text| {
        let seconds = text.trim().parse().ok().map(Duration::from_secs);
        seconds.or_else(|| http_date(text).map(|date| Duration::from_millis(date.since(now).0)))
    });
    own.max(standard)
}

fn member(body: &Value, name: &str) -> Option<String> {
    let mut letters = name.chars();
    let lower: String = letters.next()?.to_lowercase().chain(letters).collect();
    match body.get(name).or_else(|| body.get(&lower))? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(MESSAGE_BOUND).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, headers: &[(&str, &str)], body: &str) -> Fault {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Fault::read(&Answer { status, headers, body: body.into() }, Timestamp(784_111_777_000))
    }

    #[test]
    fn an_error_is_understood_in_every_form_that_the_services_use() {
        let json = read(
            403,
            &[],
            r#"{"Code":"NoPermission","Message":"denied","RequestId":"R",
            "AccessDeniedDetail":{"AuthAction":"paidlc:CreateJob"}}"#,
        );
        assert_eq!((json.code.as_str(), json.request_id.as_deref()), ("NoPermission", Some("R")));
        assert_eq!(json.message, "denied; AuthAction paidlc:CreateJob");
        assert_eq!(read(400, &[], r#"{"code":400,"message":"m"}"#).code, "400");
        let xml = read(400, &[], "<Error><Code>Foo</Code><Message>bar</Message></Error>");
        assert_eq!((xml.code.as_str(), xml.message.as_str()), ("Foo", "bar"));
        let html = read(502, &[("x-acs-request-id", "H")], "<html>bad gateway</html>");
        assert_eq!((html.status, html.code.as_str(), html.request_id.as_deref()), (502, "", Some("H")));
        assert_eq!(read(400, &[], &format!("<Code>{}</Code>", "x".repeat(5_000))).code.len(), MESSAGE_BOUND);
    }

    #[test]
    fn the_longer_of_both_waiting_times_counts() {
        let wait = |headers: &[(&str, &str)]| read(429, headers, "").retry_after.map(|time| time.as_millis());
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("x-acs-retry-after", "50")]), Some(50));
        assert_eq!(wait(&[("x-acs-retry-after", "50"), ("retry-after", "2")]), Some(2_000));
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")]), Some(10_000));
        assert_eq!(wait(&[("retry-after", "soon"), ("x-acs-retry-after", "-1")]), None);
    }
}
