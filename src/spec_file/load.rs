//! Finds and reads a file, and relates paths of its document to places in its text.

use super::codes;
use super::finding::{Finding, Findings, Severity, SpecFileError};
use super::foreign::add_companions;
use super::known::{Said, add_known};
use super::text::SourceText;
use super::tree::{Node, Spots, TextError};
use super::{json, toml, yaml};
use engine::error::{Code, SpecError};
use engine::limits::MAX_SPEC_FILE_BYTES;
use engine::spec::credential::is_credential;
use engine::spec::{Converted, Form, Parts, Spec, Surroundings};
use serde_json::Value as Json;
use std::io::Read;
use std::path::Path;

/// How standard input is called in messages.
const STANDARD_INPUT: &str = "<standard input>";

/// A file that could be read, with the places of all that is in it.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub(super) sources: Vec<SourceText>,
    pub(super) spots: Spots,
    pub(super) dir: String,
    converted: Converted,
    form: Form,
}

/// Reads an experiment file; `-` is standard input. JSON and TOML are known by the ends `.json` and `.toml`, and JSON
/// by its first character; all else is YAML. Files of PAI `AutoML` and of NNI are recognised and converted; the latter
/// with the files that they name.
pub fn load(path: &Path) -> Result<Loaded, SpecFileError> {
    let is_input = path == Path::new("-");
    let name = if is_input { STANDARD_INPUT.to_owned() } else { path.display().to_string() };
    let text = read_limited(path, is_input).map_err(|finding| one(&name, finding))?;
    let absolute = std::path::absolute(if is_input { Path::new("./-") } else { path }).ok();
    let dir = absolute.as_deref().and_then(Path::parent).map(|dir| dir.display().to_string());
    let text = SourceText::new(name, text);
    read_source(text, &dir.unwrap_or_default(), !is_input, &mut |_| {})
}

/// Reads an experiment from a text, as [`load`] does from a file of this name; files beside it are not looked for.
pub fn read_text(name: &str, text: &str, spec_dir: &str) -> Result<Loaded, SpecFileError> {
    read_edited(name, text, spec_dir, &mut |_| {})
}

/// As [`read_text`]; a document of PAI is changed by `edit` before it is looked at.
pub fn read_edited(
    name: &str,
    text: &str,
    spec_dir: &str,
    edit: &mut dyn FnMut(&mut Json),
) -> Result<Loaded, SpecFileError> {
    read_source(SourceText::new(name.to_owned(), text.to_owned()), spec_dir, false, edit)
}

