//! The files that NNI's `exp.yml` names: the search space, and the `trial.ini` of PAI's hpo-tools.

use super::codes;
use super::finding::{Finding, Severity};
use super::ini;
use super::load::{Loaded, parse_companion, read_limited, text_findings};
use super::text::SourceText;
use super::tree::{Node, TextError};
use engine::spec::TRIAL_INI;
use serde_json::Value as Json;
use std::path::Path;

/// Puts the content of the files into the document. What is found are mistakes.
pub(super) fn add_companions(loaded: &mut Loaded, document: &mut Json) -> Vec<Finding> {
    let mut found = Vec::new();
    let text_at = |pointer: &str| document.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
    // With the names of the older form.
    let named = |pairs: [(&'static str, &'static str); 2]| {
        pairs.into_iter().find_map(|(pointer, path)| Some((path, text_at(pointer)?)))
    };
    let space = named([("/searchSpaceFile", "searchSpaceFile"), ("/searchSpacePath", "searchSpacePath")]);
    let space = space.filter(|_| document.get("searchSpace").is_none());
    let command = named([("/trialCommand", "trialCommand"), ("/trial/command", "trial.command")]);
    if let Some((path, file)) = space {
        add(loaded, document, (path, "searchSpace"), &file, parse_companion, &mut found);
    }
    if let Some((path, file)) = command.and_then(|(path, command)| Some((path, config_of(&command)?))) {
        let read = |source: &SourceText| ini::read(&source.text).map(Some);
        add(loaded, document, (path, TRIAL_INI), &file, read, &mut found);
    }
    found
}

/// The file that a command of hpo-tools gives as its `--config`.
fn config_of(command: &str) -> Option<String> {
    if !command.contains("hpo_tools") {
        return None;
    }
    let mut words = command.split_whitespace();
    let file =
        words.find_map(|word| word.strip_prefix("--config")).and_then(|rest| match rest.strip_prefix('=') {
            Some(file) => Some(file.to_owned()),
            None => words.next().map(str::to_owned),
        });
    file.map(|file| file.trim_matches(['\'', '"']).to_owned())
}

fn add(
    loaded: &mut Loaded,
    document: &mut Json,
    (named_by, key): (&str, &str),
    file: &str,
    parse: impl Fn(&SourceText) -> Result<Option<Node>, Vec<TextError>>,
    found: &mut Vec<Finding>,
) {
    let path = Path::new(&loaded.dir).join(file);
    let text = match read_limited(&path, false) {
        Ok(text) => text,
        Err(finding) => {
            let finding = finding.path(named_by);
            let place =
                loaded.spots.get(named_by).and_then(|spot| Some((spot, loaded.sources.get(spot.file)?)));
            found.push(match place {
                Some((spot, source)) => {
                    let mut finding = finding.at(spot.file, source, &spot.value);
                    finding.message = format!("`{file}`: {}", finding.message);
                    finding
                }
                None => finding,
            });
            return;
        }
    };
    // Shown as the experiment file is: relative to where the person is.
    let beside = loaded.sources.first().map(|source| Path::new(&source.name).with_file_name(file));
    let name = beside.unwrap_or(path).display().to_string();
    let source = SourceText::new(name.replace("/./", "/"), text);
    let number = loaded.sources.len();
    match parse(&source) {
        Err(errors) => found.extend(text_findings(number, &source, errors)),
        Ok(None) => {
            found.push(Finding::new(Severity::Error, codes::EMPTY_FILE, &source.name, "the file is empty"));
        }
        Ok(Some(node)) => {
            let (value, spots, errors) = node.split(number, key);
            found.extend(text_findings(number, &source, errors));
            loaded.spots.extend(spots);
            if let Json::Object(map) = document {
                map.insert(key.to_owned(), value);
            }
        }
    }
    loaded.sources.push(source);
}
