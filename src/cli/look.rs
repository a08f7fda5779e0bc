//! Commands that look at experiments: `ls`, `show`, `trials`, `best`, `events`, `watch`.

use super::args::Common;
use super::daemon::Daemon;
use super::live::Live;
use super::picture::{Picture, params};
use super::source::Source;
use super::troubles::{self, Troubled};
use super::{advice, control, output, store};
use crate::columns::printable;
use crate::error::{Failure, exit};
use crate::labels;
use crate::views::{figures, history, measure, present};
use engine::envelope::Envelope;
use engine::id::TrialId;
use engine::state::{Attempt, Experiment, State, Trial, TrialStatus};
use engine::time::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// `ls`
pub fn list(common: &Common, all: bool) -> Result<u8, Failure> {
    let (listed, abandoned) = match Daemon::of(common)? {
        Some(daemon) => {
            let mut listed = daemon.experiments(&[("removed", &all)], usize::MAX)?;
            listed.reverse();
            (listed, Vec::new())
        }
        None => listed_here(common, all)?,
    };
    if common.json {
        output::json(&Value::Array(listed))?;
        return Ok(exit::DONE);
    }
    let mut rows = vec![["ID", "NAME", "STATUS", "TRIALS", "BEST", "CREATED"].map(str::to_owned).to_vec()];
    rows.extend(listed.iter().map(row));
    output::text(&output::table(&rows))?;
    if abandoned.is_empty() || control::is_answered(common) {
        return Ok(exit::DONE);
    }
    let (verb, them) = if abandoned.len() == 1 { ("is", "it") } else { ("are", "them") };
    output::remark(&advice::with_store(
        common,
        &format!(
            "{} {verb} unfinished and no process runs {them}: `retrial run {}` goes on",
            figures::count(abandoned.len() as u64, "experiment"),
            if let [only] = abandoned.as_slice() { only.as_str() } else { "ID" },
        ),
    ));
    Ok(exit::DONE)
}

/// The experiments of a store, oldest first, and the ids of those that nothing runs unless some process holds the store.
fn listed_here(common: &Common, all: bool) -> Result<(Vec<Value>, Vec<String>), Failure> {
    let state = store::read(common)?;
    let mut experiments: Vec<&Experiment> =
        state.experiments().filter(|experiment| all || !experiment.removed).collect();
    experiments.sort_by_key(|experiment| (experiment.created, experiment.id));
    // What is paused waits for somebody, and what has no backend is run by its clients.
    let is_abandoned = |experiment: &&&Experiment| {
        !experiment.status.is_ended() && experiment.paused.is_none() && experiment.spec.run.is_some()
    };
    let abandoned =
        experiments.iter().filter(is_abandoned).map(|experiment| experiment.id.to_string()).collect();
    Ok((experiments.iter().map(|experiment| present::listed(&state, experiment)).collect(), abandoned))
}

/// An experiment of the list as a row.
fn row(listed: &Value) -> Vec<String> {
    // A daemon elsewhere may have said it.
    let text = |key: &str| printable(listed[key].as_str().unwrap_or_default());
    let ended = TrialStatus::ALL.iter().filter(|status| status.is_ended());
    let ended: u64 = ended.filter_map(|status| listed["trials"][status.as_str()].as_u64()).sum();
    let budget = listed["budget_trials"].as_u64().map_or(String::new(), |trials| format!("/{trials}"));
    let front = listed["front"].as_array().map_or(0, Vec::len);
    let best = match listed["best"]["value"].as_f64() {
        Some(value) => figures::number(value),
        None if front > 0 => format!("front of {front}"),
        None => "-".to_owned(),
    };
    let removed = if listed["removed"] == true { ", removed" } else { "" };
    let created = Timestamp(listed["created_ms"].as_i64().unwrap_or_default());
    vec![
        text("experiment"),
        text("name"),
        format!("{}{removed}", text("status")),
        format!("{ended}{budget}"),
        best,
        figures::time(created),
    ]
}

/// `show`
pub fn show(common: &Common, exp: &str) -> Result<u8, Failure> {
    let source = Source::open(common, exp)?;
    let experiment = source.experiment()?;
    let troubles = troubles::of(common, &source)?;
    if common.json {
        let detail = present::with_origin(source.state(), experiment, present::detail(experiment));
        output::json(&present::with_troubles(detail, &troubles))?;
        return Ok(exit::DONE);
    }
    let troubles: String = troubles.iter().map(troubles::text).collect();
    output::text(&advice::with_store(common, &(describe(experiment) + &troubles)))?;
    Ok(exit::DONE)
}

