//! Formats: equal documents from each, and no text that makes the reader fail badly.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use super::*;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn document_of(name: &str, text: &str) -> Json {
    read_text(name, text, "").unwrap_or_else(|error| panic!("{error}")).document().clone()
}

fn refused(name: &str, text: &str) -> SpecFileError {
    read_text(name, text, "").map(|loaded| loaded.document().clone()).unwrap_err()
}

#[test]
fn the_three_formats_mean_the_same() {
    let expected = json!({"name": "x", "space": {"b": {"uniform": [0, 0.0001]}, "a": [true, null]}, "budget": {"trials": 3}});
    let yaml = "name: x\nspace:\n  b: {uniform: [0, 1e-4]}\n  a: [true, ~]\nbudget:\n  trials: 3\n";
    assert_eq!(document_of("x.yaml", yaml), expected);
    assert_eq!(document_of("x.json", &expected.to_string()), expected);
    assert_eq!(document_of("-", &expected.to_string()), expected);
    let toml = "name = 'x'\n[space]\nb.uniform = [0, 1e-4]\na = [true]\n[budget]\ntrials = 3\n";
    let without_null =
        json!({"name": "x", "space": {"b": {"uniform": [0, 0.0001]}, "a": [true]}, "budget": {"trials": 3}});
    assert_eq!(document_of("x.toml", toml), without_null);
}

#[test]
fn parameters_keep_the_order_of_the_text() {
    for (name, text) in [
        ("x.yaml", "space: {b: [1], a: [2], c: [3]}"),
        ("x.json", r#"{"space": {"b": [1], "a": [2], "c": [3]}}"#),
        ("x.toml", "[space]\nb = [1]\na = [2]\nc = [3]\n"),
    ] {
        let document = document_of(name, text);
        let keys: Vec<_> = document.get("space").and_then(Json::as_object).unwrap().keys().cloned().collect();
        assert_eq!(keys, ["b", "a", "c"], "{name}");
    }
}

#[test]
fn what_is_quoted_stays_a_text() {
    let text = "a: '1'\nb: \"true\"\nc: 1\nd: !!str 1\ne: |\n  1\nf: ! 2\ng: yes\n1: x\ntrue: y\n";
    let expected = json!({"a": "1", "b": "true", "c": 1, "d": "1", "e": "1\n", "f": "2", "g": "yes", "1": "x", "true": "y"});
    assert_eq!(document_of("x.yaml", text), expected);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_no_harm() {
    let error = refused("x.yaml", "name: x\r\nspace: {x: [1]}\r\nname: y\r\n");
    let finding = error.0.iter().next().unwrap();
    assert_eq!((finding.line(), finding.column()), (Some(3), Some(1)));
    assert!(error.render(false).contains("3 | name: y\n"), "{error}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.yaml");
    std::fs::write(&path, "\u{feff}name: x\nobjective: max\nspace: {x: [1]}\n").unwrap();
    assert!(load(&path).unwrap().spec().is_ok());
}

#[test]
fn a_file_that_cannot_be_read_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.yaml");
    let said = |wanted: &str| {
        let error = load(&path).map(|loaded| loaded.document().clone()).unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    };
    said("error[E0180]: failed to read the file: no such file or directory");
    std::fs::write(&path, b"name: x\nb: \xff\n").unwrap();
    said("error[E0182]: the file is not UTF-8 text: line 2, column 4");
    std::fs::write(&path, vec![b' '; 1_048_577]).unwrap();
    said("error[E0181]: the file has more than 1048576 bytes");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    said("error[E0180]: failed to read the file: is a directory");
}

#[test]
fn the_json_form_of_a_mistake_has_its_place() {
    let loaded = read_text("x.yaml", "space: {x: [1]}\nobjective: max\nbudget: {trails: 1}\n", "").unwrap();
    let error = loaded.errors(loaded.spec().unwrap_err());
    let expected = json!({"errors": [{
        "code": "E0101", "path": "budget.trails", "file": "x.yaml", "line": 3, "column": 10,
        "message": "`budget` has no key `trails`", "help": "did you mean `trials`?",
    }]});
    assert_eq!(error.json(), expected);
}

#[test]
fn colours_are_only_used_where_they_are_asked_for() {
    let error = refused("x.yaml", "a: 1\na: 2\n");
    assert!(!error.render(false).contains('\u{1b}'));
    assert!(error.render(true).contains("\u{1b}[1;31m"));
}

#[test]
fn of_very_many_mistakes_the_first_hundred_are_shown() {
    let text: String = (0..5_000).map(|number| format!("key_{number}: 1\n")).collect();
    let loaded = read_text("x.yaml", &text, "").unwrap();
    let error = loaded.errors(loaded.spec().unwrap_err());
    assert_eq!(error.0.iter().count(), 100);
    let last = "error: 5002 mistakes in x.yaml; these are the first 100\n";
    assert!(error.render(false).ends_with(last), "{error}");
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let error = refused("x.json", "{\"a\u{1b}[31m\": 1, \"a\u{1b}[31m\": 2}");
    assert!(!error.render(false).contains('\u{1b}'), "{error:?}");
}

#[test]
fn the_folder_of_the_file_is_known_to_the_specification() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.yaml");
    std::fs::write(&path, "objective: max\nspace: {x: [1]}\nrun: {local: train}\n").unwrap();
    let (spec, _) = load(&path).unwrap().spec().unwrap();
    assert_eq!(spec.run.unwrap().spec_dir, dir.path().display().to_string());
}

/// Reads a text in each format as far as it goes.
fn try_everything(text: &str) {
    for name in ["x.yaml", "x.json", "x.toml", "-"] {
        match read_text(name, text, "") {
            Err(error) => assert!(error.render(true).ends_with('\n')),
            Ok(loaded) => {
                if let Err(errors) = loaded.spec() {
                    loaded.errors(errors).render(false);
                }
            }
        }
    }
}

#[test]
fn every_beginning_of_a_file_and_every_file_with_a_hole_is_read_or_refused() {
    let text = include_str!("testdata/valid/full.yaml");
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    for end in &ends {
        try_everything(text.get(..*end).unwrap());
        let hole = format!("{}{}", text.get(..*end).unwrap(), text.get(end + 1..).unwrap_or_default());
        try_everything(&hole);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        try_everything(&text);
    }

    #[test]
    fn any_text_of_the_characters_that_mean_something_is_read_or_refused(
        text in "[\\[\\]{}:,#&*!|>'\"%@`?~<=.$\\\\ \t\n\r0-9a-cé🚀-]{0,40}"
    ) {
        try_everything(&text);
    }

    #[test]
    fn any_document_survives_the_detour_through_json_and_yaml(value in documents()) {
        let document = json!({"name": "x", "value": value});
        let text = serde_json::to_string_pretty(&document).unwrap();
        prop_assert_eq!(&document_of("x.json", &text), &document);
        // JSON is a part of YAML.
        prop_assert_eq!(&document_of("x.yaml", &text), &document);
    }
}

fn documents() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-1e300..1e300).prop_map(Json::from),
        "[ -~é\n]{0,12}".prop_map(Json::from),
        Just(Json::Null),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[ -~é]{1,6}", inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().filter(|(key, _)| key != "<<").collect())),
        ]
    })
}
