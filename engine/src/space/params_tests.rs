//! Points to JSON and back, texts for substitution, checks of recorded points.

use super::{SearchSpace, codes};
use crate::value::{Point, Value};
use serde_json::{Value as Json, json};

fn space() -> SearchSpace {
    let space = json!({
        "lr": {"uniform": [0, 1]},
        "step": {"quniform": [0, 1, 0.05]},
        "hidden": {"qloguniform": [8, 256, 8]},
        "n": {"randint": [0, 5]},
        "act": ["relu", "tanh", 3, true, null],
        "model": {"choice": ["plain", {"_name": "svm", "c": {"uniform": [0, 9]}},
            {"_name": "tree", "c": {"randint": [0, 9]}, "depth": [1, 2]}]},
        "fixed": 7,
    });
    SearchSpace::parse(&space, Some(&json!(["lr + n <= 4"])), "space")
        .unwrap_or_else(|errors| unreachable!("{errors:?}"))
}

fn svm() -> Json {
    json!({"lr": 0.25, "step": 0.15, "hidden": 64, "n": 2, "act": "tanh", "model": {"_name": "svm", "c": 1.0}, "fixed": 7})
}

fn with(changes: &Json) -> Json {
    let mut params = svm();
    if let (Some(params), Some(changes)) = (params.as_object_mut(), changes.as_object()) {
        for (name, value) in changes {
            params.insert(name.clone(), value.clone());
        }
    }
    params
}

type Change<'a> = dyn Fn(&mut Vec<(u16, Value)>) + 'a;

fn mistakes(params: &Json) -> Vec<(u16, String)> {
    space()
        .from_json(params, "params")
        .err()
        .unwrap_or_default()
        .into_iter()
        .map(|e| (e.code.0, e.path))
        .collect()
}

fn svm_point() -> Point {
    Point(vec![
        (0, Value::Float(0.25)),
        (1, Value::Float(0.15)),
        (2, Value::Int(64)),
        (3, Value::Int(2)),
        (4, Value::Option(1)),
        (5, Value::Option(1)),
        (6, Value::Float(1.0)),
        (9, Value::Option(0)),
    ])
}

#[test]
fn the_nested_form_reads_and_writes() {
    let space = space();
    let point = space.from_json(&svm(), "params");
    assert_eq!(point, Ok(svm_point()));
    assert_eq!(Json::Object(space.to_json(&svm_point())).to_string(), svm().to_string());
}

#[test]
fn other_ways_to_write_a_point_are_understood() {
    let space = space();
    let flat =
        json!({"lr": 0.25, "step": 0.15, "hidden": 64, "n": 2, "act": "tanh", "model": "svm", "model.c": 1});
    let placeholders = json!({"${lr}": "0.25", "${step}": "0.15", "${hidden}": "64", "${n}": " 2 ", "${act}": "tanh",
        "${model}": {"_name": "svm", "${c}": "1"}, "${fixed}": "7"});
    let rough =
        with(&json!({"step": 0.150_000_000_000_000_02, "hidden": 64.0, "model": "svm", "${model.c}": 1}));
    for params in [flat, placeholders, rough] {
        assert_eq!(space.from_json(&params, "params"), Ok(svm_point()), "{params}");
    }
    for (written, option) in
        [(json!("3"), 2), (json!(3.0), 2), (json!("true"), 3), (json!(null), 4), (json!("null"), 4)]
    {
        let point = space.from_json(&with(&json!({"act": written})), "params");
        assert_eq!(point.map(|p| p.get(4)), Ok(Some(Value::Option(option))), "{written}");
    }
    let plain = space.from_json(&with(&json!({"model": "plain"})), "params");
    assert_eq!(plain.map(|p| space.to_json(&p).get("model").cloned()), Ok(Some(json!("plain"))));
}

#[test]
fn an_ambiguous_text_is_refused() {
    let space = SearchSpace::parse(&json!({"a": ["1", 1], "b": [1, 1.5, true, "true"]}), None, "space")
        .unwrap_or_else(|errors| unreachable!("{errors:?}"));
    let read = |a: Json, b: Json| space.from_json(&json!({"a": a, "b": b}), "").map(|p| (p.get(0), p.get(1)));
    let options = |a, b| Ok((Some(Value::Option(a)), Some(Value::Option(b))));
    assert_eq!(read(json!("1"), json!("true")), options(0, 3));
    assert_eq!(read(json!(1), json!(true)), options(1, 2));
    // 1.0 is the number 1; "1.0" could be the text or the number.
    assert_eq!(read(json!(1.0), json!("1.50")), options(1, 1));
    let errors = space.from_json(&json!({"a": "2", "b": "x"}), "").err().unwrap_or_default();
    assert_eq!(errors.len(), 2);
}