/// An experiment for people.
pub fn describe(experiment: &Experiment) -> String {
    let spec = &experiment.spec;
    let mut rows = vec![
        ("experiment", format!("{} ({})", spec.name, experiment.id)),
        ("status", experiment.status.to_string()),
    ];
    if experiment.removed {
        rows.push(("removed", "its name is free, and lists do not show it".to_owned()));
    }
    if labels::is_private(experiment) {
        rows.push(("seen by", "its creator and admins only".to_owned()));
    }
    if let Some(reason) = &experiment.end {
        rows.push(("because", present::end_reason(reason)));
    }
    if let Some(reason) = present::waits_for(experiment) {
        rows.push(("because", reason));
    }
    rows.push(("objective", measure::objective(&spec.objective)));
    rows.push(("sampler", format!("{} (seed {})", spec.sampler.name, experiment.seed)));
    rows.push(("created", figures::time(experiment.created)));
    if let Some(started) = experiment.started {
        let end = experiment.ended.unwrap_or(experiment.updated);
        rows.push(("ran for", figures::duration(end.since(started).0)));
    }
    let counts: Vec<String> = TrialStatus::ALL
        .iter()
        .filter(|status| experiment.count(**status) > 0)
        .map(|status| format!("{} {status}", experiment.count(*status)))
        .collect();
    let budget = spec.budget.trials.map_or(String::new(), |trials| format!(" of {trials}"));
    rows.push(("trials", format!("{}{budget}: {}", experiment.suggested(), counts.join(", "))));
    if !experiment.queue.is_empty() {
        rows.push(("queued", experiment.queue.len().to_string()));
    }
    if let (true, Some(name)) = (experiment.spent_so_far() > 0.0, spec.objective.outcomes.cost) {
        let name = spec.objective.metrics.get(name).map_or("", |metric| metric.name.as_str());
        let bound = spec.budget.cost.map_or(String::new(), |bound| format!(" of {}", figures::number(bound)));
        rows.push(("spent", format!("{}{bound} {name}", figures::number(experiment.spent_so_far()))));
    }
    let told = |trial: &Trial, why: &str| {
        let plain = measure::columns(&spec.objective).is_empty();
        let reached = match trial.value.filter(|_| plain) {
            Some(value) => figures::number(value),
            None => measure::reached(&spec.objective, trial.value, &trial.metrics),
        };
        format!("trial {}: {reached}{why}  {}", trial.id, params(experiment, trial))
    };
    if let Some(answer) = measure::answer(experiment) {
        rows.push(("best", told(&answer.trial, &answer.why)));
    } else if experiment.has_best() {
        for (place, trial) in measure::leaders(experiment).into_iter().enumerate() {
            rows.push((if place == 0 { "front" } else { "" }, told(&trial, "")));
        }
    }
    if let Some(why) = measure::why_no_best(experiment) {
        rows.push(("best", why));
    }
    let mut text: String = rows.iter().map(|(name, value)| format!("{name:<11} {value}\n")).collect();
    for trial in experiment.active_trials() {
        let Some(doubt) = trial.attempt().and_then(Attempt::doubt) else { continue };
        text.push_str(&format!(
            "trial {} is in doubt: {}.\n  If its job appears it is taken on; `retrial stop {} {}` gives the trial up.\n",
            trial.id,
            printable(doubt),
            experiment.id,
            trial.id
        ));
    }
    text
}

/// `trials`
pub fn trials(common: &Common, exp: &str) -> Result<u8, Failure> {
    let source = Source::open(common, exp)?;
    let experiment = source.experiment()?;
    if common.json {
        let all = experiment.trials.iter().map(|trial| present::trial(experiment, trial)).collect();
        output::json(&Value::Array(all))?;
        return Ok(exit::DONE);
    }
    let objective = &experiment.spec.objective;
    let columns = measure::columns(objective);
    let mut head = vec!["TRIAL".to_owned(), "STATUS".to_owned()];
    if columns.is_empty() {
        head.push("VALUE".to_owned());
    }
    head.extend(columns.iter().map(|metric| metric.name.to_uppercase()));
    head.extend(["TIME", "TRIES", "PARAMETERS"].map(str::to_owned));
    let mut rows = vec![head];
    let leaders: BTreeSet<TrialId> = measure::leaders(experiment).into_iter().map(|trial| trial.id).collect();
    for trial in &experiment.trials {
        let end = trial.ended.unwrap_or(experiment.updated);
        let best = if leaders.contains(&trial.id) { " *" } else { "" };
        let mut row = vec![trial.id.to_string(), format!("{}{best}", trial.status)];
        let cell = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), figures::number);
        if columns.is_empty() {
            row.push(cell(trial.value));
        }
        row.extend((0..columns.len()).map(|place| cell(trial.metrics.get(place).copied())));
        row.push(figures::duration(end.since(trial.suggested).0));
        row.push(trial.attempts.len().to_string());
        let mut last = params(experiment, trial);
        if trial.status == TrialStatus::Failed || trial.status == TrialStatus::Lost {
            last.push_str(&format!("  ({})", trial.reason.lines().next().unwrap_or_default()));
        }
        let broken = measure::broken(objective, trial);
        if !broken.is_empty() {
            last.push_str(&format!("  ({})", broken.join(", ")));
        }
        row.push(last);
        rows.push(row);
    }
    output::text(&output::table(&rows))?;
    Ok(exit::DONE)
}

