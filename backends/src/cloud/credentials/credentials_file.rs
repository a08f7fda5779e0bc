//! The file of the SDKs: `~/.alibabacloud/credentials.ini`, or without the ending as other languages' SDKs read it
//! (protocol page, section 8.4).

use super::source::Source;
use super::sts::{OidcRole, Role};
use super::surroundings::{Surroundings, exposure, read};
use super::{CredentialsError, codes};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the file may be: where the environment says, or at the usual places.
pub(super) fn paths(surroundings: &Surroundings) -> Vec<PathBuf> {
    if let Some(path) = surroundings.text("ALIBABA_CLOUD_CREDENTIALS_FILE") {
        return vec![PathBuf::from(path)];
    }
    let usual = [".alibabacloud/credentials.ini", ".alibabacloud/credentials"];
    usual.iter().filter_map(|path| surroundings.at_home(path)).collect()
}

/// The file as it is now.
pub(super) struct Sections {
    path: PathBuf,
    all: BTreeMap<String, BTreeMap<String, String>>,
}

impl Sections {
    /// Reads the file, if there is one.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, CredentialsError> {
        Ok(read(path)?.map(|text| Self { path: path.to_owned(), all: sections(&text) }))
    }

    /// The names of all sections.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(String::as_str)
    }

    /// What the file's permissions are a reason to say.
    pub(super) fn warning(&self) -> Option<String> {
        exposure(&self.path)
    }

    /// The way to credentials that the section of this name is; nothing, if there is no such section.
    pub(super) fn find(
        &self,
        name: &str,
        surroundings: &Surroundings,
    ) -> Result<Option<Source>, CredentialsError> {
        let Some(fields) = self.all.get(name) else { return Ok(None) };
        let place = format!("the section `{name}` of {}", self.path.display());
        let text = |key: &str| fields.get(key).map(String::as_str).filter(|text| !text.is_empty());
        let need = |key: &str| {
            text(key).ok_or_else(|| {
                CredentialsError::settings(
                    format!("{place} has no `{key}`"),
                    "complete or remove the section",
                )
            })
        };
        let keys = || -> Result<Source, CredentialsError> {
            let found = Source::keys(Some(need("access_key_id")?), Some(need("access_key_secret")?), None);
            found.ok_or_else(|| CredentialsError::settings(format!("{place} has no keys"), "give both"))
        };
        let role = || -> Result<Role, CredentialsError> {
            Ok(Role {
                arn: need("role_arn")?.to_owned(),
                session: text("role_session_name").map(str::to_owned),
                policy: text("policy").map(str::to_owned),
                region: surroundings.text("ALIBABA_CLOUD_STS_REGION").map(str::to_owned),
                vpc: surroundings.flag("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED"),
                ..Role::default()
            })
        };
        let source = match need("type")? {
            "access_key" => keys()?,
            "ram_role_arn" => Source::Role(role()?, Box::new(keys()?)),
            "oidc_role_arn" => Source::Oidc(OidcRole {
                role: role()?,
                provider_arn: need("oidc_provider_arn")?.to_owned(),
                token_file: PathBuf::from(need("oidc_token_file_path")?),
            }),
            "ecs_ram_role" => Source::Machine(text("role_name").map(str::to_owned)),
            other => {
                let other: String = other.chars().take(64).collect();
                return Err(CredentialsError::new(
                    codes::UNUSABLE_KIND,
                    format!("{place} has the type `{}`, which is not used", other.escape_debug()),
                    "use access_key, ram_role_arn, oidc_role_arn or ecs_ram_role; temporary keys go into the \
                     environment or a profile of ~/.aliyun/config.json",
                ));
            }
        };
        Ok(Some(source))
    }
}

/// Sections with keys and values. What follows a `#`, and lines that begin with `;`, are comments.
fn sections(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.starts_with(';') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            current = Some(name.trim().to_owned());
            all.entry(name.trim().to_owned()).or_default();
        } else if let (Some(section), Some((key, value))) = (&current, line.split_once('=')) {
            let section = all.entry(section.clone()).or_default();
            section.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blanks_are_cut_and_lines_before_the_first_section_are_nothing() {
        let all = sections("a=1\n[x]\n ; no\nA = b # c\nd= e=f\n[ y ]\n");
        assert_eq!(all.len(), 2);
        assert_eq!((all["x"]["a"].as_str(), all["x"]["d"].as_str()), ("b", "e=f"));
        assert!(all["y"].is_empty());
    }
}
