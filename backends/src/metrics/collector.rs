//! The collector: everything that is known of how one attempt's reports are found.

use super::lines::Lines;
use super::summary::Summary;
use super::text::Patterns;
use super::{json, report};
use crate::codes;
use engine::error::SpecError;
use engine::event::v1::ReportPoint;
use engine::ports::backend::{Reports, Source};
use engine::spec::MetricSource;

/// Bad lines that are named in warnings; the others are only counted.
const NAMED_WARNINGS: usize = 5;
/// Characters of a bad line that are shown.
const SHOWN_CHARS: usize = 120;
/// Bytes of a JSON file of metrics.
const MAX_JSON_BYTES: usize = 16 << 20;

/// Finds the reports of one attempt in what its tasks write.
///
/// Feed it each source of [`Self::follows`] from position 0, in any pieces; the files of [`Self::directory`], in the
/// order of their names; and at the end [`Self::reads_at_end`]. Then call [`Self::finish`].
#[derive(Debug)]
pub struct Collector {
    names: Vec<String>,
    reports: Reports,
    /// Of the report file, or of standard output where that stands for it.
    report: Lines,
    reported: u64,
    place: Place,
    warnings: Vec<String>,
    bad_lines: usize,
    /// Why what was read at the end gives no result.
    failure: Option<String>,
}

/// Where metrics are besides the report file.
#[derive(Debug)]
enum Place {
    Nowhere,
    Text { source: Source, lines: Lines, patterns: Patterns },
    Json { file: String, keys: Vec<String>, content: Vec<u8> },
    Summary { dir: String, summary: Summary },
    Table { columns: Vec<String>, rows: Vec<(String, Vec<u8>)> },
}

impl Collector {
    /// A collector for an attempt. `source` is that of the specification with its placeholders replaced, `names` are
    /// the metrics of the objective in order, and `reports` is the backend's. Every mistake is given, with places
    /// below `metric`.
    pub fn new(source: &MetricSource, names: &[String], reports: Reports) -> Result<Self, Vec<SpecError>> {
        let place = match source {
            MetricSource::Report => Place::Nowhere,
            MetricSource::Stdout { patterns, file, .. } => {
                fits("metric.stdout", patterns, names)?;
                let source = file.clone().map_or(Source::Stdout, Source::File);
                let patterns = Patterns::new(patterns, "metric.stdout")?;
                Place::Text { source, lines: Lines::default(), patterns }
            }
            MetricSource::Json { file, keys } => {
                fits("metric.json", keys, names)?;
                Place::Json { file: file.clone(), keys: keys.clone(), content: Vec::new() }
            }
            MetricSource::Summary { dir, tags } => {
                fits("metric.summary", tags, names)?;
                Place::Summary { dir: dir.clone(), summary: Summary::new(tags) }
            }
            MetricSource::Table { queries, columns } => {
                fits("metric.table", columns, names)?;
                let rows = queries.iter().map(|query| (query.clone(), Vec::new())).collect();
                Place::Table { columns: columns.clone(), rows }
            }
        };
        Ok(Self {
            names: names.to_vec(),
            reports,
            report: Lines::default(),
            reported: 0,
            place,
            warnings: Vec::new(),
            bad_lines: 0,
            failure: None,
        })
    }

    /// What is read while a task runs, in this order. Standard output is that of the task which the specification
    /// names; the report file is one for all tasks of an attempt.
    pub fn follows(&self) -> Vec<Source> {
        let reports = match self.reports {
            Reports::File => Source::Report,
            Reports::Stdout => Source::Stdout,
        };
        match &self.place {
            Place::Text { source, .. } if *source != reports => vec![reports, source.clone()],
            _ => vec![reports],
        }
    }

    /// A directory whose event files (see [`super::is_event_file`]) are read while a task runs.
    pub fn directory(&self) -> Option<&str> {
        match &self.place {
            Place::Summary { dir, .. } => Some(dir),
            _ => None,
        }
    }

