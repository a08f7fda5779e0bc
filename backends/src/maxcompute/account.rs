//! Who is the caller where it is not an access key: a bearer token, given or in a file.
//!
//! Begin with [`bearer`]. Access keys come from [`crate::cloud::credentials`] or, as other tools of MaxCompute have them,
//! from [`crate::maxcompute::settings`].

use crate::cloud::credentials::{Credentials, CredentialsError, Provider, codes};
use crate::cloud::secret::Secret;
use async_trait::async_trait;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a file with a token or with keys.
const FILE_BYTES: u64 = 1 << 16;

/// A bearer token as credentials: a token that no key goes with.
pub fn bearer(token: Secret<String>) -> Credentials {
    Credentials {
        access_key_id: String::new(),
        access_key_secret: Secret::default(),
        security_token: Some(token),
    }
}

/// Whether these are a bearer token.
pub(super) fn is_bearer(credentials: &Credentials) -> bool {
    credentials.access_key_id.is_empty() && credentials.security_token.is_some()
}

/// A bearer token, or temporary keys in JSON, in a file that something else renews. It is read for each call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountFile {
    /// `ODPS_BEARER_TOKEN_FILE`: the token and nothing more.
    Bearer(PathBuf),
    /// `ODPS_STS_ACCOUNT_FILE`: `accessKeyId`, `accessKeySecret` and `securityToken` in JSON.
    Sts(PathBuf),
}

impl AccountFile {
    fn read(&self) -> Result<Credentials, CredentialsError> {
        let (Self::Bearer(path) | Self::Sts(path)) = self;
        let bad = |why: &str| CredentialsError {
            code: codes::BAD_SETTINGS,
            message: format!("{} {why}", path.display()),
            cure: "let whatever renews it write it anew".to_owned(),
        };
        let text = text_of(path).map_err(|why| bad(&format!("cannot be read: {why}")))?;
        match self {
            Self::Bearer(_) if text.trim().is_empty() => Err(bad("holds no token")),
            Self::Bearer(_) => Ok(bearer(Secret::new(text.trim().to_owned()))),
            Self::Sts(_) => {
                let value: serde_json::Value =
                    serde_json::from_str(&text).map_err(|_| bad("holds something else than JSON"))?;
                let field = |name: &str| {
                    let text = value.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
                    if text.is_empty() { Err(bad(&format!("has no `{name}`"))) } else { Ok(text.to_owned()) }
                };
                Ok(Credentials {
                    access_key_id: field("accessKeyId")?,
                    access_key_secret: field("accessKeySecret")?.into(),
                    security_token: Some(field("securityToken")?.into()),
                })
            }
        }
    }
}

/// The text of a small file.
pub(super) fn text_of(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = file.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if read as u64 > FILE_BYTES { Err(format!("it has more than {FILE_BYTES} bytes")) } else { Ok(text) }
}

#[async_trait]
impl Provider for AccountFile {
    async fn get(&self) -> Result<Credentials, CredentialsError> {
        self.read()
    }

    async fn refresh(&self) -> Result<Credentials, CredentialsError> {
        self.read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_are_read_anew_for_each_call_and_say_what_they_lack() {
        let dir = tempfile::tempdir().unwrap();
        let token = AccountFile::Bearer(dir.path().join("token"));
        assert!(token.get().await.unwrap_err().message.contains("token cannot be read"));
        for text in ["first\n", "second"] {
            std::fs::write(dir.path().join("token"), text).unwrap();
            let read = token.refresh().await.unwrap();
            assert!(is_bearer(&read) && read.security_token.unwrap().expose() == text.trim());
        }
        let sts = AccountFile::Sts(dir.path().join("sts"));
        let all =
            r#"{"accessKeyId":"STS.1","accessKeySecret":"planted","securityToken":"t","expiration":"x"}"#;
        std::fs::write(dir.path().join("sts"), all).unwrap();
        let read = sts.get().await.unwrap();
        assert_eq!((read.access_key_id.as_str(), is_bearer(&read)), ("STS.1", false));
        std::fs::write(dir.path().join("sts"), all.replace("securityToken", "other")).unwrap();
        let error = sts.get().await.unwrap_err();
        assert!(
            error.message.ends_with("has no `securityToken`") && !format!("{error:?}").contains("planted")
        );
    }
}
