//! The lines of one incarnation of a pod, each once, made of windows in time. Pure: no clock, no network.
//!
//! Lines carry neither time nor number, and equal lines are common. So a window is not compared with the window before
//! it by its text: the *beginning* of the window stays where it is, and the same beginning gives the same lines
//! and then more. What is new is what a window holds more often than was given before, which is exact however often
//! a line repeats, wherever a late line turns up, and if an answer is not complete once.
//!
//! The beginning moves only when windows have grown long. Then two windows with one end, one from the old beginning and one
//! from the new, say by their difference how many lines lie before the new one. This holds whether the edges of a
//! window belong to it or not, which the service does not document, as long as one of them does.
//!
//! Nor does it document which lines it keeps of a window that has too many, so an answer that is full counts for
//! nothing: the window is halved, down to one second. Begin with [`Stream`].

use std::collections::BTreeMap;

/// How much is asked for, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Lines asked for.
    pub lines: usize,
    /// Lines asked for where that is not enough.
    pub raised: [usize; 2],
    /// By how much a line may be late, in seconds. One that is later, and older than where windows begin, is not seen.
    pub settled_s: i64,
    /// Lines in a window from which on its beginning is moved.
    pub long: usize,
}

impl Default for Bounds {
    /// The documented default of the service, which no cap can lie below; for more than that no promise is documented.
    fn default() -> Self {
        Self { lines: 2_000, raised: [5_000, 10_000], settled_s: 60, long: 500 }
    }
}

/// How often a move that does not come out is tried again.
const MOVES: u32 = 3;

/// What to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Seconds since 1970.
    pub from_s: i64,
    /// Seconds since 1970.
    pub to_s: i64,
    /// Most lines.
    pub most: usize,
}

/// What an answer has brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Lines that were not given before, in order.
    pub lines: Vec<String>,
    /// Whether lines are missing behind them, and cannot be had.
    pub gap: bool,
    /// Whether this was all there is now; otherwise ask again at once.
    pub complete: bool,
}

/// What is being done.
#[derive(Debug, Clone)]
enum Step {
    /// Lines are read from the beginning: up to now, or for so many seconds.
    Read { seconds: Option<i64> },
    /// The beginning is to move; the lines from it to this second are read.
    Close { to_s: i64 },
    /// Of those lines, which follow, the ones from the new beginning are read.
    Move { begin_s: i64, to_s: i64, lines: Vec<String> },
}

/// The lines of one incarnation of a pod.
#[derive(Debug)]
pub struct Stream {
    bounds: Bounds,
    begin_s: i64,
    /// How often each line from the beginning on was given.
    given: BTreeMap<String, u32>,
    step: Step,
    /// Which of [`RAISED`] is asked for, if one is.
    raised: usize,
    /// The last lines before a gap, of which some may be seen again behind it.
    before_gap: Vec<String>,
    failed_moves: u32,
}

impl Stream {
    /// Of a pod that has written nothing before this second.
    pub fn new(begin_s: i64, bounds: Bounds) -> Self {
        Self {
            bounds,
            begin_s,
            given: BTreeMap::new(),
            step: Step::Read { seconds: None },
            raised: 0,
            before_gap: Vec::new(),
            failed_moves: 0,
        }
    }

    /// What to ask for next.
    pub fn ask(&self, now_s: i64) -> Window {
        let now_s = now_s.max(self.begin_s + 1);
        let (from_s, to_s) = match &self.step {
            Step::Read { seconds: None } => (self.begin_s, now_s),
            Step::Read { seconds: Some(seconds) } => {
                let (to_s, settled_s) = (self.begin_s.saturating_add(*seconds), self.settled(now_s));
                let to_s = if to_s >= now_s {
                    now_s
                } else if settled_s > self.begin_s + 1 {
                    to_s.min(settled_s)
                } else {
                    to_s
                };
                (self.begin_s, to_s)
            }
            Step::Close { to_s } => (self.begin_s, *to_s),
            Step::Move { begin_s, to_s, .. } => (*begin_s, *to_s),
        };
        let raised = self.raised.checked_sub(1).and_then(|at| self.bounds.raised.get(at));
        Window { from_s, to_s, most: raised.copied().unwrap_or(self.bounds.lines) }
    }

    /// No line from before this second is still to come.
    fn settled(&self, now_s: i64) -> i64 {
        now_s - self.bounds.settled_s
    }

    /// Whether lines may be missing. A cap of the service below what was asked for would be a round number.
    fn is_full(&self, count: usize, most: usize) -> bool {
        count >= most
            || (count >= self.bounds.lines && (count.is_multiple_of(100) || count.is_multiple_of(1024)))
    }

