//! Which credentials an experiment asks for: by name, so that no key is ever written into it.

use super::CredentialsError;
use super::codes;
use crate::cloud::secret::SEALED_PREFIX;
use engine::error::SpecError;
use serde_json::Value;
use std::fmt;

/// Bytes of the name of a profile or a role.
const NAME_BYTES: usize = 512;

/// A role that is taken on.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoleChoice {
    /// Its ARN, `acs:ram::ACCOUNT:role/NAME`.
    pub arn: String,
    /// The name of the session, as the service's own records show it.
    pub session: Option<String>,
    /// What the role's owner asks for, if anything.
    pub external_id: Option<String>,
    /// The sealed secret that holds the key with which it is taken on, instead of the default chain.
    pub sealed: Option<String>,
}

/// Which credentials are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Choice {
    /// The first that the default chain finds.
    #[default]
    Chain,
    /// The profile of this name in the files of the command line interface or of the SDKs.
    Profile(String),
    /// A role, taken on with what the default chain finds, or with a sealed key.
    Role(RoleChoice),
    /// The key in the sealed secret of this name.
    Sealed(String),
}

impl Choice {
    /// Reads what an experiment file may say: the name of a profile, the ARN of a role
    /// (`acs:ram::ACCOUNT:role/NAME`), or a sealed secret (`secret:NAME`). A text that looks like a key is refused without being repeated.
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        let cure = "give the name of a profile of ~/.aliyun/config.json, the ARN of a role, or `secret:NAME`";
        let bad = |what: &str| Err(CredentialsError::new(codes::BAD_NAME, what, cure));
        let text = text.trim();
        if text.is_empty() {
            return bad("the name of a credential is empty");
        }
        if text.len() > NAME_BYTES || text.chars().any(char::is_control) {
            return bad("the name of a credential is too long or has control characters");
        }
        if looks_like_a_key(text) {
            return bad("this looks like an access key and not like the name of a credential; \
                        keys do not belong into an experiment");
        }
        if let Some(name) = text.strip_prefix(SEALED_PREFIX) {
            return if name.is_empty() {
                bad("`secret:` names no secret")
            } else {
                Ok(Self::Sealed(name.to_owned()))
            };
        }
        if let Some(rest) = text.strip_prefix("acs:ram:") {
            let role = rest.split_once(":role/").is_some_and(|(_, name)| !name.is_empty());
            if !role || text.contains(char::is_whitespace) {
                return bad(&format!("`{text}` is not the ARN of a role"));
            }
            return Ok(Self::Role(RoleChoice { arn: text.to_owned(), ..RoleChoice::default() }));
        }
        Ok(Self::Profile(text.to_owned()))
    }
}

