//! Lines of the file named by `RETRIAL_REPORT`.

use super::json;
use engine::event::v1::ReportPoint;
use serde_json::Value;

/// Reads one line. `next` is its step if it does not say one.
///
/// One metric: `{"value": 0.9}`, or under the metric's own name. Several: `{"metrics": {"auc": 0.9, "loss": 0.1}}`,
/// or the names at the top. With `step`, a whole number, and `final`, true for the trial's result.
pub(super) fn point(line: &[u8], names: &[String], next: u64) -> Result<ReportPoint, String> {
    let value = json::parse(line)?;
    if !value.is_object() {
        return Err("it is no JSON object".to_owned());
    }
    let step = match value.get("step") {
        None | Some(Value::Null) => next,
        Some(step) => whole(step).ok_or_else(|| format!("its step {step} is no whole number from 0"))?,
    };
    let last = value.get("final").is_some_and(|last| last == &Value::Bool(true));
    let inner = value.get("metrics").filter(|inner| inner.is_object());
    let mut values = Vec::with_capacity(names.len());
    for name in names {
        let found = inner
            .and_then(|inner| json::look_up(inner, name))
            .or_else(|| if names.len() == 1 { value.get("value") } else { None })
            .or_else(|| json::look_up(&value, name));
        let found = found.or_else(|| only(inner, names));
        let found = found.ok_or_else(|| format!("it has no value for `{name}`"))?;
        values.push(json::number(found).ok_or_else(|| format!("its `{name}` is no number: {found}"))?);
    }
    Ok(finite(step, values, last))
}

/// The one value of an object, if one metric is asked for and one is there.
fn only<'a>(inner: Option<&'a Value>, names: &[String]) -> Option<&'a Value> {
    let map = inner?.as_object()?;
    if names.len() == 1 && map.len() == 1 { map.values().next() } else { None }
}

fn whole(step: &Value) -> Option<u64> {
    let float = || step.as_f64().filter(|step| step.fract() == 0.0 && (0.0..9.0e15).contains(step));
    step.as_u64().or_else(|| float().map(|step| step as u64))
}

/// A point; one with a value that is not finite has none.
pub(super) fn finite(step: u64, values: Vec<f64>, last: bool) -> ReportPoint {
    let values = if values.iter().all(|value| value.is_finite()) { values } else { Vec::new() };
    ReportPoint { step, values, last }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_form_of_a_line_is_understood() {
        let one = names(&["accuracy"]);
        for (line, wanted) in [
            (r#"{"step":3,"value":0.91}"#, (3, vec![0.91], false)),
            (r#"{"value":0.91}"#, (8, vec![0.91], false)),
            (r#"{"step":3.0,"accuracy":"0.5","other":1}"#, (3, vec![0.5], false)),
            (r#"{"metrics":{"accuracy":1},"final":true}"#, (8, vec![1.0], true)),
            (r#"{"metrics":{"acc":1}}"#, (8, vec![1.0], false)),
            (r#"{"step":0,"value":NaN}"#, (0, vec![], false)),
            (r#"{"value":null}"#, (8, vec![], false)),
            (r#"{"value":"-inf"}"#, (8, vec![], false)),
        ] {
            let (step, values, last) = wanted;
            assert_eq!(point(line.as_bytes(), &one, 8), Ok(ReportPoint { step, values, last }), "{line}");
        }
        let two = names(&["auc", "val.loss"]);
        for line in [
            r#"{"step":3,"metrics":{"auc":0.9,"val.loss":0.1}}"#,
            r#"{"step":3,"auc":0.9,"val":{"loss":0.1}}"#,
        ] {
            assert_eq!(point(line.as_bytes(), &two, 8).unwrap().values, [0.9, 0.1]);
        }
    }

    #[test]
    fn a_bad_line_is_named_and_never_a_point() {
        let two = names(&["auc", "loss"]);
        for line in ["", "0.5", "[1]", "{", r#"{"value":1}"#, r#"{"auc":1}"#, r#"{"auc":1,"loss":[]}"#] {
            assert!(point(line.as_bytes(), &two, 8).is_err(), "{line}");
        }
        let one = names(&["auc"]);
        for line in [r#"{"step":-1,"value":1}"#, r#"{"step":1.5,"value":1}"#, r#"{"loss":1}"#] {
            assert!(point(line.as_bytes(), &one, 8).is_err(), "{line}");
        }
    }
}
