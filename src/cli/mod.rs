//! The command line: one file for each command or family of commands.
//!
//! [`args`] is the contract as typed; [`main`] runs it and gives the exit code.

mod act;
mod advice;
mod archive;
pub mod args;
mod ask_tell;
mod audit;
mod clean;
mod control;
mod daemon;
mod doctor;
mod elsewhere;
mod export;
mod forgetful;
mod importance;
mod interrupt;
mod live;
mod logs;
mod look;
mod output;
mod part;
mod picture;
mod run;
mod secret;
mod serve;
mod simulate;
mod source;
mod spec;
mod store;
mod troubles;

use crate::error::{Failure, exit};
use crate::requests::Request;
use crate::views::figures;
use args::{Audit, Cli, Command, Common, NamedBy};
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};
use daemon::Daemon;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Runs the command line.
pub fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let named_by = |option| match matches.value_source(option) {
        Some(ValueSource::CommandLine) => NamedBy::Typed,
        None | Some(ValueSource::DefaultValue) => NamedBy::Default,
        Some(_) => NamedBy::Environment,
    };
    cli.common.store_from = named_by("store");
    cli.common.server_from = named_by("server");
    crate::telemetry::start(cli.common.verbose);
    match place(&mut cli.common).and_then(|()| here_only(&cli)).and_then(|()| dispatch(&cli)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if cli.common.json {
                let text = failure.rendered.clone().unwrap_or_else(|| format!("{}\n", failure.json()));
                // The answer for programs; without a reader there is nobody to tell.
                let _ = output::text(&text);
            } else {
                let text = failure.text();
                let _ = write!(std::io::stderr().lock(), "{}", advice::with_store(&cli.common, &text));
            }
            ExitCode::from(failure.exit)
        }
    }
}

/// Decides between the store and the daemon that are named: what is typed counts more than what the environment says.
fn place(common: &mut Common) -> Result<(), Failure> {
    let typed = |named_by: NamedBy| named_by == NamedBy::Typed;
    if typed(common.store_from) && typed(common.server_from) {
        let message = "`--store` and `--server` name two places";
        return Err(Failure::new(exit::USAGE, message, "leave one of them out"));
    }
    if typed(common.store_from) || common.server.as_ref().is_some_and(String::is_empty) {
        common.server = None;
    }
    Ok(())
}

/// An error if a daemon elsewhere is named, and the command can only work on a store of this machine.
fn here_only(cli: &Cli) -> Result<(), Failure> {
    let name = match &cli.command {
        Command::Serve(_) => "serve",
        Command::Secret(_) => "secret",
        Command::Doctor => "doctor",
        Command::Audit(Audit::Export { .. }) => "audit export",
        Command::Audit(Audit::Archive { .. }) => "audit archive",
        Command::Audit(Audit::Import { .. }) => "audit import",
        _ => return Ok(()),
    };
    let Some(server) = &cli.common.server else { return Ok(()) };
    Err(Failure {
        code: Some(crate::codes::HERE_ONLY.to_string()),
        ..Failure::new(
            exit::USAGE,
            format!("`{name}` works on a store of this machine, and the daemon at {server} is named"),
            "run it on the daemon's machine, or name the store with --store DIR",
        )
    })
}

fn dispatch(cli: &Cli) -> Result<u8, Failure> {
    let common = &cli.common;
    match &cli.command {
        Command::Run { file, new, private } => {
            run::run(common, file, run::Manner { new: *new, private: *private })
        }
        Command::Check { file, dry_run } => check(common, file, *dry_run),
        Command::Ls { all } => look::list(common, *all),
        Command::Show(exp) => look::show(common, &exp.exp),
        Command::Trials(exp) => look::trials(common, &exp.exp),
        Command::Best(exp) => look::best(common, &exp.exp),
        Command::Logs { exp, trial, follow, attempt, task, stderr } => logs::logs(
            common,
            &exp.exp,
            logs::Which { trial: *trial, attempt: *attempt, task: *task, stderr: *stderr, follow: *follow },
        ),
        Command::Events { exp, follow } => look::events(common, &exp.exp, *follow),
        Command::Watch(exp) => look::watch(common, &exp.exp),
        Command::Stop { exp, trials } => act::stop(common, &exp.exp, trials),
        Command::Pause(exp) => {
            act::simple(common, &exp.exp, "paused", |experiment| Request::Pause { experiment })
        }
        Command::Resume(exp) => {
            act::simple(common, &exp.exp, "resumed", |experiment| Request::Resume { experiment })
        }
        Command::Retry { exp, trials } => {
            let trials = trials.clone();
            act::simple(common, &exp.exp, "to be tried again in", |experiment| Request::Retry {
                experiment,
                trials,
            })
        }
        Command::Update { exp, file, private, public } => {
            let private = (*private || *public).then_some(*private);
            act::update(common, &exp.exp, file.as_deref(), private)
        }
        Command::Clone { exp, name } => act::clone(common, &exp.exp, name.as_deref()),
        Command::Enqueue { exp, params } => act::enqueue(common, &exp.exp, params),
        Command::Rm(exp) => {
            act::simple(common, &exp.exp, "removed", |experiment| Request::Remove { experiment })
        }
        Command::Clean { exp, all, dry_run } => clean::clean(common, &exp.exp, *all, *dry_run),
        Command::Export { exp, output } => export::export(common, &exp.exp, output),
        Command::Importance { exp, how } => importance::importance(common, &exp.exp, how),
        Command::Serve(options) => serve::serve(common, options),
        Command::Secret(asked) => secret::run(common, asked),
        Command::Audit(audit) => audit::run(common, audit),
        Command::AskTell { spec, seed } => ask_tell::run(common, spec, *seed),
        Command::Simulate(simulate) => simulate::run(common, simulate),
        Command::Doctor => doctor::run(common),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "retrial", &mut script);
            output::text(&String::from_utf8_lossy(&script))?;
            Ok(exit::DONE)
        }
        Command::Man { dir } => man(dir.as_deref()),
    }
}

fn check(common: &Common, file: &str, dry_run: bool) -> Result<u8, Failure> {
    let (asked, warnings) = spec::load_with_warnings(common, file)?;
    // What the daemon does not take is a mistake as well.
    let there = Daemon::of(common)?
        .map(|daemon| daemon.post("/check", &json!({"spec": asked.canonical(), "dry_run": dry_run})));
    let there = there.transpose()?;
    if common.json {
        output::json(
            &json!({"ok": true, "name": asked.name, "spec": asked.canonical(), "warnings": warnings.json()}),
        )?;
    } else {
        if !warnings.is_empty() {
            output::remark(warnings.render(spec::colours()).trim_end());
        }
        let parameters = figures::count(asked.space.leaves().len() as u64, "parameter");
        let points = asked.space.cardinality().map(|points| format!(", {}", figures::count(points, "point")));
        let run = if asked.run.is_some() { "" } else { "; without `run` it is for `retrial ask-tell` only" };
        output::line(&format!("{file} is right: {parameters}{}{run}", points.unwrap_or_default()))?;
    }
    if dry_run {
        output::text(&match there {
            Some(told) => spec::shown(told.get("preview").filter(|preview| !preview.is_null())),
            None => spec::dry_run(common, &asked)?,
        })?;
    }
    Ok(exit::DONE)
}

fn man(dir: Option<&Path>) -> Result<u8, Failure> {
    match dir {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            output::text(&String::from_utf8_lossy(&page))?;
        }
        Some(dir) => {
            std::fs::create_dir_all(dir)?;
            clap_mangen::generate_to(Cli::command(), dir)?;
        }
    }
    Ok(exit::DONE)
}
