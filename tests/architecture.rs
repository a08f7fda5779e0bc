//! The house as rules: which way dependencies point, what the pure crates never touch, which licences come in.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

/// The normal and build dependencies of each package of the workspace.
fn edges(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let members: BTreeSet<&str> =
        metadata["workspace_members"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| members.contains(package["id"].as_str().unwrap()))
        .map(|package| {
            let needs = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
                .collect();
            (package["name"].as_str().unwrap().to_owned(), needs)
        })
        .collect()
}

#[test]
fn dependencies_point_only_where_the_house_says() {
    let edges = edges(&metadata());
    let ours = ["retrial", "retrial-engine", "retrial-journal", "retrial-samplers", "retrial-backends"];
    for (package, needs) in &edges {
        let inner: Vec<&str> = ours.iter().copied().filter(|ours| needs.contains(*ours)).collect();
        match package.as_str() {
            "retrial" => {}
            "retrial-journal" | "retrial-samplers" | "retrial-backends" => {
                assert_eq!(inner, ["retrial-engine"], "{package} may need the engine only");
            }
            "retrial-quality" => {
                assert_eq!(inner, ["retrial-engine", "retrial-samplers"], "{package} measures the samplers");
            }
            // The examples, and the simulators, which share nothing with the backends that they judge.
            _ => assert_eq!(inner, [""; 0], "{package} may need no other part"),
        }
        for (heavy, only) in [("sled", "retrial-journal"), ("bincode", "retrial-journal")] {
            assert!(!needs.contains(heavy) || package == only, "{package} needs {heavy}");
        }
        for impure in ["tokio", "rand", "nix", "tracing"] {
            let pure = package == "retrial-engine" || (package == "retrial-samplers" && impure != "rand");
            assert!(!(pure && needs.contains(impure)), "{package} needs {impure}");
        }
    }
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The lines of a source file that are neither comments nor below its tests.
fn code(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(str::to_owned)
        .collect()
}

/// The sources of the two pure crates, without those that only tests use.
fn pure() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for part in ["engine/src", "samplers/src"] {
        sources(&root().join(part), &mut files);
    }
    assert!(files.len() > 40, "the sources were not found");
    files.retain(|file| !file.strip_prefix(root()).unwrap().to_string_lossy().contains("test"));
    files
}

#[test]
fn the_pure_crates_touch_neither_clock_nor_file_nor_unordered_map() {
    let banned = [
        "SystemTime",
        "Instant::now",
        "HashMap",
        "HashSet",
        "std::fs",
        "std::net",
        "std::env",
        "std::thread",
        "std::process",
    ];
    for file in pure() {
        for line in code(&file) {
            for word in banned {
                assert!(!line.contains(word), "{}: `{}` has no place here", file.display(), line.trim());
            }
        }
    }
}

#[test]
fn the_pure_crates_compute_with_libm_only() {
    let banned = [
        ".ln()",
        ".exp()",
        ".powf(",
        ".log10()",
        ".log2()",
        ".sin()",
        ".cos()",
        ".tanh()",
        ".powi(",
        ".mul_add(",
    ];
    for file in pure() {
        for line in code(&file) {
            for call in banned {
                let place = file.display();
                assert!(!line.contains(call), "{place}: `{}` may give other bits elsewhere", line.trim());
            }
        }
    }
}

#[test]
fn bincode_is_named_in_one_file_only() {
    let mut files = Vec::new();
    for part in ["engine/src", "samplers/src", "journal/src", "backends/src", "src"] {
        sources(&root().join(part), &mut files);
    }
    let naming: Vec<PathBuf> = files
        .into_iter()
        .filter(|file| code(file).iter().any(|line| line.contains("bincode::")))
        .map(|file| file.strip_prefix(root()).unwrap().to_owned())
        .collect();
    assert_eq!(naming, [Path::new("journal/src/codec.rs")]);
}

/// Every source file of the workspace, tests and benches included.
fn all_sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for part in ["engine", "journal", "samplers", "backends", "src", "tests", "benches", "examples"] {
        sources(&root().join(part), &mut files);
    }
    files.retain(|file| !file.components().any(|part| part.as_os_str() == "target"));
    files
}

#[test]
fn a_file_has_one_subject_and_a_name_that_says_which() {
    // About 500 lines; beyond that a file has more than one reason to change. Tables of tests may be longer.
    let (most, most_of_tests) = (500, 650);
    for file in all_sources() {
        let place = file.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        let bound = if place.contains("test") { most_of_tests } else { most };
        assert!(lines <= bound, "{place} has {lines} lines and may have {bound}: divide it");
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let vague = ["util", "utils", "helper", "helpers", "common", "misc", "manager"];
        assert!(!vague.contains(&name.as_str()), "{place}: the name says nothing of what is in it");
    }
}

#[test]
fn every_module_says_first_what_it_is_for() {
    for file in all_sources() {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//!"), "{}: begin with `//!` and a sentence", file.display());
    }
}

#[test]
fn the_linter_knows_the_rules_of_the_pure_crates() {
    let read = |part: &str| -> toml::Table {
        fs::read_to_string(root().join(part).join("clippy.toml")).unwrap().parse().unwrap()
    };
    // A nearer file replaces the one above it, so both must hold everything.
    assert_eq!(read("engine"), read("samplers"));
    for key in ["disallowed-types", "disallowed-methods"] {
        assert!(read("engine")[key].as_array().unwrap().len() > 4, "{key} is empty");
    }
}

/// The texts of a list in deny.toml.
fn policy<'a>(policy: &'a toml::Table, section: &str, key: &str) -> Vec<&'a str> {
    policy[section][key]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry.as_str().or_else(|| entry.get("crate")?.as_str()))
        .collect()
}

#[test]
fn every_dependency_has_an_allowed_licence_and_comes_from_the_registry() {
    let text = fs::read_to_string(root().join("deny.toml")).unwrap();
    let deny: toml::Table = text.parse().unwrap();
    let allowed = policy(&deny, "licenses", "allow");
    let banned = policy(&deny, "bans", "deny");
    let metadata = metadata();
    let mut checked = 0;
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        assert!(!banned.contains(&name), "{name} is banned");
        let Some(source) = package["source"].as_str() else { continue };
        assert!(
            source.starts_with("registry+") || source.starts_with("sparse+"),
            "{name} comes from {source}"
        );
        let licence = package["license"].as_str().unwrap_or_default().replace('/', " OR ");
        // One alternative must be allowed as a whole.
        let good = licence
            .replace(['(', ')'], "")
            .split(" OR ")
            .any(|choice| choice.split(" AND ").all(|part| allowed.contains(&part.trim())));
        assert!(good, "{name} has the licence `{licence}`");
        checked += 1;
    }
    assert!(checked > 100, "only {checked} packages were checked");
}
