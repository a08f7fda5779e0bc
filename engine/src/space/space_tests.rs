//! Spaces: every form that is read, every mistake that is refused, nesting, counting.

use super::{Domain, Label, SearchSpace, codes};
use crate::error::SpecError;
use crate::value::{Point, Value};
use serde_json::{Value as Json, json};

fn parse(space: &Json) -> SearchSpace {
    SearchSpace::parse(space, None, "space").unwrap_or_else(|errors| unreachable!("{space}: {errors:?}"))
}

fn errors(space: &Json) -> Vec<SpecError> {
    SearchSpace::parse(space, None, "space").err().unwrap_or_default()
}

/// Code and path of every mistake.
fn mistakes(space: &Json) -> Vec<(u16, String)> {
    errors(space).into_iter().map(|e| (e.code.0, e.path)).collect()
}

fn domain_of(form: &Json) -> Domain {
    let space = parse(&json!({"x": form}));
    space.leaf(0).map_or_else(|| unreachable!("{form}"), |leaf| leaf.domain.clone())
}

#[test]
fn every_type_is_read_in_its_long_and_its_short_form() {
    let text = |text: &str| Label::Text(text.to_owned());
    let cases = [
        ("uniform", json!([0, 1.5]), Domain::Uniform { low: 0.0, high: 1.5 }),
        ("quniform", json!([0, 4, 2]), Domain::QUniform { low: 0.0, high: 4.0, q: 2.0 }),
        ("loguniform", json!([0.1, 1]), Domain::LogUniform { low: 0.1, high: 1.0 }),
        ("qloguniform", json!([8, 256, 8]), Domain::QLogUniform { low: 8.0, high: 256.0, q: 8.0 }),
        ("normal", json!([0, 1]), Domain::Normal { mu: 0.0, sigma: 1.0 }),
        ("qnormal", json!([0, 10, 1]), Domain::QNormal { mu: 0.0, sigma: 10.0, q: 1.0 }),
        ("lognormal", json!([0, 1]), Domain::LogNormal { mu: 0.0, sigma: 1.0 }),
        ("qlognormal", json!([0, 1, 0.5]), Domain::QLogNormal { mu: 0.0, sigma: 1.0, q: 0.5 }),
        ("randint", json!([1, 5.0]), Domain::RandInt { low: 1, high: 5 }),
        ("choice", json!(["a", 2]), Domain::Choice { options: vec![text("a"), Label::Int(2)] }),
        ("ordinal", json!([16, 0.5]), Domain::Ordinal { options: vec![Label::Int(16), Label::Float(0.5)] }),
    ];
    for (kind, value, expected) in cases {
        assert_eq!(domain_of(&json!({"_type": kind, "_value": value})), expected);
        assert_eq!(domain_of(&json!({kind: value})), expected);
        assert_eq!(expected.type_name(), kind);
    }
}

#[test]
fn lists_are_choices_and_single_values_are_constants() {
    let all = vec![Label::Null, Label::Bool(true), Label::Int(3), Label::Float(0.5), Label::Text("x".into())];
    assert_eq!(domain_of(&json!([null, true, 3, 0.5, "x"])), Domain::Choice { options: all });
    assert_eq!(domain_of(&json!(0.5)), Domain::Choice { options: vec![Label::Float(0.5)] });
    assert_eq!(domain_of(&json!("uniform")), Domain::Choice { options: vec![Label::Text("uniform".into())] });
}

