//! What a person sees of a running experiment: a picture that is drawn again and again on a terminal, a line for each
//! trial otherwise.

use super::args::Common;
use super::{output, present};
use crate::runtime::shell::now;
use engine::id::ExperimentId;
use engine::state::{Experiment, ExperimentStatus, State, Trial, TrialStatus};
use engine::time::Timestamp;
use std::io::Write;

/// Most running trials shown at once.
const MAX_SHOWN: usize = 12;
/// Reports drawn of a running trial.
const CURVE: usize = 24;

/// What a view has shown so far.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// Trials that had ended.
    ended: usize,
    /// The best value among them.
    best: Option<f64>,
}

/// What the view needs of the state, copied out of it.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Whether there is nothing more to wait for.
    pub over: bool,
    status: ExperimentStatus,
    paused: Option<String>,
    ended: u32,
    suggested: u32,
    succeeded: u32,
    stopped: u32,
    failed: u32,
    budget: Option<u32>,
    concurrency: u32,
    best: Option<(u32, f64, String)>,
    running: Vec<Running>,
    more_running: usize,
    news: Vec<Ended>,
    best_so_far: Option<f64>,
    started: Option<Timestamp>,
    deadline: Option<Timestamp>,
    mean_ms: Option<f64>,
}

#[derive(Debug, Clone)]
struct Running {
    trial: u32,
    params: String,
    values: Vec<f64>,
    since: Option<Timestamp>,
    stopping: bool,
    doubt: Option<String>,
}

#[derive(Debug, Clone)]
struct Ended {
    trial: u32,
    status: TrialStatus,
    value: Option<f64>,
    params: String,
    reason: String,
    best: bool,
    ms: u64,
}

impl Picture {
    /// The picture of an experiment, with what has ended since the one before.
    pub fn of(state: &State, id: ExperimentId, shown: Shown) -> Option<Self> {
        let experiment = state.experiment(id)?;
        let paused = experiment.status == ExperimentStatus::Waiting && experiment.active() == 0;
        let mut running: Vec<Running> =
            experiment.active_trials().take(MAX_SHOWN).map(|trial| Running::of(experiment, trial)).collect();
        running.sort_by_key(|running| running.trial);
        let mut best_so_far = shown.best;
        let goal = experiment.spec.objective.goal;
        let mut news = Vec::new();
        // Only what is new: a picture must not cost more the longer an experiment runs.
        for id in experiment.ended_order.iter().skip(shown.ended) {
            let Some(trial) = experiment.trial(*id) else { continue };
            let value = trial.value.filter(|_| trial.status == TrialStatus::Succeeded);
            let best = value.is_some_and(|value| best_so_far.is_none_or(|best| goal.better(value, best)));
            if best {
                best_so_far = value;
            }
            news.push(Ended::of(experiment, trial, best));
        }
        let ended = u32::try_from(experiment.ended_order.len()).unwrap_or(u32::MAX);
        Some(Self {
            over: experiment.status.is_ended() || paused,
            status: experiment.status,
            paused: experiment.paused.as_ref().map(present::pause_reason),
            ended,
            suggested: experiment.suggested(),
            succeeded: experiment.count(TrialStatus::Succeeded),
            stopped: experiment.count(TrialStatus::EarlyStopped),
            failed: experiment.count(TrialStatus::Failed) + experiment.count(TrialStatus::Lost),
            budget: experiment.spec.budget.trials.map(|trials| trials + experiment.extra),
            concurrency: experiment.spec.budget.concurrency,
            best: experiment
                .best_trial()
                .and_then(|trial| Some((trial.id.0, trial.value?, params(experiment, trial)))),
            more_running: experiment.active() as usize - running.len(),
            running,
            news,
            best_so_far,
            started: experiment.started,
            deadline: experiment.deadline(),
            mean_ms: mean_duration(experiment),
        })
    }
}

impl Running {
    fn of(experiment: &Experiment, trial: &Trial) -> Self {
        let values: Vec<f64> =
            trial.reports.iter().rev().filter_map(|report| report.value).take(CURVE).collect();
        Self {
            trial: trial.id.0,
            params: params(experiment, trial),
            values: values.into_iter().rev().collect(),
            since: trial.attempt().and_then(engine::state::Attempt::started),
            stopping: trial.stopping.is_some(),
            doubt: match trial.attempt().and_then(|attempt| attempt.task()).map(|task| &task.phase) {
                Some(engine::state::TaskPhase::Doubtful(reason)) => Some(reason.clone()),
                _ => None,
            },
        }
    }
}

impl Ended {
    fn of(experiment: &Experiment, trial: &Trial, best: bool) -> Self {
        Self {
            trial: trial.id.0,
            status: trial.status,
            value: trial.value,
            params: params(experiment, trial),
            reason: trial.reason.clone(),
            best,
            ms: trial.ended.map_or(0, |ended| ended.since(trial.suggested).0),
        }
    }
}

