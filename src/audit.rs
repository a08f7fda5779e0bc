//! Proof of a history, for commands and for HTTP: whether it is whole, and whether every suggestion comes out of it again.

use crate::error::{Failure, exit};
use crate::past;
use crate::runtime::dispatcher::Fatal;
use crate::runtime::search::Search;
use crate::views::history;
use engine::envelope::Envelope;
use engine::event::{Event, v1, v2};
use engine::id::{ExperimentId, Seq, TrialId};
use engine::ports::journal::JournalError;
use engine::ports::sampler::Proposal;
use engine::state::{Digest, Excerpt, State};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::Path;

/// Checks chain, density, checksums, both copies and the replayed digests of a store. Of one that another process holds, or that
/// this one may not write to, the mirror. Gives `{"ok": true, ...}`, or `{"ok": false, "first_bad", "problems"}`.
pub fn verify(store: &Path) -> Result<Value, Failure> {
    past::exists(store)?;
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
    let report = match journal::verify(store, &mut replay) {
        Ok(report) => report,
        Err(JournalError::Busy { holder, .. }) => {
            return verify_mirror(store, &format!("is in use by {holder}"));
        }
        Err(JournalError::Io { reason, .. }) if !past::is_writable(store) => {
            return verify_mirror(
                store,
                &format!("cannot be written to, which its other copy needs ({reason})"),
            );
        }
        Err(JournalError::Corrupt { seq, reason }) => {
            let first = json!({"seq": seq.0, "copy": "both", "reason": reason});
            return Ok(damaged(&first, &[format!("record {seq}: {reason}")]));
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(first) = report.first_bad() {
        let lines: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        let first = json!({"seq": first.seq.0, "copy": first.copy.to_string(), "reason": first.reason});
        return Ok(damaged(&first, &lines));
    }
    let what = "chain, density, checksums, both copies and every digest agree";
    let notes: Vec<String> = report.notes.iter().cloned().chain(archived).collect();
    Ok(sound(&state, report.records, &report.head_hash, what, &notes))
}

/// Where to look for what was here before, if this record says so.
fn left(envelope: &Envelope) -> Option<String> {
    let Event::HistoryArchived(archived) = &envelope.event else { return None };
    Some(format!("before record {}: {}", envelope.seq, history::archive_text(archived)))
}

/// Checks what of a store can be seen from outside, which is its mirror; `why` says what keeps the other copy from being looked at.
pub fn verify_mirror(store: &Path, why: &str) -> Result<Value, Failure> {
    let mut state = State::default();
    let mut head = journal::record::GENESIS;
    let (mut wrong, mut archived) = (None, Vec::new());
    let seen = journal::MirrorReader::open(store)?.read_records(Seq(1), &mut |record| {
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
        return Ok(damaged(&first, &[format!("record {seq} (mirror): {reason}")]));
    }
    archived.push(format!("the store {why}: only one of its copies, the mirror, could be looked at"));
    let what = "chain, density, checksums of the mirror and every digest agree";
    Ok(sound(&state, state.head().0, &head, what, &archived))
}

fn sound(state: &State, records: u64, head: &journal::Hash, what: &str, notes: &[String]) -> Value {
    let digest = |id| {
        Some(json!({"id": ExperimentId::to_string(&id), "digest": state.experiment_digest(id)?.to_string()}))
    };
    let experiments: Vec<Value> =
        state.experiments().filter_map(|experiment| digest(experiment.id)).collect();
    json!({
        "ok": true,
        "records": records,
        "head": Digest(*head).to_string(),
        "experiments": experiments,
        "digest": state.digest().to_string(),
        "checked": what,
        "notes": notes,
    })
}

fn damaged(first: &Value, lines: &[String]) -> Value {
    json!({"ok": false, "first_bad": first, "problems": lines})
}

/// Computes every suggestion of a sampler again from the history before it.
struct Resample {
    excerpt: Excerpt,
    search: Option<Search>,
    checked: u64,
    foreign: u64,
    differs: Option<String>,
}

impl Resample {
    /// Of an experiment, before its first record.
    fn of(id: ExperimentId) -> Self {
        Self { excerpt: Excerpt::of(id), search: None, checked: 0, foreign: 0, differs: None }
    }

    /// Takes the next record of the experiment. Breaks where a suggestion differs.
    fn take(&mut self, envelope: &Envelope) -> Result<ControlFlow<()>, Failure> {
        if let Event::TrialSuggested(suggested) = &envelope.event {
            self.compare(suggested);
        }
        self.excerpt.apply(envelope).map_err(|error| Failure::from(Fatal::Replay(error)))?;
        let Some(experiment) = self.excerpt.experiment() else { return Ok(ControlFlow::Continue(())) };
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
        Ok(if self.differs.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn json(&self) -> Value {
        json!({
            "ok": self.differs.is_none(),
            "checked": self.checked,
            "other_version": self.foreign,
            "difference": self.differs,
        })
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
            let space = self.excerpt.experiment().map(|experiment| experiment.spec.shared());
            let recorded = space.as_ref().map(|spec| Value::Object(spec.space.to_json(&suggested.point)));
            let now = match (&again, &space) {
                (Proposal::Point { point, .. }, Some(spec)) => {
                    Value::Object(spec.space.to_json(point)).to_string()
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

/// Shows every record of an experiment in order, until the visitor breaks.
type Records<'a> = &'a dyn Fn(&mut dyn FnMut(&Envelope) -> ControlFlow<()>) -> Result<(), Failure>;

/// Computes every suggestion of an experiment again from its records. Gives `{"ok", "checked", "other_version", "difference"}`.
pub fn resample(id: ExperimentId, records: Records<'_>) -> Result<Value, Failure> {
    let mut resample = Resample::of(id);
    let mut failure = None;
    records(&mut |envelope| {
        resample.take(envelope).unwrap_or_else(|error| {
            failure = Some(error);
            ControlFlow::Break(())
        })
    })?;
    failure.map_or_else(|| Ok(resample.json()), Err)
}
