//! What MaxCompute's error codes mean, for answers with an error and for tasks that failed.
//!
//! The service names errors by a word (`NoSuchTable`) or by a number (`ODPS-0130131`), in the code or within the
//! message. Begin with [`explain`]; [`Failure`] is a task's error.

use crate::cloud::client::CallError;
use crate::cloud::codes as cloud;
use crate::cloud::fault::{Fault, Meaning};
use crate::maxcompute::codes;
use engine::error::Code;
use engine::limits::MAX_REASON_BYTES;
use std::fmt;

/// What an error of the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explained {
    /// Its page.
    pub code: Code,
    /// In a few words, for a person.
    pub words: &'static str,
    /// Whether the same may succeed when it is tried again.
    pub passing: bool,
    meaning: Meaning,
}

/// Errors of one kind: the beginnings of their codes, and what they are.
type Kind = (&'static [&'static str], Code, Meaning, &'static str);

/// The first kind that fits counts. Numbers are from the documentation and the official clients.
const KINDS: &[Kind] = &[
    (
        &["ODPS-0410031", "RequestTimeTooSkew"],
        cloud::CLOCK_WRONG,
        Meaning::ClockWrong,
        "the clock of this machine differs by more than 15 minutes from that of MaxCompute",
    ),
    (
        &["AuthenticationRequestExpired"],
        cloud::TOKEN_REFUSED,
        Meaning::TokenWrong,
        "the security token has expired",
    ),
    (
        &["ODPS-0410051"],
        cloud::KEY_REFUSED,
        Meaning::KeyUnknown,
        "the access key does not exist, or is switched off",
    ),
    (
        &["ODPS-0410042", "SignatureNotMatch"],
        cloud::KEY_REFUSED,
        Meaning::SignatureWrong,
        "the secret does not belong to the access key",
    ),
    (
        &["ODPS-0410001", "ODPS-0410011", "ODPS-0410021", "Unauthorized", "AuthorizationRequired"],
        cloud::KEY_REFUSED,
        Meaning::SignatureWrong,
        "MaxCompute does not accept how the request is signed",
    ),
    (
        &["FlowExceeded", "QPSExceeded", "SlotExceeded", "RequestQuotaExceeded"],
        cloud::THROTTLED,
        Meaning::Throttled,
        "too many requests in this time",
    ),
    (
        &["ODPS-0420095", "ODPS-0130013", "ODPS-182", "NoPermission", "AccessDenied"],
        cloud::NO_PERMISSION,
        Meaning::Forbidden,
        "the account may not do this in the project: its owner has to grant what the message names",
    ),
    (
        &["ODPS-0420111", "NoSuchProject"],
        codes::NO_PROJECT,
        Meaning::NotFound,
        "there is no such project at this endpoint; projects of other regions are not seen from here",
    ),
    (
        &["ODPS-0130131", "NoSuchTable", "NoSuchPartition"],
        codes::NO_TABLE,
        Meaning::NotFound,
        "a table, view, column or partition that is named there does not exist",
    ),
    (
        &["ODPS-0130161", "ODPS-0130071", "ParseError"],
        codes::BAD_SQL,
        Meaning::Plain,
        "the SQL is not correct; `[line,column]` in the message is the place in the task's command",
    ),
    (
        &["ODPS-0123055", "ODPS-0123131", "ScriptError"],
        codes::SCRIPT_FAILED,
        Meaning::Plain,
        "a function or script of the user's own has failed",
    ),
    (
        &["ODPS-183", "QuotaExceeded", "NoSuchQuota"],
        codes::NO_QUOTA,
        Meaning::Plain,
        "the quota is used up, or does not exist",
    ),
    (
        &["ODPS-0420031", "ODPS-0420041", "ODPS-0420051", "ODPS-0420061", "ODPS-0420411", "InvalidArgument"],
        cloud::REQUEST_REFUSED,
        Meaning::Plain,
        "a part of the request is missing or wrong: most often a setting or a name",
    ),
    (&["NoSuchObject"], cloud::NOT_FOUND, Meaning::NotFound, "it does not exist, or no longer"),
    (
        &[
            "ODPS-0010000",
            "ODPS-0420153",
            "ODPS-0430055",
            "ODPS-0110141",
            "ODPS-181",
            "ODPS-184",
            "InternalServerError",
            "InternalConnectionError",
            "ServiceUnavailable",
            "DataVersionError",
        ],
        codes::SERVICE_FAILED,
        Meaning::Plain,
        "MaxCompute failed by itself; most often the same succeeds when it is run again",
    ),
];

/// What errors with this code and message are, if that is known. A number says more than a word.
pub fn explain(code: &str, message: &str) -> Option<Explained> {
    // A token that is over has no number of its own.
    let said = message.to_ascii_lowercase();
    let token = (said.contains("token") && said.contains("expire")).then_some("AuthenticationRequestExpired");
    let names = [token, number(code), number(message), Some(code)];
    names.into_iter().flatten().find_map(|name| {
        let (_, code, meaning, words) =
            KINDS.iter().find(|(starts, ..)| starts.iter().any(|start| name.starts_with(start)))?;
        let passing = [codes::SERVICE_FAILED, codes::NO_QUOTA, cloud::THROTTLED].contains(code);
        Some(Explained { code: *code, words, passing, meaning: *meaning })
    })
}

