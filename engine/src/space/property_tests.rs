//! Properties of every domain and every space.

use super::domain::Shape;
use super::{Domain, Label, SearchSpace};
use crate::value::{Point, Value};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// A step as people write it: a short decimal; sometimes an arbitrary one.
fn step() -> impl Strategy<Value = f64> {
    prop_oneof![
        (1i32..200, 0i32..6).prop_map(|(m, d)| f64::from(m) / 10f64.powi(d)),
        (1i32..100).prop_map(f64::from),
        1e-4..50.0f64,
    ]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-1000i32..1000).prop_map(f64::from),
        (-9999i32..9999).prop_map(|n| f64::from(n) / 100.0),
        -1e6..1e6f64
    ]
}

fn positive() -> impl Strategy<Value = f64> {
    prop_oneof![(1i32..1000).prop_map(f64::from), (-30.0..30.0f64).prop_map(libm::exp), 1e-3..1e3f64]
}

fn domain() -> impl Strategy<Value = Domain> {
    let label = prop_oneof![
        Just(Label::Null),
        any::<bool>().prop_map(Label::Bool),
        any::<i64>().prop_map(Label::Int),
        number().prop_map(Label::Float),
        "[a-z]{0,3}".prop_map(Label::Text),
    ];
    let options = prop::collection::vec(label, 1..40).prop_map(|labels| {
        let mut seen = BTreeSet::new();
        labels.into_iter().filter(|label| seen.insert(label.key())).collect::<Vec<_>>()
    });
    let sound = |domain: &Domain| match (domain, domain.shape()) {
        // A width that the lower bound swallows.
        (Domain::Uniform { low, high } | Domain::QUniform { low, high, .. }, _) if low >= high => false,
        (_, Shape::Stepped(lattice)) => lattice.is_sound(),
        _ => true,
    };
    prop_oneof![
        (number(), positive()).prop_map(|(low, width)| Domain::Uniform { low, high: low + width }),
        (number(), positive(), step()).prop_map(|(low, width, q)| Domain::QUniform {
            low,
            high: low + width,
            q
        }),
        (positive(), 1.001..1e9f64).prop_map(|(low, ratio)| Domain::LogUniform { low, high: low * ratio }),
        (positive(), 1.001..1e9f64, step()).prop_map(|(low, ratio, q)| Domain::QLogUniform {
            low,
            high: low * ratio,
            q
        }),
        (1i32..100, 1i32..1000, 1i32..20).prop_map(|(low, width, q)| Domain::QLogUniform {
            low: f64::from(low),
            high: f64::from(low + width),
            q: f64::from(q)
        }),
        (number(), positive()).prop_map(|(mu, sigma)| Domain::Normal { mu, sigma }),
        (number(), positive(), step()).prop_map(|(mu, sigma, q)| Domain::QNormal { mu, sigma, q }),
        (-9.0..9.0f64, 1e-3..9.0f64).prop_map(|(mu, sigma)| Domain::LogNormal { mu, sigma }),
        (-9.0..9.0f64, 1e-3..9.0f64, step()).prop_map(|(mu, sigma, q)| Domain::QLogNormal { mu, sigma, q }),
        // Steps as fine as they can be.
        (number(), positive(), 2.0..2.2e9f64).prop_map(|(low, width, n)| Domain::QUniform {
            low,
            high: low + width,
            q: width / n
        }),
        (positive(), 1.001..1e12f64, 2.0..2.2e9f64).prop_map(|(low, ratio, n)| Domain::QLogUniform {
            low,
            high: low * ratio,
            q: low * ratio / n
        }),
        (number(), positive(), 1.0..2e8f64).prop_map(|(mu, sigma, n)| Domain::QNormal {
            mu,
            sigma,
            q: sigma / n
        }),
        (-9.0..9.0f64, 1e-3..3.0f64, 1.0..1e8f64).prop_map(|(mu, sigma, n)| Domain::QLogNormal {
            mu,
            sigma,
            q: libm::exp(mu + 3.0 * sigma) / n
        }),
        (-1i64 << 52..1i64 << 52, 1i64..1 << 48).prop_map(|(low, n)| Domain::RandInt { low, high: low + n }),
        (-99i64..99, 1i64..99).prop_map(|(low, n)| Domain::RandInt { low, high: low + n }),
        options.clone().prop_map(|options| Domain::Choice { options }),
        options.prop_map(|options| Domain::Ordinal { options }),
    ]
    .prop_filter("a domain that parse would refuse", move |domain| sound(domain))
}

/// A coordinate: anywhere, with weight on the ends.
fn unit() -> impl Strategy<Value = f64> {
    prop_oneof![3 => 0.0..=1.0f64, 1 => Just(0.0), 1 => Just(1.0), 1 => 0.0..1e-9f64, 1 => (0.0..1e-9f64).prop_map(|u| 1.0 - u)]
}

