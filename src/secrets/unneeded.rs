//! Secrets that came with configurations go when nobody needs them any more: when the last experiment that names one was removed, or has left
//! for an archive. What somebody has set stays.
//!
//! An experiment that has ended and was not removed needs its secrets: it may be made to go on, and its logs may be read.
//! Only whoever holds the store may forget: configurations bring their secrets before experiments name them.

use super::vault::DERIVED;
use super::{PREFIX, SecretError, Vault};
use crate::requests::Request;
use crate::runtime::dispatcher::{Dispatcher, Fatal};
use engine::id::Seq;
use engine::state::{Experiment, State};
use engine::time::{Span, Timestamp};
use std::collections::BTreeSet;
use std::path::Path;

/// How long messages may wait for a target of an experiment that was removed. After that they were sent or given up.
const MESSAGES_WAIT: Span = Span::from_secs(24 * 60 * 60);

/// Forgets what no experiment of a store needs. All of its state is durable.
pub fn forget(store: &Path, state: &State, at: Timestamp) {
    let vault = Vault::of(store);
    let brought = brought(&vault);
    if brought.is_empty() {
        return;
    }
    let needed: BTreeSet<String> = state.experiments().flat_map(|one| needed(state, one, at)).collect();
    remove(&vault, brought.iter().filter(|name| !needed.contains(*name)));
}

/// Forgets what nobody needs after this was done.
pub fn forget_after(
    request: &Request,
    dispatcher: &mut Dispatcher,
    store: &Path,
    at: Timestamp,
) -> Result<(), Fatal> {
    let Request::Remove { experiment } = request else { return Ok(()) };
    let state = dispatcher.state();
    let removed = experiment.parse().ok().and_then(|id| state.experiment(id));
    let named = removed.map_or_else(BTreeSet::new, |removed| names_in(removed.spec.text()));
    let needs = |one: &Experiment, name: &str| {
        one.spec.text().contains(name) && needed(state, one, at).contains(name)
    };
    let unneeded: Vec<String> =
        named.into_iter().filter(|name| !state.experiments().any(|one| needs(one, name))).collect();
    if unneeded.is_empty() {
        return Ok(());
    }
    let vault = Vault::of(store);
    let brought = brought(&vault);
    // A crash must not bring back experiments without their secrets.
    dispatcher.sync()?;
    remove(&vault, unneeded.iter().filter(|name| brought.contains(name)));
    Ok(())
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

/// The secrets from configurations that an experiment needs.
fn needed(state: &State, experiment: &Experiment, at: Timestamp) -> BTreeSet<String> {
    if !experiment.removed || !state.due(experiment.id, Seq(0)).is_empty() {
        return names_in(experiment.spec.text());
    }
    if at.since(experiment.updated) < MESSAGES_WAIT {
        return names_in(&experiment.spec.canonical()["notify"].to_string());
    }
    BTreeSet::new()
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

fn brought(vault: &Vault) -> Vec<String> {
    vault.brought().unwrap_or_else(|error| {
        kept_all_the_same(&error);
        Vec::new()
    })
}

fn remove<'a>(vault: &Vault, names: impl Iterator<Item = &'a String>) {
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
