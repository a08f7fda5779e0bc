//! Documents that must agree with the code: the event catalogue, the error pages, the README, and what documents refer to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `RETRIAL_BLESS=1` writes the catalogue anew.
#[test]
fn the_event_catalogue_is_up_to_date() {
    let mut text = "# Events\n\nGenerated from `engine::event::KINDS`. A number is never used again, and a payload's layout never \
                    changes: a change is a new version.\n\n| kind | version | name | says |\n|---|---|---|---|\n"
        .to_owned();
    for kind in engine::event::KINDS {
        text.push_str(&format!("| {} | {} | `{}` | {} |\n", kind.kind, kind.version, kind.name, kind.about));
    }
    let path = root().join("docs/events.md");
    if std::env::var_os("RETRIAL_BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text, "repeat with RETRIAL_BLESS=1");
}

fn tables(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tables(&path, found);
        } else if path.file_name().is_some_and(|name| name == "codes.rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_error_code_has_a_page_and_every_page_a_code() {
    let mut files = Vec::new();
    for part in ["engine/src", "journal/src", "samplers/src", "backends/src", "src"] {
        tables(&root().join(part), &mut files);
    }
    let mut codes = BTreeSet::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        for rest in text.split("= Code(").skip(1) {
            let number: u16 = rest.split(')').next().unwrap().parse().unwrap();
            assert!(codes.insert(format!("E{number:04}")), "{number} is given twice: {}", file.display());
        }
    }
    assert!(codes.len() > 100, "only {} codes were found in {files:?}", codes.len());
    let mut pages = BTreeSet::new();
    for entry in fs::read_dir(root().join("docs/errors")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "README" {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let title = text.lines().next().unwrap().strip_prefix(&format!("# {name}: ")).unwrap_or_default();
        assert!(!title.trim().is_empty(), "{name} has no title");
        assert!(text.contains("## Cure") || text.to_lowercase().contains("cure"), "{name} has no cure");
        pages.insert(name);
    }
    assert_eq!(codes, pages);
}

/// `RETRIAL_BLESS=1` writes the list anew.
#[test]
fn the_error_pages_are_listed() {
    let dir = root().join("docs/errors");
    let mut pages = BTreeSet::new();
    for entry in fs::read_dir(&dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name != "README.md" {
            pages.insert(name);
        }
    }
    let families = [
        ("E01", "The experiment file"),
        ("E02", "The search space and its points"),
        ("E03", "Samplers and early stopping"),
        ("E04", "Commands that are refused"),
        ("E05", "Backends and metrics"),
        ("E06", "The program and its store"),
    ];
    let mut text = "# Errors\n\nGenerated from the pages. A number is never used again.\n".to_owned();
    let mut listed = 0;
    for (family, about) in families {
        text.push_str(&format!("\n## {about}\n\n"));
        for page in pages.iter().filter(|page| page.starts_with(family)) {
            let title = fs::read_to_string(dir.join(page)).unwrap();
            let title = title.lines().next().unwrap().trim_start_matches("# ").to_owned();
            let (code, title) = title.split_once(": ").unwrap();
            text.push_str(&format!("* [{code}]({page}): {title}\n"));
            listed += 1;
        }
    }
    assert_eq!(listed, pages.len(), "a page belongs to no family");
    let path = dir.join("README.md");
    if std::env::var_os("RETRIAL_BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text, "repeat with RETRIAL_BLESS=1");
}

#[test]
fn every_early_stopping_rule_has_a_page_in_the_index_and_in_the_schema() {
    let dir = root().join("docs/early_stop");
    let index = fs::read_to_string(dir.join("README.md")).unwrap();
    let schema = fs::read_to_string(root().join("schemas/experiment.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let examples = schema.pointer("/$defs/early_stop/anyOf/0/examples").unwrap().as_array().unwrap();
    for (rule, _) in samplers::recipe::EARLY_STOPS {
        assert!(index.contains(&format!("[{rule}]({rule}.md)")), "{rule} is not in the index");
        let page = fs::read_to_string(dir.join(format!("{rule}.md"))).unwrap();
        assert!(page.starts_with(&format!("# {rule}\n")) && page.contains("early_stop: {"), "{rule}");
        assert!(examples.contains(&rule.into()), "{rule} is not in the schema");
    }
    assert_eq!(fs::read_dir(dir).unwrap().count(), samplers::recipe::EARLY_STOPS.len() + 1);
    assert_eq!(examples.len(), samplers::recipe::EARLY_STOPS.len());
}

/// All documents but the generated ones and the licences.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "examples/README.md",
        "benches/quality/README.md",
        "clients/python/README.md",
    ]
    .map(|name| root().join(name))
    .to_vec();
    for dir in
        ["docs", "docs/decisions", "docs/measurements", "docs/samplers", "docs/early_stop", "docs/errors"]
    {
        for entry in fs::read_dir(root().join(dir)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn what_documents_refer_to_exists() {
    let mut checked = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let near = document.parent().unwrap();
        // Links are relative to the document.
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                assert!(near.join(target).exists(), "{}: no {target}", document.display());
                checked += 1;
            }
        }
        // Paths in the text are relative to the top of the repository.
        for place in text.split('`').skip(1).step_by(2) {
            let part = place.split('/').next().unwrap();
            let ours = [
                "engine", "journal", "samplers", "backends", "src", "tests", "benches", "docs", "schemas",
                "clients", ".ci",
            ];
            let plain = place.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if plain && place.contains('/') && ours.contains(&part) {
                assert!(root().join(place).exists(), "{}: no {place}", document.display());
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "only {checked} references were found");
}

fn retrial(arguments: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_retrial")).args(arguments).output().unwrap()
}

#[test]
fn the_experiment_files_of_the_readme_are_right() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("experiment.yaml");
    let files: Vec<&str> =
        text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(files.len(), 2);
    for yaml in files {
        fs::write(&file, yaml).unwrap();
        let output = retrial(&["check", file.to_str().unwrap()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_readme_names_every_command_and_no_other() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let section = text.split("## Commands").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut named = BTreeSet::from(["run".to_owned(), "help".to_owned()]);
    let mut audits = BTreeSet::from(["help".to_owned()]);
    for row in section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |")) {
        for place in row.split('`').skip(1).step_by(2) {
            let mut words = place.split_whitespace();
            let word = words.next().unwrap_or_default();
            if row.starts_with("| audit") {
                audits.insert(if word == "audit" { words.next().unwrap() } else { word }.to_owned());
            } else if word.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
                named.insert(word.to_owned());
            }
        }
    }
    named.insert("audit".to_owned());
    let commands = |arguments: &[&str]| -> BTreeSet<String> {
        let output = retrial(arguments);
        let help = String::from_utf8(output.stdout).unwrap();
        let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap().to_owned();
        list.lines()
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(commands(&["-h"]), named);
    assert_eq!(commands(&["audit", "-h"]), audits);
}

#[test]
fn the_examples_for_samplers_and_backends_cause_their_errors() {
    let dir = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for entry in fs::read_dir(root().join("docs/errors")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        // Those of files and spaces are checked beside their reader.
        if !name.starts_with("E03") && !name.starts_with("E05") {
            continue;
        }
        let Some(example) = text.split("```yaml\n").nth(1) else { continue };
        let example = example.split("```").next().unwrap();
        let mut whole = example.to_owned();
        for rest in ["space: {x: {uniform: [0, 1]}}", "objective: minimize", "budget: {trials: 3}"] {
            let key = rest.split(':').next().unwrap();
            if !example.lines().any(|line| line.starts_with(&format!("{key}:"))) {
                whole.push_str(&format!("{rest}\n"));
            }
        }
        let file = dir.path().join(format!("{name}.yaml"));
        fs::write(&file, whole).unwrap();
        let output = retrial(&["check", file.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(&format!("[{name}]")), "{name} is not caused by its example:\n{said}");
        checked += 1;
    }
    assert!(checked > 10, "only {checked} examples were checked");
}
