//! One way to credentials, read from settings and not yet gone.

use super::answer::Grant;
use super::fetch::Fetch;
use super::metadata;
use super::program;
use super::sts::{self, OidcRole, Role};
use super::surroundings::Surroundings;
use super::{Credentials, CredentialsError};
use crate::cloud::secret::Secret;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// A way to credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// They are there.
    Keys(Credentials),
    /// A role for other credentials.
    Role(Role, Box<Source>),
    /// A role for the token of a cluster.
    Oidc(OidcRole),
    /// The machine's role, by its name or whichever it is.
    Machine(Option<String>),
    /// What a program gives out.
    Program(Secret<String>),
    /// What an address gives out.
    Uri(Secret<String>),
}

impl Source {
    /// Keys, if both parts are there.
    pub(super) fn keys(id: Option<&str>, secret: Option<&str>, token: Option<&str>) -> Option<Self> {
        let full =
            |part: Option<&str>| part.map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned);
        Some(Self::Keys(Credentials {
            access_key_id: full(id)?,
            access_key_secret: full(secret)?.into(),
            security_token: full(token).map(Into::into),
        }))
    }

    /// Goes this way. A role of a role takes several exchanges.
    pub(super) fn obtain<'a>(
        &'a self,
        surroundings: &'a Surroundings,
        fetch: &'a dyn Fetch,
    ) -> Pin<Box<dyn Future<Output = Result<Grant, CredentialsError>> + Send + 'a>> {
        Box::pin(async move {
            match self {
                Self::Keys(credentials) => Ok(Grant {
                    credentials: credentials.clone(),
                    expires: None,
                    provider: match credentials.security_token {
                        Some(_) => "static_sts".to_owned(),
                        None => "static_ak".to_owned(),
                    },
                }),
                Self::Role(role, base) => {
                    let base = base.obtain(surroundings, fetch).await?;
                    sts::assume(role, &base, surroundings, fetch).await
                }
                Self::Oidc(role) => sts::assume_with_oidc(role, surroundings, fetch).await,
                Self::Machine(role) => metadata::of_machine(role.as_deref(), surroundings, fetch).await,
                Self::Program(command) => program::run(command.expose()).await,
                Self::Uri(uri) => metadata::of_uri(uri.expose(), fetch).await,
            }
        })
    }
}

/// Names the credentials without showing them: of a key the last four characters of its id.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(credentials) => {
                let temporary = if credentials.security_token.is_some() { "temporary " } else { "" };
                write!(f, "{temporary}access key ending in {}", tail(&credentials.access_key_id))
            }
            Self::Role(role, base) => write!(f, "role {} by {base}", role.arn),
            Self::Oidc(oidc) => write!(f, "role {} by the token of the cluster", oidc.role.arn),
            Self::Machine(Some(role)) => write!(f, "this machine's role {role}"),
            Self::Machine(None) => f.write_str("this machine's role, if it has one"),
            Self::Program(_) => f.write_str("what the program of the profile gives out"),
            Self::Uri(_) => f.write_str("what ALIBABA_CLOUD_CREDENTIALS_URI gives out"),
        }
    }
}

/// The last four characters of a key's id, if that leaves at least as many unseen.
pub fn tail(id: &str) -> String {
    let count = id.chars().count();
    if count < 8 { "****".to_owned() } else { id.chars().skip(count - 4).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_names_its_key_by_four_characters_and_shows_no_secret() {
        let keys = Source::keys(Some("LTAI5tPlantedWXYZ"), Some("planted-secret"), Some("planted-token"));
        let role = Role { arn: "acs:ram::1:role/tuner".to_owned(), ..Role::default() };
        let source = Source::Role(role, Box::new(keys.unwrap()));
        let shown = format!("{source}");
        assert_eq!(shown, "role acs:ram::1:role/tuner by temporary access key ending in WXYZ");
        assert!(!format!("{source:?}").contains("planted"));
        assert_eq!(tail("short"), "****");
    }
}
