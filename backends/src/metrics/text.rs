//! Metrics in lines of text, found by regular expressions.

use super::report::finite;
use crate::codes;
use engine::error::SpecError;
use engine::event::v1::ReportPoint;
use engine::spec::pattern::{STEP_GROUP, VALUE_GROUP, value_groups};
use regex::{Captures, Regex};

/// One expression per metric.
#[derive(Debug)]
pub(super) struct Patterns {
    metrics: Vec<Regex>,
    /// The newest value of each metric since the last report.
    fresh: Vec<Option<f64>>,
    /// The newest step that was said since the last report.
    said: Option<u64>,
    step: u64,
}

impl Patterns {
    /// Compiles the expressions. `path` is where they stand in the experiment file.
    pub(super) fn new(patterns: &[String], path: &str) -> Result<Self, Vec<SpecError>> {
        let mut errors = Vec::new();
        let mut compiled = Vec::new();
        for (at, pattern) in patterns.iter().enumerate() {
            let place = if patterns.len() == 1 { path.to_owned() } else { format!("{path}[{at}]") };
            match Regex::new(pattern) {
                Ok(regex) if has_value_group(&regex) => compiled.push(regex),
                Ok(_) => errors.push(SpecError::new(
                    codes::BAD_PATTERN,
                    place,
                    format!("`{pattern}` has no group for the value"),
                    "put the number in parentheses, as in `accuracy=([0-9.]+)`",
                )),
                Err(error) => errors.push(SpecError::new(
                    codes::BAD_PATTERN,
                    place,
                    format!("`{pattern}` is no regular expression: {}", last_line(&error.to_string())),
                    "see https://docs.rs/regex for the syntax; there is no look-around",
                )),
            }
        }
        let fresh = vec![None; compiled.len()];
        if errors.is_empty() {
            Ok(Self { metrics: compiled, fresh, said: None, step: 0 })
        } else {
            Err(errors)
        }
    }

    /// Looks at one line. A report comes whenever every metric has a value that was not reported yet.
    pub(super) fn line(&mut self, line: &[u8], points: &mut Vec<ReportPoint>) {
        let line = String::from_utf8_lossy(line);
        let mut hits: Vec<(usize, usize, f64, Option<u64>)> = Vec::new();
        for (metric, pattern) in self.metrics.iter().enumerate() {
            for captures in pattern.captures_iter(&line) {
                let start = captures.get(0).map_or(0, |whole| whole.start());
                let step = captures.name(STEP_GROUP).and_then(|step| step.as_str().trim().parse().ok());
                hits.push((start, metric, value(&captures), step));
            }
        }
        hits.sort_by_key(|(start, metric, ..)| (*start, *metric));
        for (_, metric, value, step) in hits {
            if let Some(slot) = self.fresh.get_mut(metric) {
                *slot = Some(value);
            }
            self.said = step.or(self.said);
            if self.fresh.iter().all(Option::is_some) {
                self.step = self.said.take().unwrap_or(self.step.saturating_add(1));
                let values = self.fresh.iter_mut().filter_map(Option::take).collect();
                points.push(finite(self.step, values, false));
            }
        }
    }
}

fn has_value_group(regex: &Regex) -> bool {
    value_groups(regex.capture_names().skip(1)) > 0
}

/// The group named `value`, or else the first one that took part and is not the step. What is no number is not
/// finite either.
fn value(captures: &Captures<'_>) -> f64 {
    let step = captures.name(STEP_GROUP).map(|step| step.range());
    let first = || captures.iter().skip(1).flatten().find(|group| Some(group.range()) != step);
    captures
        .name(VALUE_GROUP)
        .or_else(first)
        // A full stop or a comma belongs to the sentence: `([0-9.]+)` takes it along.
        .and_then(|text| text.as_str().trim().trim_end_matches(['.', ',']).parse().ok())
        .unwrap_or(f64::NAN)
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(patterns: &[&str], lines: &[&str]) -> Vec<(u64, Vec<f64>)> {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let mut reader = Patterns::new(&patterns, "metric.stdout").unwrap();
        let mut points = Vec::new();
        for line in lines {
            reader.line(line.as_bytes(), &mut points);
        }
        points.into_iter().map(|point| (point.step, point.values)).collect()
    }

    #[test]
    fn every_match_of_one_expression_is_a_report() {
        let found = points(&["acc=([0-9.]+|nan)"], &["acc=0.5 acc=0.6.", "loss=1", "acc=nan", "acc=1..2"]);
        assert_eq!(found, [(1, vec![0.5]), (2, vec![0.6]), (3, vec![]), (4, vec![])]);
        let named = points(&[r"epoch (?P<step>\d+).*acc=(\S+)"], &["epoch 7: acc=1e-3", "epoch x acc=1"]);
        assert_eq!(named, [(7, vec![0.001])]);
        let most = u64::MAX.to_string();
        let lines = ["epoch 7: acc=1", "acc=2", &format!("epoch {most}: acc=3"), "acc=4"];
        let found = points(&[r"(?:epoch (?P<step>\d+): )?acc=(\S+)"], &lines);
        let steps: Vec<u64> = found.iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, [7, 8, u64::MAX, u64::MAX], "counted on from the last step that was said");
        assert_eq!(points(&["a=(?P<value>.)|b=(.)"], &["b=3", "a=4"]), [(1, vec![3.0]), (2, vec![4.0])]);
    }

    #[test]
    fn several_expressions_report_when_each_has_a_new_value() {
        let patterns = ["auc=([0-9.]+)", "loss=([0-9.]+)"];
        let lines = ["loss=3", "loss=2", "auc=0.5 loss=1", "auc=0.6", "nothing"];
        assert_eq!(points(&patterns, &lines), [(1, vec![0.5, 2.0]), (2, vec![0.6, 1.0])]);
    }

    #[test]
    fn expressions_that_cannot_work_are_named() {
        let patterns = ["acc=[0-9]+".to_owned(), "(".to_owned(), "(?P<step>x)".to_owned()];
        let errors = Patterns::new(&patterns, "metric.stdout").unwrap_err();
        let places: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(places, ["metric.stdout[0]", "metric.stdout[1]", "metric.stdout[2]"]);
    }
}
