//! Documents that must agree with the code: the event catalogue and the error pages.

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
