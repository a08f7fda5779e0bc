//! A pod of a job, and what it has written.

use super::limits;
use super::script::{Logs, Written};
use crate::dice::mixed;
use std::cell::OnceCell;

/// A line of a pod's output.
#[derive(Debug, Clone)]
pub struct Line {
    /// When it was written, in milliseconds since 1970.
    pub at_ms: i64,
    /// Without its end.
    pub text: String,
}

/// One incarnation of a pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Its name within the service, which a restart keeps.
    pub id: String,
    /// Its identity, which a restart changes.
    pub uid: String,
    /// Its role in lower case, such as `worker`.
    pub role: String,
    /// The index of its role among the job's specs.
    pub spec: usize,
    /// Pending, Running, Succeeded or Failed.
    pub status: &'static str,
    /// `Normal` or `Evicted`.
    pub sub_status: String,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// Milliseconds since 1970.
    pub started_ms: Option<i64>,
    /// Milliseconds since 1970.
    pub finished_ms: Option<i64>,
    /// What it has written and will write, by time.
    pub lines: Vec<Line>,
    /// Earlier incarnations, the newest first.
    pub history: Vec<Pod>,
    salt: OnceCell<u64>,
}

impl Pod {
    /// A pod that waits for its start.
    pub fn new(id: String, uid: String, role: String, spec: usize, at_ms: i64) -> Self {
        Self {
            id,
            uid,
            role,
            spec,
            status: "Pending",
            sub_status: "Normal".to_owned(),
            created_ms: at_ms,
            started_ms: None,
            finished_ms: None,
            lines: Vec::new(),
            history: Vec::new(),
            salt: OnceCell::new(),
        }
    }

    /// Lets it run, and says what it will write.
    pub fn start(&mut self, at_ms: i64, job: &str, written: &[Written]) {
        self.status = "Running";
        self.started_ms = Some(at_ms);
        for entry in written {
            for number in 0..entry.times.min(limits::SCRIPTED_LINES) {
                let text = entry.text.replace("{n}", &number.to_string()).replace("{job}", job);
                let at_ms = at_ms + entry.after_ms + number as i64 * entry.every_ms;
                self.lines.push(Line { at_ms, text });
            }
        }
        self.lines.sort_by_key(|line| line.at_ms);
    }

    /// Ends it, if it has not ended; what it would have written later is not written.
    pub fn finish(&mut self, at_ms: i64, status: &'static str, sub_status: &str) {
        if self.finished_ms.is_some() {
            return;
        }
        self.status = status;
        if !sub_status.is_empty() {
            sub_status.clone_into(&mut self.sub_status);
        }
        self.finished_ms = Some(at_ms);
        let written = self.lines.partition_point(|line| line.at_ms <= at_ms);
        self.lines.truncate(written);
    }

    /// Takes a line that a process has written; beyond the bound the line is not kept.
    pub fn write(&mut self, at_ms: i64, text: String) {
        if self.lines.len() < limits::POD_LINES {
            self.lines.push(Line { at_ms, text });
        }
    }

    /// Puts a new incarnation in its place.
    pub fn renew(&mut self, uid: String, at_ms: i64) {
        let next = Self::new(self.id.clone(), uid, self.role.clone(), self.spec, at_ms);
        let mut old = std::mem::replace(self, next);
        self.history = std::mem::take(&mut old.history);
        self.history.insert(0, old);
    }

    /// It and its earlier incarnations, the newest first.
    pub fn incarnations(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.history)
    }

    /// The first lines of a window: both edges are in it, and time is cut to whole seconds.
    pub fn read(&self, from_ms: i64, to_ms: i64, most: usize, logs: &Logs, now_ms: i64) -> Vec<String> {
        let (from, to) = (from_ms.div_euclid(1000), to_ms.div_euclid(1000));
        let first = self.lines.partition_point(|line| line.at_ms.div_euclid(1000) < from);
        self.lines
            .iter()
            .enumerate()
            .skip(first)
            .take_while(|(_, line)| line.at_ms.div_euclid(1000) <= to)
            .filter(|(number, line)| line.at_ms + logs.lag_ms + self.late_ms(*number, logs) <= now_ms)
            .take(most)
            .map(|(_, line)| cut(&line.text, logs.line_bytes))
            .collect()
    }

    /// By how much a line is late beyond the usual.
    fn late_ms(&self, number: usize, logs: &Logs) -> i64 {
        if logs.jitter_ms <= 0 {
            return 0;
        }
        let salt =
            self.salt.get_or_init(|| self.uid.bytes().fold(0, |sum, byte| mixed(sum ^ u64::from(byte))));
        (mixed(salt ^ number as u64) % (logs.jitter_ms as u64 + 1)) as i64
    }
}

/// A line as it is served: cut at a bound, between characters.
fn cut(text: &str, bytes: Option<usize>) -> String {
    let Some(bytes) = bytes.filter(|bytes| *bytes < text.len()) else { return text.to_owned() };
    let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(lines: &[(i64, &str)]) -> Pod {
        let mut pod = Pod::new("p".to_owned(), "u".to_owned(), "worker".to_owned(), 0, 0);
        for (at_ms, text) in lines {
            pod.write(*at_ms, (*text).to_owned());
        }
        pod
    }

    #[test]
    fn a_window_gives_its_first_lines_and_both_its_edges() {
        let pod = pod(&[(900, "a"), (1000, "b"), (1999, "c"), (2999, "d"), (3000, "e")]);
        let logs = Logs::default();
        assert_eq!(pod.read(1000, 2000, 10, &logs, 9000), ["b", "c", "d"]);
        assert_eq!(pod.read(1500, 2000, 2, &logs, 9000), ["b", "c"]);
        assert_eq!(pod.read(0, 9000, 10, &Logs { lag_ms: 1000, ..logs }, 2900), ["a", "b"]);
    }

    #[test]
    fn jitter_lets_a_later_line_be_seen_first_and_cuts_no_character() {
        let pod = pod(&[(0, "aé"), (1, "b"), (2, "c"), (3, "d"), (4, "e"), (5, "f"), (6, "g"), (7, "h")]);
        let logs = Logs { jitter_ms: 1000, line_bytes: Some(2), ..Logs::default() };
        let all = pod.read(0, 0, 100, &logs, 5000);
        assert_eq!(all, ["a", "b", "c", "d", "e", "f", "g", "h"]);
        let some = (1..1000)
            .map(|now| pod.read(0, 0, 100, &logs, now))
            .find(|seen| !seen.is_empty() && !all.starts_with(seen));
        assert!(some.is_some(), "no line overtook another");
    }

    #[test]
    fn an_ended_pod_writes_no_more() {
        let mut pod = pod(&[]);
        pod.start(
            0,
            "dlc1",
            &[Written { text: "{job} {n}".to_owned(), times: 5, every_ms: 10, after_ms: 0 }],
        );
        pod.finish(20, "Succeeded", "");
        pod.finish(30, "Failed", "Evicted");
        assert_eq!(pod.read(0, 100, 10, &Logs::default(), 100), ["dlc1 0", "dlc1 1", "dlc1 2"]);
        assert_eq!((pod.status, pod.sub_status.as_str()), ("Succeeded", "Normal"));
    }
}