    /// What is read whole once the last task has ended.
    pub fn reads_at_end(&self) -> Vec<Source> {
        match &self.place {
            Place::Json { file, .. } => vec![Source::File(file.clone())],
            Place::Table { rows, .. } => rows.iter().map(|(query, _)| Source::Query(query.clone())).collect(),
            _ => Vec::new(),
        }
    }

    /// Takes the next bytes of a source and gives the reports that they complete.
    pub fn feed(&mut self, source: &Source, bytes: &[u8]) -> Vec<ReportPoint> {
        let mut points = Vec::new();
        if self.holds_reports(source) {
            let mut lines = std::mem::take(&mut self.report);
            lines.feed(bytes, |line| self.report_line(line, &mut points));
            self.report = lines;
            return points;
        }
        match (&mut self.place, source) {
            (Place::Text { source: wanted, lines, patterns }, source) if wanted == source => {
                lines.feed(bytes, |line| patterns.line(line, &mut points));
            }
            (Place::Json { file, content, .. }, Source::File(name)) if file == name => {
                take(content, bytes);
            }
            (Place::Table { rows, .. }, Source::Query(asked)) => {
                // The same question may be asked twice.
                rows.iter_mut().filter(|(query, _)| query == asked).for_each(|(_, row)| take(row, bytes));
            }
            (Place::Summary { summary, .. }, Source::File(path)) => {
                if let Err(warning) = summary.feed(path, bytes, &mut points) {
                    self.warnings.push(warning);
                }
            }
            _ => {}
        }
        points
    }

    /// Bytes of a source are no longer kept; the next ones that are fed come after a hole.
    pub fn gap(&mut self, source: &Source) {
        let reports = self.holds_reports(source);
        match (&mut self.place, source) {
            (_, _) if reports => self.report.forget(),
            (Place::Text { source: wanted, lines, .. }, source) if wanted == source => lines.forget(),
            (Place::Summary { summary, .. }, Source::File(path)) => summary.gap(path),
            _ => {}
        }
    }

    /// Ends the reading of a task: a last line without an end counts, and a JSON file is looked into. It may be
    /// called again after further tasks of the attempt have been read.
    pub fn finish(&mut self) -> Vec<ReportPoint> {
        let mut points = Vec::new();
        let mut lines = std::mem::take(&mut self.report);
        lines.finish(|line| self.report_line(line, &mut points));
        match &mut self.place {
            Place::Text { lines, patterns, .. } => lines.finish(|line| patterns.line(line, &mut points)),
            Place::Json { file, keys, content } if !content.is_empty() => {
                match final_point(content, keys, self.reported.saturating_add(1), true) {
                    Ok(point) => points.push(point),
                    Err(why) => self.failure = Some(format!("{file} gives no result: {why}")),
                }
                content.clear();
            }
            Place::Table { columns, rows } => {
                for (query, row) in rows.iter_mut().filter(|(_, row)| !row.is_empty()) {
                    self.reported = self.reported.saturating_add(1);
                    match final_point(row, columns, self.reported, false) {
                        Ok(point) if !point.values.is_empty() => points.push(point),
                        Ok(_) => {
                            let row = shown(&String::from_utf8_lossy(row));
                            let why = format!("a value is NULL or no finite number: {row}");
                            self.failure = Some(format!("`{}` gives no result: {why}", shown(query)));
                        }
                        Err(why) => self.failure = Some(format!("`{}` gives no result: {why}", shown(query))),
                    }
                    row.clear();
                }
            }
            _ => {}
        }
        points
    }

