//! `run`: an experiment to its end, through crashes and interruptions.

use super::args::Common;
use super::daemon::Daemon;
use super::live::Live;
use super::picture::{Picture, params};
use super::{advice, control, elsewhere, interrupt, look, output, spec, store};
use crate::Backends;
use crate::error::{Failure, exit};
use crate::labels;
use crate::notify::Courier;
use crate::requests::{self, Request};
use crate::runtime::dispatcher::Dispatcher;
use crate::runtime::shell::{Gone, Handle, Runtime};
use crate::views::{figures, find, measure, present};
use engine::event::v1::PauseReason;
use engine::id::ExperimentId;
use engine::spec::Spec;
use engine::state::{Experiment, State, TrialStatus};
use std::time::Duration;

/// Time between two pictures on a terminal.
const FRAME: Duration = Duration::from_millis(100);
/// How long notifications are waited for at the end; what is not delivered by then is left to the next process.
const NOTIFYING: Duration = Duration::from_secs(10);
/// Most trials of a front that are shown at the end.
const MAX_FRONT: usize = 20;

/// How something is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// As another experiment, even if there is one of that name.
    pub new: bool,
    /// Seen by its creator and admins only.
    pub private: bool,
}

/// Runs the experiment of a file, or goes on with an experiment of the store.
pub fn run(common: &Common, file: &str, manner: Manner) -> Result<u8, Failure> {
    let at = crate::runtime::shell::now();
    let asked = spec::is_file(file).then(|| spec::load(common, file)).transpose()?;
    if let Some(daemon) = Daemon::of(common)? {
        return elsewhere::run_there(common, &daemon, asked.as_ref(), file, manner);
    }
    if let Some(asked) = &asked {
        spec::runnable(asked)?;
    }
    let (mut dispatcher, report) = match store::dispatcher(common, asked.is_some()) {
        // A daemon holds the store: it runs what it is asked for.
        Err(busy) if busy.exit == exit::BUSY && control::is_served(common) => {
            return elsewhere::run(common, asked.as_ref(), file, manner);
        }
        opened => opened?,
    };
    if common.verbose {
        output::remark(&format!(
            "store {}: {} records, opened in {} ms, durability {}",
            common.store.display(),
            report.head,
            report.elapsed.as_millis(),
            report.durability
        ));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(exit::FAILED, format!("failed to start: {error}"), ""))?;
    let backends = crate::backends_of(&common.store)?;
    let plan = plan(dispatcher.state(), asked.as_ref(), file, manner.new)?;
    if let Some(spec) = plan.spec(dispatcher.state(), asked.as_ref()) {
        runtime.block_on(spec::ready(&backends, &spec))?;
    }
    let (id, requests) = plan.requests(dispatcher.state(), asked.as_ref(), manner.private)?;
    if !requests.is_empty() {
        for request in &requests {
            let command = request.command(dispatcher.state())?;
            dispatcher.execute_by(&requests::me(), &command, at)?;
        }
        dispatcher.sync()?;
    }
    if let Plan::Over(_) = plan {
        let Some(experiment) = dispatcher.state().experiment(id) else { return Ok(exit::FAILED) };
        return conclude(common, experiment);
    }
    let resumed = !matches!(plan, Plan::New);
    let common = common.clone();
    let file = file.to_owned();
    let code =
        runtime.block_on(async move { drive(&common, dispatcher, backends, id, resumed, &file).await });
    // Calls of backends that are still under way are of no further use.
    runtime.shutdown_background();
    code
}

/// What is to be done to run what was asked for.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    /// Create it.
    New,
    /// Go on with it.
    GoOn {
        /// Which one.
        id: ExperimentId,
        /// Its specification as it is now, if it was recorded in another form.
        text: Option<String>,
        /// Whether a run ends its pause.
        paused: bool,
    },
    /// It has ended, or the brake of the first failures holds it.
    Over(ExperimentId),
}

