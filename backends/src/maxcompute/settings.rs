//! What other tools of MaxCompute are set up with: `odps_config.ini` of its command line client, and the variables of
//! PyODPS. Begin with [`Setup`].
//!
//! Keys are never repeated in an error. Access keys in `ALIBABA_CLOUD_*` are not read here but by
//! [`crate::cloud::credentials`], as for every cloud.

use crate::cloud::credentials::{Credentials, Provider};
use crate::cloud::secret::Secret;
use crate::maxcompute::account::{AccountFile, bearer, text_of};
use crate::maxcompute::codes;
use crate::maxcompute::job::Settings;
use crate::maxcompute::signature::AppAccount;
use engine::error::Code;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The variables that are read.
pub const VARIABLES: &[&str] = &[
    "ODPS_ENDPOINT",
    "PYODPS_ENDPOINT",
    "ODPS_CFG_ENDPOINT",
    "ODPS_PROJECT_NAME",
    "ODPS_CFG_PROJECTNAME",
    "ODPS_REGION_NAME",
    "ODPS_TUNNEL_ENDPOINT",
    "ODPS_LOGVIEW_HOST",
    "QUOTA_NAME",
    "ODPS_STS_ACCOUNT_FILE",
    "ODPS_STS_ACCESS_KEY_ID",
    "ODPS_STS_ACCESS_KEY_SECRET",
    "ODPS_STS_TOKEN",
    "ODPS_BEARER_TOKEN_FILE",
    "ODPS_BEARER_TOKEN",
];

/// A mistake in what was set up. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {place}: {message}")]
pub struct SetupError {
    /// The kind of mistake.
    pub code: Code,
    /// The file with the line, or the variable.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub cure: String,
}

fn mistake(place: impl Into<String>, message: impl Into<String>, cure: &str) -> SetupError {
    SetupError {
        code: codes::BAD_SETTING,
        place: place.into(),
        message: message.into(),
        cure: cure.to_owned(),
    }
}

/// Who the caller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// An access key or a bearer token.
    Given(Credentials),
    /// A file that something else renews.
    File(AccountFile),
}

impl Account {
    /// Gives it to a client.
    pub fn provider(self) -> Arc<dyn Provider> {
        match self {
            Self::Given(credentials) => Arc::new(credentials),
            Self::File(file) => Arc::new(file),
        }
    }
}

/// What was found; everything may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setup {
    /// The project.
    pub project: Option<String>,
    /// The address of the service.
    pub endpoint: Option<String>,
    /// The region, which lets requests be signed by v4.
    pub region: Option<String>,
    /// The address of the tunnel.
    pub tunnel_endpoint: Option<String>,
    /// The address of the console for links.
    pub logview_host: Option<String>,
    /// The default schema.
    pub schema: Option<String>,
    /// The quota.
    pub quota: Option<String>,
    /// Who the caller is.
    pub account: Option<Account>,
    /// An application that acts for the caller.
    pub app: Option<AppAccount>,
    /// Settings of every task.
    pub settings: Settings,
    /// Names in a file that mean nothing here, such as those of a proxy.
    pub unused: Vec<String>,
}

impl Setup {
    /// From variables, by name. Empty ones count as not set.
    pub fn of_variables(variables: &BTreeMap<String, String>) -> Result<Self, SetupError> {
        let text = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
        let first = |names: &[&str]| names.iter().find_map(|name| text(name));
        Ok(Self {
            project: first(&["ODPS_PROJECT_NAME", "ODPS_CFG_PROJECTNAME"]),
            endpoint: first(&["ODPS_ENDPOINT", "PYODPS_ENDPOINT", "ODPS_CFG_ENDPOINT"]),
            region: text("ODPS_REGION_NAME"),
            tunnel_endpoint: text("ODPS_TUNNEL_ENDPOINT"),
            logview_host: text("ODPS_LOGVIEW_HOST"),
            quota: text("QUOTA_NAME"),
            account: account(&text)?,
            ..Self::default()
        })
    }

    /// From a file such as `odps_config.ini`.
    pub fn of_file(path: &Path) -> Result<Self, Vec<SetupError>> {
        let place = path.display().to_string();
        let cure = "make it a readable text file of this user";
        let text = text_of(path)
            .map_err(|why| vec![mistake(place.as_str(), format!("it cannot be read: {why}"), cure)])?;
        Self::of_text(&text, &place)
    }

