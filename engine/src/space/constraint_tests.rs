//! Constraints: what can be written, what it means, what is refused.

use super::{Comparison, SearchSpace, codes};
use crate::error::Code;
use crate::value::{Point, Value};
use serde_json::{Value as Json, json};

fn space(constraints: &Json) -> Result<SearchSpace, Vec<(Code, String)>> {
    let leaves = json!({
        "a": {"uniform": [0, 10]}, "b": {"randint": [0, 11]}, "c": {"ordinal": [1, 2, 4]}, "kind": ["x", "y"],
        "model": {"choice": {"svm": {"p": {"uniform": [0, 9]}}, "tree": {"p": {"uniform": [0, 5]}}, "none": {}}},
        "learning-rate": {"uniform": [0, 1]},
    });
    SearchSpace::parse(&leaves, Some(constraints), "space")
        .map_err(|errors| errors.into_iter().map(|e| (e.code, e.path)).collect())
}

fn one(text: &str) -> (Vec<(u16, f64)>, Comparison, f64) {
    let space = space(&json!([text])).unwrap_or_else(|errors| unreachable!("{text}: {errors:?}"));
    let constraint = space.constraints().first().cloned();
    constraint.map_or_else(|| unreachable!("{text}"), |c| (c.terms, c.op, c.bound))
}

