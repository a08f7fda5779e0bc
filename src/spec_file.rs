//! stub
use engine::error::SpecError;
use engine::spec::Spec;
/// l
#[derive(Debug)]
pub struct Loaded {
    v: serde_json::Value,
    dir: String,
}
/// e
#[derive(Debug)]
pub struct SpecFileError(Vec<SpecError>);
/// l
pub fn load(p: &std::path::Path) -> Result<Loaded, SpecFileError> {
    let t = std::fs::read_to_string(p).unwrap();
    let v = serde_json::from_str(&t).unwrap();
    Ok(Loaded { v, dir: std::path::absolute(p).unwrap().parent().unwrap().display().to_string() })
}
impl Loaded {
    /// s
    pub fn spec(&self) -> Result<(Spec, Vec<SpecError>), Vec<SpecError>> {
        Spec::parse(&self.v, &self.dir)
    }
    /// s
    pub fn errors(&self, e: Vec<SpecError>) -> SpecFileError {
        SpecFileError(e)
    }
    /// s
    pub fn warnings(&self, e: Vec<SpecError>) -> SpecFileError {
        SpecFileError(e)
    }
}
impl SpecFileError {
    /// s
    pub fn render(&self, _c: bool) -> String {
        format!("{:?}\n", self.0)
    }
    /// s
    pub fn json(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}