    /// From the text of such a file; all mistakes are told.
    pub fn of_text(text: &str, path: &str) -> Result<Self, Vec<SetupError>> {
        let mut setup = Self::default();
        let mut errors = Vec::new();
        let mut secrets: BTreeMap<&str, String> = BTreeMap::new();
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let place = format!("{path}:{}", number + 1);
            let Some((name, value)) = line.split_once(['=', ':']) else {
                errors.push(mistake(
                    place,
                    "this is no `name=value`",
                    "complete the line, or begin it with `#`",
                ));
                continue;
            };
            let (name, value) = (name.trim(), unescaped(value.trim()));
            if let Some(setting) = name.strip_prefix("set.").filter(|setting| !setting.is_empty()) {
                setup.settings.insert(setting.to_owned(), value);
                continue;
            }
            let some = Some(value.clone()).filter(|value| !value.is_empty());
            match name {
                "project_name" => setup.project = some,
                "end_point" => setup.endpoint = some,
                "region_id" => setup.region = some,
                "tunnel_endpoint" => setup.tunnel_endpoint = some,
                "log_view_host" => setup.logview_host = some,
                "schema_name" => setup.schema = some,
                "account_provider" if matches!(value.to_ascii_lowercase().as_str(), "" | "aliyun") => {}
                "account_provider" => errors.push(mistake(
                    place,
                    format!("`account_provider` is `{value}`"),
                    "only accounts of `aliyun` are used",
                )),
                "access_id" | "access_key" | "app_access_id" | "app_access_key" | "sts_token" => {
                    secrets.extend(some.map(|value| (name, value)));
                }
                other => setup.unused.push(other.to_owned()),
            }
        }
        let mut pair = |id: &str, key: &str| match (secrets.remove(id), secrets.remove(key)) {
            (Some(id), Some(key)) => Some((id, Secret::new(key))),
            (None, None) => None,
            (given, _) => {
                let (here, missing) = if given.is_some() { (id, key) } else { (key, id) };
                let cure = "give both, or none to use the credentials of this machine";
                errors.push(mistake(path, format!("there is `{here}` and no `{missing}`"), cure));
                None
            }
        };
        let key = pair("access_id", "access_key");
        setup.app = pair("app_access_id", "app_access_key")
            .map(|(access_id, access_key)| AppAccount { access_id, access_key });
        setup.account = key.map(|(access_key_id, access_key_secret)| {
            let security_token = secrets.remove("sts_token").map(Secret::new);
            Account::Given(Credentials { access_key_id, access_key_secret, security_token })
        });
        if errors.is_empty() { Ok(setup) } else { Err(errors) }
    }

    /// This, and `other` for what is missing here. Settings are put together one by one.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let mut settings = other.settings;
        settings.extend(self.settings);
        let mut unused = self.unused;
        unused.extend(other.unused);
        Self {
            project: self.project.or(other.project),
            endpoint: self.endpoint.or(other.endpoint),
            region: self.region.or(other.region),
            tunnel_endpoint: self.tunnel_endpoint.or(other.tunnel_endpoint),
            logview_host: self.logview_host.or(other.logview_host),
            schema: self.schema.or(other.schema),
            quota: self.quota.or(other.quota),
            account: self.account.or(other.account),
            app: self.app.or(other.app),
            settings,
            unused,
        }
    }
}

/// The account that variables name: a file before a value, temporary keys before a bearer token.
fn account(text: &dyn Fn(&str) -> Option<String>) -> Result<Option<Account>, SetupError> {
    if let Some(path) = text("ODPS_STS_ACCOUNT_FILE") {
        return Ok(Some(Account::File(AccountFile::Sts(PathBuf::from(path)))));
    }
    let names = ["ODPS_STS_ACCESS_KEY_ID", "ODPS_STS_ACCESS_KEY_SECRET", "ODPS_STS_TOKEN"];
    match names.map(text) {
        [Some(id), Some(secret), Some(token)] => {
            return Ok(Some(Account::Given(Credentials {
                access_key_id: id,
                access_key_secret: secret.into(),
                security_token: Some(token.into()),
            })));
        }
        [None, None, None] => {}
        given => {
            let missing =
                names.iter().zip(given).find(|(_, value)| value.is_none()).map_or("", |(name, _)| *name);
            let cure = "set all three, or none of them";
            return Err(mistake(
                missing,
                format!("it is not set, and others of {} are", names.join(", ")),
                cure,
            ));
        }
    }
    if let Some(path) = text("ODPS_BEARER_TOKEN_FILE") {
        return Ok(Some(Account::File(AccountFile::Bearer(PathBuf::from(path)))));
    }
    Ok(text("ODPS_BEARER_TOKEN").map(|token| Account::Given(bearer(token.into()))))
}

