//! Reads where the metrics of the objective come from.

use super::codes;
use super::pattern;
use super::reader::{Place, Reader, did_you_mean, join, shorten};
use super::{FinalMode, Metric, MetricSource, Objective, PatternCheck, UNNAMED_METRIC};

const FINAL_MODES: [(&str, FinalMode); 4] = [
    ("final", FinalMode::Final),
    ("best", FinalMode::Best),
    ("avg", FinalMode::Average),
    ("average", FinalMode::Average),
];

/// What the metric is checked against.
pub(super) struct Beside<'a> {
    /// The objective, if it could be read.
    pub(super) objective: Option<&'a Objective>,
    /// The number of tasks of a trial, if that is known.
    pub(super) tasks: Option<usize>,
    /// Compiles a pattern.
    pub(super) pattern: Option<PatternCheck<'a>>,
}

impl Beside<'_> {
    fn is_multi(&self) -> bool {
        self.objective.is_some_and(|objective| objective.outcomes.is_multi())
    }

    /// How reports become a value where nothing is said of it.
    fn default_mode(&self) -> FinalMode {
        if self.is_multi() { FinalMode::Final } else { FinalMode::default() }
    }

    fn is_unnamed(&self) -> bool {
        self.objective.is_some_and(|all| all.metrics.iter().all(|metric| metric.name == UNNAMED_METRIC))
    }
}

/// The key of a map that has one.
fn only_name(place: &Place<'_>) -> Option<String> {
    let mut names = place.value.as_object()?.keys();
    names.next().filter(|_| names.len() == 0).cloned()
}

