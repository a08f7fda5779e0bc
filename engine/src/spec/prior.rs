//! `prior`: where good values are expected before the first trial. A search begins there and believes it less with
//! every trial.

use super::codes;
use super::reader::{Place, Reader, describe, did_you_mean};
use crate::space::names::name_of;
use crate::space::{Domain, SearchSpace, codes as space_codes};
use crate::value::{Point, Value};
use serde_json::{Map, Value as Json};

const CURE: &str = "write, for example, prior: {lr: 0.003, hidden: [32, 128], optimizer: adam}";

/// What is expected of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// Values near this one.
    Around(Value),
    /// Values from the first to the second, both included.
    Within(Value, Value),
    /// One of these options of a choice; never empty, the likeliest first.
    Among(Vec<u32>),
}

impl Expected {
    /// The part of the unit interval that is expected of an ordered parameter: both ends are equal for
    /// [`Self::Around`]. None for options, and for values that the domain does not contain.
    pub fn range(&self, domain: &Domain) -> Option<(f64, f64)> {
        match self {
            Self::Around(value) => domain.to_unit(*value).map(|u| (u, u)),
            Self::Within(low, high) if domain.is_continuous() => {
                domain.to_unit(*low).zip(domain.to_unit(*high))
            }
            Self::Within(low, high) => Some((domain.cell(*low)?.0, domain.cell(*high)?.1)),
            Self::Among(_) => None,
        }
    }

    /// The value that is expected most.
    fn mode(&self, domain: &Domain) -> Value {
        match self {
            Self::Around(value) => *value,
            Self::Within(..) => {
                domain.from_unit(self.range(domain).map_or(0.5, |(low, high)| low + (high - low) / 2.0))
            }
            Self::Among(options) => Value::Option(options.first().copied().unwrap_or_default()),
        }
    }

    /// Whether it names one value.
    fn is_one(&self) -> bool {
        match self {
            Self::Around(_) => true,
            Self::Within(..) => false,
            Self::Among(options) => options.len() == 1,
        }
    }

    fn json(&self, domain: &Domain) -> Json {
        match self {
            Self::Around(value) => domain.value_json(*value),
            Self::Within(low, high) => [low, high].map(|value| domain.value_json(*value)).to_vec().into(),
            Self::Among(options) => match options.as_slice() {
                [one] => domain.value_json(Value::Option(*one)),
                several => several.iter().map(|one| domain.value_json(Value::Option(*one))).collect(),
            },
        }
    }
}

/// What is expected of the parameters; of none by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prior {
    /// By leaf, up to the last one of which anything is expected.
    leaves: Vec<Option<Expected>>,
}

impl Prior {
    /// Whether nothing is expected.
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// What is expected of a leaf.
    pub fn of(&self, leaf: u16) -> Option<&Expected> {
        self.leaves.get(usize::from(leaf))?.as_ref()
    }

    /// The point that is expected to be best: middles of ranges, first options, and the centre of what nothing is
    /// expected of. Constraints are not looked at.
    pub fn mode(&self, space: &SearchSpace) -> Point {
        space.build(|index, leaf| {
            self.of(index).map_or_else(|| leaf.domain.from_unit(0.5), |expected| expected.mode(&leaf.domain))
        })
    }

    pub(super) fn insert(&mut self, leaf: u16, expected: Expected) {
        let at = usize::from(leaf);
        if self.leaves.len() <= at {
            self.leaves.resize(at + 1, None);
        }
        if let Some(slot) = self.leaves.get_mut(at) {
            *slot = Some(expected);
        }
    }

    /// The recorded form.
    pub(super) fn canonical(&self, space: &SearchSpace) -> Json {
        let mut map = Map::new();
        for (leaf, expected) in space.leaves().iter().zip(&self.leaves) {
            if let Some(expected) = expected
                && !map.contains_key(&leaf.name)
            {
                map.insert(leaf.name.clone(), expected.json(&leaf.domain));
            }
        }
        Json::Object(map)
    }
}

