//! Reads `2*a + b - 1 <= 3*c`: sums of products of numbers and at most one name, and one comparison.

use super::codes;
use super::constraint::{Comparison, LinearConstraint};
use super::forbidden;
use super::names::meant;
use super::tree::SearchSpace;
use crate::error::SpecError;
use crate::limits::MAX_CONSTRAINTS;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// One word of a constraint.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Name(String),
    Plus,
    Minus,
    Times,
    Over,
    Compare(Comparison),
}

impl Token {
    fn text(&self) -> String {
        match self {
            Self::Number(x) => x.to_string(),
            Self::Name(name) => name.clone(),
            Self::Plus => "+".to_owned(),
            Self::Minus => "-".to_owned(),
            Self::Times => "*".to_owned(),
            Self::Over => "/".to_owned(),
            Self::Compare(op) => op.symbol().to_owned(),
        }
    }
}

/// A sum: factors by name, and the constant.
#[derive(Debug, Default)]
struct Sum {
    factors: BTreeMap<String, f64>,
    constant: f64,
}

/// Whether a name can stand in a constraint without `${}`.
pub(super) fn is_plain_name(name: &str) -> bool {
    name.starts_with(starts_name) && name.chars().all(continues_name)
}

fn starts_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn continues_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

/// Reads the list of constraints: a text, or a list of texts and forbidden combinations.
pub(super) fn read_constraints(space: &mut SearchSpace, value: Option<&Json>, errors: &mut Vec<SpecError>) {
    let single;
    let items = match value {
        None | Some(Json::Null) => return,
        Some(Json::Array(items)) => items.as_slice(),
        Some(text @ Json::String(_)) => {
            single = [text.clone()];
            single.as_slice()
        }
        Some(_) => {
            let message = "the constraints are not a list of texts";
            let cure = "write a list such as [\"a + 2*b <= 10\"]";
            errors.push(SpecError::new(codes::CONSTRAINT_SYNTAX, "constraints", message, cure));
            return;
        }
    };
    if items.len() > MAX_CONSTRAINTS {
        let message = format!("there are {} constraints; the limit is {MAX_CONSTRAINTS}", items.len());
        errors.push(SpecError::new(codes::TOO_MANY, "constraints", message, "leave some out"));
        return;
    }
    let is_list = matches!(value, Some(Json::Array(_)));
    for (index, item) in items.iter().enumerate() {
        let path = if is_list { format!("constraints[{index}]") } else { "constraints".to_owned() };
        if let Json::Object(map) = item {
            match forbidden::read(map, space, &path) {
                Ok(forbidden) => space.forbidden.push(forbidden),
                Err(mut found) => errors.append(&mut found),
            }
            continue;
        }
        let Json::String(text) = item else {
            let message = "the constraint is neither a text nor a forbidden combination";
            let cure = "write it as a text such as \"a + 2*b <= 10\", or as {forbid: {kind: a, n: [1, 2]}}";
            errors.push(SpecError::new(codes::CONSTRAINT_SYNTAX, path, message, cure));
            continue;
        };
        match read(text, space, &path) {
            Ok(constraint) => space.constraints.push(constraint),
            Err(mut found) => errors.append(&mut found),
        }
    }
}

