//! Who may do what: users with access keys and tokens, their roles, and which experiments they see. Begin with [`Access`].
//!
//! Without users the daemon serves this machine only, and whoever can reach it there is an admin.

use crate::codes;
use crate::error::{Failure, exit};
use crate::labels::is_private;
use crate::secrets::PREFIX;
use backends::cloud::secret::Secret;
use engine::id::ActorId;
use engine::spec::PRIORITY;
use engine::state::{Experiment, State};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

/// Most bytes of a file of users.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Fewest characters of a token or a secret.
const LEAST_SECRET_CHARS: usize = 16;

/// What somebody may do; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at what is public.
    Viewer,
    /// Create experiments, and act on own ones.
    User,
    /// Everything.
    Admin,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viewer => "viewer",
            Self::User => "user",
            Self::Admin => "admin",
        })
    }
}

/// Somebody who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name under which it is recorded.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Which secrets and credentials of the daemon its experiments may name.
    pub names: Names,
}

/// Who may look at an experiment or at what happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Admins.
    Admins,
    /// Its creator and admins.
    Creator(String),
    /// Everybody.
    All,
}

impl Audience {
    /// That of an experiment; of one that is not there, and of the store itself, admins. A removed one is nobody's but its creator's.
    pub fn of(state: &State, experiment: Option<&Experiment>) -> Self {
        match experiment {
            None => Self::Admins,
            Some(experiment) if experiment.removed || is_private(experiment) => {
                Self::Creator(state.actor_name(experiment.creator).to_owned())
            }
            Some(_) => Self::All,
        }
    }
}

impl Identity {
    /// Whether it may look at an experiment, and that is not removed, so that it is found by its name and in lists.
    pub fn sees(&self, state: &State, experiment: &Experiment) -> bool {
        !experiment.removed && self.may_see(state, experiment)
    }

    /// Whether it may look at an experiment, perhaps a removed one: these are there for those who could have removed them.
    pub fn may_see(&self, state: &State, experiment: &Experiment) -> bool {
        if experiment.removed {
            return self.may_change(state, experiment);
        }
        !is_private(experiment) || self.role == Role::Admin || self.owns(state, experiment)
    }

    /// Whether it belongs to an audience.
    pub fn is_of(&self, audience: &Audience) -> bool {
        match audience {
            Audience::Admins => self.role == Role::Admin,
            Audience::Creator(name) => self.role == Role::Admin || *name == self.name,
            Audience::All => true,
        }
    }

    /// Whether it may act on an experiment.
    pub fn may_change(&self, state: &State, experiment: &Experiment) -> bool {
        self.role == Role::Admin || (self.role == Role::User && self.owns(state, experiment))
    }

    /// Whether an experiment is its own.
    pub fn owns(&self, state: &State, experiment: &Experiment) -> bool {
        state.actor_name(experiment.creator) == self.name
    }
}

/// Which secrets and credentials somebody may name, as patterns in which `*` stands for any characters. None by default:
/// whoever names a key works with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    secrets: Arc<[String]>,
    credentials: Arc<[String]>,
    endpoints: Arc<[String]>,
    max_priority: Option<u32>,
}

impl Names {
    /// Whether a sealed secret may be named.
    pub fn secret(&self, name: &str) -> bool {
        self.secrets.iter().any(|pattern| fits(pattern, name))
    }

    /// Whether the daemon's own credentials may be used with an endpoint that is none of the cloud.
    pub fn endpoint(&self, name: &str) -> bool {
        self.endpoints.iter().any(|pattern| fits(pattern, name))
    }

    /// The highest priority that an experiment may have; that of one that says nothing, unless the file says otherwise.
    pub fn max_priority(&self) -> u32 {
        self.max_priority.unwrap_or(PRIORITY)
    }

    /// Whether a profile or a role of the daemon's machine may be named.
    pub fn credential(&self, name: &str) -> bool {
        self.credentials.iter().any(|pattern| fits(pattern, name))
    }
}

/// Whether a text has the form of a pattern.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = text.get(at + part.len()..).unwrap_or_default();
    }
    text.ends_with(end)
}