/// Reads `prior: {lr: 0.003, hidden: [32, 128], optimizer: adam}`. Parameters of a branch are named by their path. Without a
/// space nothing is looked at.
pub(super) fn read_prior(
    reader: &mut Reader,
    place: Option<Place<'_>>,
    space: Option<&SearchSpace>,
) -> Option<Prior> {
    let Some(place) = place else { return Some(Prior::default()) };
    let before = reader.errors.len();
    let fields = reader.fields(&place, "a map of parameters to expected values", CURE)?;
    let space = space?;
    let mut prior = Prior::default();
    for (key, value) in fields.rest() {
        let name = name_of(key);
        let leaves: Vec<u16> = space.find(name).collect();
        if leaves.is_empty() {
            let names = || space.leaves().iter().map(|leaf| leaf.name.as_str());
            let cure = did_you_mean(name, names())
                .unwrap_or_else(|| format!("the parameters are {}", names().collect::<Vec<_>>().join(", ")));
            let message = format!("the space has no parameter `{name}`");
            reader.fail_key(space_codes::UNKNOWN_PARAMETER, &value.path, message, cure);
            continue;
        }
        // Under several options a name may mean parameters of different domains: it must fit one of them.
        let mut mistakes = Vec::new();
        let mut fits = false;
        for index in leaves {
            let Some(leaf) = space.leaf(index) else { continue };
            let mut inner = Reader::default();
            match read_expected(&mut inner, &value, &leaf.domain) {
                Some(expected) => {
                    prior.insert(index, expected);
                    fits = true;
                }
                None if mistakes.is_empty() => mistakes = inner.errors,
                None => {}
            }
        }
        if !fits {
            reader.errors.append(&mut mistakes);
        }
    }
    if reader.errors.len() == before {
        check_constraints(reader, &place.path, &prior, space);
    }
    (reader.errors.len() == before).then_some(prior)
}

/// A mistake if the prior is a single point, and constraints forbid it.
fn check_constraints(reader: &mut Reader, path: &str, prior: &Prior, space: &SearchSpace) {
    let mode = prior.mode(space);
    let said = |(leaf, _): &(u16, Value)| {
        let only = space.leaf(*leaf).is_some_and(|leaf| leaf.domain.cardinality() == Some(1));
        only || prior.of(*leaf).is_some_and(Expected::is_one)
    };
    if mode.0.iter().all(said)
        && let Err(errors) = space.check(&mode)
    {
        for error in errors {
            let cure = "move the prior to where the constraints hold, or leave a parameter out of it";
            reader.fail(error.code, path, error.message, cure);
        }
    }
}

fn read_expected(reader: &mut Reader, place: &Place<'_>, domain: &Domain) -> Option<Expected> {
    if place.value.is_object() {
        let cure = "name the parameters of a branch by their path: prior: {model: svm, model.c: 0.1}";
        reader.wrong_type(place, "a value or a list", cure);
        return None;
    }
    if domain.is_categorical() {
        let mut options = Vec::new();
        let mut all = true;
        for item in place.items() {
            match read_value(reader, &item, domain) {
                Some(Value::Option(option)) if !options.contains(&option) => options.push(option),
                Some(_) => {}
                None => all = false,
            }
        }
        if all && options.is_empty() {
            let cure = "name the options that are expected to be good, or leave the parameter out";
            reader.fail(codes::EMPTY, &place.path, "the list names no option", cure);
        }
        return (all && !options.is_empty()).then_some(Expected::Among(options));
    }
    if !place.value.is_array() {
        return read_value(reader, place, domain).map(Expected::Around);
    }
    let items = place.items();
    let [low, high] = items.as_slice() else {
        let message = format!("expected the ends of a range, found {} values", items.len());
        let cure = "write [LOWEST, HIGHEST], or one value for around there";
        reader.fail(codes::WRONG_TYPE, &place.path, message, cure);
        return None;
    };
    let (low, high) = (read_value(reader, low, domain), read_value(reader, high, domain));
    let (low, high) = low.zip(high)?;
    if domain.to_unit(low) > domain.to_unit(high) {
        let message = "the range ends before it begins";
        reader.fail(space_codes::EMPTY_RANGE, &place.path, message, "write the lower end first");
        return None;
    }
    Some(if low == high { Expected::Around(low) } else { Expected::Within(low, high) })
}