fn read(text: &str, space: &SearchSpace, path: &str) -> Result<LinearConstraint, Vec<SpecError>> {
    let syntax = |(message, cure): (String, &str)| {
        vec![SpecError::new(codes::CONSTRAINT_SYNTAX, path, format!("`{text}`: {message}"), cure)]
    };
    let (left, op, right) = sides(&tokens(text).map_err(syntax)?).map_err(syntax)?;
    let mut factors = left.factors;
    for (name, factor) in right.factors {
        *factors.entry(name).or_insert(0.0) -= factor;
    }
    let bound = right.constant - left.constant;
    let mut errors = Vec::new();
    let mut terms = Vec::new();
    for (name, factor) in &factors {
        let mut found = false;
        for index in space.find(name) {
            found = true;
            terms.push((index, *factor));
            if let Some(leaf) = space.leaf(index).filter(|leaf| !leaf.domain.is_numeric()) {
                let message = format!(
                    "`{name}` is a {} with options that are not numbers, and cannot be summed",
                    leaf.domain.type_name()
                );
                let cure = "only parameters with numbers can stand in a constraint";
                errors.push(SpecError::new(codes::CONSTRAINT_NOT_NUMERIC, path, message, cure));
                break;
            }
        }
        if !found {
            let message = format!("`{name}` in `{text}` is not a parameter of the space");
            let names = space.leaves().iter().map(|leaf| leaf.name.as_str());
            let cure = meant(name, names).map(|name| format!("did you mean `{name}`?")).unwrap_or_default();
            errors.push(SpecError::new(codes::CONSTRAINT_UNKNOWN_NAME, path, message, cure));
        }
    }
    terms.retain(|(_, factor)| *factor != 0.0);
    terms.sort_by_key(|(leaf, _)| *leaf);
    if errors.is_empty() && terms.is_empty() {
        let message = format!("no parameter is left in `{text}`");
        let cure = "compare at least one parameter with a number";
        errors.push(SpecError::new(codes::CONSTRAINT_WITHOUT_NAMES, path, message, cure));
    }
    if errors.is_empty() && !(bound.is_finite() && terms.iter().all(|(_, factor)| factor.is_finite())) {
        errors = syntax(("its numbers are too large".to_owned(), "scale both sides down"));
    }
    if errors.is_empty() { Ok(LinearConstraint { terms, op, bound }) } else { Err(errors) }
}

type Syntax = (String, &'static str);

const FORM: &str = "write sums of parameters, such as `a + 2*b <= 10`";

fn tokens(text: &str) -> Result<Vec<Token>, Syntax> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let (token, length) = if starts_name(c) {
            let length = rest.find(|c| !continues_name(c)).unwrap_or(rest.len());
            (Token::Name(rest.get(..length).unwrap_or_default().to_owned()), length)
        } else if c == '$' {
            let inner =
                rest.strip_prefix("${").and_then(|inner| inner.split_once('}')).map(|(inner, _)| inner);
            let inner =
                inner.ok_or_else(|| ("`$` without a name in braces".to_owned(), "write `${name}`"))?;
            (Token::Name(inner.to_owned()), inner.len() + 3)
        } else if c.is_ascii_digit() || c == '.' {
            let length = number_length(rest);
            let number = rest.get(..length).and_then(|digits| digits.parse::<f64>().ok());
            let number = number.filter(|x| x.is_finite());
            let number = number
                .ok_or_else(|| (format!("`{}` is not a number", rest.get(..length).unwrap_or(rest)), FORM))?;
            (Token::Number(number), length)
        } else {
            operator(rest, c)?
        };
        tokens.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

fn operator(rest: &str, c: char) -> Result<(Token, usize), Syntax> {
    let two = |op| (Token::Compare(op), 2);
    Ok(match rest.get(..2) {
        Some("<=") => two(Comparison::AtMost),
        Some(">=") => two(Comparison::AtLeast),
        Some("==") => two(Comparison::Equal),
        Some("!=") => return Err(("`!=` is not a linear constraint".to_owned(), "use <=, >=, ==, < or >")),
        _ => match c {
            '<' => (Token::Compare(Comparison::Less), 1),
            '>' => (Token::Compare(Comparison::Greater), 1),
            '=' => (Token::Compare(Comparison::Equal), 1),
            '+' => (Token::Plus, 1),
            '-' => (Token::Minus, 1),
            '*' => (Token::Times, 1),
            '/' => (Token::Over, 1),
            '(' | ')' => return Err(("parentheses are not understood".to_owned(), "multiply the terms out")),
            '^' => return Err(("powers are not linear".to_owned(), FORM)),
            other => return Err((format!("{other:?} is not understood"), FORM)),
        },
    })
}

/// The bytes of the number at the start: digits, a point, an exponent.
fn number_length(text: &str) -> usize {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
        // `e` belongs to the number only before a digit or a sign: `2eta` is 2 and a name, which is refused later.
        let exponent = matches!(c, 'e' | 'E')
            && before.is_ascii_digit()
            && text.get(at + 1..).is_some_and(|rest| {
                let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
                digits.starts_with(|c: char| c.is_ascii_digit())
            });
        if !(c.is_ascii_digit() || c == '.' || sign || exponent) {
            return at;
        }
        before = c;
    }
    text.len()
}