/// The text of a file, without the mark that some editors put before it.
pub(super) fn read_limited(path: &Path, is_input: bool) -> Result<String, Finding> {
    let shown = if is_input { STANDARD_INPUT.to_owned() } else { path.display().to_string() };
    let fail = |code: Code, message: String, help: &str| {
        Finding::new(Severity::Error, code, &shown, message).help(help)
    };
    let mut bytes = Vec::new();
    let limit = MAX_SPEC_FILE_BYTES + 1;
    let read = if is_input {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    if let Err(error) = read {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => "look at the spelling and at the folder you are in",
            std::io::ErrorKind::IsADirectory => "name the file in the folder",
            _ => "",
        };
        return Err(fail(codes::UNREADABLE, format!("failed to read the file: {}", cause(&error)), help));
    }
    if bytes.len() as u64 > MAX_SPEC_FILE_BYTES {
        let message = format!("the file has more than {MAX_SPEC_FILE_BYTES} bytes");
        return Err(fail(codes::TOO_BIG, message, "is this an experiment file?"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..good).unwrap_or_default();
        let before = String::from_utf8_lossy(before);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        let message = format!("the file is not UTF-8 text: line {line}, column {column}");
        fail(codes::NOT_UTF8, message, "save it as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// What the operating system says, without its number.
fn cause(error: &std::io::Error) -> String {
    let text = error.to_string();
    let plain = text.split_once(" (os error").map_or(text.as_str(), |(plain, _)| plain);
    let mut letters = plain.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn one(name: &str, finding: Finding) -> SpecFileError {
    SpecFileError(Findings::new(name, vec![finding]))
}

fn read_source(
    source: SourceText,
    dir: &str,
    companions: bool,
    edit: &mut dyn FnMut(&mut Json),
) -> Result<Loaded, SpecFileError> {
    let name = source.name.clone();
    let parsed = parse(&source).and_then(|node| match node {
        None => Ok(None),
        Some(node) => match node.split(0, "") {
            (document, spots, errors) if errors.is_empty() => Ok(Some((document, spots))),
            (_, _, errors) => Err(errors),
        },
    });
    let (mut document, spots) = match parsed {
        Ok(Some(read)) => read,
        Ok(None) => {
            let finding = Finding::new(Severity::Error, codes::EMPTY_FILE, &name, "the file is empty");
            return Err(one(&name, finding.help("begin with name:, space: and objective:")));
        }
        Err(errors) => return Err(SpecFileError(Findings::new(&name, text_findings(0, &source, errors)))),
    };
    let form = Form::of(&document);
    if form == Form::Pai {
        edit(&mut document);
    }
    let mut loaded =
        Loaded { sources: vec![source], spots, dir: dir.to_owned(), converted: Converted::default(), form };
    if form == Form::Nni && companions {
        let found = add_companions(&mut loaded, &mut document);
        if !found.is_empty() {
            return Err(SpecFileError(Findings::new(&name, found)));
        }
    }
    let said =
        if form == Form::Native && companions { add_known(dir, &mut document) } else { Said::default() };
    loaded.converted = engine::spec::convert(&document);
    loaded.converted.errors.extend(said.errors);
    loaded.converted.warnings.extend(said.warnings);
    Ok(loaded)
}

fn parse(source: &SourceText) -> Result<Option<Node>, Vec<TextError>> {
    let text = source.text.as_str();
    if text.trim().is_empty() {
        return Ok(None);
    }
    let end = Path::new(&source.name).extension().and_then(|end| end.to_str()).map(str::to_lowercase);
    let one = |error| vec![error];
    match end.as_deref() {
        Some("toml") => toml::read(text),
        Some("json") => json::read(text).map(Some).map_err(one),
        Some("yaml" | "yml") => yaml::read(text).map_err(one),
        // A flow map of YAML begins like JSON; what is right as JSON is read as such.
        _ if text.trim_start().starts_with('{') => {
            json::read(text).map(Some).or_else(|_| yaml::read(text)).map_err(one)
        }
        // What is right as TOML is no experiment in YAML.
        _ => toml::read(text).or_else(|_| yaml::read(text).map_err(one)),
    }
}

/// The document of a file beside the experiment file.
pub(super) fn parse_companion(source: &SourceText) -> Result<Option<Node>, Vec<TextError>> {
    parse(source)
}

pub(super) fn text_findings(number: usize, source: &SourceText, errors: Vec<TextError>) -> Vec<Finding> {
    errors
        .into_iter()
        .map(|error| {
            Finding::new(Severity::Error, error.code, &source.name, error.message).help(error.cure).at(
                number,
                source,
                &error.span,
            )
        })
        .collect()
}

impl Loaded {
    /// The document in the native form; incomplete if [`Self::spec`] gives errors.
    pub fn document(&self) -> &Json {
        &self.converted.document
    }

    /// The form in which the file was written.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The specification and its warnings, or all mistakes; [`Self::warnings`] and [`Self::errors`] add the places.
    pub fn spec(&self) -> Result<(Spec, Vec<SpecError>), Vec<SpecError>> {
        let compile = |pattern: &str| match regex::Regex::new(pattern) {
            Ok(regex) => Ok(engine::spec::pattern::value_groups(regex.capture_names().skip(1))),
            Err(error) => Err(last_line(&error.to_string())),
        };
        let around = Surroundings { spec_dir: &self.dir, pattern: Some(&compile) };
        self.converted.spec(around)
    }

    /// What could be read, if [`Self::spec`] gives mistakes.
    pub fn parts(&self) -> Parts {
        let around = Surroundings { spec_dir: &self.dir, pattern: None };
        Parts::of(&self.converted.document, around)
    }

    /// A mistake of the native document with its path in this one.
    pub fn place(&self, error: SpecError) -> SpecError {
        self.converted.locate(error)
    }

    /// Mistakes of this document with their places.
    pub fn errors(&self, errors: Vec<SpecError>) -> SpecFileError {
        SpecFileError(self.locate(Severity::Error, errors))
    }

    /// Warnings of this document with their places.
    pub fn warnings(&self, warnings: Vec<SpecError>) -> Findings {
        self.locate(Severity::Warning, warnings)
    }

    fn locate(&self, severity: Severity, errors: Vec<SpecError>) -> Findings {
        let name = self.sources.first().map(|source| source.name.as_str()).unwrap_or_default();
        let list = errors.into_iter().map(|error| self.finding(name, severity, error)).collect();
        Findings::new(name, list)
    }

    /// The path itself, or its longest beginning that is in the text.
    fn nearest<'a>(&self, path: &'a str) -> &'a str {
        let mut nearest = path;
        while !nearest.is_empty() && !self.spots.contains_key(nearest) {
            nearest = nearest.rfind(['.', '[']).and_then(|end| nearest.get(..end)).unwrap_or_default();
        }
        nearest
    }

    /// Where an algorithm's argument stands: its path lacks what may be between, such as the algorithm's name.
    fn argument(&self, path: &str) -> Option<String> {
        let nearest = self.nearest(path);
        let rest = path.get(nearest.len()..).filter(|rest| rest.starts_with('.') && !nearest.is_empty())?;
        let below = self.spots.range(nearest.to_owned()..);
        below
            .map(|(found, _)| found)
            .take_while(|found| found.starts_with(nearest))
            .filter(|found| found.ends_with(rest))
            .min_by_key(|found| found.len())
            .cloned()
    }

    fn finding(&self, name: &str, severity: Severity, error: SpecError) -> Finding {
        // A converted document has paths of two kinds; those that exist in the text are meant as they are.
        let known = !error.path.is_empty() && self.spots.contains_key(&error.path);
        let of_algorithm = error.path.starts_with("sampler.") || error.path.starts_with("early_stop");
        let mut path = if known { error.path } else { self.converted.original_path(&error.path) };
        if let Some(exact) = self.argument(&path).filter(|_| of_algorithm && !known) {
            path = exact;
        }
        let nearest = self.nearest(&path);
        let exact = nearest.len() == path.len();
        let spot = self.spots.get(nearest).filter(|_| !nearest.is_empty());
        let source = spot.and_then(|spot| self.sources.get(spot.file));
        let mut message = error.message;
        if let (Some(spot), Some(source), true) = (spot, source, is_credential(nearest)) {
            let value = source.text.get(spot.value.clone()).unwrap_or_default().trim_matches(['"', '\'']);
            if !value.is_empty() {
                message = message.replace(value, "***");
            }
        }
        let finding = Finding::new(severity, error.code, name, message).help(error.cure);
        let finding = match (spot, source) {
            (Some(spot), Some(source)) => {
                let wide = source.spans_lines(&spot.value);
                let key =
                    spot.key.as_ref().filter(|_| error.at_key || !exact || wide || spot.value.is_empty());
                finding.at(spot.file, source, key.unwrap_or(&spot.value))
            }
            _ => finding,
        };
        finding.path(path)
    }
}

/// The regex crate draws the pattern with a caret, and says what is wrong in the last line.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