impl Plan {
    /// What is going to be run, if anything is.
    fn spec(&self, state: &State, asked: Option<&Spec>) -> Option<Spec> {
        match self {
            Self::New => asked.cloned(),
            Self::GoOn { id, .. } => {
                asked.cloned().or_else(|| state.experiment(*id).map(|known| (*known.spec.shared()).clone()))
            }
            Self::Over(_) => None,
        }
    }

    /// What has to be asked of whoever holds the store, and the experiment that it is about.
    pub(super) fn requests(
        &self,
        state: &State,
        asked: Option<&Spec>,
        private: bool,
    ) -> Result<(ExperimentId, Vec<Request>), Failure> {
        let hide = |id: &ExperimentId| {
            let known = state.experiment(*id).is_some_and(labels::is_private);
            (private && !known).then(|| Request::see(id.to_string(), true))
        };
        match self {
            Self::Over(id) => Ok((*id, hide(id).into_iter().collect())),
            Self::GoOn { id, text, paused } => {
                let spec = text.as_ref().and_then(|text| serde_json::from_str(text).ok());
                let experiment = id.to_string();
                let update = spec.map(|spec| Request::Update { experiment: experiment.clone(), spec });
                let resume = paused.then_some(Request::Resume { experiment });
                Ok((*id, hide(id).into_iter().chain(update).chain(resume).collect()))
            }
            Self::New => {
                let id = requests::new_id(state)?;
                let Some(asked) = asked else { return Ok((id, Vec::new())) };
                let seed = asked.seed.map_or_else(requests::random_bits, Ok)?;
                let (experiment, spec, labels) = (id.to_string(), asked.canonical(), labels::of_new(private));
                let create = Request::Create { experiment, spec, seed, labels };
                Ok((id, vec![create]))
            }
        }
    }
}

/// Finds out what is to be done: `asked` is what the file says, or absent if `file` names an experiment of the store. Of
/// several of that name it is one with the same specification before one with another, then an unfinished one before
/// an ended one, then the newest.
pub(super) fn plan(state: &State, asked: Option<&Spec>, file: &str, new: bool) -> Result<Plan, Failure> {
    let Some(asked) = asked else {
        let known = find::find(state, file)?;
        let plan = take_on(known);
        if let Plan::GoOn { .. } = plan {
            // A recorded experiment may have come from another program.
            spec::runnable(&known.spec)?;
        }
        return Ok(plan);
    };
    let known = state
        .experiments()
        .filter(|experiment| !new && !experiment.removed && experiment.spec.name == asked.name)
        .max_by_key(|experiment| {
            let same = experiment.spec.differences(asked).is_empty();
            (same, !experiment.status.is_ended(), experiment.created, experiment.id)
        });
    let Some(known) = known else { return Ok(Plan::New) };
    go_on(known, asked, file)
}

/// What is to be done to run an experiment on, as it is.
pub(super) fn take_on(known: &Experiment) -> Plan {
    if known.status.is_ended() || is_held(known) {
        return Plan::Over(known.id);
    }
    Plan::GoOn { id: known.id, text: None, paused: is_paused(known) }
}

/// What is to be done to run what a file asks for by going on with this experiment.
pub(super) fn go_on(known: &Experiment, asked: &Spec, file: &str) -> Result<Plan, Failure> {
    let differences = known.spec.differences(asked);
    if !differences.is_empty() {
        return Err(changed(known, &differences, file));
    }
    if known.status.is_ended() || is_held(known) {
        return Ok(Plan::Over(known.id));
    }
    // Where they differ after all, only the folder of the file has changed.
    let text = asked.canonical().to_string();
    let text = (text != known.spec.text()).then_some(text);
    Ok(Plan::GoOn { id: known.id, text, paused: is_paused(known) })
}

/// Whether the brake of the first failures is on: only a person lifts it, by `resume`.
fn is_braked(known: &Experiment) -> bool {
    matches!(known.paused, Some(PauseReason::Brake { .. }))
}

/// Whether there is nothing to do until somebody lifts the brake.
fn is_held(known: &Experiment) -> bool {
    is_braked(known) && known.active() == 0
}

