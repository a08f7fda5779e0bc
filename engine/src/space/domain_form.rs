//! Reads the numbers of a domain: `{loguniform: [0.0001, 0.5]}`.

use super::codes;
use super::domain::{Domain, Shape};
use super::lattice::{EXACT, MAX_MULTIPLE, MAX_STEPS};
use super::normal::TAIL_DEVIATIONS;
use crate::error::SpecError;
use serde_json::Value as Json;

/// Values of one `randint`: their unit coordinates stay distinct.
const MAX_RANDINT: u64 = 1 << 48;

/// The names of all types.
pub(super) const TYPES: [&str; 11] = [
    "choice",
    "ordinal",
    "randint",
    "uniform",
    "quniform",
    "loguniform",
    "qloguniform",
    "normal",
    "qnormal",
    "lognormal",
    "qlognormal",
];

/// Type names of other tuners.
const FOREIGN: [(&str, &str); 12] = [
    ("int", "randint"),
    ("integer", "randint"),
    ("intuniform", "randint"),
    ("float", "uniform"),
    ("double", "uniform"),
    ("real", "uniform"),
    ("categorical", "choice"),
    ("category", "choice"),
    ("values", "choice"),
    ("grid_search", "choice"),
    ("discrete", "ordinal"),
    ("gaussian", "normal"),
];

/// The type that was probably meant.
pub(super) fn meant_type(written: &str) -> Option<&'static str> {
    let lower = written.to_lowercase();
    FOREIGN
        .iter()
        .find(|(foreign, _)| *foreign == lower)
        .map(|(_, ours)| *ours)
        .or_else(|| super::names::meant(&lower, TYPES))
}

/// Reads a domain of numbers; `path` leads to the list of numbers.
pub(super) fn read_numbers(
    name: &str,
    kind: &str,
    value: &Json,
    path: &str,
    errors: &mut Vec<SpecError>,
) -> Option<Domain> {
    let labels = labels(kind);
    let form = format!("write {kind}: [{}]", labels.join(", "));
    let Json::Array(items) = value else {
        let message = format!("`{name}`: {kind} needs a list of {} numbers", labels.len());
        errors.push(SpecError::new(codes::WRONG_ARITY, path, message, form));
        return None;
    };
    let before = errors.len();
    if items.len() != labels.len() {
        let message = format!(
            "`{name}`: {kind} needs {} numbers ({}), not {}",
            labels.len(),
            labels.join(", "),
            items.len()
        );
        let step = items.len() == 3 && labels.len() == 2 && kind != "randint";
        let cure = if step { format!("{form}; with a step, use q{kind}") } else { form };
        errors.push(SpecError::new(codes::WRONG_ARITY, path, message, cure));
    }
    let mut numbers = [0.0; 3];
    for (index, ((item, label), slot)) in items.iter().zip(labels).zip(&mut numbers).enumerate() {
        let path = format!("{path}[{index}]");
        if let Some(x) = item.as_f64().filter(|x| x.is_finite()) {
            *slot = x;
        } else {
            let message = format!("`{name}`: {label} of {kind} is {item}, not a number");
            let number = item.as_str().is_some_and(|text| text.trim().parse::<f64>().is_ok());
            let cure = if number { "write the number without quotes" } else { "write a number" };
            errors.push(SpecError::new(codes::NOT_A_NUMBER, path, message, cure));
        }
    }
    if errors.len() > before {
        return None;
    }
    let form = Form { name, kind, path };
    let domain = if kind == "randint" { form.randint(items, errors) } else { form.check(numbers, errors) };
    domain.filter(|_| errors.len() == before)
}

/// What the numbers of a type are called.
fn labels(kind: &str) -> &'static [&'static str] {
    match kind {
        "quniform" | "qloguniform" => &["low", "high", "q"],
        "normal" | "lognormal" => &["mu", "sigma"],
        "qnormal" | "qlognormal" => &["mu", "sigma", "q"],
        _ => &["low", "high"],
    }
}

struct Form<'a> {
    name: &'a str,
    kind: &'a str,
    path: &'a str,
}