fn sides(tokens: &[Token]) -> Result<(Sum, Comparison, Sum), Syntax> {
    let mut parts = tokens.split(|token| matches!(token, Token::Compare(_)));
    let mut operators = tokens.iter().filter_map(|token| match token {
        Token::Compare(op) => Some(*op),
        _ => None,
    });
    let (Some(left), Some(op), Some(right)) = (parts.next(), operators.next(), parts.next()) else {
        return Err(("there is no comparison".to_owned(), "compare with <=, >=, ==, < or >"));
    };
    if operators.next().is_some() {
        return Err(("there is more than one comparison".to_owned(), "write one constraint for each"));
    }
    Ok((sum(left, "left")?, op, sum(right, "right")?))
}

fn sum(tokens: &[Token], side: &str) -> Result<Sum, Syntax> {
    let mut sum = Sum::default();
    let mut rest = tokens;
    if rest.is_empty() {
        return Err((format!("the {side} side is empty"), FORM));
    }
    let mut first = true;
    while !rest.is_empty() {
        let mut sign = 1.0;
        let mut signed = false;
        while let [token @ (Token::Plus | Token::Minus), tail @ ..] = rest {
            if *token == Token::Minus {
                sign = -sign;
            }
            signed = true;
            rest = tail;
        }
        if !signed && !first {
            let found = rest.first().map(Token::text).unwrap_or_default();
            return Err((
                format!("an operator is missing before `{found}`"),
                "write products with `*`: `2*a`",
            ));
        }
        first = false;
        let (factor, name, tail) = product(rest)?;
        match name {
            Some(name) => *sum.factors.entry(name).or_insert(0.0) += sign * factor,
            None => sum.constant += sign * factor,
        }
        rest = tail;
    }
    Ok(sum)
}

/// Numbers and at most one name, joined by `*` and `/`.
fn product(tokens: &[Token]) -> Result<(f64, Option<String>, &[Token]), Syntax> {
    let mut factor = 1.0;
    let mut name = None;
    let mut rest = tokens;
    let mut divide = false;
    loop {
        let mut sign = 1.0;
        while let [Token::Minus, tail @ ..] = rest {
            sign = -sign;
            rest = tail;
        }
        match rest {
            [Token::Number(x), ..] if divide && *x == 0.0 => {
                return Err(("it divides by zero".to_owned(), FORM));
            }
            [Token::Number(x), ..] if divide => factor *= sign / x,
            [Token::Number(x), ..] => factor *= sign * x,
            [Token::Name(_), ..] if divide => {
                return Err(("dividing by a parameter is not linear".to_owned(), FORM));
            }
            [Token::Name(_), ..] if name.is_some() => {
                return Err(("a product of two parameters is not linear".to_owned(), FORM));
            }
            [Token::Name(found), ..] => {
                factor *= sign;
                name = Some(found.clone());
            }
            [other, ..] => return Err((format!("a term is missing before `{}`", other.text()), FORM)),
            [] => return Err(("a term is missing at the end".to_owned(), FORM)),
        }
        rest = rest.get(1..).unwrap_or_default();
        match rest {
            [Token::Times, tail @ ..] => (divide, rest) = (false, tail),
            [Token::Over, tail @ ..] => (divide, rest) = (true, tail),
            _ => return Ok((factor, name, rest)),
        }
    }
}
