//! Template files of a DLC job: filled here, and written to a shared store at once or by the job itself.

use super::setup::Filled;
use crate::files::{Address, FileError, Files, codes, is_address};
use crate::template::{self, MAX_TEMPLATE_BYTES};
use engine::ports::backend::{TaskOrder, TemplateFile};
use std::path::Path;

/// Why templates could not be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A mistake in the order: the same order never works.
    Order(String),
    /// It may work later.
    Later(String),
}

impl From<FileError> for Trouble {
    fn from(error: FileError) -> Self {
        let lasting = [codes::BAD_ADDRESS, codes::ABSENT, codes::TOO_LARGE, codes::NO_BUCKET];
        if lasting.contains(&error.code) {
            Self::Order(error.to_string())
        } else {
            Self::Later(error.to_string())
        }
    }
}

/// Fills the templates of an order. Those whose target is an address are written there; the others are the job's to
/// write, and given back. It may be repeated.
pub(super) async fn fill(order: &TaskOrder, files: &Files) -> Result<Vec<Filled>, Trouble> {
    let mut filled = Vec::new();
    for TemplateFile { source, target } in &order.templates {
        let text = if is_address(source) {
            let bound = usize::try_from(MAX_TEMPLATE_BYTES).unwrap_or(usize::MAX);
            let bytes = files.read_whole(&Address::parse(source)?, bound).await?;
            String::from_utf8(bytes)
                .map_err(|_| Trouble::Order(format!("the template {source} is not UTF-8")))?
        } else {
            local(source).map_err(Trouble::Order)?
        };
        let text = template::fill(&text, &order.bindings);
        if is_address(target) {
            files.write(&Address::parse(target)?, text.into_bytes()).await?;
        } else {
            filled.push(Filled { target: target.clone(), text });
        }
    }
    Ok(filled)
}

/// The templates as a dry run shows them: nothing is read from elsewhere, and nothing written.
pub(super) fn preview(order: &TaskOrder) -> Result<Vec<Filled>, String> {
    let own = order.templates.iter().filter(|file| !is_address(&file.target));
    own.map(|TemplateFile { source, target }| {
        let text = if is_address(source) { format!("(what is in {source})") } else { local(source)? };
        Ok(Filled { target: target.clone(), text: template::fill(&text, &order.bindings) })
    })
    .collect()
}

fn local(source: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| {
        format!(
            "failed to read the template {source}: {error}; `${{spec_dir}}` names the experiment file's folder"
        )
    };
    let path = Path::new(source);
    if std::fs::metadata(path).map_err(failed)?.len() > MAX_TEMPLATE_BYTES {
        return Err(format!("the template {source} is larger than {MAX_TEMPLATE_BYTES} bytes"));
    }
    std::fs::read_to_string(path).map_err(failed)
}