/// Whether it was paused in a way that a run ends.
fn is_paused(known: &Experiment) -> bool {
    known.paused.is_some() && !is_braked(known)
}

fn changed(known: &Experiment, differences: &[engine::spec::Difference], file: &str) -> Failure {
    let state = if known.status.is_ended() { "ended" } else { "unfinished" };
    let mut message =
        format!("the {state} experiment {} ({}) was begun with another file:", known.spec.name, known.id);
    for difference in differences {
        message.push_str(&format!("\n  {difference}"));
    }
    let file = advice::word(file);
    Failure {
        code: Some(crate::codes::CHANGED_SPEC.to_string()),
        ..Failure::new(
            exit::USAGE,
            message,
            format!(
                "`retrial run {file} --new` starts another experiment; `retrial update {} {file}` \
                 changes this one where that is possible",
                known.id
            ),
        )
    }
}

/// Runs the store's engine until the experiment has ended, is paused, or somebody interrupts.
async fn drive(
    common: &Common,
    mut dispatcher: Dispatcher,
    backends: Backends,
    id: ExperimentId,
    resumed: bool,
    file: &str,
) -> Result<u8, Failure> {
    let Some(experiment) = dispatcher.state().experiment(id) else { return Ok(exit::FAILED) };
    let mut live = Live::new(common, experiment, resumed);
    // Only this experiment is run: others of the store wait for their own command.
    dispatcher.only(id);
    let (runtime, mut handle) = Runtime::new(dispatcher, backends);
    let courier = Courier::start(&common.store, handle.clone());
    let engine = tokio::spawn(runtime.run());
    let socket = control::listen(&common.store, handle.clone(), false);
    let outcome = watch(common, &mut handle, &mut live, id, file).await;
    drop(socket);
    let code = match outcome {
        Ok(code) => {
            // Whoever interrupts does not want to wait.
            courier.finish(if code == exit::INTERRUPTED { NOTIFYING / 10 } else { NOTIFYING }).await;
            handle.close().await;
            code
        }
        // The engine has stopped by itself: its own error says why.
        Err(_) => exit::FAILED,
    };
    live.clear();
    match engine.await {
        Ok(Ok(())) => {}
        Ok(Err(fatal)) => return Err(fatal.into()),
        Err(error) => return Err(Failure::new(exit::FAILED, format!("the engine failed: {error}"), "")),
    }
    if code == exit::INTERRUPTED {
        return Ok(code);
    }
    let state = store::read(common)?;
    let Some(experiment) = state.experiment(id) else { return Ok(exit::FAILED) };
    conclude(common, experiment)
}

/// Shows what happens until there is nothing more to wait for.
async fn watch(
    common: &Common,
    handle: &mut Handle,
    live: &mut Live,
    id: ExperimentId,
    file: &str,
) -> Result<u8, Gone> {
    let mut interrupts = interrupt::signals();
    loop {
        let shown = live.shown();
        let picture = handle.query(move |state: &State| Picture::of(state, id, shown)).await?;
        let over = picture.as_ref().is_none_or(|picture| picture.over);
        if let Some(picture) = picture {
            live.show(&picture);
        }
        if over {
            return Ok(exit::DONE);
        }
        tokio::select! {
            changed = handle.changed() => {
                changed?;
                if live.on_terminal() {
                    tokio::time::sleep(FRAME).await;
                }
            }
            () = tokio::time::sleep(Duration::from_millis(500)), if live.on_terminal() => {}
            again = interrupts.recv() => {
                live.clear();
                return interrupt::answer(common, handle, id, file, again, &mut interrupts).await;
            }
        }
    }
}

