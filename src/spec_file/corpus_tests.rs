//! Broken files and exactly what is said about them.
//!
//! Each file of `testdata/broken` has a file of the same name with `.stderr` at its end. After a change of wording,
//! run the tests with `RETRIAL_UPDATE_TESTDATA=1` and read the difference.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/spec_file/testdata")
}

/// What a person would read, with file names that are the same on every machine.
fn rendered(path: &Path) -> String {
    let text = match load(path) {
        Err(error) => error.render(false),
        Ok(loaded) => match loaded.spec() {
            Err(errors) => loaded.errors(errors).render(false),
            Ok((_, warnings)) => loaded.warnings(warnings).render(false),
        },
    };
    text.replace(&format!("{}/", folder().display()), "")
}

/// The experiment files below a folder, in order.
fn experiments(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        if path.is_dir() {
            found.extend(experiments(&path));
        } else if matches!(end, "yaml" | "yml" | "json" | "toml") && !path.ends_with("search_space.json") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn every_broken_file_is_explained_as_recorded() {
    let update = std::env::var_os("RETRIAL_UPDATE_TESTDATA").is_some();
    let mut different = Vec::new();
    for path in experiments(&folder().join("broken")) {
        let text = rendered(&path);
        let expected = PathBuf::from(format!("{}.stderr", path.display()));
        if update {
            std::fs::write(&expected, &text).unwrap();
        }
        if std::fs::read_to_string(&expected).unwrap_or_default() != text {
            different.push(format!("{}:\n{text}", path.display()));
        }
    }
    assert!(different.is_empty(), "not as recorded:\n{}", different.join("\n"));
}

#[test]
fn no_credential_is_quoted() {
    for name in ["credentials.yaml", "credentials_text.yaml"] {
        let path = folder().join("broken").join(name);
        assert!(std::fs::read_to_string(&path).unwrap().contains("PLANTED"));
        let text = rendered(&path);
        assert!(text.contains("-->") && !text.contains("PLANTED") && !text.contains("123456"), "{text}");
    }
}

#[test]
fn every_valid_file_is_read_without_a_word() {
    let files = experiments(&folder().join("valid"));
    assert!(files.len() >= 5);
    for path in files {
        assert_eq!(rendered(&path), "", "{}", path.display());
    }
}

#[test]
fn the_examples_are_valid() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in std::fs::read_dir(examples).unwrap() {
        let folder = entry.unwrap().path();
        let file = folder.join("experiment.yaml");
        if file.exists() {
            assert_eq!(rendered(&file), "", "{}", file.display());
        }
    }
}
