//! `clean`: removes what the trials of an ended experiment have left at the backend.

use super::args::Common;
use super::{output, store};
use crate::cleaning::Cleaning;
use crate::error::{Failure, exit};
use crate::views::{figures, find};
use serde_json::{Value, json};

/// Failures that are shown one by one.
const MOST_SHOWN: usize = 10;

/// `clean`
pub fn clean(common: &Common, exp: &str, all: bool, dry_run: bool) -> Result<u8, Failure> {
    let state = store::read(common)?;
    let experiment = find::find(&state, exp)?;
    let cleaning = Cleaning::of(&crate::backends_of(&common.store)?, experiment, all)?;
    let commands = cleaning.commands();
    if commands.is_empty() {
        let run = experiment.spec.run.as_ref();
        output::remark(&format!(
            "there is nothing to clean up; `run.{}.clean` in the experiment file names what is",
            run.map_or("", |run| run.backend.as_str())
        ));
    }
    if dry_run {
        return shown(common, &commands);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let failures = runtime.block_on(cleaning.run());
    let count = commands.len();
    if common.json {
        output::json(&json!({"ok": failures.is_empty(), "commands": count, "failures": failures}))?;
    } else {
        output::line(&format!(
            "{} of {} done",
            count - failures.len(),
            figures::count(count as u64, "command")
        ))?;
    }
    for failure in failures.iter().take(MOST_SHOWN) {
        output::remark(failure);
    }
    if failures.len() > MOST_SHOWN {
        output::remark(&format!("and {} more", failures.len() - MOST_SHOWN));
    }
    Ok(if failures.is_empty() { exit::DONE } else { exit::FAILED })
}

fn shown(common: &Common, commands: &[String]) -> Result<u8, Failure> {
    if common.json {
        output::json(&Value::from(commands))?;
    } else {
        for command in commands {
            output::line(command)?;
        }
    }
    Ok(exit::DONE)
}