/// Prints how it ended.
pub(super) fn conclude(common: &Common, experiment: &Experiment) -> Result<u8, Failure> {
    let code = match experiment.status {
        status if status.is_ended() => {
            if experiment.has_best() {
                exit::DONE
            } else {
                exit::NO_SUCCESS
            }
        }
        _ => exit::FAILED,
    };
    let written = if common.json {
        output::json(&present::result(experiment))
    } else {
        output::text(&ending(experiment))
    };
    // How the experiment ended counts, whether or not anybody still reads about it.
    if let Some(unwritten) = written.err().filter(|unwritten| !unwritten.reader_is_gone()) {
        return Err(unwritten.into());
    }
    if !experiment.status.is_ended() {
        let paused = experiment.paused.as_ref().map(present::pause_reason).unwrap_or_default();
        let asked = matches!(experiment.paused, Some(PauseReason::Asked));
        let mut failure = Failure::new(
            exit::FAILED,
            format!("the experiment {} ({}) is paused: {paused}", experiment.spec.name, experiment.id),
            "repeat the command to go on",
        );
        if !asked {
            failure.cure = format!(
                "look at `retrial logs {0} TRIAL --stderr` and mend the cause; `retrial resume {0}` lifts the brake, then \
                 repeat the command to go on. With `first_failures: 0` in its file an experiment never pauses",
                experiment.id
            );
        }
        if let Some(reason) = last_failure(experiment).filter(|_| !asked) {
            failure.message.push_str(&format!("\nthe last one says:\n{}", indent(reason)));
        }
        if common.json {
            // The last line of standard output is the result.
            output::remark(advice::with_store(common, &failure.text()).trim_end());
            return Ok(exit::FAILED);
        }
        return Err(failure);
    }
    Ok(code)
}

fn ending(experiment: &Experiment) -> String {
    let took = match (experiment.started, experiment.ended) {
        (Some(from), Some(to)) => format!(" after {}", figures::duration(to.since(from).0)),
        _ => String::new(),
    };
    let counts: Vec<String> = TrialStatus::ALL
        .iter()
        .filter(|status| experiment.count(**status) > 0)
        .map(|status| {
            format!("{} {}", experiment.count(*status), status.as_str().to_lowercase().replace('_', " "))
        })
        .collect();
    let why = experiment.end.as_ref().map(present::end_reason);
    let why = why.or_else(|| experiment.paused.as_ref().map(present::pause_reason)).unwrap_or_default();
    let mut text = format!(
        "{} ({}) {}{took}: {why}\ntrials: {}\n",
        experiment.spec.name,
        experiment.id,
        experiment.status,
        counts.join(", ")
    );
    let objective = &experiment.spec.objective;
    if let Some(measure::Answer { trial, why, .. }) = measure::answer(experiment) {
        let (metric, value) = (measure::value_name(objective), trial.value.unwrap_or(f64::NAN));
        text.push_str(&format!("best: trial {} with {metric} {value}{why}\n", trial.id));
        if !measure::columns(objective).is_empty() {
            let reached = measure::reached(objective, trial.value, &trial.metrics);
            text.push_str(&format!("  ({reached})\n"));
        }
        text.push_str(&look::point(experiment, &trial));
    } else if experiment.has_best() {
        let front = measure::leaders(experiment);
        text.push_str(&format!(
            "front: {} that no other one dominates\n",
            figures::count(front.len() as u64, "trial")
        ));
        for trial in front.iter().take(MAX_FRONT) {
            let reached = measure::reached(objective, trial.value, &trial.metrics);
            text.push_str(&format!("  trial {}: {reached}  {}\n", trial.id, params(experiment, trial)));
        }
        if front.len() > MAX_FRONT {
            text.push_str(&format!("  `retrial best {}` shows all of them\n", experiment.id));
        }
    } else if let Some(why) = measure::why_no_best(experiment) {
        text.push_str(&format!("{why}\n"));
    } else {
        text.push_str("no trial has succeeded\n");
        if let Some(reason) = last_failure(experiment) {
            text.push_str(&format!("the last failure says:\n{}\n", indent(reason)));
        }
    }
    text
}

fn last_failure(experiment: &Experiment) -> Option<&str> {
    experiment
        .ended_order
        .iter()
        .rev()
        .filter_map(|id| experiment.trial(*id))
        .find(|trial| trial.status == TrialStatus::Failed || trial.status == TrialStatus::Lost)
        .map(|trial| trial.reason.as_str())
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