/// A value of the domain; of a number that is not on its lattice, the nearest one.
fn read_value(reader: &mut Reader, place: &Place<'_>, domain: &Domain) -> Option<Value> {
    if domain.options().is_some() {
        let value = domain.read(place.value);
        return value.map_err(|(code, message, cure)| reader.fail(code, &place.path, message, cure)).ok();
    }
    let x = reader.number(place)?;
    let ends = domain.cardinality().map(|values| [0, values.saturating_sub(1)].map(|at| domain.nth(at)));
    let inside = match ends {
        Some(ends) => {
            let [low, high] = ends.map(|end| end.and_then(|end| domain.number(end)).unwrap_or(f64::NAN));
            low <= x && x <= high
        }
        None => domain.contains(Value::Float(x)),
    };
    let nearest = domain.nearest(x);
    if inside {
        return Some(nearest);
    }
    let message = format!("{} lies outside of the search space", describe(place.value));
    let cure = format!("the nearest value is {}", domain.value_json(nearest));
    reader.fail(space_codes::OUT_OF_DOMAIN, &place.path, message, cure);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn space() -> SearchSpace {
        let space = json!({
            "lr": {"loguniform": [0.0001, 1]},
            "hidden": {"quniform": [16, 256, 16]},
            "size": {"ordinal": ["s", "m", "l"]},
            "optimizer": {"choice": ["sgd", "adam", "lamb"]},
            "net": [{"_name": "deep", "n": {"randint": [1, 9]}}, {"_name": "wide", "n": {"uniform": [10, 20]}}],
        });
        SearchSpace::parse(&space, None, "space").unwrap()
    }

    fn read(prior: &Json, space: &SearchSpace) -> Result<Prior, Vec<(u16, String)>> {
        let mut reader = Reader::default();
        match read_prior(&mut reader, Some(Place::new(prior, "prior")), Some(space)) {
            Some(prior) if reader.errors.is_empty() => Ok(prior),
            _ => Err(reader.errors.into_iter().map(|error| (error.code.0, error.path)).collect()),
        }
    }

    #[test]
    fn every_kind_of_parameter_is_read_and_written_again() {
        let space = space();
        let written = json!({"lr": 0.01, "hidden": [31, 128.0], "${size}": ["m", "l"], "optimizer": ["adam", "lamb"],
            "net": "wide", "net.n": 12});
        let prior = read(&written, &space).unwrap();
        let canonical = prior.canonical(&space);
        assert_eq!(
            canonical,
            json!({"lr": 0.01, "hidden": [32, 128], "size": ["m", "l"], "optimizer": ["adam", "lamb"],
                "net": "wide", "net.n": 12.0})
        );
        assert_eq!(read(&canonical, &space).unwrap(), prior);
        // 12 is no value of the other branch's parameter of that name.
        assert_eq!((prior.of(5), prior.of(6)), (None, Some(&Expected::Around(Value::Float(12.0)))));
        let mode = Json::Object(space.to_json(&prior.mode(&space)));
        let net = json!({"_name": "wide", "n": 12.0});
        assert_eq!(mode, json!({"lr": 0.01, "hidden": 80, "size": "l", "optimizer": "adam", "net": net}));
        let hidden = &space.leaves()[1].domain;
        let (low, high) = prior.of(1).unwrap().range(hidden).unwrap();
        assert!((low - 8.0 / 240.0).abs() < 1e-12 && (high - 120.0 / 240.0).abs() < 1e-12, "{low} {high}");
    }

    #[test]
    fn every_mistake_has_its_place() {
        let written = json!({"lr": 2, "hidden": [128, 32], "size": "xl", "optimizer": [], "rl": 1,
            "net": {"_name": "deep"}, "net.n": 9.5});
        let expected = [
            (245, "prior.lr"),
            (211, "prior.hidden"),
            (245, "prior.size"),
            (105, "prior.optimizer"),
            (241, "prior.rl"),
            (102, "prior.net"),
            (245, "prior.net.n"),
        ];
        let expected = expected.map(|(code, path)| (code, path.to_owned()));
        assert_eq!(read(&written, &space()).unwrap_err(), expected);
        assert_eq!(read(&json!([1]), &space()).unwrap_err(), [(102, "prior".to_owned())]);
        assert_eq!(read(&json!({"lr": [1]}), &space()).unwrap_err(), [(102, "prior.lr".to_owned())]);
    }

    #[test]
    fn a_single_point_must_fulfil_the_constraints() {
        let space = json!({"a": {"randint": [0, 5]}, "b": {"uniform": [0, 1]}});
        let space = SearchSpace::parse(&space, Some(&json!(["a + b <= 3"])), "space").unwrap();
        assert_eq!(read(&json!({"a": 4, "b": 0.5}), &space).unwrap_err(), [(246, "prior".to_owned())]);
        assert!(read(&json!({"a": 4}), &space).is_ok(), "the other one is left to the search");
    }
}
