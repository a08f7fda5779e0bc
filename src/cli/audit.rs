//! `audit`: proof of the history, travel in it, and comparison of histories.

use super::args::{Audit, Common};
use super::{advice, archive, look, output, store};
use crate::error::{Failure, exit};
use crate::past::{self, Moment, NoMoment};
use crate::runtime::search::Search;
use crate::views::{figures, find, history, present};
use engine::envelope::Envelope;
use engine::event::{Event, v1, v2};
use engine::id::{ExperimentId, Seq, TrialId};
use engine::ports::journal::JournalError;
use engine::ports::sampler::Proposal;
use engine::state::State;
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;

/// Runs one of the audits.
pub fn run(common: &Common, audit: &Audit) -> Result<u8, Failure> {
    match audit {
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
    past::exists(&common.store)?;
    let mut state = State::default();
    let (mut broken, mut archived) = (false, Vec::new());
    let mut replay = |envelope: &Envelope| -> Result<(), String> {
        archived.extend(left(envelope));
        if broken {
            return Ok(());
        }
        state.apply(envelope).map_err(|error| {
            broken = true;
            error.reason
        })
    };
    let report = match journal::verify(&common.store, &mut replay) {
        Ok(report) => report,
        Err(JournalError::Busy { holder, .. }) => {
            return verify_mirror(common, &format!("is in use by {holder}"));
        }
        Err(JournalError::Io { reason, .. }) if !store::is_writable(&common.store) => {
            return verify_mirror(
                common,
                &format!("cannot be written to, which its other copy needs ({reason})"),
            );
        }
        Err(JournalError::Corrupt { seq, reason }) => {
            return damaged(
                common,
                &json!({"seq": seq.0, "copy": "both", "reason": reason}),
                &[format!("record {seq}: {reason}")],
            );
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(first) = report.first_bad() {
        let lines: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        let first = json!({"seq": first.seq.0, "copy": first.copy.to_string(), "reason": first.reason});
        return damaged(common, &first, &lines);
    }
    let what = "chain, density, checksums, both copies and every digest agree";
    let notes: Vec<String> = report.notes.iter().cloned().chain(archived).collect();
    sound(common, &state, report.records, &report.head_hash, what, &notes)
}

/// Where to look for what was here before, if this record says so.
fn left(envelope: &Envelope) -> Option<String> {
    let Event::HistoryArchived(archived) = &envelope.event else { return None };
    Some(format!("before record {}: {}", envelope.seq, history::archive_text(archived)))
}

/// Verifies a store that another process has open or that this one may not write to: what of it can be seen from outside
/// is its mirror.
fn verify_mirror(common: &Common, why: &str) -> Result<u8, Failure> {
    let mut state = State::default();
    let mut head = journal::record::GENESIS;
    let (mut wrong, mut archived) = (None, Vec::new());
    let seen = journal::MirrorReader::open(&common.store)?.read_records(Seq(1), &mut |record| {
        let checked = if record.header().previous == head {
            record.envelope().map_err(|unreadable| unreadable.to_string())
        } else {
            Err("it does not follow the record before it (hash chain broken)".to_owned())
        };
        let checked = checked.and_then(|envelope| {
            archived.extend(left(&envelope));
            state.apply(&envelope).map_err(|error| error.reason)
        });
        match checked {
            Ok(()) => {
                head = record.hash();
                ControlFlow::Continue(())
            }
            Err(reason) => {
                wrong = Some((record.seq(), reason));
                ControlFlow::Break(())
            }
        }
    });
    let wrong = match seen {
        Err(JournalError::Corrupt { seq, reason }) => Some((seq, reason)),
        Err(error) => return Err(error.into()),
        Ok(_) => wrong,
    };
    if let Some((seq, reason)) = wrong {
        let first = json!({"seq": seq.0, "copy": "mirror", "reason": reason});
        return damaged(common, &first, &[format!("record {seq} (mirror): {reason}")]);
    }
    archived.push(format!("the store {why}: only one of its copies, the mirror, could be looked at"));
    let what = "chain, density, checksums of the mirror and every digest agree";
    sound(common, &state, state.head().0, &head, what, &archived)
}

fn sound(
    common: &Common,
    state: &State,
    records: u64,
    head: &journal::Hash,
    what: &str,
    notes: &[String],
) -> Result<u8, Failure> {
    let experiments: Vec<_> = state
        .experiments()
        .filter_map(|experiment| {
            let digest = state.experiment_digest(experiment.id)?;
            Some(json!({"id": experiment.id.to_string(), "digest": digest.to_string()}))
        })
        .collect();
    if common.json {
        output::json(&json!({
            "ok": true,
            "records": records,
            "head": hex(head),
            "experiments": experiments,
            "digest": state.digest().to_string(),
            "notes": notes,
        }))?;
    } else {
        output::line(&format!("{records} records, head {}, state {}: {what}", hex(head), state.digest()))?;
        for note in notes {
            output::line(&format!("note: {note}"))?;
        }
    }
    Ok(exit::DONE)
}

fn damaged(common: &Common, first: &serde_json::Value, lines: &[String]) -> Result<u8, Failure> {
    if common.json {
        output::json(&json!({"ok": false, "first_bad": first, "problems": lines}))?;
    } else {
        for line in lines {
            output::line(line)?;
        }
        output::remark(&advice::with_store(
            common,
            "the history is damaged. What is whole in one copy is repaired by the next command that writes, such as `retrial run`; \
             `retrial audit export FILE --up-to SEQ` saves everything before the first bad record.",
        ));
    }
    Ok(exit::CORRUPT)
}

/// The state as of a record or a time.
fn replay(common: &Common, exp: &str, at: &str) -> Result<u8, Failure> {
    let id = find::find(&store::read(common)?, exp)?.id;
    let moment: Moment =
        at.parse().map_err(|error: NoMoment| Failure::new(exit::USAGE, error.to_string(), NoMoment::CURE))?;
    let state = past::state_at(&common.store, moment)?;
    if let Moment::Record(seq) = moment
        && seq > state.head().0
    {
        let message = format!("record {seq} does not exist; the last is {}", state.head());
        return Err(Failure::new(
            exit::FAILED,
            message,
            "`retrial events EXP` shows the records with their numbers",
        ));
    }
    let Some(experiment) = state.experiment(id) else {
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
    let id = find::find(&store::read(common)?, exp)?.id;
    let mut check =
        Resample { id, state: State::default(), search: None, checked: 0, foreign: 0, differs: None };
    let mut failure = None;
    past::records(&common.store, &mut |envelope| match check.take(envelope) {
        Ok(()) if check.differs.is_none() => ControlFlow::Continue(()),
        Ok(()) => ControlFlow::Break(()),
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    let ok = check.differs.is_none();
    if common.json {
        output::json(
            &json!({"ok": ok, "checked": check.checked, "other_version": check.foreign, "difference": check.differs}),
        )?;
    } else {
        match &check.differs {
            None => output::line(&format!("{} suggestions computed again: the same bits", check.checked))?,
            Some(difference) => output::line(difference)?,
        }
        if check.foreign > 0 {
            output::line(&format!(
                "{} suggestions were made by another version of the sampler and not compared",
                check.foreign
            ))?;
        }
    }
    Ok(if ok { exit::DONE } else { exit::FAILED })
}

struct Resample {
    id: ExperimentId,
    state: State,
    search: Option<Search>,
    checked: u64,
    foreign: u64,
    differs: Option<String>,
}

impl Resample {
    fn take(&mut self, envelope: &Envelope) -> Result<(), Failure> {
        if let (true, Event::TrialSuggested(suggested)) = (envelope.experiment == self.id, &envelope.event) {
            self.compare(suggested);
        }
        self.state
            .apply(envelope)
            .map_err(|error| Failure::from(crate::runtime::dispatcher::Fatal::Replay(error)))?;
        if envelope.experiment != self.id {
            return Ok(());
        }
        let Some(experiment) = self.state.experiment(self.id) else { return Ok(()) };
        match (&envelope.event, &mut self.search) {
            (Event::ExperimentCreated(_) | Event::ExperimentUpdated(_), search) => {
                *search = Some(Search::new(experiment).map_err(|errors| {
                    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
                    Failure::new(exit::FAILED, text.join("; "), "")
                })?);
            }
            (Event::TrialSuggested(suggested), Some(search)) => {
                if let Some(trial) = experiment.trial(suggested.trial) {
                    search.suggested(trial);
                }
            }
            (Event::TrialEnded(ended), Some(search)) => {
                if let Some(trial) = experiment.trial(ended.trial) {
                    search.ended(trial);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn compare(&mut self, suggested: &v2::TrialSuggested) {
        let v1::Origin::Sampled { sampler, version, memo, .. } = &suggested.origin else { return };
        let Some(search) = &mut self.search else { return };
        if search.name() != sampler || search.version() != *version {
            self.foreign += 1;
            return;
        }
        self.checked += 1;
        let again = search.suggest(TrialId(suggested.trial.0));
        let same = matches!(&again, Proposal::Point { point, memo: again, parent }
            if point.key() == suggested.point.key() && again == memo && *parent == suggested.parent);
        if !same {
            let space = self.state.experiment(self.id).map(|experiment| experiment.spec.shared());
            let recorded =
                space.as_ref().map(|spec| serde_json::Value::Object(spec.space.to_json(&suggested.point)));
            let now = match (&again, &space) {
                (Proposal::Point { point, .. }, Some(spec)) => {
                    serde_json::Value::Object(spec.space.to_json(point)).to_string()
                }
                (other, _) => format!("{other:?}"),
            };
            self.differs = Some(format!(
                "trial {} was suggested as {} and is now {now}",
                suggested.trial,
                recorded.unwrap_or_default()
            ));
        }
    }
}

/// The first record in which two stores differ.
fn diff(common: &Common, a: &Path, b: &Path) -> Result<u8, Failure> {
    let read = |store: &Path| -> Result<(Vec<Envelope>, State), Failure> {
        let mut all = Vec::new();
        past::records(store, &mut |envelope| {
            all.push(envelope.clone());
            ControlFlow::Continue(())
        })?;
        Ok((all, store::Follower::open(store)?.state))
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
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    let failed = |error: std::io::Error| {
        Failure::new(exit::FAILED, format!("failed to write {}: {error}", file.display()), "")
    };
    let out = File::create(part).map_err(failed)?;
    let mut out = BufWriter::new(out);
    let report = match journal::export(&common.store, &mut out, up_to) {
        Ok(report) => report,
        Err(error) => {
            let _ = std::fs::remove_file(part);
            return Err(beyond(error));
        }
    };
    out.flush().and_then(|()| out.get_ref().sync_all()).map_err(failed)?;
    std::fs::rename(part, file).map_err(failed)?;
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