    /// Takes the answer to what was asked for last. `now_s` is when that was.
    pub fn take(&mut self, asked: Window, lines: Vec<String>, now_s: i64) -> Taken {
        let now_s = now_s.max(self.begin_s + 1);
        let step = std::mem::replace(&mut self.step, Step::Read { seconds: None });
        if let Step::Move { begin_s, lines: before, .. } = step {
            self.moved(begin_s, &before, &lines, asked, now_s);
            return Taken::default();
        }
        if self.is_full(lines.len(), asked.most) {
            return self.full(asked, lines, now_s);
        }
        let taken = self.new_of(&lines);
        let width = asked.to_s - asked.from_s;
        match step {
            Step::Read { seconds: Some(_) } if asked.to_s < now_s => {
                self.step = Step::Move { begin_s: next(asked), to_s: asked.to_s, lines };
                Taken { lines: taken, ..Taken::default() }
            }
            Step::Close { .. } if width > 1 => {
                self.step = Step::Move { begin_s: next(asked), to_s: asked.to_s, lines };
                Taken { lines: taken, ..Taken::default() }
            }
            _ => {
                let settled = self.settled(now_s);
                if lines.len() >= self.bounds.long && settled > self.begin_s + 2 && self.failed_moves < MOVES
                {
                    self.step = Step::Close { to_s: settled };
                } else {
                    self.raised = 0;
                    self.failed_moves = 0;
                }
                Taken { lines: taken, gap: false, complete: true }
            }
        }
    }

    /// What these lines, all from the beginning to some second, hold more often than was given.
    fn new_of(&mut self, lines: &[String]) -> Vec<String> {
        let before = std::mem::take(&mut self.before_gap);
        if !before.is_empty() {
            let most = before.len().min(lines.len());
            let again =
                (0..=most).rev().find(|count| before.ends_with(lines.get(..*count).unwrap_or_default()));
            self.given = counts(lines.get(..again.unwrap_or(0)).unwrap_or_default());
        }
        let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
        let mut new = Vec::new();
        for line in lines {
            let count = seen.entry(line).or_insert(0);
            *count += 1;
            if *count > self.given.get(line).copied().unwrap_or(0) {
                new.push(line.clone());
            }
        }
        for line in &new {
            *self.given.entry(line.clone()).or_insert(0) += 1;
        }
        new
    }

    /// Reads on from a new beginning. Where lines may still be late, only a longer window that was full proves that
    /// those of a shorter one are all there, so the longest comes first.
    fn onward(&self, seconds: i64, now_s: i64) -> Step {
        Step::Read { seconds: (self.begin_s + 1 < self.settled(now_s)).then_some(seconds) }
    }

    /// The answer does not hold all lines of its window.
    fn full(&mut self, asked: Window, lines: Vec<String>, now_s: i64) -> Taken {
        let width = asked.to_s - asked.from_s;
        let can_raise = self.raised < self.bounds.raised.len() && lines.len() >= asked.most;
        // Where lines may still be late, longer answers are better than an early move of the beginning.
        let is_young = asked.from_s + 2 > self.settled(now_s);
        if can_raise && (is_young || width <= 1) {
            self.raised += 1;
            self.step = Step::Read { seconds: (asked.to_s < now_s).then_some(width) };
            return Taken::default();
        }
        if width > 1 {
            self.step = Step::Read { seconds: Some(width / 2) };
            return Taken::default();
        }
        // Nothing narrower can be asked for.
        let new = self.new_of(&lines);
        self.begin_s = asked.to_s;
        self.given.clear();
        self.before_gap = lines;
        self.raised = 0;
        self.step = self.onward(1, now_s);
        Taken { lines: new, gap: true, complete: false }
    }

    /// The lines from the new beginning to an end, after those from the old one to the same end.
    fn moved(&mut self, begin_s: i64, before: &[String], lines: &[String], asked: Window, now_s: i64) {
        let width = asked.to_s - self.begin_s;
        if before.ends_with(lines) && !self.is_full(lines.len(), asked.most) {
            let passed = before.len() - lines.len();
            for (line, count) in counts(before.get(..passed).unwrap_or_default()) {
                let left = self.given.get(&line).copied().unwrap_or(0).saturating_sub(count);
                if left == 0 {
                    self.given.remove(&line);
                } else {
                    self.given.insert(line, left);
                }
            }
        } else if self.failed_moves < MOVES {
            // A line came in between: the same once more.
            self.failed_moves += 1;
            self.step = Step::Read { seconds: Some(width) };
            return;
        } else {
            // Windows contradict each other. What is in both was given, and the next window shows the rest.
            let there = counts(lines);
            self.given.retain(|line, count| {
                *count = (*count).min(there.get(line).copied().unwrap_or(0));
                *count > 0
            });
        }
        self.failed_moves = 0;
        self.begin_s = begin_s;
        self.raised = 0;
        self.step = self.onward(width.saturating_mul(2).max(1), now_s);
    }
}

/// Where the next window begins: the last second but one of this one, so that it has a second of lines in common.
fn next(asked: Window) -> i64 {
    if asked.to_s - asked.from_s > 1 { asked.to_s - 1 } else { asked.to_s }
}

fn counts(lines: &[String]) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line.clone()).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
