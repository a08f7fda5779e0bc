//! `audit`: proof of the history, travel in it, and comparison of histories.

use super::args::{Audit, Common};
use super::daemon::Daemon;
use super::part::Part;
use super::source::Source;
use super::store::Follower;
use super::{advice, archive, look, output};
use crate::audit;
use crate::columns::printable;
use crate::error::{Failure, exit};
use crate::past::{self, Moment, NoMoment};
use crate::runtime::dispatcher::Fatal;
use crate::views::{figures, history, present};
use engine::envelope::Envelope;
use engine::id::Seq;
use engine::ports::journal::JournalError;
use engine::state::{Excerpt, State};
use serde_json::{Value, json};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

/// Runs one of the audits.
pub fn run(common: &Common, asked: &Audit) -> Result<u8, Failure> {
    match asked {
        Audit::Verify => verify(common),
        Audit::Log(exp) => look::events(common, &exp.exp, false),
        Audit::Replay { exp, at } => replay(common, &exp.exp, at),
        Audit::Resample(exp) => resample(common, &exp.exp),
        Audit::Diff { a, b } => diff(common, a, b),
        Audit::Export { file, up_to } => export(common, file, up_to.map(Seq)),
        Audit::Archive { file, ended_before, dry_run } => {
            archive::archive(common, file, *ended_before, *dry_run)
        }
        Audit::Import { file } => import(common, file),
    }
}