#[test]
fn every_mistake_of_a_domain_has_its_code_and_place() {
    let cases = [
        (json!({"unifrom": [0, 1]}), 205, "space.x.unifrom"),
        (json!({"_type": "log_uniform", "_value": [0, 1]}), 205, "space.x._type"),
        (json!({"_type": 3, "_value": [0, 1]}), 205, "space.x._type"),
        (json!({"_type": "uniform"}), 207, "space.x"),
        (json!({"_type": "uniform", "_value": [0, 1], "q": 1}), 208, "space.x.q"),
        (json!({}), 206, "space.x"),
        (json!({"uniform": [0, 1], "q": 1}), 206, "space.x"),
        (json!(null), 206, "space.x"),
        (json!("uniform(0, 1)"), 206, "space.x"),
        (json!("loguniform"), 206, "space.x"),
        (json!({"uniform": [0]}), 209, "space.x.uniform"),
        (json!({"uniform": [0, 1, 2]}), 209, "space.x.uniform"),
        (json!({"quniform": [0, 1]}), 209, "space.x.quniform"),
        (json!({"uniform": {"low": 0}}), 209, "space.x.uniform"),
        (json!({"uniform": ["0", 1]}), 210, "space.x.uniform[0]"),
        (json!({"uniform": [0, null]}), 210, "space.x.uniform[1]"),
        (json!({"uniform": [1, 1]}), 211, "space.x.uniform[1]"),
        (json!({"quniform": [2, 1, 1]}), 211, "space.x.quniform[1]"),
        (json!({"randint": [2, 2]}), 211, "space.x.randint[1]"),
        (json!({"loguniform": [0, 1]}), 212, "space.x.loguniform[0]"),
        (json!({"qloguniform": [-1, 1, 1]}), 212, "space.x.qloguniform[0]"),
        (json!({"normal": [0, 0]}), 212, "space.x.normal[1]"),
        (json!({"qlognormal": [0, -1, 1]}), 212, "space.x.qlognormal[1]"),
        (json!({"quniform": [0, 1, 0]}), 212, "space.x.quniform[2]"),
        (json!({"randint": [0.5, 3]}), 213, "space.x.randint[0]"),
        (json!({"quniform": [0, 1, 1e-12]}), 214, "space.x.quniform[2]"),
        (json!({"quniform": [1e15, 1.000_001e15, 1]}), 214, "space.x.quniform[2]"),
        (json!({"qnormal": [0, 1, 1e-20]}), 214, "space.x.qnormal[2]"),
        (json!({"qlognormal": [20, 9, 1e-20]}), 214, "space.x.qlognormal[2]"),
        (json!({"uniform": [-1.7e308, 1.7e308]}), 215, "space.x.uniform"),
        (json!({"normal": [0, 1e308]}), 215, "space.x.normal"),
        (json!({"lognormal": [1000, 1]}), 215, "space.x.lognormal"),
        (json!({"randint": [0, 1e300]}), 215, "space.x.randint[1]"),
        (json!({"randint": [0, 9_007_199_254_740_992u64]}), 215, "space.x.randint"),
        (json!([]), 216, "space.x"),
        (json!({"choice": 3}), 216, "space.x.choice"),
        (json!({"choice": {}}), 216, "space.x.choice"),
        (json!([[1, 2], 3]), 217, "space.x[0]"),
        (json!({"choice": {"svm": 3}}), 217, "space.x.choice.svm"),
        (json!({"ordinal": [{"_name": "a"}]}), 217, "space.x.ordinal"),
        (json!([1, "1", 1.0]), 218, "space.x[2]"),
        (json!({"choice": ["a", {"_name": "a"}]}), 218, "space.x.choice[1]"),
        (json!({"choice": [{"c": [1]}]}), 219, "space.x.choice[0]"),
        (json!({"choice": [{"_name": 3}]}), 219, "space.x.choice[0]._name"),
        (json!((0..10_001).collect::<Vec<_>>()), 220, "space.x"),
    ];
    for (form, code, path) in cases {
        let space = json!({"x": form});
        assert_eq!(mistakes(&space), [(code, path.to_owned())], "{}", errors(&space).len());
    }
}

#[test]
fn every_mistake_of_a_name_has_its_code_and_place() {
    for (name, code) in [
        ("", 202),
        ("a b", 202),
        ("a.b", 202),
        ("a$b", 202),
        ("${a", 202),
        ("a}", 202),
        ("${${a}}", 202),
        ("exp_id", 203),
        ("${trial_id}", 203),
        ("attempt", 203),
        ("spec_dir", 203),
        ("_name", 203),
        ("_value", 203),
    ] {
        assert_eq!(mistakes(&json!({name: [1]})), [(code, format!("space.{name}"))], "{name}");
    }
    assert_eq!(mistakes(&json!({"a": [1], "${a}": [2]})), [(204, "space.${a}".to_owned())]);
    assert!(errors(&json!({"a": [1], "${a}": [2]})).iter().all(|e| e.at_key));
}