    /// Why what was read at the end gives no result; a trial that reports nothing else has failed for that reason.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// What was wrong with what was read, for people; bounded.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.clone();
        let more = self.bad_lines.saturating_sub(NAMED_WARNINGS);
        if more > 0 {
            warnings.push(format!("{more} more lines of the report file could not be used"));
        }
        warnings
    }

    fn holds_reports(&self, source: &Source) -> bool {
        match self.reports {
            Reports::File => *source == Source::Report,
            Reports::Stdout => *source == Source::Stdout,
        }
    }

    fn report_line(&mut self, line: &[u8], points: &mut Vec<ReportPoint>) {
        match report::point(line, &self.names, self.reported.saturating_add(1)) {
            Ok(point) => {
                self.reported = point.step;
                points.push(point);
            }
            // Among other lines, only one that can be used is a report.
            Err(_) if self.reports == Reports::Stdout => {
                if let Place::Text { source: Source::Stdout, patterns, .. } = &mut self.place {
                    patterns.line(line, points);
                }
            }
            Err(why) => {
                self.bad_lines += 1;
                if self.bad_lines <= NAMED_WARNINGS {
                    let shown = shown(&String::from_utf8_lossy(line));
                    self.warnings.push(format!("a line of the report file cannot be used: {why}: {shown}"));
                }
            }
        }
    }
}

