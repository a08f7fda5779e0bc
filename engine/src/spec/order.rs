//! Turns a point into a task that is ready to run, and looks for placeholders that nothing replaces.

use super::codes;
use super::reader::{Reader, did_you_mean};
use super::render::{self, KNOWN, render, render_json};
use super::run::backend_path;
use super::{Run, Spec};
use crate::id::SubmissionKey;
use crate::ports::backend::{CommandLine, Earlier, TaskOrder, TemplateFile};
use crate::time::Timestamp;
use crate::value::Point;

impl Spec {
    /// The task of a submission, with every placeholder replaced. `None` if clients run the trials, or if there is no
    /// such task.
    ///
    /// The task takes `slot` of as many slots as trials may run at once.
    pub fn order(
        &self,
        key: SubmissionKey,
        point: &Point,
        slot: u16,
        resume_from: Vec<Earlier>,
    ) -> Option<TaskOrder> {
        let run = self.run.as_ref()?;
        let command = run.commands.get(usize::from(key.task.0))?;
        let bindings = self.bindings(key, point);
        let text = |text: &String| render(text, &bindings);
        Some(TaskOrder {
            key,
            command: match command {
                CommandLine::Shell(line) => CommandLine::Shell(text(line)),
                CommandLine::Args(words) => CommandLine::Args(words.iter().map(text).collect()),
            },
            env: run.env.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            params: self.space.to_json(point),
            templates: run
                .templates
                .iter()
                .map(|template| TemplateFile {
                    source: text(&template.source),
                    target: text(&template.target),
                })
                .collect(),
            planned: Timestamp::default(),
            timeout: self.budget.trial_timeout,
            grace: self.budget.grace,
            slot,
            slots: u16::try_from(self.budget.concurrency).unwrap_or(u16::MAX),
            resume_from,
            config: render_json(&run.config, &bindings),
            bindings,
        })
    }

    /// All replacements for a submission: the parameters first, then `exp_id`, `trial_id`, `attempt`, `task` (from 1)
    /// and `spec_dir`.
    pub fn bindings(&self, key: SubmissionKey, point: &Point) -> Vec<(String, String)> {
        let mut bindings = render::parameter_bindings(&self.space, point);
        let spec_dir = self.run.as_ref().map(|run| run.spec_dir.clone()).unwrap_or_default();
        for (name, text) in [
            ("exp_id", key.experiment.to_string()),
            ("trial_id", key.trial.to_string()),
            ("attempt", key.attempt.to_string()),
            ("task", (u32::from(key.task.0) + 1).to_string()),
            ("spec_dir", spec_dir),
        ] {
            bindings.push((name.to_owned(), text));
        }
        bindings
    }

    /// Warns of placeholders in commands that neither Retrial nor, by its looks, the shell replaces.
    pub(super) fn warn_of_placeholders(&self, reader: &mut Reader) {
        let Some(run) = &self.run else { return };
        let mut names: Vec<String> = self.space.leaves().iter().map(|leaf| leaf.name.clone()).collect();
        names.extend(self.space.aliases().into_iter().map(|(alias, _)| alias));
        let known = |name: &str| {
            names.iter().any(|known| known == name) || KNOWN.contains(&name) || run.env.contains_key(name)
        };
        let mut own_name = None;
        for (index, command) in run.commands.iter().enumerate() {
            let (words, shell) = match command {
                CommandLine::Shell(line) => (std::slice::from_ref(line), true),
                CommandLine::Args(words) => (words.as_slice(), false),
            };
            if self.retry.resume
                && words.iter().any(|word| render::placeholders(word).any(|name| name == "attempt"))
            {
                own_name = own_name.or(Some(index));
            }
            let mut seen: Vec<&str> = Vec::new();
            for name in words.iter().flat_map(|word| render::placeholders(word)) {
                let candidates = names.iter().map(String::as_str).chain(KNOWN);
                let near = did_you_mean(name, candidates);
                // Upper case is the custom of environment variables.
                let variable = shell && near.is_none() && is_for_the_shell(name);
                if known(name) || variable || seen.contains(&name) {
                    continue;
                }
                seen.push(name);
                let message = format!("nothing replaces `${{{name}}}`: it is no parameter");
                let cure = near.unwrap_or_else(|| {
                    format!("add `{name}` to the space or to env; if `${{{name}}}` is meant as it is, write `$${{{name}}}`")
                });
                reader.warn(codes::UNKNOWN_PLACEHOLDER, &run.command_path(index), message, cure);
            }
        }
        if let Some(index) = own_name.filter(|_| run.commands.len() > 1) {
            let message = "with `retry.resume` a later attempt skips the tasks that have succeeded, and `${attempt}` makes it \
                           look for what they wrote under another name";
            let cure =
                "leave `${attempt}` out of what one task writes and a later one reads, or leave `resume` out";
            reader.warn(codes::RENAMED, &run.command_path(index), message, cure);
        }
    }
}

impl Run {
    /// Where a command most likely stands in the document; the shell looks for the nearest place that exists.
    fn command_path(&self, index: usize) -> String {
        let backend = backend_path(&self.backend);
        if self.commands.len() == 1 {
            format!("{backend}.command")
        } else {
            format!("{backend}.tasks[{index}]")
        }
    }
}

/// Whether a name is written like an environment variable, `HOME`, or is an expansion with an operator, `x:-1`.
fn is_for_the_shell(name: &str) -> bool {
    let variable = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    name.chars().all(variable) || name.contains(|c: char| !c.is_alphanumeric() && c != '_' && c != '.')
}