/// Reads where metrics come from; `None` if it has mistakes. `name` becomes the metric's name if the objective gives
/// none and the source does.
pub(super) fn read_metric(
    reader: &mut Reader,
    place: Option<Place<'_>>,
    around: &Beside<'_>,
    name: &mut Option<String>,
) -> Option<Metric> {
    let Some(place) = place else {
        return Some(Metric { source: MetricSource::Report, final_mode: around.default_mode() });
    };
    if place.value.as_str() == Some("report") {
        return Some(Metric { source: MetricSource::Report, final_mode: around.default_mode() });
    }
    let cure = "write, for example, metric: {stdout: 'accuracy=([0-9.]+)', final: best}";
    let mut fields = reader.fields(&place, "a map", cure)?;
    let mode = fields.get("final");
    let final_mode =
        mode.as_ref().map_or(Some(around.default_mode()), |mode| reader.word(mode, &FINAL_MODES));
    if let (Some(FinalMode::Best), Some(mode), true) = (final_mode, &mode, around.is_multi()) {
        let message = "no report is the best one where there are several objectives";
        reader.fail(codes::CONFLICT, &mode.path, message, "write final: final or final: avg");
    }
    let mut sources: Vec<(&str, Place<'_>)> = ["stdout", "json", "summary", "report", "table"]
        .into_iter()
        .filter_map(|name| fields.get(name).map(|value| (name, value)))
        .collect();
    if sources.len() > 1 {
        // Reports are read beside every source.
        sources.retain(|(name, value)| *name != "report" || value.value != &serde_json::Value::Bool(true));
    }
    if let Some((name, second)) = sources.get(1) {
        let message = format!("the metric has a second source `{name}`");
        reader.fail_key(codes::CONFLICT, &second.path, message, "keep one source");
    }
    if let (true, [(_, source), ..]) = (around.is_unnamed(), sources.as_slice()) {
        let named = [Some(source), fields.peek("keys").as_ref()].into_iter().flatten().find_map(only_name);
        *name = named.filter(|name| !name.trim().is_empty());
    }
    let key = fields.get("key");
    let keys = fields.get("keys");
    let task = fields.get("task");
    let file = fields.get("file");
    fields.finish(reader);
    let before = reader.errors.len();
    let source = match sources.first() {
        None => Some(MetricSource::Report),
        Some(("stdout", value)) => {
            let patterns = read_patterns(reader, value, around);
            let task = read_task(reader, task.as_ref(), around.tasks);
            let file = file.as_ref().and_then(|file| reader.some_text(file));
            patterns.map(|patterns| MetricSource::Stdout { patterns, task, file })
        }
        Some(("json", value)) => {
            let file = reader.some_text(value);
            let keys = read_keys(reader, value, key.as_ref(), keys.as_ref(), around);
            file.zip(keys).map(|(file, keys)| MetricSource::Json { file, keys })
        }
        Some(("summary", value)) => {
            let dir = reader.some_text(value);
            let tags = read_keys(reader, value, key.as_ref(), keys.as_ref(), around);
            dir.zip(tags).map(|(dir, tags)| MetricSource::Summary { dir, tags })
        }
        Some(("table", value)) => read_table(reader, value, key.as_ref(), keys.as_ref(), around),
        Some((_, value)) => match reader.flag(value) {
            Some(false) => {
                reader.fail(
                    codes::CONFLICT,
                    &value.path,
                    "reports are always read",
                    "write true, or leave it out",
                );
                None
            }
            _ => Some(MetricSource::Report),
        },
    };
    let used: &[&str] = match sources.first().map(|(name, _)| *name) {
        Some("stdout") => &["task", "file"],
        Some("json" | "summary" | "table") => &["key", "keys"],
        _ => &[],
    };
    let options = [("key", key), ("keys", keys), ("task", task), ("file", file)];
    for (name, value) in options.iter().filter(|(name, _)| !used.contains(name)) {
        if let Some(value) = value {
            let message = format!("`{name}` has no meaning for this source of metrics");
            reader.fail_key(codes::CONFLICT, &value.path, message, "leave it out");
        }
    }
    if reader.errors.len() > before {
        None
    } else {
        Some(Metric { source: source?, final_mode: final_mode? })
    }
}

fn read_table(
    reader: &mut Reader,
    place: &Place<'_>,
    key: Option<&Place<'_>>,
    keys: Option<&Place<'_>>,
    around: &Beside<'_>,
) -> Option<MetricSource> {
    let before = reader.errors.len();
    let items = place.items();
    if items.is_empty() {
        reader.fail(codes::EMPTY, &place.path, "there is no question", "write a SELECT that gives one row");
    }
    let queries: Vec<String> = items.iter().filter_map(|item| reader.some_text(item)).collect();
    let columns = read_keys(reader, place, key, keys, around)?;
    (reader.errors.len() == before).then_some(MetricSource::Table { queries, columns })
}

fn read_task(reader: &mut Reader, place: Option<&Place<'_>>, tasks: Option<usize>) -> Option<u16> {
    let place = place?;
    let task = reader.whole(place, 1, u16::MAX.into())?;
    if let Some(tasks) = tasks.filter(|tasks| task > *tasks as u64) {
        let message = format!("a trial has no task {task}");
        let cure =
            if tasks == 1 { "it has one".to_owned() } else { format!("it has {tasks}, counted from 1") };
        reader.fail(codes::NO_SUCH_TASK, &place.path, message, cure);
    }
    u16::try_from(task - 1).ok()
}

fn read_patterns(reader: &mut Reader, place: &Place<'_>, around: &Beside<'_>) -> Option<Vec<String>> {
    let texts = ordered(reader, place, around, "pattern")?;
    let before = reader.errors.len();
    for text in &texts {
        let Some(written) = text.value.as_str() else { continue };
        let groups = match around.pattern {
            None => pattern::value_groups(pattern::groups(written).iter().map(Option::as_deref)),
            Some(check) => match check(written) {
                Ok(groups) => groups,
                Err(reason) => {
                    let message = format!("the pattern is not a regular expression: {reason}");
                    reader.fail(codes::BAD_PATTERN, &text.path, message, "");
                    continue;
                }
            },
        };
        if groups != 1 {
            let found = if groups == 0 { "no group".to_owned() } else { format!("{groups} groups") };
            let message = format!("the pattern has {found}; it needs one around the number");
            let cure = if groups == 0 {
                "write, for example, 'accuracy=([0-9.]+)'"
            } else {
                "write (?:...) for the groups that do not hold the number, or name the one that does: (?P<value>...)"
            };
            reader.fail(codes::PATTERN_GROUPS, &text.path, message, cure);
        }
    }
    if reader.errors.len() > before {
        return None;
    }
    Some(texts.iter().filter_map(|text| text.value.as_str()).map(str::to_owned).collect())
}

fn read_keys(
    reader: &mut Reader,
    source: &Place<'_>,
    key: Option<&Place<'_>>,
    keys: Option<&Place<'_>>,
    around: &Beside<'_>,
) -> Option<Vec<String>> {
    let place = match (key, keys) {
        (Some(_), Some(keys)) => {
            reader.fail_key(
                codes::CONFLICT,
                &keys.path,
                "the metric has both `key` and `keys`",
                "keep one of them",
            );
            return None;
        }
        (Some(place), None) | (None, Some(place)) => place,
        // Named metrics are looked for under their names.
        (None, None) => {
            let metrics = &around.objective?.metrics;
            if metrics.iter().any(|metric| metric.name == UNNAMED_METRIC) {
                let message = "it is not said under which key the metric is found";
                reader.fail_key(codes::MISSING_KEY, &source.path, message, "add key: NAME");
                return None;
            }
            return Some(metrics.iter().map(|metric| metric.name.clone()).collect());
        }
    };
    let texts = ordered(reader, place, around, "key")?;
    Some(texts.iter().filter_map(|text| text.value.as_str()).map(str::to_owned).collect())
}

/// One text for each metric, in the order of the objective: written as a text, a list, or a map by metric.
fn ordered<'a>(
    reader: &mut Reader,
    place: &Place<'a>,
    around: &Beside<'_>,
    what: &str,
) -> Option<Vec<Place<'a>>> {
    let before = reader.errors.len();
    let metrics = around.objective.map(|objective| objective.metrics.as_slice());
    let texts = if let Some(map) = place.value.as_object() {
        let at = |name: &str| map.get(name).map(|value| Place::new(value, join(&place.path, name)));
        if around.is_unnamed() && map.len() == 1 {
            map.keys().filter_map(|name| at(name)).collect()
        } else if let Some(metrics) = metrics {
            let names: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
            for name in map.keys().filter(|name| !names.contains(&name.as_str())) {
                let message = format!("the objective has no metric `{}`", shorten(name));
                let cure = did_you_mean(name, names.iter().copied())
                    .unwrap_or_else(|| format!("its metrics are {}", names.join(", ")));
                reader.fail_key(codes::UNKNOWN_METRIC, &join(&place.path, name), message, cure);
            }
            for name in names.iter().filter(|name| !map.contains_key(**name)) {
                let message = format!("there is no {what} for the metric `{}`", shorten(name));
                reader.fail_key(codes::METRIC_COUNT, &place.path, message, "add one");
            }
            names.into_iter().filter_map(at).collect()
        } else {
            map.keys().filter_map(|name| at(name)).collect()
        }
    } else {
        let texts = place.items();
        if let Some(metrics) = metrics.filter(|metrics| metrics.len() != texts.len()) {
            let plural =
                |n: usize, word: &str| if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") };
            let message = format!("{} for {}", plural(texts.len(), what), plural(metrics.len(), "metric"));
            let cure = format!("give one {what} for each metric, in the order of the objective");
            reader.fail(codes::METRIC_COUNT, &place.path, message, cure);
        }
        texts
    };
    for text in &texts {
        reader.some_text(text);
    }
    if reader.errors.len() > before { None } else { Some(texts) }
}
