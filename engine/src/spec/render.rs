//! Replaces placeholders: `${name}` in commands, paths, variables and template files.
//!
//! One pass: what was inserted is not looked at again. A name that nothing replaces stays as it is, for it may be a
//! variable of the shell. `$${name}` stands for the text `${name}` itself.
//!
//! A shell reads a command after its placeholders are replaced, and the options of a choice are inserted as they are: a
//! command that is given as a list of words is safe from what they contain.

use crate::space::SearchSpace;
use crate::value::Point;
use serde_json::Value as Json;

/// Replacements: names, without `${` and `}`, and the texts that take their place. The first of a name counts.
pub type Bindings = [(String, String)];

/// The text with its placeholders replaced.
pub fn render(text: &str, bindings: &Bindings) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Name { name, raw } => match bindings.iter().find(|(bound, _)| bound == name) {
                Some((_, value)) => out.push_str(value),
                None => out.push_str(raw),
            },
        }
    }
    out
}

/// The document with the placeholders in all its texts replaced; keys stay as they are.
#[must_use]
pub fn render_json(value: &Json, bindings: &Bindings) -> Json {
    match value {
        Json::String(text) => Json::String(render(text, bindings)),
        Json::Array(items) => items.iter().map(|item| render_json(item, bindings)).collect(),
        Json::Object(map) => {
            Json::Object(map.iter().map(|(key, item)| (key.clone(), render_json(item, bindings))).collect())
        }
        plain => plain.clone(),
    }
}

/// The names of the placeholders of a text, escaped ones excepted.
pub fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Name { name, .. } => Some(name),
        Piece::Text(_) => None,
    })
}

/// What is replaced besides the parameters.
pub const KNOWN: [&str; 9] = [
    "exp_id",
    "trial_id",
    "attempt",
    "task",
    "spec_dir",
    "tuner_params_list",
    "tuner_params_dict",
    "tuner_params_json",
    "params",
];

/// The replacements of the parameters of a point: each dotted name, each unambiguous last segment of a nested
/// name, and the four forms of all of them together that PAI `AutoML` knows.
pub fn parameter_bindings(space: &SearchSpace, point: &Point) -> Vec<(String, String)> {
    let mut bindings = space.bindings(point);
    let values: Vec<(String, String)> = space
        .leaves()
        .iter()
        .zip(0_u16..)
        .filter_map(|(leaf, index)| {
            point.get(index).map(|value| (leaf.name.clone(), leaf.domain.value_text(value)))
        })
        .collect();
    for (alias, name) in space.aliases() {
        let bound =
            |wanted: &str| bindings.iter().find(|(name, _)| name == wanted).map(|(_, text)| text.clone());
        if let (None, Some(text)) = (bound(&alias), bound(&name)) {
            bindings.push((alias, text));
        }
    }
    let join = |between: &str| {
        values.iter().map(|(name, text)| format!("{name}{between}{text}")).collect::<Vec<_>>().join(" ")
    };
    let json = Json::Object(space.to_json(point)).to_string();
    bindings.push(("tuner_params_list".to_owned(), join(" ")));
    bindings.push(("tuner_params_dict".to_owned(), join("=")));
    bindings.push(("tuner_params_json".to_owned(), json));
    bindings.push(("params".to_owned(), path_piece(&values)));
    bindings
}

/// A piece of a path that names the values: `lr0.001_batchsize64`.
fn path_piece(values: &[(String, String)]) -> String {
    let plain = |text: &str, keep: &[char]| -> String {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || keep.contains(c)).collect()
    };
    let pieces: Vec<String> = values
        .iter()
        .map(|(name, text)| format!("{}{}", plain(name, &[]), plain(text, &['.', '-', '+'])))
        .collect();
    pieces.join("_")
}

enum Piece<'a> {
    /// Also `${x}` where `$${x}` is written.
    Text(&'a str),
    Name {
        name: &'a str,
        raw: &'a str,
    },
}

