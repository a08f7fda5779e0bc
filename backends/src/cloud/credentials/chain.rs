//! Where credentials are looked for, and in which order (protocol page, section 8).
//!
//! The order is that of Alibaba's SDKs. One thing is stricter: what is set up and fails, ends the search. An SDK goes on,
//! so that a short failure lets jobs run under another identity for ever. Only the machine's own role, which
//! nobody has set up, is asked for and passed over.

use super::choice::{Choice, RoleChoice};
use super::cli_profile::{self, Found, Profiles};
use super::credentials_file::{self, Sections};
use super::source::Source;
use super::sts::{OidcRole, Role};
use super::surroundings::Surroundings;
use super::{CredentialsError, codes};
use std::fmt;
use std::path::PathBuf;

/// A place where credentials can be. Names the profile, so that a change of the current one changes nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Keys in environment variables.
    Environment,
    /// The role that a cluster gives to its containers.
    Cluster,
    /// A profile of the command line interface.
    CliProfile(String),
    /// A section of the SDKs' file.
    File(PathBuf, String),
    /// The metadata service of the machine.
    Machine,
    /// The address that a container names.
    Uri,
    /// A sealed secret.
    Sealed(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("the environment"),
            Self::Cluster => f.write_str("the cluster (ALIBABA_CLOUD_ROLE_ARN)"),
            Self::CliProfile(name) => write!(f, "the profile `{name}` of ~/.aliyun/config.json"),
            Self::File(path, name) => write!(f, "the section `{name}` of {}", path.display()),
            Self::Machine => f.write_str("the metadata service"),
            Self::Uri => f.write_str("the credentials URI"),
            Self::Sealed(name) => write!(f, "the secret `{name}`"),
        }
    }
}

impl Place {
    /// What Alibaba's SDKs call credentials from here, given what they call the way to them.
    pub(super) fn provider(&self, way: &str) -> String {
        match self {
            Self::Environment => "env".to_owned(),
            Self::CliProfile(_) => format!("cli_profile/{way}"),
            Self::File(..) => format!("profile/{way}"),
            Self::Sealed(_) => format!("sealed/{way}"),
            Self::Cluster | Self::Machine | Self::Uri => way.to_owned(),
        }
    }
}

/// A way to credentials and where it was found.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Where.
    pub place: Place,
    /// Whether its failure is passed over.
    pub(super) probed: bool,
    pub(super) source: Source,
}

/// Says which credentials these are, without a secret: at most the last four characters of a key's id.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, from {}", self.source, self.place)
    }
}

/// What a look at all places has given, without any request.
#[derive(Debug, Default)]
pub struct Survey {
    /// What would be tried, in order; the first that succeeds is used.
    pub candidates: Vec<Candidate>,
    /// Why other places were passed over.
    pub passed: Vec<String>,
    /// What the person should know, such as files that everybody can read.
    pub warnings: Vec<String>,
}

/// Looks for credentials without any request.
pub fn survey(choice: &Choice, surroundings: &Surroundings) -> Result<Survey, CredentialsError> {
    match choice {
        Choice::Chain => chain(surroundings),
        Choice::Profile(name) => named(name, surroundings),
        Choice::Sealed(name) => sealed(name, surroundings),
        Choice::Role(role) => {
            let mut survey = match &role.sealed {
                Some(name) => sealed(name, surroundings)?,
                None => chain(surroundings)?,
            };
            for candidate in &mut survey.candidates {
                candidate.source = wrapped(role, candidate.source.clone(), surroundings);
            }
            Ok(survey)
        }
    }
}

/// What is at this place now.
pub(super) fn look_again(
    choice: &Choice,
    place: &Place,
    surroundings: &Surroundings,
) -> Result<Source, CredentialsError> {
    let mut unused = Survey::default();
    let gone = || {
        CredentialsError::settings(format!("there are no credentials any more in {place}"), "restore them")
    };
    let source = look(place, surroundings, &mut unused)?.ok_or_else(gone)?;
    Ok(match choice {
        Choice::Role(role) => wrapped(role, source, surroundings),
        Choice::Chain | Choice::Profile(_) | Choice::Sealed(_) => source,
    })
}