/// A space as JSON: nested choices with plain options, shared and differing children.
fn space() -> impl Strategy<Value = Json> {
    let number_form = prop_oneof![
        (1i32..9, 1i32..9).prop_map(|(low, n)| json!({"randint": [low, low + n]})),
        (1i32..9, 1i32..9).prop_map(
            |(low, n)| json!({"_type": "quniform", "_value": [0, f64::from(n) / 4.0, f64::from(low) / 8.0]})
        ),
        Just(json!({"loguniform": [0.001, 1]})),
        Just(json!({"qnormal": [0, 1, 0.5]})),
        Just(json!({"ordinal": [1, "x", null]})),
        Just(json!([true, 1, 2.5])),
        Just(json!("constant")),
    ];
    let names = || prop::sample::select(vec!["a", "b", "${c}", "d-e"]);
    let domain = number_form.prop_recursive(3, 24, 4, move |inner| {
        let option = prop::collection::btree_map(names(), inner, 0..3);
        prop::collection::vec((any::<bool>(), option), 1..4).prop_map(|options| {
            let options: Vec<Json> = options
                .into_iter()
                .enumerate()
                .map(|(i, (plain, children))| {
                    if plain {
                        return json!(format!("option{i}"));
                    }
                    let mut map = json!({"_name": format!("option{i}")});
                    for (name, child) in children {
                        if let Some(map) = map.as_object_mut() {
                            map.insert(name.to_owned(), child);
                        }
                    }
                    map
                })
                .collect();
            json!({"choice": options})
        })
    });
    prop::collection::btree_map(names(), domain, 1..4)
        .prop_map(|members| members.into_iter().map(|(name, form)| (name.to_owned(), form)).collect())
        .prop_map(Json::Object)
}

fn parse(space: &Json, constraints: &Json) -> Result<SearchSpace, TestCaseError> {
    SearchSpace::parse(space, Some(constraints), "space")
        .map_err(|errors| TestCaseError::fail(format!("{space}: {errors:?}")))
}

