//! What an experiment must not name on a machine that it shares with others: files and variables of that machine.

use crate::codes;
use crate::dlc;
use crate::files::is_address;
use engine::error::SpecError;
use engine::spec::{MetricSource, Run};
use std::cell::RefCell;

/// Everything in an experiment that would be read from this machine, or written to it, on behalf of whoever asks for it.
/// Commands that run here are not among it.
pub fn reads_of_this_machine(run: &Run, metric: &MetricSource) -> Vec<SpecError> {
    let backend = format!("run.{}", run.backend);
    let mut errors = Vec::new();
    let mut refuse = |path: String, what: &str| {
        let message = format!("{what} would be read from or written to the daemon's own machine");
        errors.push(SpecError::new(
            codes::NOT_SHARED,
            path,
            message,
            "name an object in a storage, such as oss://bucket/path, or ask an admin",
        ));
    };
    for (at, template) in run.templates.iter().enumerate() {
        // What a placeholder becomes may be anything.
        if !is_elsewhere(&template.source) {
            refuse(format!("{backend}.templates[{at}]"), &format!("the template `{}`", template.source));
        }
        if names_a_disk(&template.target) {
            refuse(format!("{backend}.templates[{at}]"), &format!("the file `{}`", template.target));
        }
    }
    let (path, place) = match metric {
        MetricSource::Stdout { file: Some(file), .. } => ("metric.stdout", file.as_str()),
        MetricSource::Json { file, .. } => ("metric.json", file.as_str()),
        MetricSource::Summary { dir, .. } => ("metric.summary", dir.as_str()),
        MetricSource::Report | MetricSource::Stdout { file: None, .. } | MetricSource::Table { .. } => {
            ("", "")
        }
    };
    if names_a_disk(place) {
        refuse(path.to_owned(), &format!("`{place}`"));
    }
    if run.backend == "dlc" {
        let named = RefCell::new(Vec::new());
        let files = |name: &str| {
            named.borrow_mut().push(name.to_owned());
            Err("it is not read".to_owned())
        };
        // Only which files are asked for is of interest.
        let _ = dlc::check_config(&run.config, &run.commands, &backend, &files);
        for name in named.into_inner() {
            refuse(backend.clone(), &format!("the file `{name}`"));
        }
        for variable in dlc::secret_variables(&run.config) {
            refuse(backend.clone(), &format!("the variable `{variable}`"));
        }
    }
    errors
}

/// Whether a text is certainly the address of an object in a storage.
fn is_elsewhere(text: &str) -> bool {
    ["oss://", "s3://"].iter().any(|scheme| text.starts_with(scheme))
}

/// Whether a text may be the address of a file on this machine.
fn names_a_disk(text: &str) -> bool {
    text.starts_with("${") || (is_address(text) && !is_elsewhere(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::spec::Spec;
    use serde_json::{Value, json};

    fn refused(run: &Value, metric: &Value) -> Vec<String> {
        let spec = json!({
            "name": "n", "space": {"x": {"choice": ["file:///etc/passwd"]}}, "objective": {"metric": "m", "goal": "minimize"},
            "metric": metric, "run": run,
        });
        let (spec, _) = Spec::parse(&spec, "").unwrap();
        let errors = reads_of_this_machine(spec.run.as_ref().unwrap(), &spec.metric.source);
        errors.iter().map(|error| error.path.clone()).collect()
    }

    #[test]
    fn files_and_variables_of_the_machine_are_refused_in_every_place() {
        let stdout = json!({"stdout": "m=([0-9.]+)"});
        let dlc = |more: Value| {
            let mut run = json!({"command": "train", "region": "cn-hangzhou"});
            run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"dlc": run})
        };
        assert!(refused(&dlc(json!({"templates": ["oss://b/a,conf.json"]})), &stdout).is_empty());
        for source in ["/etc/passwd", "relative", "${x}", "file:///etc/passwd"] {
            let templates = json!({"templates": [format!("{source},oss://b/stolen")]});
            assert_eq!(refused(&dlc(templates), &stdout), ["run.dlc.templates[0]"], "{source}");
        }
        for target in ["${x}", "file:///etc/cron.d/x"] {
            let templates = json!({"templates": [format!("oss://b/a,{target}")]});
            assert_eq!(refused(&dlc(templates), &stdout), ["run.dlc.templates[0]"], "{target}");
        }
        for file in ["file:///root/x", "${x}"] {
            assert_eq!(
                refused(&dlc(json!({})), &json!({"json": file, "keys": ["m"]})),
                ["metric.json"],
                "{file}"
            );
        }
        let line = "dlc submit pytorchjob --job_file=/etc/passwd --name=n";
        assert_eq!(refused(&json!({"dlc": {"command": line}}), &stdout), ["run.dlc"]);
        let secret = json!({"JobSpecs": [{"ImageConfig": {"Password": "env:PLANTED"}}]});
        assert_eq!(refused(&dlc(secret), &stdout).len(), 1);
    }
}
