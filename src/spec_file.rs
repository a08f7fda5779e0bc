//! Reads experiment files. For now JSON only.
use engine::error::{Code, SpecError};
use engine::spec::Spec;
use std::path::Path;

/// A document that was read.
#[derive(Debug)]
pub struct Loaded {
    value: serde_json::Value,
    dir: String,
}

/// Mistakes.
#[derive(Debug)]
pub struct SpecFileError(Vec<SpecError>);

/// Reads a file.
pub fn load(path: &Path) -> Result<Loaded, SpecFileError> {
    let wrong = |text: String| SpecFileError(vec![SpecError::new(Code(100), "", text, "")]);
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let path = std::path::absolute(path).map_err(|error| wrong(error.to_string()))?;
    let dir = path.parent().map(|dir| dir.display().to_string()).unwrap_or_default();
    Ok(Loaded { value, dir })
}

impl Loaded {
    /// The specification and warnings.
    pub fn spec(&self) -> Result<(Spec, Vec<SpecError>), Vec<SpecError>> {
        Spec::parse(&self.value, &self.dir)
    }

    /// Errors.
    pub fn errors(&self, errors: Vec<SpecError>) -> SpecFileError {
        SpecFileError(errors)
    }

    /// Warnings.
    pub fn warnings(&self, warnings: Vec<SpecError>) -> SpecFileError {
        SpecFileError(warnings)
    }
}

impl SpecFileError {
    /// The text.
    pub fn render(&self, _colour: bool) -> String {
        self.0.iter().map(|error| format!("error{error}\n")).collect()
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({"errors": self.0.iter().map(ToString::to_string).collect::<Vec<_>>()})
    }
}