#[test]
fn all_mistakes_come_at_once() {
    let space = json!({
        "lr": {"loguniform": [0, "x"]},
        "a b": {"uniform": [1, 0]},
        "model": {"choice": {"svm": {"c": {"normal": [0, -1]}}, "tree": {"depth": {"randnt": [1, 2]}}}},
        "q": {"qloguniform": [-2, -3, -1]},
    });
    let expected = [
        (210, "space.lr.loguniform[1]"),
        (202, "space.a b"),
        (211, "space.a b.uniform[1]"),
        (212, "space.model.choice.svm.c.normal[1]"),
        (205, "space.model.choice.tree.depth.randnt"),
        (212, "space.q.qloguniform[0]"),
        (211, "space.q.qloguniform[1]"),
        (212, "space.q.qloguniform[2]"),
    ];
    assert_eq!(mistakes(&space), expected.map(|(code, path)| (code, path.to_owned())));
}

#[test]
fn a_space_is_a_map_with_at_least_one_parameter() {
    assert_eq!(mistakes(&json!([1])), [(codes::NOT_A_MAP.0, "space".to_owned())]);
    assert_eq!(mistakes(&json!({})), [(codes::EMPTY_SPACE.0, "space".to_owned())]);
    let many: serde_json::Map<String, Json> = (0..2001).map(|i| (format!("p{i}"), json!([1, 2]))).collect();
    assert_eq!(mistakes(&Json::Object(many)), [(codes::TOO_MANY.0, "space".to_owned())]);
}

#[test]
fn choices_nest_eight_deep_and_no_deeper() {
    let nest = |depth: usize| {
        (0..depth).fold(json!([1, 2]), |inner, _| json!({"choice": {"on": {"x": inner}, "off": null}}))
    };
    assert_eq!(parse(&json!({"x": nest(8)})).leaves().len(), 9);
    let found = mistakes(&json!({"x": nest(9)}));
    assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [codes::TOO_DEEP.0]);
}

#[test]
fn a_cure_names_what_was_meant() {
    for (form, cure) in [
        (json!({"log_uniform": [0, 1]}), "did you mean `loguniform`?"),
        (json!({"Choise": [0, 1]}), "did you mean `choice`?"),
        (json!({"categorical": [0, 1]}), "did you mean `choice`?"),
        (json!({"int": [0, 1]}), "did you mean `randint`?"),
        (json!({"uniform": ["0.5", 1]}), "write the number without quotes"),
        (json!({"uniform": [0, 1, 2]}), "write uniform: [low, high]; with a step, use quniform"),
        (json!({"randint": [3, 3]}), "add 1 to high"),
    ] {
        let found = errors(&json!({"x": form}));
        assert_eq!(found.first().map(|e| e.cure.as_str()), Some(cure), "{form}");
    }
}

fn nested() -> SearchSpace {
    parse(&json!({
        "${lr}": {"_type": "loguniform", "_value": [0.001, 1]},
        "model": {"choice": {
            "svm": {"c": {"uniform": [0, 1]}, "shared": {"randint": [0, 3]}},
            "tree": {"shared": {"randint": [0, 3]}, "c": {"randint": [1, 9]}},
            "none": {},
        }},
    }))
}

#[test]
fn equal_children_of_several_options_are_one_leaf_and_others_are_not() {
    let space = nested();
    let leaves: Vec<(&str, Option<Vec<u32>>)> = space
        .leaves()
        .iter()
        .map(|l| (l.name.as_str(), l.parent.as_ref().map(|p| p.options.clone())))
        .collect();
    let expected = [
        ("lr", None),
        ("model", None),
        ("model.c", Some(vec![0])),
        ("model.shared", Some(vec![0, 1])),
        ("model.c", Some(vec![1])),
    ];
    assert_eq!(leaves, expected);
    assert_eq!(space.find("model.c").collect::<Vec<_>>(), [2, 4]);
    assert!(space.is_conditional());
}