impl Choice {
    /// Reads what an experiment file says at `path`: a text as for [`Choice::parse`], or a role with
    /// `role_arn`, `role_session_name`, `external_id` and the `key` that takes it on. Every mistake is given.
    pub fn read(value: &Value, path: &str) -> Result<Self, Vec<SpecError>> {
        let cure = "write the name of a credential, or `{role_arn: 'acs:ram::ACCOUNT:role/NAME'}`";
        let mistake = |code, path: &str, message: &str| SpecError::new(code, path, message, cure);
        let (mut errors, mut role) = (Vec::new(), RoleChoice::default());
        let text = match value {
            Value::String(name) => name.as_str(),
            Value::Object(map) => {
                for (key, value) in map {
                    let inner = format!("{path}.{key}");
                    let text = value.as_str().map(str::to_owned);
                    match key.as_str() {
                        "role_arn" | "role_session_name" | "external_id" | "key" if text.is_none() => {
                            errors.push(mistake(codes::BAD_NAME, &inner, "this must be a text"));
                        }
                        "role_arn" => role.arn = text.unwrap_or_default(),
                        "role_session_name" => role.session = text,
                        "external_id" => role.external_id = text,
                        "key" => match text.as_deref().and_then(|text| text.strip_prefix(SEALED_PREFIX)) {
                            Some(name) if !name.is_empty() => role.sealed = Some(name.to_owned()),
                            // Not repeated: it may be the key.
                            _ => errors.push(mistake(codes::BAD_NAME, &inner, "`key` must be `secret:NAME`")),
                        },
                        // Not repeated: it may be a secret.
                        _ => errors.push(SpecError::key(
                            crate::codes::PLAIN_SECRET,
                            inner,
                            "a credential is named here, and not given",
                            cure,
                        )),
                    }
                }
                role.arn.as_str()
            }
            _ => {
                return Err(vec![mistake(
                    crate::codes::WRONG_TYPE,
                    path,
                    "`credential` names no credential and no role",
                )]);
            }
        };
        match Self::parse(text) {
            Ok(Self::Role(RoleChoice { arn, .. })) if errors.is_empty() => {
                Ok(Self::Role(RoleChoice { arn, ..role }))
            }
            Ok(named) if errors.is_empty() && value.is_string() => Ok(named),
            Ok(Self::Chain | Self::Profile(_) | Self::Sealed(_)) if !value.is_string() => {
                errors.push(mistake(crate::codes::MISSING, path, "`role_arn` is no role"));
                Err(errors)
            }
            Err(_) if !value.is_string() && role.arn.is_empty() => {
                errors.push(mistake(crate::codes::MISSING, path, "`role_arn` is missing"));
                Err(errors)
            }
            Err(CredentialsError { code, message, cure }) => {
                errors.push(SpecError::new(code, path, message, cure));
                Err(errors)
            }
            Ok(_) => Err(errors),
        }
    }
}

/// Access key ids begin with `LTAI` (lasting) or `STS.` (of a session); secrets are 30 letters and digits.
fn looks_like_a_key(text: &str) -> bool {
    let word = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
    let mixed = text.chars().any(|c| c.is_ascii_digit())
        && text.chars().any(|c| c.is_ascii_uppercase())
        && text.chars().any(|c| c.is_ascii_lowercase());
    let id = (text.starts_with("LTAI") || text.starts_with("STS.")) && text.len() >= 12;
    word && (id || (mixed && text.len() == 30))
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain => f.write_str("the default chain"),
            Self::Profile(name) => write!(f, "the profile `{name}`"),
            Self::Role(role) => write!(f, "the role `{}`", role.arn),
            Self::Sealed(name) => write!(f, "the secret `{name}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_profile_an_arn_is_a_role_and_a_key_is_neither() {
        assert_eq!(Choice::parse("prod").unwrap(), Choice::Profile("prod".to_owned()));
        let arn = "acs:ram::1234567890:role/tuner";
        assert!(matches!(Choice::parse(arn).unwrap(), Choice::Role(role) if role.arn == arn));
        assert_eq!(Choice::parse("secret:prod").unwrap(), Choice::Sealed("prod".to_owned()));
        for wrong in ["", " ", "secret:", "acs:ram::1:user/x", "acs:ram::1:role/", "a\nb"] {
            assert_eq!(Choice::parse(wrong).unwrap_err().code, codes::BAD_NAME, "{wrong:?}");
        }
    }

    #[test]
    fn a_role_may_be_taken_on_with_a_sealed_key_and_with_no_plain_one() {
        let arn = "acs:ram::1:role/tuner";
        let read = |key: &str| Choice::read(&serde_json::json!({"role_arn": arn, "key": key}), "credential");
        assert!(
            matches!(read("secret:prod").unwrap(), Choice::Role(role) if role.sealed.as_deref() == Some("prod"))
        );
        let errors = read("LTAI5tplanted").unwrap_err();
        assert_eq!((errors.len(), errors[0].path.as_str()), (1, "credential.key"));
        assert!(!format!("{errors:?}").contains("planted"));
    }

    #[test]
    fn a_key_is_refused_and_not_repeated() {
        for key in ["LTAI5tFakeFakeFake", "STS.NUfakefakefake1", "abcdefABCDEF0123456789abcdefAB"] {
            let error = Choice::parse(key).unwrap_err();
            assert_eq!(error.code, codes::BAD_NAME);
            assert!(!error.to_string().contains(key), "{error}");
        }
    }
}