/// Splits a text at its placeholders.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(start) = rest.find("${") else { return Some(Piece::Text(std::mem::take(&mut rest))) };
        let (before, placeholder) = rest.split_at(start);
        let name = placeholder.get(2..).and_then(|inner| inner.split_once('}')).map(|(name, _)| name);
        // Where the braces hold no name, only the `${` is passed over: a name may follow inside, as in `${a:-${b}}`.
        let Some(name) = name.filter(|name| is_name(name)) else {
            let (head, tail) = rest.split_at(start + 2);
            rest = tail;
            return Some(Piece::Text(head));
        };
        let (raw, after) = placeholder.split_at(name.len() + 3);
        match before.strip_suffix('$') {
            Some(_) if before.len() == 1 => {
                rest = after;
                Some(Piece::Text(raw))
            }
            Some(before) => {
                rest = rest.get(start - 1..).unwrap_or_default();
                Some(Piece::Text(before))
            }
            None if before.is_empty() => {
                rest = after;
                Some(Piece::Name { name, raw })
            }
            None => {
                rest = placeholder;
                Some(Piece::Text(before))
            }
        }
    })
}

/// Whether it can be the name of a parameter: no space, no control character, none of `$`, `{`, `}`.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '$' | '{' | '}'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn bindings() -> Vec<(String, String)> {
        [("lr", "0.1"), ("a.b", "x"), ("tricky", "${lr}")]
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .to_vec()
    }

    #[test]
    fn every_placeholder_is_replaced_once_and_unknown_ones_stay() {
        for (text, expected) in [
            ("--lr ${lr} ${lr}", "--lr 0.1 0.1"),
            ("${a.b}", "x"),
            ("${tricky}", "${lr}"),
            ("${HOME}/x ${", "${HOME}/x ${"),
            ("$${lr}", "${lr}"),
            ("$$${lr}", "$${lr}"),
            ("a$${lr}b${lr}", "a${lr}b0.1"),
            ("cost $5 $lr", "cost $5 $lr"),
            ("${x:-${lr}}", "${x:-0.1}"),
            ("${}", "${}"),
            ("${ lr }", "${ lr }"),
            ("größe=${lr}€", "größe=0.1€"),
        ] {
            assert_eq!(render(text, &bindings()), expected, "{text}");
        }
    }

    #[test]
    fn texts_inside_of_a_document_are_replaced_and_keys_are_not() {
        let value = json!({"${lr}": ["${lr}", 1, null, {"x": "a ${lr}"}]});
        assert_eq!(render_json(&value, &bindings()), json!({"${lr}": ["0.1", 1, null, {"x": "a 0.1"}]}));
    }

    #[test]
    fn the_parameters_of_a_point_are_bound_one_by_one_and_together() {
        let space = json!({
            "lr": {"choice": [0.001]},
            "batch_size": {"choice": [64]},
            "model": {"choice": [{"_name": "svm", "c": {"choice": [2]}}, {"_name": "tree", "depth": {"choice": [3]}}]},
        });
        let space = SearchSpace::parse(&space, None, "").unwrap();
        let point = space.nth_point(0).unwrap();
        let bound = parameter_bindings(&space, &point);
        let get = |name: &str| render(&format!("${{{name}}}"), &bound);
        assert_eq!(get("lr"), "0.001");
        assert_eq!(get("model"), "svm");
        assert_eq!(get("model.c"), "2");
        assert_eq!(get("c"), "2");
        assert_eq!(get("depth"), "", "a parameter that does not exist at the point is the empty text");
        assert_eq!(get("tuner_params_list"), "lr 0.001 batch_size 64 model svm model.c 2");
        assert_eq!(get("tuner_params_dict"), "lr=0.001 batch_size=64 model=svm model.c=2");
        assert_eq!(get("tuner_params_json"), r#"{"lr":0.001,"batch_size":64,"model":{"_name":"svm","c":2}}"#);
        assert_eq!(get("params"), "lr0.001_batchsize64_modelsvm_modelc2");
    }

    proptest! {
        #[test]
        fn a_text_without_bindings_changes_only_where_it_escapes(text in "[$ {}a-c]{0,20}") {
            let rendered = render(&text, &[]);
            if !text.contains("$${") {
                prop_assert_eq!(rendered, text);
            }
        }

        #[test]
        fn any_text_can_be_rendered(text in any::<String>()) {
            render(&text, &bindings());
        }
    }
}