fn chain(surroundings: &Surroundings) -> Result<Survey, CredentialsError> {
    let mut survey = Survey::default();
    for place in places(surroundings, &mut survey) {
        let source = match look(&place, surroundings, &mut survey) {
            Ok(Some(source)) => source,
            Ok(None) => continue,
            // What was set up half, the SDKs pass over: installing the command line interface leaves such a profile.
            Err(error) if error.code == codes::BAD_SETTINGS => {
                survey.passed.push(error.message.clone());
                survey.warnings.push(error.message);
                continue;
            }
            Err(error) => return Err(error),
        };
        let probed = source == Source::Machine(None);
        survey.candidates.push(Candidate { place, probed, source });
        if !probed {
            break;
        }
    }
    Ok(survey)
}

/// The places of the chain in their order.
fn places(surroundings: &Surroundings, survey: &mut Survey) -> Vec<Place> {
    let mut places = vec![Place::Environment, Place::Cluster];
    let wanted = surroundings.text("ALIBABA_CLOUD_PROFILE");
    if let Some(path) = cli_path(surroundings, &mut survey.passed) {
        match (wanted, Profiles::load(&path)) {
            // Where there is no file, the look at it says so, in its turn.
            (Some(name), Ok(_)) => places.push(Place::CliProfile(name.to_owned())),
            (None, Ok(None)) => places.push(Place::CliProfile("default".to_owned())),
            (None, Ok(Some(profiles))) => places.push(Place::CliProfile(profiles.current().to_owned())),
            (_, Err(error)) => {
                survey.passed.push(error.message.clone());
                survey.warnings.push(error.message);
            }
        }
    }
    let section = wanted.unwrap_or("default");
    for path in credentials_file::paths(surroundings) {
        places.push(Place::File(path, section.to_owned()));
    }
    places.extend([Place::Machine, Place::Uri]);
    places
}

fn cli_path(surroundings: &Surroundings, passed: &mut Vec<String>) -> Option<PathBuf> {
    if surroundings.flag("ALIBABA_CLOUD_CLI_PROFILE_DISABLED") {
        passed.push("profiles are switched off by ALIBABA_CLOUD_CLI_PROFILE_DISABLED".to_owned());
        return None;
    }
    cli_profile::path(surroundings)
}

/// A profile that was asked for by its name: every mistake in it is told.
fn named(name: &str, surroundings: &Surroundings) -> Result<Survey, CredentialsError> {
    let mut survey = Survey::default();
    let mut known: Vec<String> = Vec::new();
    let mut places = Vec::new();
    if let Some(path) = cli_path(surroundings, &mut survey.passed)
        && let Some(profiles) = Profiles::load(&path)?
    {
        known.extend(profiles.names().map(str::to_owned));
        places.push(Place::CliProfile(name.to_owned()));
    }
    for path in credentials_file::paths(surroundings) {
        if let Some(sections) = Sections::load(&path)? {
            known.extend(sections.names().map(str::to_owned));
            places.push(Place::File(path, name.to_owned()));
        }
    }
    for place in places {
        if let Some(source) = look(&place, surroundings, &mut survey)? {
            survey.candidates.push(Candidate { place, probed: false, source });
            return Ok(survey);
        }
    }
    let cure = if known.is_empty() {
        "write one with `aliyun configure --profile NAME`, or leave `credential` out".to_owned()
    } else {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        crate::suggest::cure(name, &known)
    };
    let why: String = survey.passed.iter().map(|why| format!("; {why}")).collect();
    Err(CredentialsError::new(codes::BAD_NAME, format!("there is no usable profile `{name}`{why}"), cure))
}

/// A secret that was asked for by its name.
fn sealed(name: &str, surroundings: &Surroundings) -> Result<Survey, CredentialsError> {
    let mut survey = Survey::default();
    let place = Place::Sealed(name.to_owned());
    if let Some(source) = look(&place, surroundings, &mut survey)? {
        survey.candidates.push(Candidate { place, probed: false, source });
    }
    Ok(survey)
}

/// A key as a sealed secret holds it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedKey {
    access_key_id: String,
    access_key_secret: String,
    security_token: Option<String>,
}

