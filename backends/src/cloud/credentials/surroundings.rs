//! What of this machine credentials are looked for in: variables, files, addresses, time and chance.
//!
//! Nothing else in `credentials` asks the machine for anything, so a test can lay out a machine of its own.

use super::{CredentialsError, program};
use crate::cloud::secret::Sealed;
use crate::cloud::world::World;
use engine::time::Timestamp;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of a file with credentials: 1 MiB.
const FILE_BYTES: u64 = 1 << 20;
/// The metadata service of a machine of ECS (protocol page, section 8.5).
const METADATA_URL: &str = "http://100.100.100.200";

/// Where credentials may be.
#[derive(Clone)]
pub struct Surroundings {
    /// The environment variables; only those of [`Surroundings::VARIABLES`] matter.
    pub variables: BTreeMap<String, String>,
    /// The person's directory, for `~`.
    pub home: Option<PathBuf>,
    /// The metadata service, without a slash at the end.
    pub metadata_url: String,
    /// The address of STS, without a slash at the end; by region if there is none.
    pub sts_url: Option<String>,
    /// Keys that are kept for experiments.
    pub sealed: Sealed,
    /// The time, as the clouds see it.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Bits that nobody can foresee: for nonces, and so that refreshes do not coincide.
    pub chance: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Surroundings {
    /// The time and the chance of the program, and its variables.
    pub fn of_process(world: Arc<dyn World>) -> Self {
        let chances = Arc::clone(&world);
        Self::new(
            std::env::vars_os(),
            std::env::home_dir(),
            Arc::new(move || world.wall()),
            Arc::new(move || chances.random() as u64),
        )
    }

    /// The variables that are read. Older names (`ACCESS_KEY_ID`, `ALICLOUD_*`, `ALIBABACLOUD_*`) are not.
    pub const VARIABLES: &'static [&'static str] = &[
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "ALIBABA_CLOUD_SECURITY_TOKEN",
        "ALIBABA_CLOUD_ROLE_ARN",
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
        "ALIBABA_CLOUD_ROLE_SESSION_NAME",
        "ALIBABA_CLOUD_CLI_PROFILE_DISABLED",
        "ALIBABA_CLOUD_PROFILE",
        "ALIBABA_CLOUD_CREDENTIALS_FILE",
        "ALIBABA_CLOUD_ECS_METADATA_DISABLED",
        "ALIBABA_CLOUD_ECS_METADATA",
        "ALIBABA_CLOUD_IMDSV1_DISABLED",
        "ALIBABA_CLOUD_CREDENTIALS_URI",
        "ALIBABA_CLOUD_STS_REGION",
        "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED",
        program::ALLOWED,
    ];

    /// These variables and this directory, with the real services.
    pub fn new(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        home: Option<PathBuf>,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        chance: Arc<dyn Fn() -> u64 + Send + Sync>,
    ) -> Self {
        let variables = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| Self::VARIABLES.contains(&name.as_str()))
            .collect();
        Self {
            variables,
            home,
            metadata_url: METADATA_URL.to_owned(),
            sts_url: None,
            sealed: Sealed::default(),
            clock,
            chance,
        }
    }

    /// A variable that is set and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether a variable says `true`.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A path below the person's directory.
    pub(super) fn at_home(&self, path: &str) -> Option<PathBuf> {
        Some(self.home.as_ref()?.join(path))
    }
}

/// The text of a file, or nothing if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<String>, CredentialsError> {
    let failed = |error: std::io::Error| {
        CredentialsError::settings(
            format!("{} cannot be read: {error}", path.display()),
            "make it a readable text file of this user",
        )
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    let read = file.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if read as u64 > FILE_BYTES {
        return Err(CredentialsError::settings(
            format!("{} has more than {FILE_BYTES} bytes", path.display()),
            "name the file with credentials",
        ));
    }
    Ok(Some(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned)))
}

/// A warning if others than its owner can read the file.
pub(super) fn exposure(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = path.metadata().ok()?.permissions().mode();
    (mode & 0o004 != 0)
        .then(|| format!("{} holds credentials and everybody can read it: chmod 600 it", path.display()))
}
