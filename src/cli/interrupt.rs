//! What Ctrl-C does while an experiment runs: the first leaves the running trials to the next run, the second ends them.

use super::args::Common;
use super::{advice, output};
use crate::error::exit;
use crate::requests;
use crate::runtime::dispatcher::Refused;
use crate::runtime::shell::{Gone, Handle};
use engine::command::Command;
use engine::decide::codes;
use engine::id::{ExperimentId, TrialId};
use engine::state::State;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;

/// Interruptions so close together are one: a terminal and a wrapper such as timeout(1) may both pass it on.
const SAME_INTERRUPT: Duration = Duration::from_millis(500);
/// How long a second Ctrl-C is waited for.
const SECOND_INTERRUPT: Duration = Duration::from_secs(5);
/// How long running trials are given to end after the second Ctrl-C, beyond their own grace.
const END_PATIENCE: Duration = Duration::from_secs(30);

/// The signals that end the run: `true` for those of a person at the keyboard.
pub(super) fn signals() -> UnboundedReceiver<bool> {
    let (send, receive) = tokio::sync::mpsc::unbounded_channel();
    let kinds =
        [(SignalKind::interrupt(), true), (SignalKind::terminate(), false), (SignalKind::hangup(), false)];
    for (kind, person) in kinds {
        let Ok(mut stream) = signal(kind) else { continue };
        let send = send.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if send.send(person).is_err() {
                    break;
                }
            }
        });
    }
    receive
}

/// Starts nothing more; ends what runs if there is a second interruption. `person` is what [`signals`] gave.
pub(super) async fn answer(
    common: &Common,
    handle: &mut Handle,
    id: ExperimentId,
    file: &str,
    person: Option<bool>,
    interrupts: &mut UnboundedReceiver<bool>,
) -> Result<u8, Gone> {
    handle.hold().await?;
    let running = handle.query(move |state| running(state, id)).await?.len();
    let runs = if running == 1 { "runs" } else { "run" };
    let told = format!(
        "interrupted: no further trial is started; {} {runs} on by themselves.\nGo on with `retrial run {}`: it takes \
         them over. `retrial stop {id}` ends everything.",
        trials(running),
        advice::word(file),
    );
    output::remark(&advice::with_store(common, &told));
    if person != Some(true) || running == 0 {
        return Ok(exit::INTERRUPTED);
    }
    tokio::time::sleep(SAME_INTERRUPT).await;
    while let Ok(person) = interrupts.try_recv() {
        if !person {
            return Ok(exit::INTERRUPTED);
        }
    }
    output::remark("Ctrl-C again ends the running trials now.");
    let again = tokio::select! {
        person = interrupts.recv() => person == Some(true),
        quiet = quiet(handle, id) => { quiet?; false }
        () = tokio::time::sleep(SECOND_INTERRUPT) => false,
    };
    if again {
        end_running(handle, id, interrupts).await?;
    }
    Ok(exit::INTERRUPTED)
}

/// Waits until no trial runs.
async fn quiet(handle: &mut Handle, id: ExperimentId) -> Result<(), Gone> {
    while handle.query(move |state| !running(state, id).is_empty()).await? {
        handle.changed().await?;
    }
    Ok(())
}

/// Ends every trial that runs, and waits until all have ended; another interruption leaves them to it.
async fn end_running(
    handle: &mut Handle,
    id: ExperimentId,
    interrupts: &mut UnboundedReceiver<bool>,
) -> Result<(), Gone> {
    let grace = handle.query(move |state| state.experiment(id).map(|known| known.spec.budget.grace)).await?;
    let count = loop {
        // Some may have ended since they were counted; nothing is stopped by a command that names one of those.
        let trials = handle.query(move |state| running(state, id)).await?;
        let count = trials.len();
        match handle.execute(Command::StopTrials { experiment: id, trials }, Some(requests::me())).await? {
            Ok(_) => break count,
            Err(Refused::Rejected(rejection)) if rejection.code == codes::TRIAL_ENDED => {}
            Err(error) => {
                output::remark(&format!("failed to end the running trials: {error}"));
                return Ok(());
            }
        }
    };
    output::remark(&format!("ending {}...", trials(count)));
    let patience = Duration::from_millis(grace.unwrap_or_default().0) + END_PATIENCE;
    tokio::select! {
        quiet = quiet(handle, id) => quiet?,
        () = tokio::time::sleep(patience) => {}
        _ = interrupts.recv() => {}
    }
    let left = handle.query(move |state| running(state, id).len()).await?;
    output::remark(&match left {
        0 => format!("ended {}.", trials(count)),
        left => format!("{} told to end and not yet seen to; the next run sees to that.", trials(left)),
    });
    Ok(())
}

fn trials(count: usize) -> String {
    if count == 1 { "1 trial".to_owned() } else { format!("{count} trials") }
}

fn running(state: &State, id: ExperimentId) -> Vec<TrialId> {
    state
        .experiment(id)
        .map(|experiment| experiment.active_trials().map(|trial| trial.id).collect())
        .unwrap_or_default()
}