fn sealed_key(name: &str, surroundings: &Surroundings) -> Result<Source, CredentialsError> {
    let text = surroundings.sealed.open(name).map_err(|why| {
        CredentialsError::new(codes::BAD_NAME, why, "keep the key with `retrial secret set NAME`")
    })?;
    // The parser's own words may repeat what it has read.
    let key = serde_json::from_str::<SealedKey>(text.expose()).ok();
    let source = key.and_then(|key| {
        Source::keys(Some(&key.access_key_id), Some(&key.access_key_secret), key.security_token.as_deref())
    });
    source.ok_or_else(|| {
        CredentialsError::settings(
            format!("the secret `{name}` holds no access key"),
            r#"set it to {"access_key_id": "...", "access_key_secret": "..."}, and `security_token` with a temporary key"#,
        )
    })
}

fn wrapped(wanted: &RoleChoice, base: Source, surroundings: &Surroundings) -> Source {
    let usual = role(&wanted.arn, surroundings);
    let session = wanted.session.clone().or_else(|| usual.session.clone());
    Source::Role(Role { session, external_id: wanted.external_id.clone(), ..usual }, Box::new(base))
}

fn role(arn: &str, surroundings: &Surroundings) -> Role {
    Role {
        arn: arn.to_owned(),
        session: surroundings.text("ALIBABA_CLOUD_ROLE_SESSION_NAME").map(str::to_owned),
        region: surroundings.text("ALIBABA_CLOUD_STS_REGION").map(str::to_owned),
        vpc: surroundings.flag("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED"),
        ..Role::default()
    }
}

/// The way to credentials at one place, if there is one; else a reason is added.
fn look(
    place: &Place,
    surroundings: &Surroundings,
    survey: &mut Survey,
) -> Result<Option<Source>, CredentialsError> {
    let text = |name: &str| surroundings.text(name);
    let mut pass = |why: String| survey.passed.push(why);
    Ok(match place {
        Place::Environment => {
            let found = Source::keys(
                text("ALIBABA_CLOUD_ACCESS_KEY_ID"),
                text("ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
                text("ALIBABA_CLOUD_SECURITY_TOKEN"),
            );
            if found.is_none() {
                pass(
                    "ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET are not both set"
                        .to_owned(),
                );
            }
            found
        }
        Place::Cluster => {
            let names = [
                "ALIBABA_CLOUD_ROLE_ARN",
                "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
                "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
            ];
            let [Some(arn), Some(provider), Some(file)] = names.map(text) else {
                pass(format!("{} are not all set", names.join(", ")));
                return Ok(None);
            };
            Some(Source::Oidc(OidcRole {
                role: role(arn, surroundings),
                provider_arn: provider.to_owned(),
                token_file: PathBuf::from(file),
            }))
        }
        Place::CliProfile(name) => {
            let Some(path) = cli_profile::path(surroundings) else { return Ok(None) };
            let Some(profiles) = Profiles::load(&path)? else {
                pass(format!("there is no {}", path.display()));
                return Ok(None);
            };
            match profiles.find(name, surroundings)? {
                Found::Usable(source) => {
                    survey.warnings.extend(profiles.warning());
                    Some(source)
                }
                Found::Nothing(why) => {
                    pass(why);
                    None
                }
            }
        }
        Place::File(path, name) => {
            let Some(sections) = Sections::load(path)? else {
                pass(format!("there is no {}", path.display()));
                return Ok(None);
            };
            let found = sections.find(name, surroundings)?;
            match &found {
                Some(_) => survey.warnings.extend(sections.warning()),
                None => pass(format!("{} has no section `{name}`", path.display())),
            }
            found
        }
        Place::Sealed(name) => Some(sealed_key(name, surroundings)?),
        Place::Machine => {
            if surroundings.flag("ALIBABA_CLOUD_ECS_METADATA_DISABLED") {
                pass(
                    "the metadata service is switched off by ALIBABA_CLOUD_ECS_METADATA_DISABLED".to_owned(),
                );
                return Ok(None);
            }
            Some(Source::Machine(text("ALIBABA_CLOUD_ECS_METADATA").map(str::to_owned)))
        }
        Place::Uri => {
            let uri = text("ALIBABA_CLOUD_CREDENTIALS_URI");
            if uri.is_none() {
                pass("ALIBABA_CLOUD_CREDENTIALS_URI is not set".to_owned());
            }
            uri.map(|uri| Source::Uri(uri.to_owned().into()))
        }
    })
}
