//! Credentials from a program: the mode `External`, only when asked for (protocol page, section 8.3).
//!
//! What it writes to its standard output is read as JSON. Its standard error is thrown away, since it may say anything.

use super::answer::Grant;
use super::{Credentials, CredentialsError, codes};
use engine::time::Timestamp;
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// The variable that allows programs to be run.
pub(super) const ALLOWED: &str = "RETRIAL_CREDENTIAL_PROGRAMS";
/// The longest time that the program may take.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Bytes that are read of what it writes: 64 KiB.
const OUTPUT_BYTES: u64 = 64 << 10;

/// Runs the command with `sh` and reads the credentials that it writes.
pub(super) async fn run(command: &str) -> Result<Grant, CredentialsError> {
    let failed = |why: String| {
        CredentialsError::new(
            codes::REFUSED,
            format!("the program of the profile gave no credentials: {why}"),
            "run its `process_command` by hand",
        )
    };
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("`sh` does not run: {error}")))?;
    let mut output = Vec::new();
    let work = async {
        if let Some(stdout) = child.stdout.take() {
            stdout.take(OUTPUT_BYTES).read_to_end(&mut output).await?;
        }
        child.wait().await
    };
    let status = tokio::time::timeout(TIMEOUT, work)
        .await
        .map_err(|_| failed(format!("it took more than {} s", TIMEOUT.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(format!("it ended with {status}")));
    }
    read(&output).map_err(failed)
}

fn read(output: &[u8]) -> Result<Grant, String> {
    let value: Value = serde_json::from_slice(output).map_err(|_| "it did not write JSON".to_owned())?;
    let text = |name: &str| value.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let need = |name: &str| text(name).ok_or_else(|| format!("it wrote no `{name}`"));
    let token = match text("mode").as_deref() {
        Some("StsToken") => Some(need("sts_token")?),
        _ => text("sts_token"),
    };
    let expires = match text("expiration") {
        None => None,
        Some(time) => {
            let time: jiff::Timestamp =
                time.parse().map_err(|_| "its `expiration` is not a time".to_owned())?;
            Some(Timestamp(time.as_millisecond()))
        }
    };
    Ok(Grant {
        credentials: Credentials {
            access_key_id: need("access_key_id")?,
            access_key_secret: need("access_key_secret")?.into(),
            security_token: token.map(Into::into),
        },
        expires,
        provider: "external".to_owned(),
    })
}
