//! Commands that act on experiments. If another process holds the store it is asked; otherwise the store is opened here.

use super::args::Common;
use super::control;
use super::{advice, output, spec, store};
use crate::error::{Failure, exit};
use crate::requests::{self, Request};
use crate::runtime::dispatcher::Dispatcher;
use crate::runtime::shell::{self, Runtime, now};
use crate::views::{find, present};
use engine::id::{ExperimentId, TrialId};
use engine::state::State;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a process that holds the store and does not answer is waited for.
const BUSY_PATIENCE: Duration = Duration::from_secs(2);
/// How long a stop waits for the tasks to end, beyond their own grace.
const STOP_PATIENCE: Duration = Duration::from_mins(1);

/// `stop`
pub fn stop(common: &Common, exp: &str, trials: &[u32]) -> Result<u8, Failure> {
    let id = resolve(common, exp)?;
    let experiment = id.to_string();
    let request = if trials.is_empty() {
        Request::Stop { experiment }
    } else {
        Request::StopTrials { experiment, trials: trials.to_vec() }
    };
    match reach(common, &request)? {
        None => wait_elsewhere(common, id, trials)?,
        Some(mut dispatcher) => {
            execute(&mut dispatcher, &request)?;
            finish_stopping(common, dispatcher, id, trials)?;
        }
    }
    let state = store::read(common)?;
    report(common, &state, id, if trials.is_empty() { "stopped" } else { "stopped trials of" })
}

/// Stops running tasks, which needs the whole engine for a moment.
fn finish_stopping(
    common: &Common,
    mut dispatcher: Dispatcher,
    id: ExperimentId,
    trials: &[u32],
) -> Result<(), Failure> {
    let backends = crate::backends_of(&common.store)?;
    let patience = patience(dispatcher.state(), id);
    dispatcher.only(id);
    dispatcher.hold();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let trials = trials.to_vec();
    let result = runtime.block_on(async move {
        let (engine, mut handle) = Runtime::new(dispatcher, backends);
        let engine = tokio::spawn(engine.run());
        let waiting =
            shell::until(&mut handle, id, move |experiment| is_stopped(experiment, &trials).then_some(()));
        let waited = tokio::time::timeout(patience, waiting).await;
        handle.close().await;
        match engine.await {
            Ok(Ok(())) => {}
            Ok(Err(fatal)) => return Err(Failure::from(fatal)),
            Err(error) => return Err(Failure::new(exit::FAILED, format!("the engine failed: {error}"), "")),
        }
        match waited {
            Ok(_) => Ok(()),
            Err(_) => Err(still_running(id)),
        }
    });
    runtime.shutdown_background();
    result
}

fn is_stopped(experiment: &engine::state::Experiment, trials: &[u32]) -> bool {
    if trials.is_empty() {
        experiment.status.is_ended()
    } else {
        trials.iter().all(|id| experiment.trial(TrialId(*id)).is_none_or(|trial| trial.status.is_ended()))
    }
}

fn still_running(id: ExperimentId) -> Failure {
    Failure::new(
        exit::FAILED,
        "the stop is recorded, but some tasks have not ended yet",
        format!("repeat `retrial stop {id}`; `retrial show {id}` tells which trials run"),
    )
}

/// How long to wait until what was asked to end has ended.
fn patience(state: &State, id: ExperimentId) -> Duration {
    let grace = state.experiment(id).map_or(0, |experiment| experiment.spec.budget.grace.0);
    STOP_PATIENCE + Duration::from_millis(grace)
}

/// Waits for the process that holds the store; if that ends first, does its work.
fn wait_elsewhere(common: &Common, id: ExperimentId, trials: &[u32]) -> Result<(), Failure> {
    let mut follower = store::Follower::open(&common.store)?;
    let deadline = std::time::Instant::now() + patience(&follower.state, id);
    loop {
        let stopped = follower.state.experiment(id).is_none_or(|experiment| is_stopped(experiment, trials));
        if stopped {
            return Ok(());
        }
        if std::time::Instant::now() > deadline {
            return Err(still_running(id));
        }
        if !control::is_answered(common) {
            match store::dispatcher(common, false) {
                Ok((dispatcher, _)) => return finish_stopping(common, dispatcher, id, trials),
                Err(failure) if failure.exit == exit::BUSY => {}
                Err(failure) => return Err(failure),
            }
        }
        std::thread::sleep(Duration::from_millis(100));
        follower.catch_up(&mut |_, _| ())?;
    }
}