/// The first `ODPS-` with its digits in a text.
pub fn number(text: &str) -> Option<&str> {
    text.match_indices("ODPS-").find_map(|(at, prefix)| {
        let rest = text.get(at..)?;
        let digits = rest.bytes().skip(prefix.len()).take_while(u8::is_ascii_digit).count();
        rest.get(..prefix.len() + digits).filter(|_| digits >= 7)
    })
}

/// What an answer with an error means. `creates` says whether the request creates an instance, `newer` whether it was
/// signed by v4, which not every endpoint takes.
pub(super) fn meaning(fault: &Fault, creates: bool, newer: bool) -> Meaning {
    let message = fault.message.to_ascii_lowercase();
    let other = ["need ak v3 support", "accesskey acl denied"].iter().any(|part| message.contains(part))
        && fault.status >= 500;
    let unread = fault.status == 401 && message.contains("invalid or missing");
    let explained = explain(&fault.code, &fault.message);
    let meaning = explained.map_or(Meaning::Plain, |explained| explained.meaning);
    if newer && (other || unread || meaning == Meaning::KeyUnknown) {
        return Meaning::OtherSignature;
    }
    match fault.status {
        // What stands between may add the words of anything to these; nothing is certain of them.
        500.. if meaning != Meaning::Throttled => Meaning::Plain,
        409 if creates => Meaning::Pending,
        429 => Meaning::Throttled,
        _ if meaning != Meaning::Plain => meaning,
        401 => Meaning::SignatureWrong,
        403 => Meaning::Forbidden,
        404 => Meaning::NotFound,
        _ => Meaning::Plain,
    }
}

/// Adds what is known of the service's error: its page, and words for a person.
pub(super) fn explained(mut error: CallError) -> CallError {
    let found = error.fault.as_ref().and_then(|fault| explain(&fault.code, &fault.message));
    let certain = ![cloud::NO_ANSWER, cloud::PENDING].contains(&error.code);
    if let Some(found) = found.filter(|_| certain) {
        error.code = found.code;
        error.message.push_str(&format!("; that is, {}", found.words));
    }
    error
}

/// Whether a refusal is about what was asked for, so that the same is refused again, and not about who asks or where.
pub(super) fn is_the_tasks_fault(error: &CallError) -> bool {
    let others = [
        cloud::KEY_REFUSED,
        cloud::TOKEN_REFUSED,
        cloud::NO_PERMISSION,
        cloud::CLOCK_WRONG,
        cloud::THROTTLED,
        cloud::UNREACHABLE,
        codes::NO_PROJECT,
        codes::NO_QUOTA,
        codes::SERVICE_FAILED,
    ];
    !others.contains(&error.code)
}

/// Why a task failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its page.
    pub code: Code,
    /// The service's words, bounded.
    pub said: String,
    /// What they mean, if that is known.
    pub explained: Option<Explained>,
}

impl Failure {
    /// Reads the result of a task that failed: a text, or an error in XML within it.
    pub fn read(result: &str) -> Self {
        let tree = crate::cloud::xml::Element::parse(result.as_bytes()).ok();
        let inner = tree.as_ref().map(|tree| (tree.value("Code"), tree.value("Message")));
        let (code, said) = inner.filter(|(_, message)| !message.is_empty()).unwrap_or(("", result.trim()));
        let explained = explain(code, said);
        let said = said.get(..said.floor_char_boundary(MAX_REASON_BYTES / 2)).unwrap_or_default();
        Self {
            code: explained.map_or(codes::TASK_FAILED, |found| found.code),
            said: said.to_owned(),
            explained,
        }
    }

