//! What the services that give out credentials answer.

use super::fetch::Answer;
use super::{Credentials, CredentialsError, codes};
use engine::time::Timestamp;
use serde_json::Value;

/// Characters of a service's own words that are repeated.
const WORDS: usize = 200;

/// Credentials with the time at which they end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The keys.
    pub credentials: Credentials,
    /// When they end; never, if they are lasting ones.
    pub expires: Option<Timestamp>,
    /// Where they are from, in the words of Alibaba's SDKs, such as `env` or `cli_profile/static_ak`.
    pub provider: String,
}

/// A time as STS wants it, to the second.
pub(super) fn written(time: Timestamp) -> String {
    let seconds = time.0.div_euclid(1_000);
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

/// The keys of STS, which are in `Credentials`.
pub(super) fn of_sts(whom: &str, answer: &Answer) -> Result<Grant, CredentialsError> {
    let body = json(whom, answer)?;
    grant(whom, body.get("Credentials").unwrap_or(&Value::Null))
}

/// The keys of the metadata service or of a credentials URI, which say `Success` themselves.
pub(super) fn of_host(whom: &str, answer: &Answer) -> Result<Grant, CredentialsError> {
    if answer.status != 200 {
        return Err(refusal(whom, answer));
    }
    let body = json(whom, answer)?;
    match body.get("Code").and_then(Value::as_str) {
        Some("Success") => grant(whom, &body),
        code => {
            let code: String = code.unwrap_or("nothing").chars().take(WORDS).collect();
            Err(CredentialsError::new(
                codes::REFUSED,
                format!("{whom} gave no credentials: Code is `{}`", code.escape_debug()),
                "check the role that this machine or container has",
            ))
        }
    }
}

fn json(whom: &str, answer: &Answer) -> Result<Value, CredentialsError> {
    serde_json::from_slice(&answer.body)
        .map_err(|_| CredentialsError::unreachable(format!("{whom} did not answer with JSON")))
}

/// All four fields are needed; an answer that lacks one is not repeated, since it may hold the others.
fn grant(whom: &str, fields: &Value) -> Result<Grant, CredentialsError> {
    let text = |name: &str| {
        let value = fields.get(name).and_then(Value::as_str).filter(|value| !value.is_empty());
        value.map(str::to_owned).ok_or_else(|| {
            CredentialsError::unreachable(format!("{whom} answered without a usable `{name}`"))
        })
    };
    let expires: jiff::Timestamp = text("Expiration")?.parse().map_err(|_| {
        CredentialsError::unreachable(format!("{whom} answered without a usable `Expiration`"))
    })?;
    Ok(Grant {
        credentials: Credentials {
            access_key_id: text("AccessKeyId")?,
            access_key_secret: text("AccessKeySecret")?.into(),
            security_token: Some(text("SecurityToken")?.into()),
        },
        expires: Some(Timestamp(expires.as_millisecond())),
        provider: String::new(),
    })
}

/// A status other than 200. Of the service's words only those are repeated that cannot hold a secret: where a
/// signature is wrong they repeat what was signed, with the token.
pub(super) fn refusal(whom: &str, answer: &Answer) -> CredentialsError {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let field = |name: &str| -> Option<String> {
        let text = body.get(name)?.as_str()?;
        Some(text.chars().take(WORDS).collect::<String>().escape_debug().to_string())
    };
    let code = field("Code");
    let mut message = format!("{whom} answered {}", answer.status);
    if let Some(code) = &code {
        message.push_str(&format!(" {code}"));
    }
    let silent = code.as_deref().is_none_or(|code| code.contains("Signature"));
    if let Some(words) = field("Message").filter(|_| !silent) {
        message.push_str(&format!(": {words}"));
    }
    if let Some(id) = field("RequestId") {
        message.push_str(&format!(" (request {id})"));
    }
    let throttled = code.as_deref().is_some_and(|code| code.starts_with("Throttling"));
    if answer.status >= 500 || answer.status == 429 || throttled {
        return CredentialsError::unreachable(message);
    }
    let cure = match code.as_deref() {
        Some("InvalidAccessKeyId.NotFound" | "InvalidAccessKeyId.Inactive") => {
            "the access key does not exist or is switched off: check its id"
        }
        Some("SignatureDoesNotMatch") => "the secret does not belong to the access key: check it",
        Some("NoPermission") => {
            "let this identity assume the role: policy AliyunSTSAssumeRoleAccess, and the role's trust policy"
        }
        Some("EntityNotExist.Role") => "check the ARN of the role",
        Some("InvalidTimeStamp.Expired") => "set the clock of this machine",
        _ => "check the role and who may assume it",
    };
    CredentialsError::new(codes::REFUSED, message, cure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_repeats_no_signed_text() {
        let body =
            br#"{"Code":"SignatureDoesNotMatch","Message":"string to sign is:GET&SecurityToken%3Dplanted"}"#;
        let error = refusal("STS", &Answer { status: 400, body: body.to_vec() });
        assert_eq!(error.code, codes::REFUSED);
        assert!(!format!("{error:?}").contains("planted") && error.message.contains("SignatureDoesNotMatch"));
    }

    #[test]
    fn an_overloaded_service_is_worth_another_try_and_a_refusal_is_not() {
        let error = |status, body: &str| refusal("STS", &Answer { status, body: body.into() });
        assert!(error(503, "<html>").is_transient());
        assert!(error(400, r#"{"Code":"Throttling.User"}"#).is_transient());
        assert!(!error(403, r#"{"Code":"NoPermission","Message":"no"}"#).is_transient());
    }

    #[test]
    fn times_are_written_to_the_second() {
        assert_eq!(written(Timestamp(1_767_323_045_678)), "2026-01-02T03:04:05Z");
    }
}