fn verify(common: &Common) -> Result<u8, Failure> {
    let found = match Daemon::of(common)? {
        Some(daemon) => daemon.post("/audit/verify", &Value::Null)?,
        None => audit::verify(&common.store)?,
    };
    // A daemon elsewhere may have said it.
    let text = |key: &str| printable(found[key].as_str().unwrap_or_default());
    let lines =
        |key: &str| found[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(printable);
    if found["ok"] == true {
        if common.json {
            output::json(&found)?;
            return Ok(exit::DONE);
        }
        let (records, head, state) = (&found["records"], text("head"), text("digest"));
        output::line(&format!("{records} records, head {head}, state {state}: {}", text("checked")))?;
        for note in lines("notes") {
            output::line(&format!("note: {note}"))?;
        }
        return Ok(exit::DONE);
    }
    if common.json {
        output::json(&found)?;
        return Ok(exit::CORRUPT);
    }
    for line in lines("problems") {
        output::line(&line)?;
    }
    output::remark(&advice::with_store(
        common,
        "the history is damaged. What is whole in one copy is repaired by the next command that writes, such as `retrial run`; \
         `retrial audit export FILE --up-to SEQ` saves everything before the first bad record.",
    ));
    Ok(exit::CORRUPT)
}

/// The state as of a record or a time.
fn replay(common: &Common, exp: &str, at: &str) -> Result<u8, Failure> {
    let source = Source::open(common, exp)?;
    let id = source.id();
    let moment: Moment =
        at.parse().map_err(|error: NoMoment| Failure::new(exit::USAGE, error.to_string(), NoMoment::CURE))?;
    if let Moment::Record(seq) = moment
        && seq > source.seen().0
    {
        let message = format!("record {seq} does not exist; the last is {}", source.seen());
        return Err(Failure::new(
            exit::FAILED,
            message,
            "`retrial events EXP` shows the records with their numbers",
        ));
    }
    let mut then = Excerpt::of(id);
    let mut failure = None;
    source.records(&mut |envelope| {
        if moment.is_before(envelope) {
            return ControlFlow::Break(());
        }
        failure = then.apply(envelope).err();
        if failure.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if let Some(error) = failure {
        return Err(Fatal::Replay(error).into());
    }
    let state = then.state();
    let Some(experiment) = then.experiment() else {
        return Err(Failure::new(exit::FAILED, format!("the experiment {id} did not exist at {at}"), ""));
    };
    let digest = state.experiment_digest(id).map(|digest| digest.to_string()).unwrap_or_default();
    if common.json {
        let mut value = present::detail(experiment);
        if let Some(object) = value.as_object_mut() {
            let trials: Vec<_> =
                experiment.trials.iter().map(|trial| present::trial(experiment, trial)).collect();
            object.insert("seq".to_owned(), json!(state.head().0));
            object.insert("digest".to_owned(), json!(digest));
            object.insert("counts".to_owned(), present::counts(experiment));
            object.insert("trials".to_owned(), json!(trials));
        }
        output::json(&value)?;
    } else {
        output::text(&format!(
            "as of record {} at {}\ndigest      {digest}\n{}",
            state.head(),
            figures::time(state.time()),
            look::describe(experiment)
        ))?;
    }
    Ok(exit::DONE)
}

/// Computes every suggestion of a sampler again from the history before it.
fn resample(common: &Common, exp: &str) -> Result<u8, Failure> {
    let source = Source::open(common, exp)?;
    let found = audit::resample(source.id(), &|visit| source.records(visit))?;
    let ok = found["ok"] == true;
    if common.json {
        output::json(&found)?;
    } else {
        match found["difference"].as_str() {
            None => output::line(&format!("{} suggestions computed again: the same bits", found["checked"]))?,
            Some(difference) => output::line(difference)?,
        }
        if found["other_version"] != 0 {
            output::line(&format!(
                "{} suggestions were made by another version of the sampler and not compared",
                found["other_version"]
            ))?;
        }
    }
    Ok(if ok { exit::DONE } else { exit::FAILED })
}

/// The first record in which two stores differ.
fn diff(common: &Common, a: &Path, b: &Path) -> Result<u8, Failure> {
    let read = |store: &Path| -> Result<(Vec<Envelope>, State), Failure> {
        let mut all = Vec::new();
        past::records(store, &mut |envelope| {
            all.push(envelope.clone());
            ControlFlow::Continue(())
        })?;
        Ok((all, Follower::open(store)?.state))
    };
    let (first, state_a) = read(a)?;
    let (second, state_b) = read(b)?;
    let place = first.iter().zip(&second).position(|(left, right)| left != right);
    let place = place.or_else(|| (first.len() != second.len()).then(|| first.len().min(second.len())));
    let Some(place) = place else {
        if common.json {
            output::json(&json!({"equal": true, "records": first.len()}))?;
        } else {
            output::line(&format!("both hold the same {} records", first.len()))?;
        }
        return Ok(exit::DONE);
    };
    let show = |state: &State, record: Option<&Envelope>| {
        record.map_or_else(|| "nothing".to_owned(), |envelope| history::line(state, envelope))
    };
    let (left, right) = (show(&state_a, first.get(place)), show(&state_b, second.get(place)));
    if common.json {
        output::json(&json!({
            "equal": false,
            "seq": place + 1,
            "a": first.get(place).map(|envelope| history::json(&state_a, envelope)),
            "b": second.get(place).map(|envelope| history::json(&state_b, envelope)),
        }))?;
    } else {
        output::text(&format!("the first difference is record {}:\n- {left}\n+ {right}\n", place + 1))?;
    }
    Ok(exit::FAILED)
}

fn export(common: &Common, file: &Path, up_to: Option<Seq>) -> Result<u8, Failure> {
    past::exists(&common.store)?;
    if file == Path::new("-") {
        let mut out = output::writer();
        let report = journal::export(&common.store, &mut out, up_to).map_err(beyond)?;
        out.flush()?;
        output::remark(&format!("{} records, head {}", report.records, hex(&report.head_hash)));
        return Ok(exit::DONE);
    }
    let (part, report) = Part::write(file, |out| journal::export(&common.store, out, up_to).map_err(beyond))?;
    part.complete()?;
    archived(common, "written to", file, report.records, &hex(&report.head_hash))
}

/// What an export refuses is a record that was asked for and is not there.
fn beyond(error: JournalError) -> Failure {
    match error {
        JournalError::Refused { reason } => {
            Failure::new(exit::FAILED, reason, "leave out --up-to to write all records")
        }
        other => other.into(),
    }
}

fn import(common: &Common, file: &Path) -> Result<u8, Failure> {
    let report = journal::import(file, &common.store)?;
    archived(common, "imported from", file, report.records, &hex(&report.head_hash))
}

fn archived(common: &Common, verb: &str, file: &Path, records: u64, head: &str) -> Result<u8, Failure> {
    if common.json {
        output::json(&json!({"ok": true, "file": file, "records": records, "head": head}))?;
    } else {
        output::line(&format!("{records} records {verb} {}, head {head}", file.display()))?;
    }
    Ok(exit::DONE)
}

/// A record's hash as people see it.
pub(super) fn hex(hash: &journal::Hash) -> String {
    engine::state::Digest(*hash).to_string()
}
