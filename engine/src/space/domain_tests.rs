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

#[test]
fn the_normal_family_in_steps_is_not_clipped_and_has_the_reach_of_its_draws() {
    let domain = Domain::QNormal { mu: 0.5, sigma: 1.0, q: 1.0 };
    assert_eq!(domain.from_unit(0.5), Value::Int(1));
    assert_eq!(domain.from_unit(0.0), Value::Int(-7));
    assert_eq!(domain.from_unit(1.0), Value::Int(8));
    assert!(!domain.contains(Value::Int(9)));
    let domain = Domain::QLogNormal { mu: 0.0, sigma: 1.0, q: 0.5 };
    assert_eq!(domain.from_unit(0.0), Value::Float(0.0));
    assert_eq!(domain.from_unit(0.5), Value::Float(1.0));
}

#[test]
fn continuous_domains_meet_their_bounds_and_their_middle() {
    let bounds = |domain: Domain| [0.0, 0.5, 1.0].map(|u| domain.from_unit(u));
    let near = |values: [Value; 3], expected: [f64; 3]| {
        for (value, x) in values.into_iter().zip(expected) {
            assert!(matches!(value, Value::Float(v) if (v - x).abs() <= 1e-12 * x.abs()), "{value:?} {x}");
        }
    };
    near(bounds(Domain::Uniform { low: -1.0, high: 3.0 }), [-1.0, 1.0, 3.0]);
    let domain = Domain::LogUniform { low: 1e-4, high: 1e-2 };
    near(bounds(domain.clone()), [1e-4, 1e-3, 1e-2]);
    assert_eq!(domain.from_unit(0.0), Value::Float(1e-4));
    assert_eq!(domain.from_unit(1.0), Value::Float(1e-2));
    assert_eq!(Domain::Normal { mu: 2.0, sigma: 1.0 }.from_unit(0.5), Value::Float(2.0));
    near(bounds(Domain::LogNormal { mu: 0.0, sigma: 1e-300 }), [1.0, 1.0, 1.0]);
}

#[test]
fn from_unit_is_total() {
    let domain = Domain::RandInt { low: -2, high: 3 };
    for (u, expected) in [(-1.0, -2), (f64::NEG_INFINITY, -2), (2.0, 2), (f64::INFINITY, 2), (f64::NAN, 0)] {
        assert_eq!(domain.from_unit(u), Value::Int(expected));
    }
    // Domains that `parse` refuses do not panic either.
    for domain in [
        Domain::QUniform { low: 1.0, high: 0.0, q: 0.0 },
        Domain::QLogNormal { mu: 1e9, sigma: -1.0, q: f64::NAN },
        Domain::RandInt { low: i64::MIN, high: i64::MAX },
        Domain::RandInt { low: 3, high: i64::MIN },
        Domain::Choice { options: Vec::new() },
    ] {
        for u in [0.0, 0.3, 1.0] {
            let value = domain.from_unit(u);
            let _ = (domain.to_unit(value), domain.cell(value), domain.nearest(u), domain.contains(value));
        }
    }
}

#[test]
fn values_of_another_kind_are_not_contained() {
    let whole = Domain::QUniform { low: 0.0, high: 4.0, q: 2.0 };
    assert!(whole.contains(Value::Int(2)));
    for value in [Value::Float(2.0), Value::Int(1), Value::Int(6), Value::Option(0), Value::Int(i64::MAX)] {
        assert!(!whole.contains(value), "{value:?}");
        assert_eq!(whole.to_unit(value), None);
    }
    let uniform = Domain::Uniform { low: 0.0, high: 4.0 };
    for value in [Value::Int(2), Value::Float(4.5), Value::Float(f64::NAN), Value::Option(0)] {
        assert!(!uniform.contains(value), "{value:?}");
    }
    assert!(!Domain::Normal { mu: 0.0, sigma: 1.0 }.contains(Value::Float(f64::INFINITY)));
    assert!(!Domain::RandInt { low: 0, high: 4 }.contains(Value::Int(4)));
}

#[test]
fn nearest_takes_the_closest_value() {
    let cases: [(Domain, f64, Value); 12] = [
        (Domain::Uniform { low: 0.0, high: 1.0 }, 7.0, Value::Float(1.0)),
        (Domain::QUniform { low: 1.0, high: 10.0, q: 3.0 }, 1.9, Value::Int(1)),
        (Domain::QUniform { low: 1.0, high: 10.0, q: 3.0 }, 2.1, Value::Int(3)),
        (Domain::QUniform { low: 1.0, high: 10.0, q: 3.0 }, 1e300, Value::Int(9)),
        (Domain::QUniform { low: 1.0, high: 10.0, q: 3.0 }, f64::NAN, Value::Int(1)),
        (Domain::RandInt { low: 0, high: 5 }, 2.5, Value::Int(2)),
        (Domain::RandInt { low: 0, high: 5 }, 99.0, Value::Int(4)),
        (Domain::RandInt { low: -5, high: 5 }, -2.4, Value::Int(-2)),
        (Domain::Ordinal { options: vec![Label::Int(16), Label::Int(64)] }, 41.0, Value::Option(1)),
        (Domain::Ordinal { options: vec![Label::Int(64), Label::Int(16)] }, 40.0, Value::Option(1)),
        (Domain::Choice { options: vec![Label::Null, Label::Bool(true)] }, 0.9, Value::Option(1)),
        (Domain::Normal { mu: 0.0, sigma: 1.0 }, f64::INFINITY, Value::Float(f64::MAX)),
    ];
    for (domain, x, expected) in cases {
        assert_eq!(domain.nearest(x), expected, "{domain:?} {x}");
    }
}

#[test]
fn a_bound_half_way_between_two_steps_leaves_no_sliver() {
    // 0.15 / 0.1 is 1.4999999999999998: rounding must not make a cell of 0.15 alone.
    let domain = Domain::QUniform { low: 0.15, high: 0.45, q: 0.1 };
    assert_eq!(values(&domain), [0.2, 0.3, 0.4].map(Value::Float));
    let domain = Domain::QUniform { low: 2.5, high: 4.5, q: 1.0 };
    assert_eq!(values(&domain), [3.0, 4.0].map(Value::Float));
}

#[test]
fn large_steps_and_fractions_without_short_decimals_work() {
    let domain = Domain::QUniform { low: 1.0, high: 2.0, q: 10.0 };
    assert_eq!(values(&domain), [Value::Int(1)]);
    let third = 1.0 / 3.0;
    let domain = Domain::QUniform { low: 0.0, high: 1.0, q: third };
    assert_eq!(values(&domain), [0.0, third, 2.0 * third, 1.0].map(Value::Float));
    let domain = Domain::QUniform { low: 0.0, high: 1e-5, q: 1e-6 };
    let texts: Vec<String> = values(&domain).into_iter().map(|v| domain.value_text(v)).collect();
    assert_eq!(texts.get(3).map(String::as_str), Some("3e-6"));
}