    /// Whether the same may succeed when it is run again.
    pub fn is_passing(&self) -> bool {
        self.explained.is_some_and(|found| found.passing)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = if self.said.is_empty() { "the service gives no reason" } else { &self.said };
        write!(f, "{}: {said}", self.code)?;
        self.explained.map_or(Ok(()), |found| write!(f, "; that is, {}", found.words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::client::Effect;
    use crate::cloud::http::Answer;
    use engine::time::Timestamp;
    use serde_json::Value;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../tests/vectors/maxcompute/errors.json")).unwrap()
    }

    fn fault(case: &Value) -> Fault {
        let body = case["body"].as_str().unwrap().as_bytes().to_vec();
        let status = case["status"].as_u64().unwrap() as u16;
        let headers = case["headers"].as_object().unwrap();
        let headers =
            headers.iter().map(|(key, value)| (key.to_lowercase(), value.as_str().unwrap().to_owned()));
        Fault::read(&Answer { status, headers: headers.collect(), body }, Timestamp(0))
    }

    #[test]
    fn every_error_answer_that_the_official_client_was_given_has_its_meaning() {
        use Meaning::{
            ClockWrong, Forbidden, KeyUnknown, NotFound, OtherSignature, Pending, Plain, SignatureWrong,
            Throttled,
        };
        let expected = [
            ("parse_error_xml", Plain, Plain),
            ("invalid_parameter_0420061", Plain, Plain),
            ("sig_not_match_0410042", SignatureWrong, SignatureWrong),
            ("invalid_credentials_0410051", KeyUnknown, OtherSignature),
            ("expired_0410031", ClockWrong, ClockWrong),
            ("access_denied_0420095", Forbidden, Forbidden),
            ("no_such_object_xml", NotFound, NotFound),
            ("no_such_project_xml", NotFound, NotFound),
            ("404_empty", NotFound, NotFound),
            ("conflict_409_retry_after", Pending, Pending),
            ("flow_429_json_retry_after", Throttled, Throttled),
            ("qps_429_xml", Throttled, Throttled),
            ("internal_500_xml", Plain, Plain),
            ("internal_500_code_only", Plain, Plain),
            ("internal_500_json_composite", Plain, Plain),
            ("bad_gateway_502_nginx", Plain, Plain),
            ("unavailable_503_xml", Plain, Plain),
            ("gateway_timeout_504_empty", Plain, Plain),
        ];
        let vectors = vectors();
        // One more is a success that lacks something.
        let cases = vectors["http_errors"].as_array().unwrap().iter().filter(|case| case["status"] != 201);
        let cases: Vec<&Value> = cases.collect();
        assert_eq!(cases.len(), expected.len());
        for (case, (name, older, newer)) in cases.iter().zip(expected) {
            assert_eq!(case["name"], name);
            let read = fault(case);
            assert_eq!((meaning(&read, true, false), meaning(&read, true, true)), (older, newer), "{read:?}");
        }
        let conflict = fault(cases[9]);
        assert_eq!((meaning(&conflict, false, true), conflict.retry_after.unwrap().as_secs()), (Plain, 1));
    }

    #[test]
    fn an_endpoint_that_does_not_take_the_newer_signature_says_so_in_several_ways() {
        let said = |status, message: &str| {
            let body = format!("<Error><Code>X</Code><Message>{message}</Message></Error>").into_bytes();
            Fault::read(&Answer { status, headers: Vec::new(), body }, Timestamp(0))
        };
        for (status, message) in [
            (500, "Need AK V3 support"),
            (503, "accessKey ACL denied: x"),
            (401, "authorization header invalid or missing"),
        ] {
            assert_eq!(meaning(&said(status, message), false, true), Meaning::OtherSignature, "{message}");
            assert_ne!(meaning(&said(status, message), false, false), Meaning::OtherSignature, "{message}");
        }
    }

    #[test]
    fn the_texts_of_failed_tasks_are_explained() {
        let expected = [
            (codes::NO_TABLE, false),
            (codes::BAD_SQL, false),
            (codes::SCRIPT_FAILED, false),
            (codes::TASK_FAILED, false),
            (codes::TASK_FAILED, false),
            (codes::SERVICE_FAILED, true),
            (cloud::NO_PERMISSION, false),
        ];
        let vectors = vectors();
        let cases = vectors["instance_error_texts"].as_array().unwrap();
        assert_eq!(cases.len(), expected.len());
        for (case, (code, passing)) in cases.iter().zip(expected) {
            let failure = Failure::read(case["result_text"].as_str().unwrap());
            assert_eq!((failure.code, failure.is_passing()), (code, passing), "{failure}");
            assert_eq!(failure.said, case["message"].as_str().unwrap());
        }
        assert_eq!(Failure::read(" ").to_string(), "E0559: the service gives no reason");
        assert!(Failure::read(&"ü".repeat(9_000)).to_string().len() < MAX_REASON_BYTES);
    }

    #[test]
    fn a_refused_call_names_the_page_of_its_reason_and_a_doubtful_one_stays_doubtful() {
        let case = vectors()["http_errors"][7].clone();
        let error = |code| CallError {
            code,
            message: "m".to_owned(),
            effect: Effect::Nothing,
            fault: Some(Box::new(fault(&case))),
            cure: String::new(),
        };
        let found = explained(error(cloud::NOT_FOUND));
        assert_eq!(found.code, codes::NO_PROJECT);
        assert!(found.message.contains("projects of other regions"), "{found}");
        assert_eq!(explained(error(cloud::NO_ANSWER)), error(cloud::NO_ANSWER));
    }

    #[test]
    fn a_token_that_is_over_is_told_from_a_key_that_is_not_known() {
        let of = |message: &str| explain("Unauthorized", message).unwrap().code;
        assert_eq!(of("ODPS-0410051: Invalid credentials - the token has expired"), cloud::TOKEN_REFUSED);
        assert_eq!(of("ODPS-0410051: Invalid credentials - accessKeyId not found"), cloud::KEY_REFUSED);
    }

    #[test]
    fn numbers_are_found_within_texts() {
        assert_eq!(number("FAILED: ODPS-0130161:[1,1] x"), Some("ODPS-0130161"));
        assert_eq!(number("ODPS-12 then ODPS-1800001: y"), Some("ODPS-1800001"));
        assert_eq!(number("ODPS-"), None);
    }
}
