//! Secrets that came with configurations go when nobody needs them any more: when the last experiment that names one was removed, names
//! another one after an update, or has left for an archive. What somebody has set stays.
//!
//! An experiment that has ended and was not removed needs its secrets: it may be made to go on, and its logs may be read.
//! Only whoever holds the store may forget: configurations bring their secrets before experiments name them. And only what an experiment has
//! named that goes: a history that is lost, or is yet to be brought back, says nothing of what it needs.

use super::seal::NAME_DIGITS;
use super::vault::DERIVED;
use super::{PREFIX, SecretError, Vault};
use crate::error::Failure;
use crate::runtime::dispatcher::{Dispatcher, Fatal};
use engine::command::Command;
use engine::effect::Effect;
use engine::id::{ExperimentId, Seq};
use engine::state::{Experiment, State};
use engine::time::{Span, Timestamp};
use std::collections::BTreeSet;

/// How long messages may wait for a target of an experiment that was removed. After that they were sent or given up.
const MESSAGES_WAIT: Span = Span::from_secs(24 * 60 * 60);

/// Lets experiments leave the history; what they name may go afterwards, when the next one holds the store and [forgets](forget).
pub fn leave<T>(
    vault: &Vault,
    experiments: &[&Experiment],
    leave: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut names = named(vault, experiments.iter().copied());
    if !names.is_empty() {
        names.extend(vault.noted()?);
        vault.note(&names)?;
    }
    leave().inspect_err(|_| vault.settle())
}

/// Forgets what no experiment of a store needs, of what removed ones name and those that have left. All of its state is durable.
pub fn forget(vault: &Vault, state: &State, at: Timestamp) {
    let mut names = named(vault, state.experiments().filter(|one| one.removed));
    match vault.noted() {
        // Nothing has left for an archive where there is no history.
        Ok(_) if state.head() == Seq(0) => {}
        Ok(noted) => names.extend(brought(vault).intersection(&noted).cloned()),
        Err(error) => kept_all_the_same(&error),
    }
    remove(vault, &unneeded(state, names, at));
    vault.settle();
}

/// The secrets from configurations that experiments name: in their specifications, however they are put together there, and in what is known
/// of their jobs, which may have begun before an update.
fn named<'a>(vault: &Vault, experiments: impl IntoIterator<Item = &'a Experiment>) -> BTreeSet<String> {
    let brought = brought(vault);
    if brought.is_empty() {
        return brought;
    }
    experiments.into_iter().flat_map(|one| named_by(one, &brought)).cloned().collect()
}

/// What may not be needed any more once something is done.
#[derive(Debug, Default)]
pub struct AtStake {
    experiment: Option<ExperimentId>,
    names: BTreeSet<String>,
}

/// The secrets that an experiment names which is removed or updated.
pub fn at_stake(vault: &Vault, state: &State, command: &Command) -> AtStake {
    match *command {
        Command::RemoveExperiment { experiment } | Command::UpdateExperiment { experiment, .. } => {
            AtStake { experiment: Some(experiment), names: named(vault, state.experiment(experiment)) }
        }
        _ => AtStake::default(),
    }
}

/// Forgets what nobody needs, after that was done.
pub fn forget_after(
    at_stake: AtStake,
    dispatcher: &mut Dispatcher,
    vault: &Vault,
    at: Timestamp,
) -> Result<(), Fatal> {
    let state = dispatcher.state();
    // A job that is being submitted may be known later by the key that it was submitted with.
    if at_stake.names.is_empty() || at_stake.experiment.is_some_and(|id| submits(state, id)) {
        return Ok(());
    }
    let unneeded = unneeded(state, at_stake.names, at);
    if !unneeded.is_empty() {
        // A crash must not bring back experiments without their secrets.
        dispatcher.sync()?;
        remove(vault, &unneeded);
    }
    Ok(())
}

fn submits(state: &State, experiment: ExperimentId) -> bool {
    let due = state.due(experiment, Seq(0));
    due.iter().any(|effect| matches!(effect, Effect::Submit { .. } | Effect::Find { .. }))
}

/// A secret from a configuration that is named in a specification and is not kept any more.
pub fn forgotten(vault: &Vault, text: &str) -> Result<Option<String>, SecretError> {
    let names = names_in(text);
    if names.is_empty() {
        return Ok(None);
    }
    let kept = vault.list()?;
    Ok(names.into_iter().find(|name| kept.iter().all(|kept| kept.name != *name)))
}

/// Those of these secrets that no experiment needs.
fn unneeded(state: &State, mut names: BTreeSet<String>, at: Timestamp) -> BTreeSet<String> {
    for experiment in state.experiments() {
        if names.is_empty() {
            break;
        }
        let needed: Vec<String> = needed(state, experiment, &names, at).into_iter().cloned().collect();
        names.retain(|name| !needed.contains(name));
    }
    names
}

/// Those of these secrets that an experiment needs.
fn needed<'a>(
    state: &State,
    experiment: &Experiment,
    names: &'a BTreeSet<String>,
    at: Timestamp,
) -> Vec<&'a String> {
    if !experiment.removed || !state.due(experiment.id, Seq(0)).is_empty() {
        return named_by(experiment, names);
    }
    if at.since(experiment.updated) < MESSAGES_WAIT {
        return named_in(&experiment.spec.canonical()["notify"].to_string(), names).collect();
    }
    Vec::new()
}

/// Those of these secrets that an experiment names.
fn named_by<'a>(experiment: &Experiment, names: &'a BTreeSet<String>) -> Vec<&'a String> {
    let attempts = experiment.trials.iter().flat_map(|trial| &trial.attempts);
    let handles = attempts.flat_map(|attempt| &attempt.tasks).filter_map(|task| task.handle.as_ref());
    let texts = std::iter::once(experiment.spec.text()).chain(handles.map(|handle| handle.0.as_str()));
    texts.flat_map(|text| named_in(text, names)).collect()
}

/// Those of these secrets whose digits are in a text. What stands before the digits may come from elsewhere, such as
/// `secret:${key}` with a choice for `key`.
fn named_in<'a>(text: &str, names: &'a BTreeSet<String>) -> impl Iterator<Item = &'a String> {
    let digits = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| part.len() == NAME_DIGITS);
    digits.filter_map(|digits| names.get(&format!("{DERIVED}{digits}")))
}

/// The names of secrets from configurations in a specification.
fn names_in(text: &str) -> BTreeSet<String> {
    let mark = format!("{PREFIX}{DERIVED}");
    let rest = |rest: &str| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        format!("{DERIVED}{}", rest.get(..end).unwrap_or_default())
    };
    text.split(&mark).skip(1).map(rest).collect()
}

fn brought(vault: &Vault) -> BTreeSet<String> {
    vault.brought().unwrap_or_else(|error| {
        kept_all_the_same(&error);
        BTreeSet::new()
    })
}

fn remove(vault: &Vault, names: &BTreeSet<String>) {
    for name in names {
        match vault.forget(name) {
            Ok(()) => tracing::info!("the secret `{name}` is forgotten: no experiment needs it any more"),
            Err(error) => kept_all_the_same(&error),
        }
    }
}

/// The next start of a daemon tries again.
fn kept_all_the_same(error: &SecretError) {
    tracing::warn!("secrets that no experiment needs are kept all the same: {error}; {}", error.cure);
}
