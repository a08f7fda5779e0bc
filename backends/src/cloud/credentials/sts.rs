//! Roles: keys for an hour from the security token service (STS), for other keys or for a token of a cluster.
//!
//! `AssumeRole` is signed in the old RPC way with HMAC-SHA1, `AssumeRoleWithOIDC` not at all: there the token is the
//! proof (protocol page, section 8).

use super::answer::{self, Grant};
use super::fetch::{Fetch, Method, Request};
use super::surroundings::{Surroundings, read};
use super::{Credentials, CredentialsError};
use crate::cloud::encode::{base64, percent};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use std::path::PathBuf;
use std::time::Duration;

/// The version of the interface.
const VERSION: &str = "2015-04-01";
/// How long keys of a role are valid, unless the settings say otherwise, and the least that STS gives, in seconds.
const DURATION_S: (u64, u64) = (3_600, 900);
/// The longest time for one exchange.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How the session is called unless the settings say otherwise.
const SESSION: &str = "retrial";

/// A role and how it is taken on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Role {
    pub arn: String,
    pub session: Option<String>,
    /// In seconds.
    pub duration_s: Option<u64>,
    pub policy: Option<String>,
    pub external_id: Option<String>,
    pub region: Option<String>,
    pub vpc: bool,
}

/// A role for the token of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OidcRole {
    pub role: Role,
    pub provider_arn: String,
    pub token_file: PathBuf,
}

/// Takes on a role with other credentials.
pub(super) async fn assume(
    role: &Role,
    base: &Grant,
    surroundings: &Surroundings,
    fetch: &dyn Fetch,
) -> Result<Grant, CredentialsError> {
    let by = &base.credentials;
    let mut query = query("AssumeRole", role, surroundings);
    query.push(("SignatureMethod", "HMAC-SHA1".to_owned()));
    query.push(("SignatureVersion", "1.0".to_owned()));
    query.push(("SignatureNonce", nonce(surroundings)));
    if let Some(id) = &role.external_id {
        query.push(("ExternalId", id.clone()));
    }
    query.push(("AccessKeyId", by.access_key_id.clone()));
    if let Some(token) = &by.security_token {
        query.push(("SecurityToken", token.expose().clone()));
    }
    query.push(("Signature", sign(&query, by)));
    let mut grant = exchange(&query, role, surroundings, fetch).await?;
    grant.provider = format!("ram_role_arn/{}", base.provider);
    Ok(grant)
}

/// Takes on a role with the token of a cluster, which is read anew each time.
pub(super) async fn assume_with_oidc(
    oidc: &OidcRole,
    surroundings: &Surroundings,
    fetch: &dyn Fetch,
) -> Result<Grant, CredentialsError> {
    let file = oidc.token_file.display();
    let cure = "mount the token of the service account, or unset ALIBABA_CLOUD_OIDC_TOKEN_FILE";
    let token = read(&oidc.token_file)?
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .ok_or_else(|| CredentialsError::settings(format!("there is no token in {file}"), cure))?;
    let mut query = query("AssumeRoleWithOIDC", &oidc.role, surroundings);
    query.push(("OIDCProviderArn", oidc.provider_arn.clone()));
    query.push(("OIDCToken", token));
    let mut grant = exchange(&query, &oidc.role, surroundings, fetch).await?;
    "oidc_role_arn".clone_into(&mut grant.provider);
    Ok(grant)
}

