//! Files of other tools: which tool a document was written for, and the way back from the native document's paths.

use super::codes;
use super::reader::{Reader, join};
use super::{Spec, Surroundings, nni, pai};
use crate::error::SpecError;
use serde_json::{Map, Value as Json};

/// A form of an experiment's document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Retrial's own.
    Native,
    /// The configuration of a PAI `AutoML` experiment, alone or inside of a request that creates one.
    Pai,
    /// NNI's `exp.yml`. Its companions belong into the document: the content of `searchSpaceFile` (in the older form
    /// `searchSpacePath`) under `searchSpace`, the content of `trial.ini` under [`TRIAL_INI`](super::TRIAL_INI) by sections, its values as texts.
    Nni,
}

/// Keys by which a file of NNI is known.
const NNI_KEYS: [&str; 5] =
    ["trialCommand", "searchSpaceFile", "searchSpace", "searchSpacePath", "trainingServicePlatform"];

impl Form {
    /// The form of a document, by its keys.
    pub fn of(document: &Json) -> Self {
        let has = |value: &Json, key: &str| value.get(key).is_some();
        if has(document, "platform_config") || has(document, pai::WRAPPER) {
            Self::Pai
        } else if NNI_KEYS.iter().any(|key| has(document, key)) {
            Self::Nni
        } else {
            Self::Native
        }
    }
}

/// A document in the native form that was made from another.
#[derive(Debug, Clone, Default)]
pub struct Converted {
    /// The native document.
    pub document: Json,
    /// What has no effect here; paths of the original document.
    pub warnings: Vec<SpecError>,
    /// What could not be converted; paths of the original document. Parts of the native document are then missing.
    pub errors: Vec<SpecError>,
    /// For each step of the conversion, the last one first: paths of its result, and where their values stood before.
    steps: Vec<Vec<(String, String)>>,
}

impl Converted {
    pub(super) fn new(target: Target, reader: Reader) -> Self {
        let document = Json::Object(target.map);
        Self { document, warnings: reader.warnings, errors: reader.errors, steps: vec![target.origins] }
    }

    /// The specification with its warnings, or all mistakes; all paths are those of the original document.
    pub fn spec(&self, around: Surroundings<'_>) -> Result<(Spec, Vec<SpecError>), Vec<SpecError>> {
        match Spec::parse_with(&self.document, around) {
            Ok((spec, warnings)) if self.errors.is_empty() => {
                let native = warnings.into_iter().map(|warning| self.locate(warning));
                Ok((spec, native.chain(self.warnings.iter().cloned()).collect()))
            }
            Ok(_) => Err(self.errors.clone()),
            Err(errors) => {
                // What could not be converted is missing from the native document: that is said already.
                let follows = |error: &SpecError| {
                    let about_absence =
                        [codes::MISSING_KEY, codes::NEVER_ENDS, codes::ONE_BACKEND, codes::EMPTY];
                    !self.errors.is_empty() && about_absence.contains(&error.code)
                };
                let native =
                    errors.into_iter().filter(|error| !follows(error)).map(|error| self.locate(error));
                Err(self.errors.iter().cloned().chain(native).collect())
            }
        }
    }

    /// Adds the step that came before: its result is the original of this conversion.
    pub(super) fn behind(mut self, first: Vec<(String, String)>) -> Self {
        for error in self.errors.iter_mut().chain(&mut self.warnings) {
            error.path = original_path(&first, &error.path);
        }
        self.steps.push(first);
        self
    }

    /// Where the value at a path of the native document stands in the original one.
    pub fn original_path(&self, path: &str) -> String {
        self.steps.iter().fold(path.to_owned(), |path, step| original_path(step, &path))
    }

    /// The mistake with its path in the original document.
    #[must_use]
    pub fn locate(&self, error: SpecError) -> SpecError {
        // There the pattern is the key of its weight.
        let is_key = !self.steps.is_empty() && error.path.starts_with("metric.stdout[");
        SpecError { path: self.original_path(&error.path), at_key: error.at_key || is_key, ..error }
    }
}

/// Converts a document of another tool into the native form; one that is native stays as it is.
pub fn convert(document: &Json) -> Converted {
    match Form::of(document) {
        Form::Native => Converted { document: document.clone(), ..Converted::default() },
        Form::Pai => pai::convert(document, pai::Metrics::Required),
        Form::Nni => nni::convert(document),
    }
}

/// The original of the longest beginning of the path that has one, and the rest of the path.
pub(super) fn original_path(origins: &[(String, String)], path: &str) -> String {
    let rest_of = |native: &str| {
        let rest = path.strip_prefix(native)?;
        (rest.is_empty() || native.is_empty() || rest.starts_with(['.', '['])).then_some(rest)
    };
    let best = origins
        .iter()
        .filter_map(|(native, original)| rest_of(native).map(|rest| (native.len(), original, rest)))
        .max_by_key(|(length, _, _)| *length);
    match best {
        None => path.to_owned(),
        Some((_, original, "")) => original.clone(),
        Some((_, original, rest)) if rest.starts_with(['.', '[']) => format!("{original}{rest}"),
        Some((_, original, rest)) => join(original, rest),
    }
}

/// The document that is being made.
#[derive(Debug, Default)]
pub(super) struct Target {
    pub(super) map: Map<String, Json>,
    pub(super) origins: Vec<(String, String)>,
}

impl Target {
    /// Puts a value at a path of two keys at most.
    pub(super) fn put(&mut self, path: &[&str], value: Json, original: &str) {
        self.origins.push((path.join("."), original.to_owned()));
        let Some((last, above)) = path.split_last() else { return };
        let mut map = &mut self.map;
        for key in above {
            let inner = map.entry((*key).to_owned()).or_insert_with(|| Json::Object(Map::new()));
            let Json::Object(inner) = inner else { return };
            map = inner;
        }
        map.insert((*last).to_owned(), value);
    }

    /// Says where a map stood whose members come from several places.
    pub(super) fn origin(&mut self, path: &str, original: &str) {
        self.origins.push((path.to_owned(), original.to_owned()));
    }
}
