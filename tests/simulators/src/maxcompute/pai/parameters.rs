//! The parameters of a PAI command.

use crate::maxcompute::sql::Failure;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Parameters by their names in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// The parameters of a list of names and values.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect())
    }

    /// A parameter, if it is given and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_lowercase()).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A parameter that must be given.
    pub fn need(&self, name: &str) -> Result<&str, Failure> {
        self.get(name).ok_or_else(|| Failure::algorithm(&format!("parameter {name} is required")))
    }

    /// A table's name, without its project.
    pub fn table(&self, name: &str) -> Result<String, Failure> {
        let text = self.need(name)?;
        Ok(text.rsplit('.').next().unwrap_or(text).to_lowercase())
    }

    /// A model's name, without its project and `offlinemodels`.
    pub fn model(&self) -> Option<String> {
        self.get("modelName").map(|text| text.rsplit('/').next().unwrap_or(text).to_lowercase())
    }

    /// A list with commas.
    pub fn list(&self, name: &str) -> Vec<String> {
        let parts = self.get(name).unwrap_or_default().split(',');
        parts.map(|part| part.trim().to_lowercase()).filter(|part| !part.is_empty()).collect()
    }

    /// A number between two bounds.
    pub fn number<T>(&self, name: &str, default: T, least: T, most: T) -> Result<T, Failure>
    where
        T: Copy + FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.get(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| *number >= least && *number <= most);
        number.ok_or_else(|| {
            Failure::algorithm(&format!("parameter {name} is {text}, and must be between {least} and {most}"))
        })
    }

    /// A truth value.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// One of some words; the first is the default.
    pub fn one_of<'a>(&self, name: &str, words: &[&'a str]) -> Result<&'a str, Failure> {
        let text = self.get(name).or(words.first().copied()).unwrap_or_default();
        words.iter().find(|word| word.eq_ignore_ascii_case(text)).copied().ok_or_else(|| {
            Failure::algorithm(&format!(
                "parameter {name} is {text}, and must be one of {}",
                words.join(", ")
            ))
        })
    }
}