impl Form<'_> {
    fn positive(&self, index: usize, label: &str, x: f64, cure: &str, errors: &mut Vec<SpecError>) {
        if x <= 0.0 {
            let message = format!("`{}`: {label} of {} must be above 0, not {x}", self.name, self.kind);
            errors.push(SpecError::new(
                codes::NOT_POSITIVE,
                format!("{}[{index}]", self.path),
                message,
                cure,
            ));
        }
    }

    fn range(&self, low: f64, high: f64, errors: &mut Vec<SpecError>) {
        if high <= low {
            let message = format!("`{}`: high must be above low, but {high} is not above {low}", self.name);
            let cure =
                if high < low { "swap the two numbers" } else { "for a constant, write the value alone" };
            errors.push(SpecError::new(codes::EMPTY_RANGE, format!("{}[1]", self.path), message, cure));
        } else if !(high - low).is_finite() {
            let message = format!("`{}`: the range from {low} to {high} is too wide", self.name);
            errors.push(SpecError::new(codes::TOO_WIDE, self.path, message, "choose narrower bounds"));
        }
    }

    fn reach(&self, domain: &Domain, errors: &mut Vec<SpecError>) {
        let ok = match *domain {
            Domain::Normal { mu, sigma } | Domain::QNormal { mu, sigma, .. } => {
                (mu.abs() + TAIL_DEVIATIONS * sigma).is_finite()
            }
            // exp overflows at 709.8 and leaves the normal numbers at -708.4.
            Domain::LogNormal { mu, sigma } | Domain::QLogNormal { mu, sigma, .. } => {
                mu.abs() + TAIL_DEVIATIONS * sigma < 700.0
            }
            _ => true,
        };
        if !ok {
            let message = format!("`{}`: mu and sigma of {} reach beyond all numbers", self.name, self.kind);
            let cure = if domain.is_log() {
                "mu and sigma are those of the logarithm of the value: choose smaller ones"
            } else {
                "choose smaller ones"
            };
            errors.push(SpecError::new(codes::TOO_WIDE, self.path, message, cure));
        }
    }

    fn check(&self, [a, b, q]: [f64; 3], errors: &mut Vec<SpecError>) -> Option<Domain> {
        let before = errors.len();
        let (low, high, mu, sigma) = (a, b, a, b);
        let domain = match self.kind {
            "uniform" => Domain::Uniform { low, high },
            "quniform" => Domain::QUniform { low, high, q },
            "loguniform" => Domain::LogUniform { low, high },
            "qloguniform" => Domain::QLogUniform { low, high, q },
            "normal" => Domain::Normal { mu, sigma },
            "qnormal" => Domain::QNormal { mu, sigma, q },
            "lognormal" => Domain::LogNormal { mu, sigma },
            "qlognormal" => Domain::QLogNormal { mu, sigma, q },
            _ => return None,
        };
        if labels(self.kind).contains(&"low") {
            if domain.is_log() {
                self.positive(0, "low", low, "a logarithm needs numbers above 0", errors);
            }
            self.range(low, high, errors);
        } else {
            self.positive(1, "sigma", sigma, "give the standard deviation", errors);
            self.reach(&domain, errors);
        }
        if labels(self.kind).contains(&"q") {
            self.positive(2, "q", q, "give the step between two values", errors);
        }
        if errors.len() == before
            && let Shape::Stepped(lattice) = domain.shape()
            && !lattice.is_sound()
        {
            let message = format!("`{}`: the step {q} is too fine for the range of {}", self.name, self.kind);
            let cure = format!(
                "choose a larger step (at most {MAX_STEPS:e} values, none beyond {MAX_MULTIPLE:e} steps) or use {}",
                self.kind.trim_start_matches('q')
            );
            errors.push(SpecError::new(codes::TOO_FINE, format!("{}[2]", self.path), message, cure));
        }
        (errors.len() == before).then_some(domain)
    }

    fn randint(&self, items: &[Json], errors: &mut Vec<SpecError>) -> Option<Domain> {
        let before = errors.len();
        let mut bounds = [0i64; 2];
        for (index, (item, slot)) in items.iter().zip(&mut bounds).enumerate() {
            let x = item.as_f64().unwrap_or(f64::NAN);
            let path = format!("{}[{index}]", self.path);
            if x != x.round() {
                let message = format!("`{}`: randint needs whole numbers, not {x}", self.name);
                errors.push(SpecError::new(
                    codes::NOT_WHOLE,
                    path,
                    message,
                    "use uniform or quniform for fractions",
                ));
            } else if x.abs() > EXACT {
                let message = format!("`{}`: {x} is too large for randint", self.name);
                errors.push(SpecError::new(codes::TOO_WIDE, path, message, "stay within 2^53"));
            } else {
                *slot = x as i64;
            }
        }
        if errors.len() > before {
            return None;
        }
        let [low, high] = bounds;
        if high <= low {
            let message = format!(
                "`{}`: randint has no value, since high is excluded and {high} is not above {low}",
                self.name
            );
            let cure = if high < low { "swap the two numbers" } else { "add 1 to high" };
            errors.push(SpecError::new(codes::EMPTY_RANGE, format!("{}[1]", self.path), message, cure));
            return None;
        }
        if high.abs_diff(low) > MAX_RANDINT {
            let message = format!("`{}`: randint has more than 2^48 values", self.name);
            errors.push(SpecError::new(codes::TOO_WIDE, self.path, message, "choose narrower bounds"));
            return None;
        }
        Some(Domain::RandInt { low, high })
    }
}
