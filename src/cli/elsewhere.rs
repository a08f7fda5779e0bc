//! `run` while a daemon runs the experiment, on this machine or elsewhere: this process looks on.

use super::args::Common;
use super::daemon::Daemon;
use super::live::Live;
use super::picture::Picture;
use super::run::{Manner, Plan, conclude, go_on, plan, take_on};
use super::source::Source;
use super::troubles::Troubled;
use super::{advice, control, output, spec, store};
use crate::error::{Failure, exit};
use crate::labels;
use engine::id::ExperimentId;
use engine::spec::Spec;
use serde_json::Value;
use signal_hook::flag;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time between two looks at whether the daemon of this machine still serves.
const ALIVE: Duration = Duration::from_secs(2);
/// Experiments of one name that are compared with a file, newest first.
const MOST_OF_A_NAME: usize = 100;

/// Has the daemon that holds the store run it, and looks on to the end.
pub(super) fn run(common: &Common, asked: Option<&Spec>, file: &str, manner: Manner) -> Result<u8, Failure> {
    let state = store::read(common)?;
    let plan = plan(&state, asked, file, manner.new)?;
    let (id, requests) = plan.requests(&state, asked, manner.private)?;
    for request in &requests {
        control::ask(common, request).ok_or_else(gone)??;
    }
    look_on(common, Source::open(common, &id.to_string())?, &plan)
}

/// Has a daemon elsewhere run it, and looks on to the end.
pub(super) fn run_there(
    common: &Common,
    daemon: &Rc<Daemon>,
    asked: Option<&Spec>,
    file: &str,
    Manner { new, private }: Manner,
) -> Result<u8, Failure> {
    let known = match asked {
        None => Some(file.to_owned()),
        Some(asked) => {
            spec::runs_something(asked)?;
            if new { None } else { known_there(daemon, asked)? }
        }
    };
    let (source, plan) = match (known, asked) {
        (Some(known), asked) => {
            let source = Source::at(Rc::clone(daemon), &known)?;
            let experiment = source.experiment()?;
            let plan =
                asked.map_or_else(|| Ok(take_on(experiment)), |asked| go_on(experiment, asked, file))?;
            if let Plan::GoOn { .. } = plan {
                spec::runs_something(&experiment.spec)?;
            }
            for request in plan.requests(source.state(), asked, private)?.1 {
                daemon.act(&request)?;
            }
            (source, plan)
        }
        (None, Some(asked)) => {
            let id = daemon.create(&asked.canonical(), &labels::of_new(private))?;
            (Source::at(Rc::clone(daemon), &id)?, Plan::New)
        }
        (None, None) => return Ok(exit::FAILED),
    };
    look_on(common, source, &plan)
}

/// The experiment that a file may mean: of those of its name that are from whoever asks, one with the same specification before one
/// with another, then an unfinished one before an ended one, then the newest.
fn known_there(daemon: &Daemon, asked: &Spec) -> Result<Option<String>, Failure> {
    let me = daemon.get("/me", &[])?;
    let creator = me["name"].as_str().ok_or_else(|| daemon.strange("it does not say who asks"))?.to_owned();
    let listed = daemon.experiments(&[("name", &asked.name), ("creator", &creator)], MOST_OF_A_NAME)?;
    let mut found: Option<((bool, bool), String)> = None;
    for experiment in &listed {
        let Some(id) = experiment["experiment"].as_str() else { continue };
        let shown = daemon.get(&format!("/experiments/{id}"), &[])?;
        let spec = Spec::parse(&shown["spec"], "").ok();
        let same = spec.is_some_and(|(spec, _)| spec.differences(asked).is_empty());
        let rank = (same, experiment["ended_ms"] == Value::Null);
        // The list begins with the newest one.
        if found.as_ref().is_none_or(|(best, _)| rank > *best) {
            found = Some((rank, id.to_owned()));
        }
        if rank == (true, true) {
            break;
        }
    }
    Ok(found.map(|(_, id)| id))
}

/// Looks on to the end.
fn look_on(common: &Common, mut source: Source, plan: &Plan) -> Result<u8, Failure> {
    if let Plan::Over(_) = plan {
        return conclude(common, source.experiment()?);
    }
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        // The second one ends the process, wherever it is; so this comes before the flag is raised.
        flag::register_conditional_shutdown(signal, i32::from(exit::INTERRUPTED), Arc::clone(&interrupted))?;
        flag::register(signal, Arc::clone(&interrupted))?;
    }
    if let Some(daemon) = source.daemon() {
        daemon.heed(&interrupted);
    }
    catch_up(&mut source)?;
    let mut live = Live::new(common, source.experiment()?, !matches!(plan, Plan::New));
    let (mut alive, mut troubled) = (Instant::now(), Troubled::default());
    while let Some(picture) = Picture::of(source.state(), source.id(), live.shown()) {
        live.show(&picture);
        if picture.over {
            break;
        }
        if interrupted.load(Ordering::Relaxed) {
            live.clear();
            output::remark(&advice::with_store(common, &left_to_it(source.id())));
            return Ok(exit::INTERRUPTED);
        }
        if source.daemon().is_none() && alive.elapsed() >= ALIVE {
            if !control::is_answered(common) {
                live.clear();
                return Err(gone());
            }
            alive = Instant::now();
        }
        troubled.look(common, &source, &mut live);
        source.pause();
        catch_up(&mut source)?;
    }
    live.clear();
    conclude(common, source.experiment()?)
}

/// Reads what is new, unless somebody interrupts, which is seen to next.
fn catch_up(source: &mut Source) -> Result<(), Failure> {
    match source.catch_up(&mut |_, _| ()) {
        Err(failure) if failure.exit == exit::INTERRUPTED => Ok(()),
        other => other,
    }
}

fn left_to_it(id: ExperimentId) -> String {
    format!(
        "interrupted: the daemon goes on with it.\n`retrial watch {id}` looks on again, `retrial stop {id}` ends it."
    )
}

fn gone() -> Failure {
    Failure::new(
        exit::FAILED,
        "the daemon has ended; running trials go on by themselves",
        "start it again with `retrial serve`, or repeat this command to go on without it",
    )
}
