//! Commands that act on experiments. A daemon elsewhere, or another process that holds the store, is asked; otherwise the store is
//! opened here.

use super::args::Common;
use super::daemon::Daemon;
use super::source::Source;
use super::{advice, control, output, spec, store};
use crate::error::{Failure, exit};
use crate::labels;
use crate::requests::{self, Request};
use crate::runtime::dispatcher::Dispatcher;
use crate::runtime::shell::{self, Runtime, now};
use crate::secrets::{self, Vault};
use crate::views::present;
use engine::id::{ExperimentId, TrialId};
use engine::state::State;
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;

/// How long a process that holds the store and does not answer is waited for.
const BUSY_PATIENCE: Duration = Duration::from_secs(2);
/// How long a stop waits for the tasks to end, beyond their own grace.
const STOP_PATIENCE: Duration = Duration::from_mins(1);

/// `stop`
pub fn stop(common: &Common, exp: &str, trials: &[u32]) -> Result<u8, Failure> {
    let mut source = Source::open(common, exp)?;
    let (id, experiment) = (source.id(), source.id().to_string());
    let request = if trials.is_empty() {
        Request::Stop { experiment }
    } else {
        Request::StopTrials { experiment, trials: trials.to_vec() }
    };
    match reach(common, source.daemon(), &request)? {
        None => wait_elsewhere(common, &mut source, trials)?,
        Some(mut dispatcher) => {
            execute(common, &mut dispatcher, &request)?;
            finish_stopping(common, dispatcher, id, trials)?;
        }
    }
    source.refresh()?;
    report(common, &source, if trials.is_empty() { "stopped" } else { "stopped trials of" })
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

/// Waits for the process that does it; if that holds the store and ends first, does its work.
fn wait_elsewhere(common: &Common, source: &mut Source, trials: &[u32]) -> Result<(), Failure> {
    let id = source.id();
    let deadline = std::time::Instant::now() + patience(source.state(), id);
    loop {
        source.catch_up(&mut |_, _| ())?;
        if is_stopped(source.experiment()?, trials) {
            return Ok(());
        }
        if std::time::Instant::now() > deadline {
            return Err(still_running(id));
        }
        if source.daemon().is_none() && !control::is_answered(common) {
            match store::dispatcher(common, false) {
                Ok((dispatcher, _)) => return finish_stopping(common, dispatcher, id, trials),
                Err(failure) if failure.exit == exit::BUSY => {}
                Err(failure) => return Err(failure),
            }
        }
        source.pause();
    }
}

/// Commands that change what is recorded and need no engine.
pub fn simple(
    common: &Common,
    exp: &str,
    verb: &str,
    request: impl FnOnce(String) -> Request,
) -> Result<u8, Failure> {
    let mut source = Source::open(common, exp)?;
    let request = request(source.id().to_string());
    perform(common, &mut source, &request)?;
    report(common, &source, verb)
}

/// `update`: the specification, if a file is given, and who sees it, if that is said.
pub fn update(common: &Common, exp: &str, file: Option<&str>, private: Option<bool>) -> Result<u8, Failure> {
    let asked = file.map(|file| spec::load(common, file)).transpose()?;
    let mut source = Source::open(common, exp)?;
    let experiment = source.id().to_string();
    let mut requests: Vec<Request> = Vec::new();
    if let Some(asked) = asked {
        requests.push(Request::Update { experiment: experiment.clone(), spec: asked.canonical() });
    }
    if let Some(private) = private {
        // What is new of a private experiment is private as well; of what is refused nothing is made public.
        let place = if private { 0 } else { requests.len() };
        requests.insert(place, Request::see(experiment, private));
    }
    for request in &requests {
        perform(common, &mut source, request)?;
    }
    report(common, &source, "updated")
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
    let mut source = Source::open(common, exp)?;
    let request = Request::Enqueue { experiment: source.id().to_string(), params };
    // The space is checked here, so that all mistakes are shown even if another process holds the store.
    request.command(source.state())?;
    perform(common, &mut source, &request)?;
    report(common, &source, "enqueued in")
}

/// `clone`
pub fn clone(common: &Common, exp: &str, name: Option<&str>) -> Result<u8, Failure> {
    let source = Source::open(common, exp)?;
    let labels = labels::own(source.experiment()?);
    let mut copy = (*source.experiment()?.spec.shared()).clone();
    if let Some(name) = name {
        name.clone_into(&mut copy.name);
    }
    let id = match source.daemon() {
        Some(daemon) => daemon.create(&copy.canonical(), &labels)?,
        None => {
            let id = requests::new_id(source.state())?.to_string();
            let seed = copy.seed.map_or_else(requests::random_bits, Ok)?;
            let request = Request::Create { experiment: id.clone(), spec: copy.canonical(), seed, labels };
            if let Some(dispatcher) = reach(common, None, &request)? {
                finish(common, dispatcher, &request)?;
            }
            id
        }
    };
    report(common, &Source::open(common, &id)?, "created")?;
    if !common.json && source.daemon().is_none() {
        output::remark(&advice::with_store(common, &format!("run it with `retrial run {id}`")));
    }
    Ok(exit::DONE)
}

/// Has a request done by the daemon that is named or the process that holds the store, or opens the store to do it here. A
/// process that is just beginning or ending holds the store and does not answer: it is waited for.
fn reach(
    common: &Common,
    daemon: Option<&Rc<Daemon>>,
    request: &Request,
) -> Result<Option<Dispatcher>, Failure> {
    if let Some(daemon) = daemon {
        return daemon.act(request).map(|_| None);
    }
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

fn perform(common: &Common, source: &mut Source, request: &Request) -> Result<(), Failure> {
    if let Some(dispatcher) = reach(common, source.daemon(), request)? {
        finish(common, dispatcher, request)?;
    }
    source.refresh()
}

fn finish(common: &Common, mut dispatcher: Dispatcher, request: &Request) -> Result<(), Failure> {
    execute(common, &mut dispatcher, request)?;
    dispatcher.close(now())?;
    Ok(())
}

fn execute(common: &Common, dispatcher: &mut Dispatcher, request: &Request) -> Result<(), Failure> {
    let (command, vault) = (request.command(dispatcher.state())?, Vault::of(&common.store));
    let at_stake = secrets::at_stake(&vault, dispatcher.state(), &command);
    dispatcher.execute_by(&requests::me(), &command, now())?;
    dispatcher.sync()?;
    secrets::forget_after(at_stake, dispatcher, &vault, now())?;
    Ok(())
}

fn report(common: &Common, source: &Source, verb: &str) -> Result<u8, Failure> {
    let (id, experiment) = (source.id(), source.experiment()?);
    if common.json {
        output::json(
            &json!({"ok": true, "experiment": id.to_string(), "status": experiment.status.as_str(), "trials": present::counts(experiment)}),
        )?;
    } else {
        output::line(&format!("{verb} {} ({id}): {}", experiment.spec.name, experiment.status))?;
    }
    Ok(exit::DONE)
}
