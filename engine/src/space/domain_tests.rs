//! What each domain does, by table.

use super::{Domain, Label};
use crate::value::Value;

fn values(domain: &Domain) -> Vec<Value> {
    (0..domain.cardinality().unwrap_or(0)).filter_map(|i| domain.nth(i)).collect()
}

#[test]
fn lattice_values_are_clean_decimals() {
    let domain = Domain::QUniform { low: 0.0, high: 0.2, q: 0.05 };
    let expected = [0.0, 0.05, 0.1, 0.15, 0.2].map(Value::Float);
    assert_eq!(values(&domain), expected);
    assert_eq!(domain.value_text(Value::Float(0.15)), "0.15");
}

#[test]
fn whole_steps_and_bounds_give_whole_numbers() {
    let domain = Domain::QLogUniform { low: 8.0, high: 32.0, q: 8.0 };
    assert_eq!(values(&domain), [8, 16, 24, 32].map(Value::Int));
    assert_eq!(domain.value_text(Value::Int(8)), "8");
    assert_eq!(domain.from_unit(1.0), Value::Int(32));
}

#[test]
fn the_end_cells_of_a_quniform_are_half_as_wide() {
    let domain = Domain::QUniform { low: 0.0, high: 4.0, q: 1.0 };
    assert_eq!(domain.cell(Value::Int(0)), Some((0.0, 0.125)));
    assert_eq!(domain.cell(Value::Int(1)), Some((0.125, 0.375)));
    assert_eq!(domain.cell(Value::Int(4)), Some((0.875, 1.0)));
}

#[test]
fn a_bound_beside_the_lattice_is_a_value() {
    let domain = Domain::QUniform { low: 1.0, high: 10.0, q: 3.0 };
    assert_eq!(values(&domain), [1, 3, 6, 9].map(Value::Int));
    let domain = Domain::QUniform { low: 0.5, high: 11.0, q: 3.0 };
    assert_eq!(values(&domain), [0.5, 3.0, 6.0, 9.0, 11.0].map(Value::Float));
}

#[test]
fn options_are_equally_likely() {
    let options = vec![Label::Int(1), Label::Text("x".into()), Label::Null];
    let domain = Domain::Choice { options };
    assert_eq!(domain.from_unit(0.34), Value::Option(1));
    assert_eq!(domain.cell(Value::Option(2)), Some((2.0 / 3.0, 1.0)));
    assert_eq!(domain.number(Value::Option(0)), Some(1.0));
    assert_eq!(domain.number(Value::Option(1)), None);
}