#[test]
fn shared_choices_share_their_own_children_too() {
    let adam = json!({"choice": {"adam": {"beta": {"uniform": [0, 1]}}, "sgd": {}}});
    let other = json!({"choice": {"adam": {"beta": {"uniform": [0, 2]}}, "sgd": {}}});
    let space =
        parse(&json!({"m": {"choice": {"a": {"opt": adam}, "b": {"opt": adam}, "c": {"opt": other}}}}));
    let names: Vec<&str> = space.leaves().iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["m", "m.opt", "m.opt.beta", "m.opt", "m.opt.beta"]);
}

#[test]
fn leaves_exist_under_their_options_only() {
    let space = nested();
    let under = |option| space.active(&Point(vec![(1, Value::Option(option))]));
    assert_eq!(under(0), [0, 1, 2, 3]);
    assert_eq!(under(1), [0, 1, 3, 4]);
    assert_eq!(under(2), [0, 1]);
    assert_eq!(space.active(&Point::default()), [0, 1]);
}

#[test]
fn nested_and_long_forms_mean_the_same() {
    let short = json!({"m": {"choice": {"a": {"x": {"uniform": [0, 1]}}, "b": null}}});
    let list = json!({"m": [{"_name": "a", "x": {"uniform": [0, 1]}}, {"_name": "b"}]});
    let long = json!({"${m}": {"_type": "choice", "_value": [
        {"_name": "a", "${x}": {"_type": "uniform", "_value": [0, 1]}}, {"_name": "b"}]}});
    assert_eq!(parse(&short), parse(&list));
    assert_eq!(parse(&short), parse(&long));
    let plain = json!({"m": [{"_name": "a", "x": {"uniform": [0, 1]}}, "b"]});
    assert_ne!(parse(&short), parse(&plain));
}

#[test]
fn points_are_counted_with_nesting() {
    let space = parse(&json!({
        "a": [1, 2],
        "m": {"choice": {"x": {"k": {"randint": [0, 3]}, "l": [1, 2]}, "y": {"k": {"randint": [0, 3]}}, "z": {}}},
        "b": {"quniform": [0, 1, 0.5]},
    }));
    // 2 * (3 * 2 + 3 + 1) * 3
    assert_eq!(space.cardinality(), Some(60));
    let points: Vec<Point> = (0..60).filter_map(|i| space.nth_point(i)).collect();
    let keys: std::collections::BTreeSet<_> = points.iter().map(Point::key).collect();
    assert_eq!(keys.len(), 60);
    assert!(points.iter().all(|point| space.check(point).is_ok()));
    assert!((0..60).zip(&points).all(|(i, point)| space.point_index(point) == Some(i)));
    assert_eq!(space.nth_point(60), None);
    // The last parameter varies fastest.
    assert_eq!(points.get(1).and_then(|p| p.get(4)), Some(Value::Float(0.5)));
}

#[test]
fn an_infinite_or_endless_space_has_no_count() {
    assert_eq!(nested().cardinality(), None);
    assert_eq!(nested().nth_point(0), None);
    let wide: serde_json::Map<String, Json> =
        (0..7).map(|i| (format!("p{i}"), json!({"randint": [0, 512]}))).collect();
    let mut space = wide.clone();
    assert_eq!(parse(&Json::Object(wide)).cardinality(), Some(1 << 63));
    space.insert("q".to_owned(), json!([1, 2]));
    assert_eq!(parse(&Json::Object(space)).cardinality(), None);
}

#[test]
fn the_canonical_form_is_the_long_form() {
    let space = parse(
        &json!({"lr": {"loguniform": [0.001, 1]}, "m": {"choice": {"a": {"x": [1]}, "b": null}}, "k": 3}),
    );
    let expected = json!({
        "lr": {"_type": "loguniform", "_value": [0.001, 1.0]},
        "m": {"_type": "choice", "_value": [
            {"_name": "a", "x": {"_type": "choice", "_value": [1]}}, {"_name": "b"}]},
        "k": {"_type": "choice", "_value": [3]},
    });
    assert_eq!(space.canonical(), expected);
}
