//! What a person sees of a running experiment: a picture that is drawn again and again on a terminal, a line for each
//! trial otherwise.

use super::args::Common;
use super::output;
use super::picture::{CURVE, Ended, MAX_SHOWN, Picture, Shown};
use crate::columns::{self, clip, printable};
use crate::runtime::shell::now;
use crate::views::figures;
use engine::state::{Experiment, ExperimentStatus, TrialStatus};
use engine::time::Timestamp;
use std::io::Write;

/// Cells of the bar at most.
const BAR: usize = 30;
/// Lines of a picture besides those of running trials.
const OTHER_LINES: usize = 6;
/// Columns of a terminal that does not say how many it has.
const USUAL_COLUMNS: usize = 80;

/// Shows pictures.
pub struct Live {
    terminal: bool,
    quiet: bool,
    colour: bool,
    name: String,
    id: String,
    /// What marks a trial that is better than those before.
    mark: &'static str,
    shown: Shown,
    /// Columns of each line of the picture that stands on the terminal.
    drawn: Vec<usize>,
    /// What was told of the closed window of a schedule.
    closed: Option<String>,
    /// What keeps a backend from its work.
    trouble: Option<String>,
}

impl Live {
    /// A view of an experiment. Where it is resumed, trials that ended before are not shown again.
    pub fn new(common: &Common, experiment: &Experiment, resumed: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|name| name == "dumb");
        let terminal = output::is_terminal() && !dumb && !common.json;
        let live = Self {
            terminal,
            quiet: common.json,
            colour: terminal && !output::no_colour(),
            name: experiment.spec.name.clone(),
            id: experiment.id.to_string(),
            mark: if experiment.spec.objective.outcomes.is_multi() { " front" } else { " best" },
            shown: Shown {
                ended: if resumed { experiment.ended_order.len() } else { 0 },
                best: experiment.best.map(|(_, value)| value).filter(|_| resumed),
            },
            drawn: Vec::new(),
            closed: None,
            trouble: None,
        };
        if !live.quiet {
            let begin = if resumed {
                format!("goes on at trial {}", experiment.ended_order.len())
            } else {
                let trials = experiment.spec.budget.trials;
                trials.map_or_else(
                    || "begins".to_owned(),
                    |trials| format!("begins: {}", figures::count(u64::from(trials), "trial")),
                )
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

    /// What keeps a backend from its work, as the next pictures show it.
    pub fn trouble(&mut self, trouble: Option<String>) {
        self.trouble = trouble;
    }

    /// Shows a picture.
    pub fn show(&mut self, picture: &Picture) {
        self.shown = Shown { ended: self.shown.ended + picture.news.len(), best: picture.best_so_far };
        if self.quiet {
            return;
        }
        let mut text = String::new();
        let wide = if self.terminal { size().0 } else { usize::MAX };
        for ended in &picture.news {
            text.push_str(&clip(&self.ended_line(ended), wide));
            text.push('\n');
            if ended.status == TrialStatus::Failed {
                for line in cause(&ended.reason) {
                    text.push_str(&clip(&format!("        {}", printable(line)), wide));
                    text.push('\n');
                }
            }
        }
        if self.terminal {
            let frame = if picture.over { Vec::new() } else { self.frame(picture, size()) };
            let up = self.erase();
            self.drawn = frame.iter().map(|line| columns::width(line)).collect();
            let frame: String = frame.iter().map(|line| format!("{line}\n")).collect();
            self.print(&format!("{up}{text}{frame}"));
        } else {
            // Otherwise nothing would be printed for hours.
            let closed = picture.paused.clone().filter(|_| picture.closed);
            if let Some(why) = closed.as_ref().filter(|_| closed != self.closed) {
                text.push_str(&format!("{why}\n"));
            }
            self.closed = closed;
            if !text.is_empty() {
                self.print(&text);
            }
        }
    }

    /// Takes the drawn picture away.
    pub fn clear(&mut self) {
        let erase = self.erase();
        self.drawn.clear();
        if !erase.is_empty() {
            self.print(&erase);
        }
    }

    fn erase(&self) -> String {
        let rows = rows(&self.drawn, size().0);
        if rows == 0 { String::new() } else { format!("\x1b[{rows}A\x1b[J") }
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
        let value = if ended.reached.is_empty() { String::new() } else { format!(" {}", ended.reached) };
        let best = match (ended.best, ended.broken.as_slice()) {
            (true, _) => self.paint("1;32", self.mark),
            (false, []) => String::new(),
            (false, broken) => self.paint("33", &format!(" breaks {}", broken.join(", "))),
        };
        format!(
            "trial {:>4} {status}{value}{best}  {}  ({})",
            ended.trial,
            ended.params,
            figures::duration(ended.ms)
        )
    }

    fn frame(&self, picture: &Picture, (wide, high): (usize, usize)) -> Vec<String> {
        let mut lines = Vec::new();
        let at = now();
        let total = picture.budget;
        let bar = total.filter(|total| *total > 0).map_or(String::new(), |total| {
            let cells = BAR.min(wide / 3);
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
            parts.push(format!("{} so far", figures::duration(at.since(started).0 / 1_000 * 1_000)));
        }
        if let Some(left) = self.time_left(picture, at) {
            parts.push(format!("about {} left", figures::duration(left)));
        }
        lines.push(format!("{bar}{}", parts.join(", ")));
        let room = high.saturating_sub(OTHER_LINES).max(1);
        for running in picture.running.iter().take(room) {
            let since = running.since.map_or_else(
                || "waiting".to_owned(),
                |since| figures::duration(at.since(since).0 / 100 * 100),
            );
            let last = running.values.last().map_or(String::new(), |value| figures::number(*value));
            let curve = sparkline(&running.values);
            let remark = match (&running.doubt, running.stopping) {
                (Some(doubt), _) => format!(" in doubt: {doubt}"),
                (None, true) => " stopping".to_owned(),
                (None, false) => String::new(),
            };
            let shown = if curve.is_empty() && wide < CURVE * 3 { 0 } else { CURVE.min(wide / 3) };
            lines.push(format!(
                "  {:>4} {since:>7} {curve:<shown$} {last:<9}{remark} {}",
                running.trial, running.params
            ));
        }
        let more = picture.more_running + picture.running.len().saturating_sub(room);
        if more > 0 {
            lines.push(format!("  and {more} more running"));
        }
        match (&picture.best, picture.front, &picture.unusable) {
            (Some(best), ..) => lines.push(format!(
                "best: trial {} {}  {}",
                best.trial,
                self.paint("1;32", &best.reached),
                best.params
            )),
            (None, _, Some(why)) => lines.push(self.paint("33", &printable(why))),
            (None, Some(front), None) => {
                lines.push(format!("front: {} so far", figures::count(front as u64, "trial")));
            }
            (None, None, None) if picture.succeeded == 0 => lines.push("best: none yet".to_owned()),
            (None, None, None) => {}
        }
        if let Some(paused) = &picture.paused {
            lines.push(self.paint("33", &format!("paused: {paused}")));
        } else if picture.status == ExperimentStatus::Terminating {
            lines.push(self.paint("33", "ending"));
        }
        if let Some(trouble) = &self.trouble {
            lines.push(self.paint("33", trouble));
        }
        lines.iter().map(|line| clip(line, wide)).collect()
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
/// The lines of a reason that say most: how it ended, and what was said last.
fn cause(reason: &str) -> impl Iterator<Item = &str> {
    let between = 1..reason.lines().count().saturating_sub(2);
    reason.lines().enumerate().filter(move |(at, _)| !between.contains(at)).map(|(_, line)| line)
}

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

/// How many rows lines of so many columns take on a terminal of this width, which may have been another when they were
/// drawn.
fn rows(lines: &[usize], wide: usize) -> usize {
    lines.iter().map(|columns| columns.div_ceil(wide.max(1)).max(1)).sum()
}

/// Columns and rows of the terminal, as it is now.
fn size() -> (usize, usize) {
    let asked = terminal_size::terminal_size().map(|(wide, high)| (usize::from(wide.0), usize::from(high.0)));
    let (wide, high) = asked.unwrap_or((0, 0));
    let told = || std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let wide = if wide > 0 { wide } else { told().filter(|wide| *wide > 0).unwrap_or(USUAL_COLUMNS) };
    (wide, if high > 0 { high } else { MAX_SHOWN + OTHER_LINES })
}

#[cfg(test)]
mod tests {
    use super::super::picture::{Best, Running};
    use super::*;

    #[test]
    fn a_curve_goes_from_its_lowest_to_its_highest_block() {
        assert_eq!(sparkline(&[0.0, 1.0]), "▁█");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[2.0, 2.0]).chars().count(), 2);
    }

    #[test]
    fn lines_that_a_narrower_terminal_has_wrapped_are_counted_by_their_rows() {
        assert_eq!(rows(&[], 80), 0);
        assert_eq!(rows(&[0, 80, 81], 80), 4);
        assert_eq!(rows(&[100, 20], 20), 6);
    }

    #[test]
    fn no_line_of_a_picture_is_wider_than_the_terminal() {
        let picture = Picture {
            over: false,
            status: ExperimentStatus::Running,
            paused: Some("漢字".repeat(40)),
            closed: false,
            ended: 3,
            suggested: 6,
            succeeded: 1,
            stopped: 1,
            failed: 1,
            budget: Some(10),
            concurrency: 2,
            best: Some(Best {
                trial: 1,
                reached: "漢字=0.5".to_owned(),
                params: "x=漢字漢字漢字漢字 y=1".to_owned(),
            }),
            front: None,
            unusable: None,
            running: (0..8)
                .map(|trial| Running {
                    trial,
                    params: "x=漢字漢字漢字漢字 y=1".to_owned(),
                    values: vec![f64::from(trial); CURVE],
                    since: None,
                    stopping: true,
                    doubt: None,
                })
                .collect(),
            more_running: 4,
            news: Vec::new(),
            best_so_far: None,
            started: Some(Timestamp(0)),
            deadline: None,
            mean_ms: Some(1e3),
        };
        let live = Live {
            terminal: true,
            quiet: false,
            colour: true,
            name: "lab".to_owned(),
            id: "id".to_owned(),
            mark: " best",
            shown: Shown { ended: 0, best: None },
            drawn: Vec::new(),
            closed: None,
            trouble: Some("漢字".repeat(40)),
        };
        for wide in [1, 20, 40, 80, 300] {
            for high in [4, 8, 24] {
                let lines = live.frame(&picture, (wide, high));
                assert!(lines.iter().all(|line| columns::width(line) <= wide), "{wide}: {lines:?}");
                assert!(lines.len() <= high.max(6), "{high}: {lines:?}");
            }
        }
    }
}
