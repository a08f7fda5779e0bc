//! `clean`: removes what the trials of an ended experiment have left at the backend.

use super::args::Common;
use super::output;
use super::source::Source;
use crate::cleaning::Cleaning;
use crate::error::{Failure, exit};
use crate::views::figures;
use serde_json::{Value, json};

/// Failures that are shown one by one.
const MOST_SHOWN: usize = 10;

/// `clean`
pub fn clean(common: &Common, exp: &str, all: bool, dry_run: bool) -> Result<u8, Failure> {
    let source = Source::open(common, exp)?;
    let (commands, failures) = done(common, &source, all, dry_run)?;
    if commands.is_empty() {
        let run = source.experiment()?.spec.run.as_ref();
        output::remark(&format!(
            "there is nothing to clean up; `run.{}.clean` in the experiment file names what is",
            run.map_or("", |run| run.backend.as_str())
        ));
    }
    if dry_run {
        return shown(common, &commands);
    }
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

/// The commands, which have been run unless they are only to be shown, and what failed of them.
fn done(
    common: &Common,
    source: &Source,
    all: bool,
    dry_run: bool,
) -> Result<(Vec<String>, Vec<String>), Failure> {
    if let Some(daemon) = source.daemon() {
        let path = format!("/experiments/{}/clean", source.id());
        let told = daemon.post(&path, &json!({"all": all, "dry_run": dry_run}))?;
        let list = |key: &str| {
            let texts = told[key].as_array()?.iter().map(|text| text.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<String>>>()
        };
        let lists = list("commands").zip(list("failures"));
        return lists.ok_or_else(|| daemon.strange("it does not say what it has cleaned up"));
    }
    let cleaning = Cleaning::of(&crate::backends_of(&common.store)?, source.experiment()?, all)?;
    let commands = cleaning.commands();
    if dry_run {
        return Ok((commands, Vec::new()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    Ok((commands, runtime.block_on(cleaning.run())))
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
