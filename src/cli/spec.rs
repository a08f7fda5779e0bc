//! Experiment files on the command line: load, check everything that can be checked, make ids and seeds.

use super::args::Common;
use super::output;
use crate::Backends;
use crate::checks;
use crate::error::{Failure, exit};
use crate::spec_file::{self, Findings};
use backends::registry::AVAILABLE;
use engine::spec::{Run, Spec};
use serde_json::Value;
use std::path::Path;

/// Whether the argument names a file rather than an experiment of the store.
pub fn is_file(argument: &str) -> bool {
    let path = Path::new(argument);
    argument == "-" || (path.exists() && !path.is_dir()) || argument.contains(['/', '.'])
}

/// Loads an experiment file; all its mistakes at once, warnings to standard error.
pub fn load(common: &Common, file: &str) -> Result<Spec, Failure> {
    let (spec, warnings) = load_with_warnings(common, file)?;
    if !warnings.is_empty() && !common.json {
        output::remark(warnings.render(colours()).trim_end());
    }
    Ok(spec)
}

/// As [`load`]; what is to be warned of is given back.
pub fn load_with_warnings(common: &Common, file: &str) -> Result<(Spec, Findings), Failure> {
    let loaded = spec_file::load(Path::new(file)).map_err(|error| refused(common, &error))?;
    let (spec, warnings) = loaded.spec().map_err(|mut errors| {
        errors.extend(checks::parts(&loaded.parts()));
        refused(common, &loaded.errors(errors))
    })?;
    let errors = checks::whole(&spec);
    if errors.is_empty() {
        Ok((spec, loaded.warnings(warnings)))
    } else {
        Err(refused(common, &loaded.errors(errors)))
    }
}

fn refused(common: &Common, error: &spec_file::SpecFileError) -> Failure {
    let failure = Failure::new(exit::USAGE, "the experiment file has mistakes", "");
    let rendered = if common.json { error.json().to_string() + "\n" } else { error.render(colours()) };
    Failure { rendered: Some(rendered), ..failure }
}

pub fn colours() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && !output::no_colour()
}

/// An error unless the experiment says what to run.
pub fn runs_something(spec: &Spec) -> Result<&Run, Failure> {
    spec.run.as_ref().ok_or_else(|| {
        Failure::new(
            exit::USAGE,
            "the experiment file does not say what a trial runs",
            "add for example `run: {local: {command: 'python3 train.py --lr ${lr}'}}`, or drive the sampler yourself with \
             `retrial ask-tell`",
        )
    })
}

/// The same, and unless it can be run by this program and here.
pub fn runnable(spec: &Spec) -> Result<(), Failure> {
    let run = runs_something(spec)?;
    let path = format!("run.{}", run.backend);
    if !AVAILABLE.contains(&run.backend.as_str()) {
        return Err(Failure {
            code: Some(crate::codes::NO_BACKEND.to_string()),
            ..Failure::new(
                exit::FAILED,
                format!(
                    "the experiment {} runs on the backend `{}`, which this program does not have",
                    spec.name, run.backend
                ),
                format!(
                    "it has {}; run the experiment with a program that has that one, or `retrial export` its results",
                    AVAILABLE.join(", ")
                ),
            )
        });
    }
    let mut details = backends::registry::check_surroundings(&run.backend, &run.config, &path);
    let Some(first) = details.pop() else { return Ok(()) };
    Err(Failure {
        code: Some(first.code.to_string()),
        details,
        ..Failure::new(exit::USAGE, format!("`{}`: {}", first.path, first.message), first.cure)
    })
}

/// The first trial's first task as its backend would be asked for it.
pub fn dry_run(common: &Common, spec: &Spec) -> Result<String, Failure> {
    let backends = crate::backends_of(&common.store)?;
    Ok(shown(checks::preview(&backends, spec)?.as_ref()))
}

/// A preview for people.
pub fn shown(preview: Option<&Value>) -> String {
    match preview {
        None => "there is no task\n".to_owned(),
        // What is sent as a text is shown as that text.
        Some(Value::String(text)) => format!("{text}\n"),
        Some(shown) => format!("{shown:#}\n"),
    }
}

/// Asks the backend whether it would take the experiment's tasks, before anything is recorded.
pub async fn ready(backends: &Backends, spec: &Spec) -> Result<(), Failure> {
    let backend = spec.run.as_ref().and_then(|run| backends.get(&run.backend));
    let (Some(backend), Some(order)) = (backend, checks::first_order(spec)?) else { return Ok(()) };
    backend.check(&order).await.map_err(|error| Failure {
        code: Some(error.code.to_string()),
        ..Failure::new(exit::FAILED, error.message, error.cure)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(run: &serde_json::Value) -> Failure {
        let document = json!({
            "name": "lab", "space": {"x": {"uniform": [0, 1]}}, "objective": "minimize", "budget": {"trials": 1}, "run": run,
        });
        runnable(&Spec::parse(&document, "").unwrap().0).unwrap_err()
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_the_cause() {
        let missing = refused(&json!({"slurm": {"command": "true"}}));
        assert_eq!(missing.code, Some(crate::codes::NO_BACKEND.to_string()));
        assert!(missing.message.contains("lab") && missing.message.contains("`slurm`"), "{missing:?}");
        assert!(refused(&json!(null)).message.contains("does not say what a trial runs"));
    }
}