/// A user as the file says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    name: String,
    role: Role,
    access_key_id: Option<String>,
    access_key_secret: Option<String>,
    token: Option<String>,
    max_trials: Option<u32>,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    credentials: Vec<String>,
    #[serde(default)]
    endpoints: Vec<String>,
    max_priority: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    user: Vec<User>,
}

/// An access key.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its secret.
    pub secret: Secret<String>,
    /// Whose it is.
    pub owner: Identity,
}

/// Everybody who may come in.
#[derive(Debug, Clone, Default)]
pub struct Access {
    keys: BTreeMap<String, Key>,
    tokens: Vec<(Secret<String>, Identity)>,
    max_trials: BTreeMap<String, u32>,
}

impl Access {
    /// Reads a file of users, which nobody else may read. All mistakes are told.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let failed = |message: String, cure: &str| Failure {
            code: Some(codes::BAD_ACCESS.to_string()),
            ..Failure::new(exit::USAGE, format!("{}: {message}", path.display()), cure)
        };
        let about = std::fs::metadata(path)
            .map_err(|error| failed(format!("it cannot be read: {error}"), "name a file of users"))?;
        if about.permissions().mode() & 0o077 != 0 {
            let cure = "it holds secrets: `chmod 600` it";
            return Err(failed("others may read it".to_owned(), cure));
        }
        if about.len() > MAX_FILE_BYTES {
            return Err(failed(format!("it has more than {MAX_FILE_BYTES} bytes"), "is it a file of users?"));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| failed(format!("it cannot be read: {error}"), "name a file of users"))?;
        Self::of(&text).map_err(|mistakes| failed(mistakes.join("; "), "see docs/daemon.md"))
    }

    /// From the text of such a file.
    pub fn of(text: &str) -> Result<Self, Vec<String>> {
        // The parser's own message would repeat the line, and with it a secret.
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
            vec![format!("line {line} is not as it has to be: {}", error.message())]
        })?;
        let mut access = Self::default();
        let mut mistakes = Vec::new();
        for user in file.user {
            access.add(user, &mut mistakes);
        }
        if access.is_open() && mistakes.is_empty() {
            mistakes.push("it names no user".to_owned());
        }
        if mistakes.is_empty() { Ok(access) } else { Err(mistakes) }
    }

    fn add(&mut self, user: User, mistakes: &mut Vec<String>) {
        let User { name, role, access_key_id, access_key_secret, token, max_trials, .. } = user;
        let User { secrets, credentials, endpoints, max_priority, .. } = user;
        let name_fits = (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if !name_fits {
            mistakes.push("the name of a user has 1 to 64 characters".to_owned());
        }
        let short =
            |secret: &Option<String>| secret.as_ref().is_some_and(|text| text.len() < LEAST_SECRET_CHARS);
        if short(&access_key_secret) || short(&token) {
            mistakes.push(format!("a secret of `{name}` has fewer than {LEAST_SECRET_CHARS} characters"));
        }
        if (0..ActorId::FIRST_NAMED.0).any(|actor| State::default().actor_name(ActorId(actor)) == name) {
            mistakes
                .push(format!("`{name}` is what records call a part of the program: choose another name"));
        }
        if access_key_id.as_ref().is_some_and(String::is_empty) {
            mistakes.push(format!("the `access_key_id` of `{name}` is empty"));
        }
        if token.as_ref().is_some_and(|token| self.bearer(token).is_some()) {
            mistakes.push(format!("the token of `{name}` is another one's as well"));
        }
        if max_trials == Some(0) {
            mistakes.push(format!("`max_trials` of `{name}` is 0: leave it out, or give a number above 0"));
        }
        self.max_trials.extend(max_trials.map(|trials| (name.clone(), trials)));
        if secrets.iter().any(|name| name.starts_with(PREFIX)) {
            mistakes.push(format!("a secret that `{name}` may name is written without `{PREFIX}`"));
        }
        let names = Names {
            secrets: secrets.into(),
            credentials: credentials.into(),
            endpoints: endpoints.into(),
            max_priority,
        };
        let owner = Identity { name: name.clone(), role, names };
        match (access_key_id, access_key_secret) {
            (Some(id), Some(secret)) => {
                let key = Key { secret: Secret::new(secret), owner: owner.clone() };
                if self.keys.insert(id, key).is_some() {
                    mistakes.push(format!("the access key of `{name}` is given twice"));
                }
            }
            (None, None) if token.is_none() => {
                mistakes.push(format!("`{name}` has neither an access key nor a token"));
            }
            (None, None) => {}
            _ => mistakes.push(format!("`{name}` has half of an access key")),
        }
        if let Some(token) = token {
            self.tokens.push((Secret::new(token), owner));
        }
    }

    /// Whether there are no users, so that whoever is on this machine may do everything.
    pub fn is_open(&self) -> bool {
        self.keys.is_empty() && self.tokens.is_empty()
    }

    /// How many trials of single users may run at once.
    pub const fn max_trials(&self) -> &BTreeMap<String, u32> {
        &self.max_trials
    }

    /// An access key by its id.
    pub fn key(&self, id: &str) -> Option<&Key> {
        self.keys.get(id)
    }

    /// Whose token this is. Takes the same time whichever token is wrong.
    pub fn bearer(&self, token: &str) -> Option<&Identity> {
        let mut found = None;
        for (known, owner) in &self.tokens {
            if same(known.expose().as_bytes(), token.as_bytes()) {
                found = Some(owner);
            }
        }
        found
    }
}