/// A value of a file of properties, whose `\` takes the meaning from what follows it: `http\://`.
fn unescaped(text: &str) -> String {
    let mut letters = text.chars();
    let mut plain = String::new();
    while let Some(letter) = letters.next() {
        plain.push(if letter == '\\' { letters.next().unwrap_or('\\') } else { letter });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "what is set up is an option everywhere")]
    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn the_file_of_the_command_line_client_is_read() {
        let text = "\u{feff}# comment\nproject_name=p1\n access_id = LTAIplanted\naccess_key=planted/secret=\n\
                    end_point=https\\://service.cn-hangzhou.maxcompute.aliyun.com/api\nlog_view_host=http://logview\n\
                    tunnel_endpoint=\nschema_name=s\nset.odps.sql.allow.fullscan=true\nproxy_host=h\nhttps_check=false\n\
                    app_access_id=app\napp_access_key=planted-app\naccount_provider=aliyun\n";
        let setup = Setup::of_text(text, "odps_config.ini").unwrap();
        assert_eq!((setup.project.clone(), setup.schema.clone()), (some("p1"), some("s")));
        assert_eq!(setup.endpoint, some("https://service.cn-hangzhou.maxcompute.aliyun.com/api"));
        assert_eq!(
            (setup.tunnel_endpoint.clone(), setup.logview_host.clone()),
            (None, some("http://logview"))
        );
        assert_eq!(setup.settings["odps.sql.allow.fullscan"], "true");
        assert_eq!(setup.unused, ["proxy_host", "https_check"]);
        let Some(Account::Given(key)) = &setup.account else { panic!("no key") };
        assert_eq!(
            (key.access_key_id.as_str(), key.access_key_secret.expose().as_str()),
            ("LTAIplanted", "planted/secret=")
        );
        let shown = format!("{setup:?}");
        assert!(!shown.contains("planted/secret") && !shown.contains("planted-app"), "{shown}");
    }

    #[test]
    fn every_mistake_of_a_file_is_told_without_what_is_secret() {
        let errors =
            Setup::of_text("access_key=planted\nwhat\napp_access_id=a\naccount_provider=taobao", "f.ini")
                .unwrap_err();
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "E0551: f.ini:2: this is no `name=value`",
                "E0551: f.ini:4: `account_provider` is `taobao`",
                "E0551: f.ini: there is `access_key` and no `access_id`",
                "E0551: f.ini: there is `app_access_id` and no `app_access_key`",
            ]
        );
        assert!(
            Setup::of_file(Path::new("/nonexistent/odps_config.ini")).unwrap_err()[0]
                .message
                .contains("cannot be read")
        );
    }

    #[test]
    fn variables_name_a_project_an_endpoint_and_an_account() {
        let of = |pairs: &[(&str, &str)]| {
            let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Setup::of_variables(&variables.collect())
        };
        assert_eq!(of(&[]).unwrap(), Setup::default());
        let setup = of(&[
            ("ODPS_PROJECT_NAME", "p"),
            ("ODPS_ENDPOINT", ""),
            ("PYODPS_ENDPOINT", "e"),
            ("QUOTA_NAME", "q"),
            ("ODPS_BEARER_TOKEN", "planted"),
        ])
        .unwrap();
        assert_eq!(
            (setup.project.clone(), setup.endpoint.clone(), setup.quota.clone()),
            (some("p"), some("e"), some("q"))
        );
        assert_eq!(setup.account, Some(Account::Given(bearer("planted".to_owned().into()))));
        assert!(!format!("{setup:?}").contains("planted"));
        let sts = [
            ("ODPS_STS_ACCESS_KEY_ID", "STS.1"),
            ("ODPS_STS_ACCESS_KEY_SECRET", "s"),
            ("ODPS_STS_TOKEN", "t"),
        ];
        let Some(Account::Given(keys)) = of(&sts).unwrap().account else { panic!("no keys") };
        assert!(keys.security_token.is_some());
        assert_eq!(of(&sts[..2]).unwrap_err().place, "ODPS_STS_TOKEN");
        let file = of(&[("ODPS_BEARER_TOKEN_FILE", "/t"), ("ODPS_BEARER_TOKEN", "x")]).unwrap();
        assert_eq!(file.account, Some(Account::File(AccountFile::Bearer(PathBuf::from("/t")))));
        let first = of(&[("ODPS_PROJECT_NAME", "a")]).unwrap();
        let both = first.or(Setup { region: some("r"), ..setup });
        assert_eq!((both.project, both.region, both.quota), (some("a"), some("r"), some("q")));
    }
}