fn take(content: &mut Vec<u8>, bytes: &[u8]) {
    let room = MAX_JSON_BYTES.saturating_sub(content.len());
    content.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

/// The result in a JSON file, or in a row of a table.
fn final_point(content: &[u8], keys: &[String], step: u64, last: bool) -> Result<ReportPoint, String> {
    let value = json::parse(content)?;
    let values = keys
        .iter()
        .map(|key| {
            // Services give the names of columns in lower case.
            let found = json::look_up(&value, key).or_else(|| json::look_up(&value, &key.to_lowercase()));
            let found = found.ok_or_else(|| format!("it has no `{key}`"))?;
            json::number(found).ok_or_else(|| format!("its `{key}` is no number: {found}"))
        })
        .collect::<Result<Vec<f64>, String>>()?;
    Ok(report::finite(step, values, last))
}

fn fits(path: &str, places: &[String], names: &[String]) -> Result<(), Vec<SpecError>> {
    if places.len() == names.len() && !places.is_empty() {
        return Ok(());
    }
    Err(vec![SpecError::new(
        codes::BAD_METRIC,
        path,
        format!("{} places are given for {} metrics", places.len(), names.len()),
        "give one for each metric of the objective, in the same order",
    )])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_report_file_is_read_whatever_else_is() {
        let source = MetricSource::Stdout { patterns: strings(&["acc=(.+)"]), task: None, file: None };
        let mut collector = Collector::new(&source, &strings(&["acc"]), Reports::File).unwrap();
        assert_eq!(collector.follows(), [Source::Report, Source::Stdout]);
        let text = b"{\"value\":1}\n{\"step\":9,\"value\":2}\nbad\n{\"value\":3,\"final\":true}";
        let mut points = Vec::new();
        for byte in text {
            points.extend(collector.feed(&Source::Report, &[*byte]));
        }
        points.extend(collector.feed(&Source::Stdout, b"acc=5\nacc=6"));
        points.extend(collector.feed(&Source::Stderr, b"acc=7\n"));
        points.extend(collector.finish());
        let seen: Vec<(u64, f64, bool)> = points.iter().map(|p| (p.step, p.values[0], p.last)).collect();
        assert_eq!(
            seen,
            [(1, 1.0, false), (9, 2.0, false), (1, 5.0, false), (10, 3.0, true), (2, 6.0, false)]
        );
        assert_eq!(collector.warnings().len(), 1);
        assert!(collector.finish().is_empty());
        let last = format!("{{\"step\":{},\"value\":1}}\n{{\"value\":2}}\n", u64::MAX);
        let steps = collector.feed(&Source::Report, last.as_bytes()).into_iter().map(|point| point.step);
        assert_eq!(steps.collect::<Vec<_>>(), [u64::MAX, u64::MAX]);
    }

    #[test]
    fn without_a_report_file_the_lines_of_standard_output_that_are_reports_count() {
        let names = strings(&["acc"]);
        let source = MetricSource::Stdout { patterns: strings(&["acc=(.+)"]), task: None, file: None };
        let mut collector = Collector::new(&source, &names, Reports::Stdout).unwrap();
        assert_eq!(collector.follows(), [Source::Stdout]);
        let text = b"hello\nacc=1\n{\"step\":7,\"value\":2}\n{\"loss\":3}\n{\"acc\":4}";
        let mut points: Vec<ReportPoint> =
            text.iter().flat_map(|byte| collector.feed(&Source::Stdout, &[*byte])).collect();
        points.extend(collector.feed(&Source::Report, b"{\"value\":5}\n"));
        points.extend(collector.finish());
        let seen: Vec<(u64, f64)> = points.iter().map(|point| (point.step, point.values[0])).collect();
        assert_eq!(seen, [(1, 1.0), (7, 2.0), (8, 4.0)]);
        assert!(collector.warnings().is_empty());
        let mut collector = Collector::new(&source, &names, Reports::Stdout).unwrap();
        collector.feed(&Source::Stdout, b"ac");
        collector.gap(&Source::Stdout);
        assert!(
            collector.feed(&Source::Stdout, b"c=1\n").is_empty(),
            "the line before the hole is not known"
        );
        let json = MetricSource::Json { file: "out.json".to_owned(), keys: names.clone() };
        assert_eq!(Collector::new(&json, &names, Reports::Stdout).unwrap().follows(), [Source::Stdout]);
    }

    #[test]
    fn a_json_file_gives_one_final_report() {
        let source = MetricSource::Json { file: "out.json".to_owned(), keys: strings(&["test.rmse", "n"]) };
        let names = strings(&["rmse", "n"]);
        let file = collector_file(&source, &names);
        let mut collector = Collector::new(&source, &names, Reports::File).unwrap();
        assert!(collector.feed(&file, b"{\"test\":{\"rmse\":54.1},").is_empty());
        collector.feed(&file, b"\"n\":3}\n");
        assert_eq!(collector.finish(), [ReportPoint { step: 1, values: vec![54.1, 3.0], last: true }]);
        let mut collector = Collector::new(&source, &names, Reports::File).unwrap();
        collector.feed(&file, b"{\"n\":3}");
        assert!(collector.finish().is_empty());
        assert!(collector.failure().unwrap().contains("`test.rmse`"));
    }

    #[test]
    fn each_row_of_a_table_is_one_report() {
        let queries = strings(&["select a", "select b", "select a"]);
        let source = MetricSource::Table { queries, columns: strings(&["vrc", "n"]) };
        let mut collector = Collector::new(&source, &strings(&["vrc", "n"]), Reports::File).unwrap();
        assert_eq!(collector.reads_at_end().len(), 3);
        let query = |text: &str| Source::Query(text.to_owned());
        collector.feed(&query("select b"), b"{\"vrc\":\"7.5\",\"n\":2}");
        collector.feed(&query("select a"), b"{\"vrc\":1,\"n\":null}");
        let seen: Vec<(u64, Vec<f64>, bool)> =
            collector.finish().into_iter().map(|point| (point.step, point.values, point.last)).collect();
        assert_eq!(seen, [(2, vec![7.5, 2.0], false)]);
        assert!(collector.failure().unwrap().contains("NULL"), "{:?}", collector.failure());
        assert!(collector.finish().is_empty());
    }

    fn collector_file(source: &MetricSource, names: &[String]) -> Source {
        Collector::new(source, names, Reports::File).unwrap().reads_at_end().remove(0)
    }

    #[test]
    fn after_a_hole_a_cut_line_is_not_taken_for_a_whole_one() {
        let source = MetricSource::Stdout { patterns: strings(&["acc=([0-9]+)"]), task: None, file: None };
        let mut collector = Collector::new(&source, &strings(&["acc"]), Reports::File).unwrap();
        assert!(collector.feed(&Source::Stdout, b"acc=1").is_empty());
        collector.gap(&Source::Stdout);
        assert!(collector.feed(&Source::Stdout, b"2 of a line\n").is_empty());
    }

    #[test]
    fn a_place_is_needed_for_every_metric() {
        let source = MetricSource::Summary { dir: "logs".to_owned(), tags: strings(&["a"]) };
        assert_eq!(
            Collector::new(&source, &strings(&["a", "b"]), Reports::File).unwrap_err()[0].code,
            codes::BAD_METRIC
        );
    }
}
