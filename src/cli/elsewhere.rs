//! `run` while a daemon holds the store: the daemon runs the experiment, and this process looks on.

use super::args::Common;
use super::live::Live;
use super::picture::Picture;
use super::run::{Plan, conclude, plan};
use super::{advice, control, output, store};
use crate::error::{Failure, exit};
use engine::id::ExperimentId;
use engine::spec::Spec;
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time between two looks at what the daemon writes.
const FOLLOW: Duration = Duration::from_millis(100);
/// Time between two looks at whether it still serves.
const ALIVE: Duration = Duration::from_secs(2);

/// Has the daemon run it, and looks on to the end.
pub(super) fn run(common: &Common, asked: Option<&Spec>, file: &str, new: bool) -> Result<u8, Failure> {
    let mut follower = store::follower(common)?;
    let plan = plan(&follower.state, asked, file, new)?;
    let (id, requests) = plan.requests(&follower.state, asked)?;
    if let (Plan::Over(_), Some(known)) = (&plan, follower.state.experiment(id)) {
        return conclude(common, known);
    }
    for request in &requests {
        control::ask(common, request).ok_or_else(gone)??;
    }
    follower.catch_up(&mut |_, _| ())?;
    let Some(experiment) = follower.state.experiment(id) else { return Err(gone()) };
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        flag::register(signal, Arc::clone(&interrupted))?;
    }
    let mut live = Live::new(common, experiment, requests.is_empty());
    let mut alive = Instant::now();
    while let Some(picture) = Picture::of(&follower.state, id, live.shown()) {
        live.show(&picture);
        if picture.over {
            break;
        }
        if interrupted.load(Ordering::Relaxed) {
            live.clear();
            output::remark(&advice::with_store(common, &left_to_it(id)));
            return Ok(exit::INTERRUPTED);
        }
        if alive.elapsed() >= ALIVE {
            if !control::is_answered(common) {
                live.clear();
                return Err(gone());
            }
            alive = Instant::now();
        }
        std::thread::sleep(FOLLOW);
        follower.catch_up(&mut |_, _| ())?;
    }
    live.clear();
    let Some(experiment) = follower.state.experiment(id) else { return Ok(exit::FAILED) };
    conclude(common, experiment)
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
