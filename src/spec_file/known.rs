//! `known: FILE`: results from elsewhere, read from what `retrial export` writes or from any table of that shape.

use super::codes;
use engine::error::SpecError;
use engine::limits::MAX_KNOWN;
use engine::space::{Domain, SearchSpace};
use engine::spec::codes::{BAD_TEXT, EMPTY, NO_EFFECT};
use engine::spec::{Objective, Parts, Surroundings};
use engine::value::{Point, Value};
use serde_json::{Value as Json, json};
use std::path::Path;

/// Bytes of a file with results.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// Bytes of the results in the recorded specification, which has room for little more.
const MAX_RECORDED_BYTES: usize = 40_000;
/// How far a number in a table may be from the value that it stands for, in parts of its size.
const ROUNDING: f64 = 1e-9;

/// Results, and how many rows are of no use.
#[derive(Debug, Default, PartialEq)]
struct Table {
    results: Vec<(Point, f64)>,
    outside: usize,
}

/// What there is to say of a file with results.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) errors: Vec<SpecError>,
    pub(super) warnings: Vec<SpecError>,
}

/// Puts the results of the file that `known` names in its place.
pub(super) fn add_known(dir: &str, document: &mut Json) -> Said {
    let mut said = Said::default();
    let Some(slot) = document.get_mut("known") else { return said };
    let Some(file) = slot.as_str().map(str::to_owned) else { return said };
    // Whatever happens, the name of a file is no mistake of its own.
    *slot = json!([]);
    let parts = Parts::of(document, Surroundings { spec_dir: dir, pattern: None });
    // Mistakes of these two are told by those who read them.
    let (Some(space), Some(objective)) = (parts.space, parts.objective) else { return said };
    match read(&Path::new(dir).join(&file), &space, &objective) {
        Ok(table) => {
            let (found, outside) = (table.results.len(), table.outside);
            let kept = kept(table.results, &space, &objective);
            let mut warn = |message: String| {
                said.warnings.push(SpecError::new(NO_EFFECT, "known", message, ""));
            };
            if outside > 0 {
                let what = if outside == 1 { "1 result".to_owned() } else { format!("{outside} results") };
                warn(format!("{what} of `{file}` left out: not in the search space"));
            }
            if kept.len() < found {
                let kept = kept.len();
                warn(format!(
                    "{kept} of the {found} results of `{file}` are used, the better half of them the best"
                ));
            }
            if let Some(slot) = document.get_mut("known") {
                *slot = Json::Array(kept);
            }
        }
        Err((code, message)) => {
            let cure = "write one with `retrial export EXP -o FILE.csv`, or a table with the columns of the parameters and `value`";
            said.errors.push(SpecError::new(code, "known", format!("`{file}`: {message}"), cure));
        }
    }
    said
}

/// At most [`MAX_KNOWN`] results that fit into the record: half of them the best, the others spread over the rest.
fn kept(mut results: Vec<(Point, f64)>, space: &SearchSpace, objective: &Objective) -> Vec<Json> {
    results.sort_by(|a, b| objective.goal.loss(a.1).total_cmp(&objective.goal.loss(b.1)));
    let mut most = MAX_KNOWN;
    loop {
        let best = results.len().min(most.div_ceil(2));
        let rest = results.get(best..).unwrap_or_default();
        let spread = rest.len().min(most - best);
        let others = (0..spread).filter_map(|i| rest.get(i * rest.len() / spread.max(1)));
        let kept: Vec<Json> = results
            .iter()
            .take(best)
            .chain(others)
            .map(|(point, value)| json!({"params": space.to_json(point), "value": value}))
            .collect();
        let bytes: usize = kept.iter().map(|item| item.to_string().len() + 1).sum();
        if bytes <= MAX_RECORDED_BYTES || most <= 2 {
            return kept;
        }
        most /= 2;
    }
}

type Refused = (engine::error::Code, String);

fn read(path: &Path, space: &SearchSpace, objective: &Objective) -> Result<Table, Refused> {
    let unreadable = |error: std::io::Error| (codes::UNREADABLE, format!("failed to read the file: {error}"));
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err((codes::TOO_BIG, format!("the file has {bytes} bytes; the limit is {MAX_FILE_BYTES}")));
    }
    let text = std::fs::read(path).map_err(unreadable)?;
    let is_json = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json"));
    let table = if is_json { from_json(&text, space)? } else { from_csv(&text, space, objective)? };
    if table.results.is_empty() {
        return Err((EMPTY, "the file has no result in this search space".to_owned()));
    }
    Ok(table)
}

/// A list of `{"params", "value"}`, or an object that has it as `trials`; those without a value are passed over.
fn from_json(text: &[u8], space: &SearchSpace) -> Result<Table, Refused> {
    let wrong = |message: String| (BAD_TEXT, message);
    let json: Json = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
    let list = json.get("trials").unwrap_or(&json);
    let list = list.as_array().ok_or_else(|| wrong("the file holds no list of trials".to_owned()))?;
    let mut table = Table::default();
    for item in list {
        let Some(value) = item.get("value").and_then(Json::as_f64) else { continue };
        match space.from_json(item.get("params").unwrap_or(&Json::Null), "params") {
            Ok(point) => table.results.push((point, value)),
            Err(_) => table.outside += 1,
        }
    }
    Ok(table)
}

