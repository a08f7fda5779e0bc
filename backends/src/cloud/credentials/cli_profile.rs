//! The profiles of the command line interface: `~/.aliyun/config.json` (protocol page, section 8.3).

use super::source::Source;
use super::sts::{OidcRole, Role};
use super::surroundings::{Surroundings, exposure, read};
use super::{CredentialsError, codes, program};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Profiles that a profile may lead to, one after the other.
const CHAINED: usize = 8;

/// Where the file is.
pub(super) fn path(surroundings: &Surroundings) -> Option<PathBuf> {
    surroundings.at_home(".aliyun/config.json")
}

/// The file as it is now.
pub(super) struct Profiles {
    path: PathBuf,
    current: Option<String>,
    all: Vec<Map<String, Value>>,
}

/// What a profile is good for.
pub(super) enum Found {
    /// A way to credentials.
    Usable(Source),
    /// There is no profile of the name, or one of a mode that is not known to anybody; says which.
    Nothing(String),
}

impl Profiles {
    /// Reads the file, if there is one.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, CredentialsError> {
        let Some(text) = read(path)? else { return Ok(None) };
        // The parser's own words could hold a part of the file.
        let broken = |what: &str| {
            CredentialsError::settings(
                format!("{} {what}", path.display()),
                "write it with `aliyun configure`, or set ALIBABA_CLOUD_CLI_PROFILE_DISABLED=true",
            )
        };
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| broken(&format!("is not JSON (line {})", error.line())))?;
        let profiles =
            value.get("profiles").and_then(Value::as_array).ok_or_else(|| broken("has no profiles"))?;
        let all = profiles.iter().filter_map(Value::as_object).cloned().collect();
        let current = value.get("current").and_then(Value::as_str).map(str::to_owned);
        Ok(Some(Self { path: path.to_owned(), current, all }))
    }

    /// The profile that is used if none is named.
    pub(super) fn current(&self) -> &str {
        self.current.as_deref().unwrap_or("default")
    }

    /// The names of all profiles.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().filter_map(|profile| profile.get("name")?.as_str())
    }

    /// What the file's permissions are a reason to say.
    pub(super) fn warning(&self) -> Option<String> {
        exposure(&self.path)
    }

    /// What the profile of this name is good for.
    pub(super) fn find(&self, name: &str, surroundings: &Surroundings) -> Result<Found, CredentialsError> {
        self.follow(name, surroundings, CHAINED)
    }

    fn follow(
        &self,
        name: &str,
        surroundings: &Surroundings,
        left: usize,
    ) -> Result<Found, CredentialsError> {
        let place = format!("the profile `{name}` of {}", self.path.display());
        let same = |profile: &&Map<String, Value>| profile.get("name").and_then(Value::as_str) == Some(name);
        let Some(fields) = self.all.iter().find(same) else {
            return Ok(Found::Nothing(format!("{} has no profile `{name}`", self.path.display())));
        };
        let profile = Profile { fields, place: &place };
        let source = match profile.text("mode").unwrap_or_default() {
            "AK" => profile.keys(false)?,
            "StsToken" => profile.keys(true)?,
            "RamRoleArn" => Source::Role(profile.role(surroundings)?, Box::new(profile.keys(false)?)),
            "EcsRamRole" => Source::Machine(profile.text("ram_role_name").map(str::to_owned)),
            "RamRoleArnWithEcs" => {
                let machine = Source::Machine(profile.text("ram_role_name").map(str::to_owned));
                Source::Role(profile.role(surroundings)?, Box::new(machine))
            }
            "OIDC" => Source::Oidc(OidcRole {
                role: profile.role(surroundings)?,
                provider_arn: profile.need("oidc_provider_arn")?.to_owned(),
                token_file: PathBuf::from(profile.need("oidc_token_file")?),
            }),
            "CredentialsURI" => Source::Uri(profile.need("credentials_uri")?.to_owned().into()),
            "ChainableRamRoleArn" => {
                let next = profile.need("source_profile")?;
                if left == 0 {
                    return Err(CredentialsError::settings(
                        format!("{place} leads over more than {CHAINED} others, perhaps to itself"),
                        "let `source_profile` end at a profile with keys",
                    ));
                }
                match self.follow(next, surroundings, left - 1)? {
                    Found::Usable(base) => Source::Role(profile.role(surroundings)?, Box::new(base)),
                    Found::Nothing(why) => {
                        return Err(CredentialsError::settings(
                            format!("{place} needs another: {why}"),
                            "correct its `source_profile`",
                        ));
                    }
                }
            }
            "External" if surroundings.flag(program::ALLOWED) => {
                Source::Program(profile.need("process_command")?.to_owned().into())
            }
            mode @ ("CloudSSO" | "OAuth" | "External" | "RsaKeyPair") => {
                return Err(CredentialsError::new(
                    codes::UNUSABLE_KIND,
                    format!("{place} has the mode {mode}, which is not used: {}", reason(mode)),
                    "name another profile in `credential` or ALIBABA_CLOUD_PROFILE, or give temporary keys in \
                     the environment",
                ));
            }
            mode => {
                let mode: String = mode.chars().take(64).collect();
                return Ok(Found::Nothing(format!("{place} has the unknown mode `{}`", mode.escape_debug())));
            }
        };
        Ok(Found::Usable(source))
    }
}

fn reason(mode: &str) -> &'static str {
    match mode {
        "External" => "it would run a program, which only RETRIAL_CREDENTIAL_PROGRAMS=true allows",
        "RsaKeyPair" => "its keys are of an old kind",
        _ => "it needs a person at a browser",
    }
}

struct Profile<'a> {
    fields: &'a Map<String, Value>,
    place: &'a str,
}

impl<'a> Profile<'a> {
    fn text(&self, key: &str) -> Option<&'a str> {
        self.fields.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty())
    }

    fn need(&self, key: &str) -> Result<&'a str, CredentialsError> {
        self.text(key).ok_or_else(|| {
            CredentialsError::settings(
                format!("{} has no `{key}`", self.place),
                "write it with `aliyun configure`",
            )
        })
    }

    fn keys(&self, temporary: bool) -> Result<Source, CredentialsError> {
        let id = self.need("access_key_id")?;
        let secret = self.need("access_key_secret")?;
        // Keys of a role may themselves be temporary ones.
        let token = if temporary { Some(self.need("sts_token")?) } else { None };
        let found = Source::keys(Some(id), Some(secret), token);
        found.ok_or_else(|| CredentialsError::settings(format!("{} has no keys", self.place), "give both"))
    }

    fn role(&self, surroundings: &Surroundings) -> Result<Role, CredentialsError> {
        let own = |key: &str| self.text(key).map(str::to_owned);
        let region =
            own("sts_region").or_else(|| surroundings.text("ALIBABA_CLOUD_STS_REGION").map(str::to_owned));
        let seconds = self.fields.get("expired_seconds").and_then(|value| match value {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_u64(),
        });
        Ok(Role {
            arn: self.need("ram_role_arn")?.to_owned(),
            // The command line interface writes the first name, and the SDK for Python reads the second for OIDC.
            session: own("ram_session_name").or_else(|| own("role_session_name")),
            duration_s: seconds.filter(|seconds| *seconds > 0),
            policy: own("policy"),
            external_id: own("external_id"),
            region,
            vpc: self.fields.get("enable_vpc").and_then(Value::as_bool).unwrap_or(false)
                || surroundings.flag("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED"),
        })
    }
}
