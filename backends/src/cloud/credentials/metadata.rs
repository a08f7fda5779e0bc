//! The role of the machine or container that the program runs on: the metadata service of ECS, and the address that
//! a container names for the purpose (protocol page, sections 8.5 and 8.6).

use super::answer::{self, Grant};
use super::fetch::{Answer, Fetch, Method, Request, Unanswered};
use super::surroundings::Surroundings;
use super::{CredentialsError, codes};
use std::time::Duration;

/// The longest time for one exchange with the metadata service, which is on the machine's own host.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest time for one exchange with a credentials URI.
const URI_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a token of the metadata service is valid, in seconds.
const TOKEN_TTL_S: &str = "21600";
/// Where roles are, below the service's address.
const ROLES: &str = "/latest/meta-data/ram/security-credentials/";
/// Bytes of a role's name or of a token.
const WORD_BYTES: usize = 1_024;

const SERVICE: &str = "the metadata service of this machine";

/// The credentials of the machine's role: of the one given, or of the one that the service names.
pub(super) async fn of_machine(
    role: Option<&str>,
    surroundings: &Surroundings,
    fetch: &dyn Fetch,
) -> Result<Grant, CredentialsError> {
    let service = Service { surroundings, fetch, v1: !surroundings.flag("ALIBABA_CLOUD_IMDSV1_DISABLED") };
    let named = match role {
        Some(role) => role.to_owned(),
        None => service.ask("", word).await?,
    };
    if !is_plain(&named) {
        return Err(CredentialsError::settings(
            format!(
                "`{}` is not the name of a role",
                named.chars().take(64).collect::<String>().escape_debug()
            ),
            "give the name of the RAM role of this machine in ALIBABA_CLOUD_ECS_METADATA",
        ));
    }
    let whom = format!("{SERVICE}, asked for the role `{named}`,");
    let mut grant = service.ask(&named, |answer| answer::of_host(&whom, answer)).await?;
    "ecs_ram_role".clone_into(&mut grant.provider);
    Ok(grant)
}

/// The credentials that a container's own address gives out.
pub(super) async fn of_uri(uri: &str, fetch: &dyn Fetch) -> Result<Grant, CredentialsError> {
    if !uri.starts_with("http://") && !uri.starts_with("https://") {
        return Err(CredentialsError::settings(
            "the credentials URI does not begin with http:// or https://",
            "give the whole address, or unset ALIBABA_CLOUD_CREDENTIALS_URI",
        ));
    }
    let whom = "the credentials URI";
    let request = Request {
        method: Method::Get,
        url: uri.to_owned(),
        headers: Vec::new(),
        timeout: URI_TIMEOUT,
        direct: uri.starts_with("http://"),
    };
    let answer = fetch.fetch(request).await;
    let answer = answer
        .map_err(|error| CredentialsError::unreachable(format!("{whom} cannot be reached: {error}")))?;
    let mut grant = answer::of_host(whom, &answer)?;
    "credential_uri".clone_into(&mut grant.provider);
    Ok(grant)
}

struct Service<'a> {
    surroundings: &'a Surroundings,
    fetch: &'a dyn Fetch,
    /// Whether it may be asked without a token.
    v1: bool,
}

impl Service<'_> {
    /// Asks with a token. If there is none, or what is asked for is not given for it, asks without, unless that is
    /// switched off. A host that cannot even be connected to is asked once.
    async fn ask<T>(
        &self,
        what: &str,
        read: impl Fn(&Answer) -> Result<T, CredentialsError>,
    ) -> Result<T, CredentialsError> {
        let unreachable = |error: &Unanswered| {
            CredentialsError::unreachable(format!("{SERVICE} cannot be reached: {error}"))
        };
        let token = match self.token().await {
            Ok(token) => token,
            Err(error) if error.unconnected || !self.v1 => return Err(unreachable(&error)),
            Err(_) => return read(&self.get(what, None).await.map_err(|error| unreachable(&error))?),
        };
        let with = self.get(what, Some(token)).await.map_err(|error| unreachable(&error));
        match with.and_then(|answer| read(&answer)) {
            Err(_) if self.v1 => read(&self.get(what, None).await.map_err(|error| unreachable(&error))?),
            result => result,
        }
    }

    async fn token(&self) -> Result<String, Unanswered> {
        let lifetime = ("X-aliyun-ecs-metadata-token-ttl-seconds", TOKEN_TTL_S.to_owned());
        let answer = self.fetch.fetch(self.request(Method::Put, "/latest/api/token", vec![lifetime])).await?;
        let refused = |reason: String| Unanswered { reason, unconnected: false };
        if answer.status != 200 {
            return Err(refused(format!("asked for a token, it answered {}", answer.status)));
        }
        let token = String::from_utf8(answer.body).unwrap_or_default();
        let token = token.trim();
        // It becomes a header, so it must be one line of plain characters.
        if token.is_empty() || token.len() > WORD_BYTES || !token.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(refused("asked for a token, it answered with something else".to_owned()));
        }
        Ok(token.to_owned())
    }

    async fn get(&self, what: &str, token: Option<String>) -> Result<Answer, Unanswered> {
        let headers = token.map(|token| ("X-aliyun-ecs-metadata-token", token)).into_iter().collect();
        self.fetch.fetch(self.request(Method::Get, &format!("{ROLES}{what}"), headers)).await
    }

    fn request(&self, method: Method, path: &str, headers: Vec<(&'static str, String)>) -> Request {
        let url = format!("{}{path}", self.surroundings.metadata_url);
        Request { method, url, headers, timeout: METADATA_TIMEOUT, direct: true }
    }
}

/// The name of the machine's role.
fn word(answer: &Answer) -> Result<String, CredentialsError> {
    let text = String::from_utf8_lossy(&answer.body);
    let name = text.trim();
    match answer.status {
        200 if is_plain(name) => Ok(name.to_owned()),
        200 => Err(CredentialsError::unreachable(format!("{SERVICE} gave no name of a role"))),
        404 => Err(CredentialsError::new(
            codes::REFUSED,
            "this machine has no RAM role",
            "attach a RAM role to the instance, or give credentials in another way",
        )),
        _ => Err(answer::refusal(SERVICE, answer)),
    }
}

/// A role's name goes into an address, so it must not be able to change the address.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= WORD_BYTES
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && !name.starts_with('.')
}