fn from_csv(text: &[u8], space: &SearchSpace, objective: &Objective) -> Result<Table, Refused> {
    let wrong = |error: csv::Error| (BAD_TEXT, error.to_string());
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
    let head = reader.headers().map_err(wrong)?.clone();
    let column = |name: &str| {
        let full = format!("param.{name}");
        head.iter().position(|cell| cell == full).or_else(|| head.iter().position(|cell| cell == name))
    };
    let metric = objective.metrics.first().map(|metric| metric.name.as_str()).unwrap_or_default();
    let of_value = head.iter().position(|cell| cell == "value").or_else(|| column(metric));
    let Some(of_value) = of_value else {
        return Err((BAD_TEXT, "the table has no column `value`".to_owned()));
    };
    let columns: Vec<Option<usize>> = space.leaves().iter().map(|leaf| column(&leaf.name)).collect();
    let always = |leaf: &engine::space::Leaf| leaf.parent.is_none();
    let missing = space.leaves().iter().zip(&columns).find(|(leaf, at)| at.is_none() && always(leaf));
    if let Some((leaf, _)) = missing {
        return Err((BAD_TEXT, format!("the table has no column `{}`", leaf.name)));
    }
    let mut table = Table::default();
    for row in reader.records() {
        let row = row.map_err(wrong)?;
        let Some(value) =
            row.get(of_value).and_then(|cell| cell.parse().ok()).filter(|x: &f64| x.is_finite())
        else {
            continue;
        };
        let mut whole = true;
        let point = space.build(|index, leaf| {
            let cell = columns.get(usize::from(index)).copied().flatten().and_then(|at| row.get(at));
            let value = cell.and_then(|cell| value_of(&leaf.domain, cell));
            whole &= value.is_some();
            value.unwrap_or_else(|| leaf.domain.from_unit(0.5))
        });
        if whole && space.check(&point).is_ok() {
            table.results.push((point, value));
        } else {
            table.outside += 1;
        }
    }
    Ok(table)
}

/// The value of a domain that a text stands for.
fn value_of(domain: &Domain, cell: &str) -> Option<Value> {
    if let Some(options) = domain.options() {
        let is_it = |label: &engine::space::Label| label.text() == cell;
        return options.iter().position(is_it).and_then(|at| domain.nth(at as u64));
    }
    let number: f64 = cell.parse().ok()?;
    let nearest = domain.nearest(number);
    let gap = (domain.number(nearest)? - number).abs();
    (gap <= ROUNDING * number.abs().max(1.0)).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::value::Goal;

    fn space() -> SearchSpace {
        let space = json!({
            "lr": {"loguniform": [0.001, 1]},
            "kind": {"choice": ["a", true, 3]},
            "net": [{"_name": "deep", "n": {"randint": [1, 9]}}, "flat"],
        });
        SearchSpace::parse(&space, None, "space").unwrap()
    }

    fn objective() -> Objective {
        let (spec, _) = engine::spec::Spec::parse(
            &json!({"space": {"x": [1, 2]}, "objective": {"metric": "score", "goal": "maximize"}, "budget": {"trials": 1}}),
            "",
        )
        .unwrap();
        assert_eq!(spec.objective.goal, Goal::Maximize);
        spec.objective
    }

    #[test]
    fn a_table_is_read_by_its_columns() {
        let text = "trial,kind,param.lr,score,net.n,net\n0,a,0.1,0.5,3,deep\n1,true,0.01,0.7,,flat\n2,3,0.5,,1,deep\n\
                    3,b,0.1,0.9,1,deep\n4,a,7,0.9,1,deep\n5,a,0.1,0.9,,deep\n";
        let table = from_csv(text.as_bytes(), &space(), &objective()).unwrap();
        let found: Vec<Json> =
            table.results.iter().map(|(point, _)| Json::Object(space().to_json(point))).collect();
        assert_eq!(
            found,
            [
                json!({"lr": 0.1, "kind": "a", "net": {"_name": "deep", "n": 3}}),
                json!({"lr": 0.01, "kind": true, "net": "flat"}),
            ]
        );
        assert_eq!(table.outside, 3, "an option, a number and a missing parameter");
        let refused = from_csv(b"kind,value\na,1\n", &space(), &objective()).unwrap_err();
        assert_eq!(refused.1, "the table has no column `lr`");
    }

    #[test]
    fn of_many_results_the_best_and_a_spread_of_the_others_are_kept() {
        let space = SearchSpace::parse(&json!({"x": {"uniform": [0, 1]}}), None, "space").unwrap();
        let results = (0..5_000).map(|i| {
            let x = f64::from(i) / 5_000.0;
            (space.point_from_unit(&[x]), x)
        });
        let kept = kept(results.collect(), &space, &objective());
        assert_eq!(kept.len(), MAX_KNOWN);
        let values: Vec<f64> = kept.iter().map(|item| item["value"].as_f64().unwrap()).collect();
        assert!(values[..128].iter().all(|value| *value > 0.97) && values[255] < 0.05);
    }
}