type Query = Vec<(&'static str, String)>;

fn query(action: &str, role: &Role, surroundings: &Surroundings) -> Query {
    let (usual, least) = DURATION_S;
    let mut query = vec![
        ("Action", action.to_owned()),
        ("Format", "JSON".to_owned()),
        ("Version", VERSION.to_owned()),
        ("DurationSeconds", role.duration_s.unwrap_or(usual).max(least).to_string()),
        ("RoleArn", role.arn.clone()),
        ("RoleSessionName", role.session.clone().unwrap_or_else(|| SESSION.to_owned())),
        ("Timestamp", answer::written((surroundings.clock)())),
    ];
    if let Some(policy) = &role.policy {
        query.push(("Policy", policy.clone()));
    }
    query
}

/// A number that is never used twice, in the form of a UUID.
fn nonce(surroundings: &Surroundings) -> String {
    let (high, low) = ((surroundings.chance)(), (surroundings.chance)());
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// What is signed: the sorted query, encoded once more as a whole.
fn string_to_sign(query: &Query) -> String {
    let mut pairs: Vec<(String, String)> =
        query.iter().map(|(name, value)| (percent(name), percent(value))).collect();
    pairs.sort();
    let canonical: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("GET&{}&{}", percent("/"), percent(&canonical.join("&")))
}

fn sign(query: &Query, by: &Credentials) -> String {
    let key = format!("{}&", by.access_key_secret.expose());
    // A key of any length fits.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key.as_bytes()) else { return String::new() };
    mac.update(string_to_sign(query).as_bytes());
    base64(&mac.finalize().into_bytes())
}

async fn exchange(
    query: &Query,
    role: &Role,
    surroundings: &Surroundings,
    fetch: &dyn Fetch,
) -> Result<Grant, CredentialsError> {
    let at = match &surroundings.sts_url {
        Some(url) => url.clone(),
        None => format!("https://{}", host(role)?),
    };
    let pairs: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
    let request = Request {
        method: Method::Get,
        url: format!("{at}/?{}", pairs.join("&")),
        headers: Vec::new(),
        timeout: TIMEOUT,
        direct: false,
    };
    let whom = format!("STS, asked for the role `{}`,", role.arn);
    let answer = fetch
        .fetch(request)
        .await
        .map_err(|error| CredentialsError::unreachable(format!("{whom} cannot be reached: {error}")))?;
    if answer.status != 200 {
        return Err(answer::refusal(&whom, &answer));
    }
    answer::of_sts(&whom, &answer)
}

/// The service's name: of a region, or the one for all.
fn host(role: &Role) -> Result<String, CredentialsError> {
    let Some(region) = &role.region else { return Ok("sts.aliyuncs.com".to_owned()) };
    // The name goes into an address, so it must not be able to change the address.
    if region.is_empty() || !region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        return Err(CredentialsError::settings(
            format!("`{}` is not a region of STS", region.escape_debug()),
            "give a region such as cn-hangzhou",
        ));
    }
    let service = if role.vpc { "sts-vpc" } else { "sts" };
    Ok(format!("{service}.{region}.aliyuncs.com"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_that_of_the_region_and_the_network() {
        let at = |region: Option<&str>, vpc| {
            host(&Role { region: region.map(str::to_owned), vpc, ..Role::default() })
        };
        assert_eq!(at(None, true).unwrap(), "sts.aliyuncs.com");
        assert_eq!(at(Some("cn-hangzhou"), false).unwrap(), "sts.cn-hangzhou.aliyuncs.com");
        assert_eq!(at(Some("cn-beijing"), true).unwrap(), "sts-vpc.cn-beijing.aliyuncs.com");
        assert!(at(Some("x.example.org/"), false).is_err());
    }

    #[test]
    fn what_is_signed_is_what_the_vectors_say() {
        let text = include_str!("../../../tests/vectors/dlc/credentials_providers.json");
        let all: serde_json::Value = serde_json::from_str(text).unwrap();
        let by = Credentials {
            access_key_id: "fakeAK".to_owned(),
            access_key_secret: "fakeSK".to_owned().into(),
            security_token: None,
        };
        let mut same = 0;
        for case in all["sts"].as_array().unwrap() {
            let Some(expected) = case["string_to_sign"].as_str() else { continue };
            let mut query: Query = Vec::new();
            let mut signature = String::new();
            for (name, value) in case["request"]["query"].as_object().unwrap() {
                let value = value.as_str().unwrap().to_owned();
                if name == "Signature" {
                    signature = value;
                } else {
                    query.push((Box::leak(name.clone().into_boxed_str()), value));
                }
            }
            // The library that made the vectors signs a space as `+`, against the documented rule.
            if query.iter().any(|(_, value)| value.contains(' ')) {
                let documented =
                    expected.replace("fake%2Brole", "fake%2520role").replace("ext%2Bid", "ext%2520id");
                assert_eq!(string_to_sign(&query), documented);
            } else {
                assert_eq!(string_to_sign(&query), expected);
                assert_eq!(sign(&query, &by), signature);
                same += 1;
            }
        }
        assert_eq!(same, 2);
    }
}
