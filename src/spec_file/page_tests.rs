//! Each page on an error shows a file that really causes it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use std::collections::BTreeMap;
use std::path::Path;

/// The code of each page of experiment files and spaces, and the page's text.
fn pages() -> BTreeMap<u16, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors");
    let mut pages = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(code) = name.strip_prefix('E').and_then(|number| number.parse::<u16>().ok())
            && (100..250).contains(&code)
        {
            pages.insert(code, std::fs::read_to_string(&path).unwrap());
        }
    }
    pages
}

/// All that is said about a text.
fn codes_of(text: &str) -> Vec<String> {
    let findings = match read_text("page.yaml", text, "") {
        Err(error) => error.0,
        Ok(loaded) => match loaded.spec() {
            Err(errors) => loaded.errors(errors).0,
            Ok((_, warnings)) => loaded.warnings(warnings),
        },
    };
    findings.iter().map(|finding| finding.code.to_string()).collect()
}

#[test]
fn the_examples_of_the_pages_cause_their_errors() {
    let mut wrong = Vec::new();
    for (code, page) in pages() {
        let Some((_, rest)) = page.split_once("```yaml\n") else { continue };
        let example = rest.split("```").next().unwrap_or_default();
        // What an example leaves out is not what it is about.
        let rest =
            [("space:", "{lr: {uniform: [0, 1]}}"), ("objective:", "maximize"), ("budget:", "{trials: 3}")];
        let missing = rest.iter().filter(|(key, _)| !example.lines().any(|line| line.starts_with(key)));
        let whole: String = missing.map(|(key, value)| format!("{key} {value}\n")).collect();
        let name = format!("E{code:04}");
        if !codes_of(example).contains(&name) && !codes_of(&(whole + example)).contains(&name) {
            wrong.push(format!("{name}: {:?}", codes_of(example)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let tables = [
        include_str!("codes.rs"),
        include_str!("../../engine/src/spec/codes.rs"),
        include_str!("../../engine/src/space/codes.rs"),
    ];
    let mut codes: Vec<u16> = tables
        .iter()
        .flat_map(|table| table.split("Code(").skip(1))
        .filter_map(|rest| rest.split(')').next()?.parse().ok())
        .collect();
    codes.sort_unstable();
    let pages = pages();
    assert_eq!(pages.keys().copied().collect::<Vec<_>>(), codes);
    for (code, page) in pages {
        assert!(page.starts_with(&format!("# E{code:04}: ")), "{code}");
    }
}