/// Commands that change what is recorded and need no engine.
pub fn simple(
    common: &Common,
    exp: &str,
    verb: &str,
    request: impl FnOnce(String) -> Request,
) -> Result<u8, Failure> {
    let id = resolve(common, exp)?;
    let state = perform(common, &request(id.to_string()))?;
    report(common, &state, id, verb)
}

/// `update`
pub fn update(common: &Common, exp: &str, file: &str) -> Result<u8, Failure> {
    let asked = spec::load(common, file)?;
    simple(common, exp, "updated", |experiment| Request::Update { experiment, spec: asked.canonical() })
}

/// `enqueue`
pub fn enqueue(common: &Common, exp: &str, params: &str) -> Result<u8, Failure> {
    let params: Value = serde_json::from_str(params).map_err(|error| {
        Failure::new(
            exit::USAGE,
            format!("the parameters are not JSON: {error}"),
            "for example '{\"lr\": 0.1}'",
        )
    })?;
    let id = resolve(common, exp)?;
    // The space is checked here, so that all mistakes are shown even if another process holds the store.
    let state = store::read(common)?;
    let request = Request::Enqueue { experiment: id.to_string(), params };
    request.command(&state)?;
    let state = perform(common, &request)?;
    report(common, &state, id, "enqueued in")
}

/// `clone`
pub fn clone(common: &Common, exp: &str, name: Option<&str>) -> Result<u8, Failure> {
    let state = store::read(common)?;
    let source = find::find(&state, exp)?;
    let mut copy = (*source.spec.shared()).clone();
    if let Some(name) = name {
        name.clone_into(&mut copy.name);
    }
    let id = requests::new_id(&state)?;
    let seed = copy.seed.map_or_else(requests::random_bits, Ok)?;
    let request = Request::Create { experiment: id.to_string(), spec: copy.canonical(), seed };
    let state = perform(common, &request)?;
    report(common, &state, id, "created")?;
    if !common.json {
        output::remark(&advice::with_store(common, &format!("run it with `retrial run {id}`")));
    }
    Ok(exit::DONE)
}

/// Has a request done by the process that holds the store, or opens the store to do it here. A process that is just
/// beginning or ending holds the store and does not answer: it is waited for.
fn reach(common: &Common, request: &Request) -> Result<Option<Dispatcher>, Failure> {
    let deadline = std::time::Instant::now() + BUSY_PATIENCE;
    loop {
        if let Some(done) = control::ask(common, request) {
            return done.map(|()| None);
        }
        match store::dispatcher(common, false) {
            Ok((dispatcher, _)) => return Ok(Some(dispatcher)),
            Err(failure) if failure.exit == exit::BUSY && std::time::Instant::now() < deadline => {}
            Err(failure) => return Err(failure),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn perform(common: &Common, request: &Request) -> Result<State, Failure> {
    let Some(mut dispatcher) = reach(common, request)? else { return store::read(common) };
    execute(&mut dispatcher, request)?;
    dispatcher.close(now())?;
    Ok(dispatcher.state().clone())
}

fn execute(dispatcher: &mut Dispatcher, request: &Request) -> Result<(), Failure> {
    let command = request.command(dispatcher.state())?;
    dispatcher.execute_by(&requests::me(), &command, now())?;
    dispatcher.sync()?;
    Ok(())
}

fn resolve(common: &Common, exp: &str) -> Result<ExperimentId, Failure> {
    Ok(find::find(&store::read(common)?, exp)?.id)
}

fn report(common: &Common, state: &State, id: ExperimentId, verb: &str) -> Result<u8, Failure> {
    let Some(experiment) = state.experiment(id) else { return Ok(exit::FAILED) };
    if common.json {
        output::json(
            &json!({"ok": true, "experiment": id.to_string(), "status": experiment.status.as_str(), "trials": present::counts(experiment)}),
        )?;
    } else {
        output::line(&format!("{verb} {} ({id}): {}", experiment.spec.name, experiment.status))?;
    }
    Ok(exit::DONE)
}