fn same(a: Value, b: Value) -> bool {
    a.key() == b.key()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_value_is_contained_and_its_coordinate_leads_back_to_it(domain in domain(), u in unit()) {
        let value = domain.from_unit(u);
        prop_assert!(domain.contains(value), "{value:?}");
        let back = domain.to_unit(value);
        prop_assert!(back.is_some_and(|u| (0.0..=1.0).contains(&u)));
        let again = domain.from_unit(back.unwrap_or(f64::NAN));
        match (&domain, value, again) {
            (_, _, _) if !domain.is_continuous() => prop_assert!(same(value, again), "{value:?} {again:?}"),
            (Domain::Uniform { low, high }, Value::Float(x), Value::Float(y)) =>
                prop_assert!((x - y).abs() <= 1e-15 * (high - low + low.abs()) * 4.0),
            (Domain::LogUniform { .. }, Value::Float(x), Value::Float(y)) =>
                prop_assert!((x - y).abs() <= 1e-12 * x),
            // Near 1 a coordinate resolves the tail badly.
            (Domain::Normal { sigma, mu }, Value::Float(x), Value::Float(y)) =>
                prop_assert!((x - y).abs() <= 1e-3 * sigma + 1e-12 * mu.abs()),
            (Domain::LogNormal { sigma, .. }, Value::Float(x), Value::Float(y)) =>
                prop_assert!((libm::log(x) - libm::log(y)).abs() <= 1e-3 * sigma + 1e-12),
            _ => prop_assert!(false, "{value:?} {again:?}"),
        }
    }

    #[test]
    fn the_cells_of_a_discrete_domain_partition_the_unit_interval(domain in domain(), u in unit(), pick in any::<u64>()) {
        let Some(count) = domain.cardinality() else { return Ok(()) };
        let value = domain.from_unit(u);
        let cell = domain.cell(value);
        prop_assert!(cell.is_some_and(|(a, b)| a <= u && (u < b || b == 1.0)), "{u} {cell:?}");
        let picks: Vec<u64> = if count <= 200 { (0..count).collect() } else {
            vec![0, 1, pick % (count - 1), count / 2, count - 3, count - 2, count - 1]
        };
        for index in picks {
            let cell = domain.nth(index).and_then(|value| domain.cell(value));
            let next = domain.nth(index + 1).and_then(|value| domain.cell(value));
            prop_assert!(cell.is_some_and(|(a, b)| a < b), "{index} of {count}: {cell:?}");
            let end = next.map_or(1.0, |(a, _)| a);
            prop_assert_eq!(cell.map(|(_, b)| b), Some(end));
            if index == 0 {
                prop_assert_eq!(cell.map(|(a, _)| a), Some(0.0));
            }
            // Both ends of the cell and its centre map to the value.
            let (a, b) = cell.unwrap_or_default();
            let value = domain.nth(index);
            for u in [a, a + (b - a) / 2.0] {
                prop_assert!(value.is_some_and(|value| same(domain.from_unit(u), value)), "{index} at {u}");
            }
        }
    }

    #[test]
    fn nth_and_index_of_and_nearest_agree(domain in domain(), pick in any::<u64>()) {
        let Some(count) = domain.cardinality() else { return Ok(()) };
        for index in [pick % count, 0, count - 1] {
            let value = domain.nth(index);
            prop_assert_eq!(value.and_then(|value| domain.index_of(value)), Some(index));
            if domain.options().is_none() {
                let number = value.and_then(|value| domain.number(value)).unwrap_or(f64::NAN);
                prop_assert!(value.is_some_and(|value| same(domain.nearest(number), value)));
            }
            let next = domain.nth(index + 1);
            prop_assert_eq!(next.is_none(), index + 1 >= count);
            if let (Some(a), Some(b), None) = (value, next, domain.options()) {
                prop_assert!(domain.number(a) < domain.number(b));
            }
        }
    }

    #[test]
    fn a_domain_and_its_values_survive_json(domain in domain(), u in unit()) {
        let leaf = super::Leaf { name: "x".into(), domain: domain.clone(), parent: None, nested: Vec::new() };
        let space = SearchSpace::assemble(vec![leaf]);
        prop_assert_eq!(&parse(&space.canonical(), &Json::Null)?, &space);
        let value = domain.from_unit(u);
        let params = Json::Object(space.to_json(&Point(vec![(0, value)])));
        let back = space.from_json(&params, "").map(|point| point.get(0).map(Value::key));
        prop_assert_eq!(back, Ok(Some(value.key())));
    }

    #[test]
    fn values_are_clean_decimals(m in 1u32..1000, d in 0usize..6, low in -100i32..100, pick in 0u32..100) {
        let q: f64 = format!("{m}e-{d}").parse().unwrap_or(f64::NAN);
        let low = f64::from(low);
        let domain = Domain::QUniform { low, high: low + 1000.0 * q, q };
        let value = domain.nth(u64::from(pick) + 1).and_then(|value| domain.number(value)).unwrap_or(f64::NAN);
        let text = format!("{value}");
        let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        prop_assert!(decimals <= d, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_space_survives_its_canonical_form(form in space()) {
        let constraints = match parse(&form, &Json::Null)?.leaves().iter().find(|leaf| leaf.domain.is_numeric()) {
            Some(leaf) => json!([format!("2*${{{}}} - 1 <= 1e6", leaf.name)]),
            None => Json::Null,
        };
        // A name may stand for a numeric and another leaf.
        let space = match SearchSpace::parse(&form, Some(&constraints), "space") {
            Ok(space) => space,
            Err(_) => parse(&form, &Json::Null)?,
        };
        let again = parse(&space.canonical(), &space.canonical_constraints())?;
        prop_assert_eq!(&again, &space);
        prop_assert_eq!(again.canonical(), space.canonical());
    }

    #[test]
    fn points_of_a_space_are_valid_and_survive_json(form in space(), cube in prop::collection::vec(unit(), 60)) {
        let space = parse(&form, &Json::Null)?;
        let point = space.point_from_unit(&cube);
        prop_assert_eq!(space.check(&point), Ok(()));
        prop_assert_eq!(space.active(&point), point.0.iter().map(|(leaf, _)| *leaf).collect::<Vec<_>>());
        let params = Json::Object(space.to_json(&point));
        prop_assert_eq!(space.from_json(&params, "params"), Ok(point.clone()));
        let flat = point.0.iter().filter_map(|(index, value)| {
            space.leaf(*index).map(|leaf| (leaf.name.clone(), Json::from(leaf.domain.value_text(*value))))
        }).collect();
        prop_assert_eq!(space.from_json(&Json::Object(flat), "params"), Ok(point.clone()));
        let names: BTreeSet<&str> = space.leaves().iter().map(|leaf| leaf.name.as_str()).collect();
        prop_assert_eq!(space.bindings(&point).len(), names.len());
    }

    #[test]
    fn the_points_of_a_finite_space_are_numbered_without_gaps(form in space(), pick in any::<u64>()) {
        let space = parse(&form, &Json::Null)?;
        let Some(count) = space.cardinality() else { return Ok(()) };
        let picks: Vec<u64> = if count <= 100 { (0..count).collect() } else { vec![0, pick % count, count - 1] };
        let mut keys = BTreeSet::new();
        for index in &picks {
            let point = space.nth_point(*index).unwrap_or_default();
            prop_assert_eq!(space.check(&point), Ok(()));
            prop_assert_eq!(space.point_index(&point), Some(*index));
            keys.insert(point.key());
        }
        prop_assert_eq!(keys.len(), picks.iter().collect::<BTreeSet<_>>().len());
        prop_assert_eq!(space.nth_point(count), None);
    }

    #[test]
    fn no_text_makes_the_constraint_reader_panic(text in "[-a-c0-9e.*/+<>=!$(){} ≤]{0,24}") {
        let space = json!({"a": {"uniform": [0, 1]}, "b": {"randint": [0, 3]}, "c": [1, 2]});
        if let Ok(space) = SearchSpace::parse(&space, Some(&json!([text])), "space") {
            let again = SearchSpace::parse(&space.canonical(), Some(&space.canonical_constraints()), "space");
            prop_assert_eq!(again.as_ref(), Ok(&space));
        }
    }
}