#[test]
fn every_mistake_of_a_point_has_its_code_and_place() {
    let cases = [
        (json!({"lr": 2}), codes::OUT_OF_DOMAIN, "params.lr"),
        (json!({"lr": "x"}), codes::WRONG_TYPE, "params.lr"),
        (json!({"lr": true}), codes::WRONG_TYPE, "params.lr"),
        (json!({"lr": "inf"}), codes::WRONG_TYPE, "params.lr"),
        (json!({"step": 0.16}), codes::OUT_OF_DOMAIN, "params.step"),
        (json!({"n": 1.5}), codes::OUT_OF_DOMAIN, "params.n"),
        (json!({"n": 5}), codes::OUT_OF_DOMAIN, "params.n"),
        (json!({"act": "relo"}), codes::OUT_OF_DOMAIN, "params.act"),
        (json!({"act": [1]}), codes::WRONG_TYPE, "params.act"),
        (json!({"rate": 1}), codes::UNKNOWN_PARAMETER, "params.rate"),
        (
            json!({"model": {"_name": "svm", "c": 1, "depth": 2}}),
            codes::ABSENT_PARAMETER,
            "params.model.depth",
        ),
        (json!({"model": {"_name": "svm"}}), codes::MISSING_PARAMETER, "params.model.c"),
        (json!({"model": {"c": 1}}), codes::NO_OPTION_NAME, "params.model"),
        (json!({"model": {"_name": "swm", "c": 1}}), codes::OUT_OF_DOMAIN, "params.model._name"),
        (json!({"${lr}": 0.5}), codes::DUPLICATE_NAME, "params.${lr}"),
        (json!({"n": 4}), codes::CONSTRAINT_BROKEN, "constraints[0]"),
    ];
    for (changes, code, path) in cases {
        let found = mistakes(&with(&changes));
        assert!(found.contains(&(code.0, path.to_owned())), "{changes}: {found:?}");
        // `{"c": 1}` also lacks the value of `model` itself.
        assert!(found.len() == 1 || code == codes::NO_OPTION_NAME, "{changes}: {found:?}");
    }
    assert_eq!(mistakes(&json!([1])), [(codes::PARAMS_NOT_A_MAP.0, "params".to_owned())]);
    // lr, step, hidden, n, act, model; `fixed` has one value only and may be left out.
    assert_eq!(mistakes(&json!({})).len(), 6);
}

#[test]
fn the_cure_of_a_value_names_a_near_one() {
    let cure = |changes: Json| {
        let errors = space().from_json(&with(&changes), "params").err().unwrap_or_default();
        errors.first().map(|e| e.cure.clone()).unwrap_or_default()
    };
    assert_eq!(cure(json!({"step": 0.16})), "the nearest value is 0.15");
    assert_eq!(cure(json!({"hidden": 9})), "the nearest value is 8");
    assert_eq!(cure(json!({"act": "relo"})), "did you mean `relu`?");
    assert_eq!(cure(json!({"hiden": 8})), "did you mean `hidden`?");
}

#[test]
fn bindings_name_every_parameter_once() {
    let space = space();
    let expected = [
        ("lr", "0.25"),
        ("step", "0.15"),
        ("hidden", "64"),
        ("n", "2"),
        ("act", "tanh"),
        ("model", "svm"),
        ("model.c", "1.0"),
        ("model.depth", ""),
        ("fixed", "7"),
    ];
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(space.bindings(&svm_point()), owned(&expected));
    assert_eq!(space.aliases(), owned(&[("c", "model.c"), ("depth", "model.depth")]));
    let tree = with(&json!({"model": {"_name": "tree", "c": 3, "depth": 2}, "act": null}));
    let bindings = space.from_json(&tree, "").map(|point| space.bindings(&point)).unwrap_or_default();
    assert!(bindings.contains(&("model.c".to_owned(), "3".to_owned())));
    assert!(bindings.contains(&("model.depth".to_owned(), "2".to_owned())));
    assert!(bindings.contains(&("act".to_owned(), "null".to_owned())));
}

#[test]
fn a_recorded_point_is_checked() {
    let space = space();
    assert_eq!(space.check(&svm_point()), Ok(()));
    let changed = |change: &Change<'_>| {
        let mut point = svm_point();
        change(&mut point.0);
        let errors = space.check(&point).err().unwrap_or_default();
        errors.into_iter().map(|e| (e.code, e.path)).collect::<Vec<_>>()
    };
    let set = |leaf: u16, value: Value| {
        changed(&|values| values.iter_mut().filter(|(l, _)| *l == leaf).for_each(|(_, v)| *v = value))
    };
    assert_eq!(set(0, Value::Int(0)), [(codes::WRONG_TYPE, "lr".to_owned())]);
    assert_eq!(set(0, Value::Float(2.0)), [(codes::OUT_OF_DOMAIN, "lr".to_owned())]);
    assert_eq!(set(1, Value::Float(0.15 + 1e-12)), [(codes::OUT_OF_DOMAIN, "step".to_owned())]);
    assert_eq!(set(4, Value::Option(5)), [(codes::OUT_OF_DOMAIN, "act".to_owned())]);
    assert_eq!(set(3, Value::Int(4)), [(codes::CONSTRAINT_BROKEN, "constraints[0]".to_owned())]);
    assert_eq!(set(5, Value::Option(0)), [(codes::ABSENT_PARAMETER, "model.c".to_owned())]);
    assert_eq!(changed(&|values| values.truncate(7)), [(codes::MISSING_PARAMETER, "fixed".to_owned())]);
    assert_eq!(
        changed(&|values| values.push((99, Value::Int(1)))),
        [(codes::UNKNOWN_PARAMETER, String::new())]
    );
    assert_eq!(changed(&|values| values.reverse()), [(codes::BAD_POINT, String::new())]);
}