/// `best`
pub fn best(common: &Common, exp: &str) -> Result<u8, Failure> {
    let source = Source::open(common, exp)?;
    let experiment = source.experiment()?;
    if common.json {
        let front = present::front(experiment).map(|front| json!({"front": front}));
        output::json(&front.unwrap_or_else(|| present::answer(experiment)))?;
    } else if let Some(measure::Answer { trial, why, .. }) = measure::answer(experiment) {
        let value = measured(experiment, &trial);
        output::text(&format!("trial {}: {value}{why}\n{}", trial.id, point(experiment, &trial)))?;
    } else if experiment.has_best() {
        let mut text = String::new();
        for trial in measure::leaders(experiment) {
            let reached = measure::reached(&experiment.spec.objective, trial.value, &trial.metrics);
            text.push_str(&format!("trial {}: {reached}  {}\n", trial.id, params(experiment, &trial)));
        }
        output::text(&text)?;
    } else {
        let why = measure::why_no_best(experiment);
        output::remark(&why.unwrap_or_else(|| "no trial has succeeded yet".to_owned()));
    }
    Ok(if experiment.has_best() { exit::DONE } else { exit::NO_SUCCESS })
}

/// The value in full, and the metrics where there are several to look at.
fn measured(experiment: &Experiment, trial: &Trial) -> String {
    let objective = &experiment.spec.objective;
    let value = trial.value.unwrap_or(f64::NAN);
    if measure::columns(objective).is_empty() {
        return value.to_string();
    }
    format!("{value} ({})", measure::reached(objective, trial.value, &trial.metrics))
}

/// A point, a line for each parameter.
pub fn point(experiment: &Experiment, trial: &Trial) -> String {
    let bindings = experiment.spec.space.bindings(&trial.point);
    let set = bindings.iter().filter(|(_, value)| !value.is_empty());
    set.map(|(name, value)| format!("  {name} = {value}\n")).collect()
}

/// `events`: the history of an experiment, one line per record.
pub fn events(common: &Common, exp: &str, follow: bool) -> Result<u8, Failure> {
    let mut source = Source::open(common, exp)?;
    let closed = std::cell::Cell::new(false);
    let mut write = |state: &State, envelope: &Envelope| {
        if !closed.get() {
            let line = if common.json {
                history::json(state, envelope).to_string()
            } else {
                history::line(state, envelope)
            };
            closed.set(output::line(&line).is_err());
        }
    };
    source.records(&mut |envelope| {
        write(source.state(), envelope);
        ControlFlow::Continue(())
    })?;
    if !follow {
        return Ok(exit::DONE);
    }
    loop {
        source.catch_up(&mut write)?;
        if source.experiment()?.status.is_ended() || closed.get() || output::is_closed() {
            return Ok(exit::DONE);
        }
        source.pause();
    }
}

/// `watch`: the live view of an experiment that another process runs.
pub fn watch(common: &Common, exp: &str) -> Result<u8, Failure> {
    let mut source = Source::open(common, exp)?;
    let mut live = Live::new(common, source.experiment()?, true);
    let mut troubled = Troubled::default();
    while let Some(picture) = Picture::of(source.state(), source.id(), live.shown()) {
        live.show(&picture);
        if picture.over || output::is_closed() {
            break;
        }
        troubled.look(common, &source, &mut live);
        source.pause();
        source.catch_up(&mut |_, _| ())?;
    }
    live.clear();
    let experiment = source.experiment()?;
    if common.json {
        output::json(&present::result(experiment))?;
    } else {
        output::text(&describe(experiment))?;
    }
    Ok(exit::DONE)
}