/// Whether two secrets are the same, in a time that depends on neither: their digests are compared.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    blake3::hash(a) == blake3::hash(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_names() {
        for (pattern, text, expected) in [
            ("team", "team", true),
            ("team", "team-a", false),
            ("team-*", "team-a", true),
            ("team-*", "team-", true),
            ("team-*", "my-team-a", false),
            ("*", "", true),
            ("*-key", "a-key", true),
            ("*-key", "a-key-b", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("ab*ba", "aba", false),
            ("acs:ram::*:role/tuner-*", "acs:ram::1:role/tuner-a", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn nobody_may_name_what_the_file_does_not_say() {
        let user = "[[user]]\nname = 'ann'\nrole = 'user'\ntoken = 'planted-token-of-ann'\n";
        let names =
            |more: &str| Access::of(&format!("{user}{more}")).map(|access| access.tokens[0].1.names.clone());
        let none = names("").unwrap();
        assert!(!none.secret("a") && !none.credential("a"));
        let some = names("secrets = ['team-*']\ncredentials = ['prod']").unwrap();
        assert!(some.secret("team-a") && !some.secret("prod") && some.credential("prod"));
        assert!(names("secrets = ['secret:a']").unwrap_err()[0].contains("without `secret:`"));
    }

    #[test]
    fn a_file_of_users_is_read_and_every_mistake_is_told_without_secrets() {
        let text = "[[user]]\nname = 'ann'\nrole = 'admin'\ntoken = 'planted-token-of-ann'\n\
                    [[user]]\nname = 'bob'\nrole = 'viewer'\naccess_key_id = 'LTAIbob'\naccess_key_secret = 'planted-secret-of-bob'\n";
        let access = Access::of(text).unwrap();
        assert_eq!(access.bearer("planted-token-of-ann").unwrap().name, "ann");
        assert!(access.bearer("planted-token-of-anm").is_none());
        assert_eq!(access.key("LTAIbob").unwrap().owner.role, Role::Viewer);
        assert!(!format!("{access:?}").contains("planted"));

        let text = "[[user]]\nname = 'ann'\nrole = 'user'\n[[user]]\nname = ''\nrole = 'user'\ntoken = 'planted'\n\
                    [[user]]\nname = 'c'\nrole = 'user'\naccess_key_id = 'x'\n";
        let told = Access::of(text).unwrap_err();
        assert_eq!(told.len(), 4, "{told:?}");
        let told = Access::of("[[user]]\nname = 'ann'\ntoken = planted-token\n").unwrap_err();
        assert!(told[0].starts_with("line 3") && !told[0].contains("planted"), "{told:?}");
        assert_eq!(Access::of("").unwrap_err(), ["it names no user"]);
    }
}