#[test]
fn every_form_is_read() {
    use Comparison::{AtLeast, AtMost, Equal, Greater, Less};
    let cases = [
        ("a + 2*b <= 10", vec![(0, 1.0), (1, 2.0)], AtMost, 10.0),
        ("a+2*b<=10", vec![(0, 1.0), (1, 2.0)], AtMost, 10.0),
        ("b * 2 >= -a", vec![(0, 1.0), (1, 2.0)], AtLeast, 0.0),
        ("a - 3 == 2*b + 1", vec![(0, 1.0), (1, -2.0)], Equal, 4.0),
        ("10 > a", vec![(0, -1.0)], Greater, -10.0),
        ("-a < 1e-3", vec![(0, -1.0)], Less, 1e-3),
        ("a/4 = 1.5", vec![(0, 0.25)], Equal, 1.5),
        ("2 * 3 * a - -b <= .5", vec![(0, 6.0), (1, 1.0)], AtMost, 0.5),
        ("a + a <= 1 + 1", vec![(0, 2.0)], AtMost, 2.0),
        ("${a} + ${learning-rate} <= 1", vec![(0, 1.0), (7, 1.0)], AtMost, 1.0),
        ("model.p <= c", vec![(2, -1.0), (5, 1.0), (6, 1.0)], AtMost, 0.0),
        ("b - b + a <= 1", vec![(0, 1.0)], AtMost, 1.0),
    ];
    for (text, terms, op, bound) in cases {
        assert_eq!(one(text), (terms, op, bound), "{text}");
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (text, code) in [
        ("", codes::CONSTRAINT_SYNTAX),
        ("a", codes::CONSTRAINT_SYNTAX),
        ("a <= ", codes::CONSTRAINT_SYNTAX),
        ("<= 3", codes::CONSTRAINT_SYNTAX),
        ("1 <= a <= 3", codes::CONSTRAINT_SYNTAX),
        ("a != 3", codes::CONSTRAINT_SYNTAX),
        ("2a <= 3", codes::CONSTRAINT_SYNTAX),
        ("a b <= 3", codes::CONSTRAINT_SYNTAX),
        ("a * b <= 3", codes::CONSTRAINT_SYNTAX),
        ("3 / a <= 3", codes::CONSTRAINT_SYNTAX),
        ("a / 0 <= 3", codes::CONSTRAINT_SYNTAX),
        ("2*(a + b) <= 3", codes::CONSTRAINT_SYNTAX),
        ("a^2 <= 3", codes::CONSTRAINT_SYNTAX),
        ("a + * b <= 3", codes::CONSTRAINT_SYNTAX),
        ("a + <= 3", codes::CONSTRAINT_SYNTAX),
        ("a <= 1.2.3", codes::CONSTRAINT_SYNTAX),
        ("a <= 1e999", codes::CONSTRAINT_SYNTAX),
        ("1e308*10*a <= 1", codes::CONSTRAINT_SYNTAX),
        ("a ≤ 3", codes::CONSTRAINT_SYNTAX),
        ("$a <= 3", codes::CONSTRAINT_SYNTAX),
        ("aa <= 3", codes::CONSTRAINT_UNKNOWN_NAME),
        ("kind <= 3", codes::CONSTRAINT_NOT_NUMERIC),
        ("model + a <= 3", codes::CONSTRAINT_NOT_NUMERIC),
        ("1 <= 3", codes::CONSTRAINT_WITHOUT_NAMES),
        ("a - a <= 3", codes::CONSTRAINT_WITHOUT_NAMES),
    ] {
        assert_eq!(space(&json!(["a <= 9", text])), Err(vec![(code, "constraints[1]".to_owned())]), "{text}");
    }
    assert_eq!(space(&json!({"a": 1})), Err(vec![(codes::CONSTRAINT_SYNTAX, "constraints".to_owned())]));
    assert_eq!(space(&json!([3])), Err(vec![(codes::CONSTRAINT_SYNTAX, "constraints[0]".to_owned())]));
    let many: Vec<&str> = vec!["a <= 9"; 257];
    assert_eq!(space(&json!(many)), Err(vec![(codes::TOO_MANY, "constraints".to_owned())]));
}

#[test]
fn all_mistakes_of_all_constraints_come_at_once() {
    let errors = space(&json!(["x + y <= 1", "a +", "kind + z <= 1"])).err().unwrap_or_default();
    let codes: Vec<u16> = errors.iter().map(|(code, _)| code.0).collect();
    assert_eq!(codes, [231, 231, 230, 232, 231]);
}

#[test]
fn a_constraint_can_be_a_single_text_or_nothing() {
    assert_eq!(space(&json!("a <= 9")).map(|s| s.constraints().len()), Ok(1));
    assert_eq!(space(&json!(null)).map(|s| s.constraints().len()), Ok(0));
}

fn holds(constraint: &str, values: &[(u16, Value)]) -> bool {
    let space = space(&json!([constraint])).unwrap_or_else(|errors| unreachable!("{errors:?}"));
    space.feasible(&Point(values.to_vec()))
}

#[test]
fn comparisons_leave_room_for_rounding() {
    let values = [(0, Value::Float(0.1 + 0.2)), (1, Value::Int(2))];
    for (text, expected) in [
        ("a <= 0.3", true),
        ("a == 0.3", true),
        ("a >= 0.3", true),
        ("a < 0.3", false),
        ("a > 0.3", false),
        ("a > 0.2999", true),
        ("a + b <= 2.2999", false),
        ("a < b", true),
        ("b == 2", true),
        ("b < 2", false),
    ] {
        assert_eq!(holds(text, &values), expected, "{text}");
    }
}

#[test]
fn an_absent_parameter_counts_as_zero_and_absent_ones_alone_constrain_nothing() {
    let none = [(0, Value::Float(1.0)), (4, Value::Option(2))];
    let svm = [(0, Value::Float(1.0)), (4, Value::Option(0)), (5, Value::Float(3.0))];
    let tree = [(0, Value::Float(1.0)), (4, Value::Option(1)), (6, Value::Float(5.0))];
    assert!(holds("model.p >= 2", &none));
    assert!(holds("model.p >= 2", &svm));
    assert!(!holds("model.p >= 4", &svm));
    assert!(holds("model.p >= 4", &tree));
    assert!(!holds("model.p + a >= 2", &none));
    assert!(holds("model.p + a >= 2", &svm));
}

#[test]
fn an_option_counts_as_its_number() {
    assert!(holds("c == 4", &[(2, Value::Option(2))]));
    assert!(!holds("c < 4", &[(2, Value::Option(2))]));
}

#[test]
fn the_text_of_a_constraint_reads_back() {
    for text in ["a + 2*b <= 10", "-a - 0.5*model.p < -1e-7", "${learning-rate} == 0.25", "1e20*a > 3e-300"] {
        let first = space(&json!([text])).unwrap_or_else(|errors| unreachable!("{errors:?}"));
        let again = space(&first.canonical_constraints());
        assert_eq!(again.as_ref(), Ok(&first), "{text}");
    }
    let space = space(&json!(["b*2 + a <= 10"])).unwrap_or_else(|errors| unreachable!("{errors:?}"));
    assert_eq!(space.canonical_constraints(), json!(["a + 2*b <= 10"]));
}