/// A point in one line.
pub fn params(experiment: &Experiment, trial: &Trial) -> String {
    let bindings = experiment.spec.space.bindings(&trial.point);
    let shown = bindings.iter().filter(|(_, value)| !value.is_empty());
    shown
        .map(|(name, value)| {
            let value = match value.parse::<f64>() {
                Ok(number) if value.len() > 8 => output::number(number),
                _ => value.clone(),
            };
            format!("{name}={value}")
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn mean_duration(experiment: &Experiment) -> Option<f64> {
    let recent = experiment.ended_order.iter().rev().take(50).filter_map(|id| experiment.trial(*id));
    let times: Vec<f64> =
        recent.filter_map(|trial| Some(trial.ended?.since(trial.suggested).0 as f64)).collect();
    (!times.is_empty()).then(|| times.iter().sum::<f64>() / times.len() as f64)
}

/// Shows pictures.
pub struct Live {
    terminal: bool,
    quiet: bool,
    colour: bool,
    name: String,
    id: String,
    metric: String,
    shown: Shown,
    drawn: usize,
}

impl Live {
    /// A view of an experiment. Trials that ended before are not shown again.
    pub fn new(common: &Common, experiment: &Experiment, resumed: bool) -> Self {
        let terminal = output::is_terminal() && !common.json;
        let live = Self {
            terminal,
            quiet: common.json,
            colour: terminal && std::env::var_os("NO_COLOR").is_none(),
            name: experiment.spec.name.clone(),
            id: experiment.id.to_string(),
            metric: match experiment.spec.objective.metrics.as_slice() {
                [only] if only.name.len() <= 24 => only.name.clone(),
                _ => "value".to_owned(),
            },
            shown: Shown {
                ended: experiment.ended_order.len(),
                best: experiment.best.map(|(_, value)| value),
            },
            drawn: 0,
        };
        if !live.quiet {
            let begin = if resumed {
                format!("goes on at trial {}", experiment.ended_order.len())
            } else {
                let trials = experiment.spec.budget.trials;
                trials.map_or_else(|| "begins".to_owned(), |trials| format!("begins: {trials} trials"))
            };
            live.print(&format!(
                "{} ({}) {begin}, {} at once, sampler {}, seed {}, durability {}\n",
                live.name,
                live.id,
                experiment.spec.budget.concurrency,
                experiment.spec.sampler.name,
                experiment.seed,
                match common.durability {
                    super::args::Durability::Disk => "disk",
                    super::args::Durability::Process => "process",
                }
            ));
        }
        live
    }

    /// What has been shown.
    pub const fn shown(&self) -> Shown {
        self.shown
    }

    /// Whether the view is drawn on a terminal.
    pub const fn on_terminal(&self) -> bool {
        self.terminal
    }

    /// Shows a picture.
    pub fn show(&mut self, picture: &Picture) {
        self.shown = Shown { ended: self.shown.ended + picture.news.len(), best: picture.best_so_far };
        if self.quiet {
            return;
        }
        let mut text = String::new();
        let wide = width();
        for ended in &picture.news {
            text.push_str(&clip(&self.ended_line(ended), if self.terminal { wide } else { usize::MAX }));
            text.push('\n');
            if ended.status == TrialStatus::Failed {
                for line in ended.reason.lines().rev().take(3).collect::<Vec<_>>().into_iter().rev() {
                    text.push_str(&clip(&format!("        {line}"), wide));
                    text.push('\n');
                }
            }
        }
        if self.terminal {
            let frame = if picture.over { Vec::new() } else { self.frame(picture, wide) };
            let up = self.erase();
            self.drawn = frame.len();
            let frame: String = frame.iter().map(|line| format!("{line}\n")).collect();
            self.print(&format!("{up}{text}{frame}"));
        } else if !text.is_empty() {
            self.print(&text);
        }
    }

    /// Takes the drawn picture away.
    pub fn clear(&mut self) {
        let erase = self.erase();
        self.drawn = 0;
        if !erase.is_empty() {
            self.print(&erase);
        }
    }

    fn erase(&self) -> String {
        if self.drawn == 0 { String::new() } else { format!("\x1b[{}A\x1b[J", self.drawn) }
    }

    #[expect(clippy::unused_self, reason = "the view is what writes")]
    fn print(&self, text: &str) {
        // A closed pipe must not end a run.
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn ended_line(&self, ended: &Ended) -> String {
        let status = match ended.status {
            TrialStatus::Succeeded => self.paint("32", "ok"),
            TrialStatus::EarlyStopped => self.paint("33", "stopped early"),
            TrialStatus::Failed => self.paint("31", "failed"),
            other => self.paint("31", &other.as_str().to_lowercase().replace('_', " ")),
        };
        let value =
            ended.value.map_or(String::new(), |value| format!(" {}={}", self.metric, output::number(value)));
        let best = if ended.best { self.paint("1;32", " best") } else { String::new() };
        format!(
            "trial {:>4} {status}{value}{best}  {}  ({})",
            ended.trial,
            ended.params,
            output::duration(ended.ms)
        )
    }

    fn frame(&self, picture: &Picture, wide: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let at = now();
        let total = picture.budget;
        let bar = total.filter(|total| *total > 0).map_or(String::new(), |total| {
            let cells = 30_usize;
            let done = (picture.ended as usize * cells) / total as usize;
            let going = ((picture.suggested as usize * cells) / total as usize).saturating_sub(done);
            format!(
                "[{}{}{}] ",
                self.paint("32", &"█".repeat(done.min(cells))),
                self.paint("2", &"▒".repeat(going.min(cells - done.min(cells)))),
                " ".repeat(cells.saturating_sub(done + going))
            )
        });
        let of = total.map_or(String::new(), |total| format!("/{total}"));
        let mut parts = vec![format!("{}{of} trials", picture.ended)];
        if picture.stopped > 0 {
            parts.push(format!("{} stopped early", picture.stopped));
        }
        if picture.failed > 0 {
            parts.push(self.paint("31", &format!("{} failed", picture.failed)));
        }
        if let Some(started) = picture.started {
            parts.push(format!("{} so far", output::duration(at.since(started).0 / 1_000 * 1_000)));
        }
        if let Some(left) = self.time_left(picture, at) {
            parts.push(format!("about {} left", output::duration(left)));
        }
        lines.push(format!("{bar}{}", parts.join(", ")));
        for running in &picture.running {
            let since = running.since.map_or_else(
                || "waiting".to_owned(),
                |since| output::duration(at.since(since).0 / 100 * 100),
            );
            let last = running.values.last().map_or(String::new(), |value| output::number(*value));
            let curve = sparkline(&running.values);
            let remark = match (&running.doubt, running.stopping) {
                (Some(doubt), _) => format!(" in doubt: {doubt}"),
                (None, true) => " stopping".to_owned(),
                (None, false) => String::new(),
            };
            lines.push(clip(
                &format!(
                    "  {:>4} {since:>7} {curve:<CURVE$} {last:<9}{remark} {}",
                    running.trial, running.params
                ),
                wide,
            ));
        }
        if picture.more_running > 0 {
            lines.push(format!("  and {} more running", picture.more_running));
        }
        match &picture.best {
            Some((trial, value, params)) => lines.push(clip(
                &format!(
                    "best: trial {trial} {}={}  {params}",
                    self.metric,
                    self.paint("1;32", &output::number(*value))
                ),
                wide + if self.colour { 11 } else { 0 },
            )),
            None if picture.succeeded == 0 => lines.push("best: none yet".to_owned()),
            None => {}
        }
        if let Some(paused) = &picture.paused {
            lines.push(self.paint("33", &format!("paused: {paused}")));
        } else if picture.status == ExperimentStatus::Terminating {
            lines.push(self.paint("33", "ending"));
        }
        lines
    }

    #[expect(clippy::unused_self, reason = "part of the view")]
    fn time_left(&self, picture: &Picture, at: Timestamp) -> Option<u64> {
        let by_trials = picture.budget.zip(picture.mean_ms).map(|(budget, mean)| {
            let left = f64::from(budget.saturating_sub(picture.ended));
            (left * mean / f64::from(picture.concurrency.max(1))) as u64
        });
        let by_time = picture.deadline.map(|deadline| deadline.since(at).0);
        [by_trials, by_time].into_iter().flatten().min().map(|ms| ms / 1_000 * 1_000)
    }
}

/// A curve in block characters.
fn sparkline(values: &[f64]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    values
        .iter()
        .map(|value| {
            let share = if high > low { (value - low) / (high - low) } else { 0.5 };
            LEVELS.get(((share * 7.0).round() as usize).min(7)).copied().unwrap_or('▁')
        })
        .collect()
}

/// At most `wide` visible characters of a line; escape sequences count as nothing.
fn clip(line: &str, wide: usize) -> String {
    let mut out = String::new();
    let mut seen = 0;
    let mut escape = false;
    for character in line.chars() {
        if escape {
            escape = character != 'm';
        } else if character == '\x1b' {
            escape = true;
        } else {
            seen += 1;
            if seen > wide {
                continue;
            }
        }
        out.push(character);
    }
    out
}

/// Columns of the terminal.
fn width() -> usize {
    std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).or_else(terminal_width).unwrap_or(100)
}

fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_from_its_lowest_to_its_highest_block() {
        assert_eq!(sparkline(&[0.0, 1.0]), "▁█");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[2.0, 2.0]).chars().count(), 2);
    }

    #[test]
    fn a_clipped_line_keeps_its_escape_sequences() {
        assert_eq!(clip("\x1b[1mabc\x1b[0m", 2), "\x1b[1mab\x1b[0m");
    }
}
