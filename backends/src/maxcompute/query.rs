//! A metric's question to a table: run as a query that changes nothing, until it has given its row.

use super::advice::unread;
use super::api::MaxCompute;
use super::command::{self, Defaults};
use super::result::Table;
use super::settings::Setup;
use super::watch::{End, Sight};
use crate::cloud::client::CallError;
use crate::cloud::retry::Repeat;
use crate::cloud::world::World;
use engine::ports::backend::ReadError;
use std::time::Duration;

/// How long a question may take.
const PATIENCE: Duration = Duration::from_mins(15);
/// The first wait for a row; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A metric may be a row of a partitioned table.
const FULL_SCAN: &str = "odps.sql.allow.fullscan";

/// The one row as a JSON object. It may be asked for as often as one likes.
pub(super) async fn row(
    client: &MaxCompute,
    world: &dyn World,
    setup: &Setup,
    sql: &str,
) -> Result<String, ReadError> {
    let what = || format!("`{sql}`");
    let useless = |reason: String| ReadError::Useless { what: what(), reason };
    let mut settings = setup.settings.clone();
    settings.insert(FULL_SCAN.to_owned(), "true".to_owned());
    let defaults = Defaults {
        project: client.project_name().to_owned(),
        settings,
        quota: setup.quota.clone(),
        schema: setup.schema.clone(),
        ..Defaults::default()
    };
    let id = ran(client, world, sql, &defaults).await?;
    let results = client.results(&id).await.map_err(|error| unread(error, what()))?;
    let text = results.first().filter(|result| result.format == "csv").map(|result| result.text.as_str());
    let text = text.ok_or_else(|| useless("it gives no rows: it has to be a SELECT".to_owned()))?;
    let object = Table::read(text)
        .and_then(|table| table.object())
        .map_err(|error| useless(format!("{}: {error}", error.code())))?;
    Ok(serde_json::Value::Object(object).to_string())
}

/// Runs a statement that may be repeated, and gives the name of the instance that has done it.
pub(super) async fn ran(
    client: &MaxCompute,
    world: &dyn World,
    sql: &str,
    defaults: &Defaults,
) -> Result<String, ReadError> {
    let what = || format!("`{sql}`");
    let useless = |reason: String| ReadError::Useless { what: what(), reason };
    let of_call = |error: CallError| unread(error, what());
    let job = command::parse(sql, defaults, "")
        .map_err(|errors| useless(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
    let created = client.create(&job, Repeat::Safe).await.map_err(of_call)?;
    let deadline = world.steady() + PATIENCE;
    let mut wait = FIRST_WAIT;
    loop {
        let Sight { end, .. } = client.look(&created.id).await.map_err(of_call)?;
        match end {
            Some(End::Succeeded) => return Ok(created.id),
            Some(End::Failed(failure)) if failure.is_passing() => {
                return Err(ReadError::Failed { what: what(), reason: failure.to_string() });
            }
            Some(End::Failed(failure)) => return Err(useless(failure.to_string())),
            Some(End::Cancelled) => {
                return Err(ReadError::Failed { what: what(), reason: "somebody has ended it".to_owned() });
            }
            Some(End::Unclear(_)) | None => {}
        }
        if world.steady() >= deadline {
            let reason = format!("it took more than {} s", PATIENCE.as_secs());
            return Err(ReadError::Failed { what: what(), reason });
        }
        world.sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
