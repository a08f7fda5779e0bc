//! What the samplers find: lets them search problems with known optima, beside others, and makes tables and plots of it.
//!
//! See `README.md` in this folder; read [`problem`] first, then [`race`] and [`score`].

mod bbob;
mod classic;
mod constrained;
mod planted;
mod plots;
mod prior;
mod problem;
mod progress;
mod race;
mod row;
mod score;
mod serve;
mod several;
mod training;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use problem::Problem;
use race::Race;
use row::Row;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

#[derive(Parser)]
#[command(about = "What the samplers find, on problems with known optima")]
struct Line {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Lists the problems and their classes.
    List,
    /// Lets samplers search problems; appends a row per run, passes over rows that are there, and prints the table.
    Run(Run),
    /// Prints the table of files of rows; `NAME=FILE` puts `NAME:` before the solvers of a file.
    Table {
        files: Vec<String>,
        /// Where the runs are cut; those that have fewer trials are left out.
        #[arg(long, default_value_t = 200)]
        trials: u32,
        /// The runs with so many trials at once.
        #[arg(long, default_value_t = 1)]
        concurrency: u32,
        /// The solver that is compared with each other one, pair by pair.
        #[arg(long, default_value = "auto")]
        against: String,
    },
    /// Draws regret and CPU time over trials from files of rows.
    Plot {
        files: Vec<String>,
        #[arg(long, default_value_t = 200)]
        trials: u32,
        /// The folder of the two pictures.
        #[arg(long, default_value = "docs/samplers")]
        out: PathBuf,
    },
    /// Offers a problem on standard input and output: its space first, then `{"value": ...}` for `{"params": {...}}`.
    Problem { name: String },
}

#[derive(Args)]
struct Run {
    /// Names of samplers.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "random,sobol,tpe,gp,forest,cma_es,evolution,anneal,auto"
    )]
    samplers: Vec<String>,
    /// Names or classes of problems; by default all whose trials have one metric.
    #[arg(long, value_delimiter = ',')]
    problems: Vec<String>,
    #[arg(long, default_value_t = 200)]
    trials: u32,
    /// How many runs of each sampler on each problem.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// How many trials at once, on a counted clock.
    #[arg(long, default_value_t = 1)]
    concurrency: u32,
    /// How many runs at once.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// The file of the rows.
    #[arg(long, default_value = "quality.jsonl")]
    out: PathBuf,
}

fn main() -> Result<()> {
    let problems = problem::all()?;
    match Line::parse().action {
        Action::List => {
            let line = |problem: &Problem| format!("{:20} {}\n", problem.name, problem.class);
            say(&problems.iter().map(line).collect::<String>())
        }
        Action::Run(run) => run.run(&problems),
        Action::Table { files, trials, concurrency, against } => {
            let mut rows = row::read(&files)?;
            rows.retain(|row| row.concurrency == concurrency);
            say(&score::table(&rows, &problems, trials))?;
            say(&format!("\n{}", score::pairs(&rows, &problems, &against, trials)))
        }
        Action::Plot { files, trials, out } => plots::draw(&row::read(&files)?, &problems, trials, &out),
        Action::Problem { name } => {
            let problem = problems.iter().find(|problem| problem.name == name);
            let problem =
                problem.with_context(|| format!("there is no problem {name}: see `quality list`"))?;
            serve::serve(problem, std::io::stdin().lock(), std::io::stdout().lock())
        }
    }
}

fn say(text: &str) -> Result<()> {
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

impl Run {
    fn run(&self, problems: &[Problem]) -> Result<()> {
        let chosen = self.choose(problems)?;
        let path = self.out.display().to_string();
        let there = if self.out.exists() { row::read(std::slice::from_ref(&path))? } else { Vec::new() };
        let there: BTreeSet<_> = there.iter().map(Row::key).collect();
        let mut races = Vec::new();
        // Seed by seed, so that a run that is broken off has something of every sampler.
        for seed in 0..self.seeds {
            for sampler in &self.samplers {
                for problem in &chosen {
                    let key = (sampler.clone(), problem.name.clone(), seed, self.trials, self.concurrency);
                    if !there.contains(&key) {
                        let (trials, concurrency) = (self.trials, self.concurrency);
                        races.push(Race { problem, sampler, seed, trials, concurrency });
                    }
                }
            }
        }
        self.race(&races)?;
        let mut rows = row::read(&[path])?;
        rows.retain(|row| row.concurrency == self.concurrency);
        say(&score::table(&rows, problems, self.trials))
    }

    /// The problems that were named, by themselves or by their class.
    fn choose<'a>(&self, problems: &'a [Problem]) -> Result<Vec<&'a Problem>> {
        for name in &self.problems {
            if !problems.iter().any(|problem| problem.name == *name || problem.class == name) {
                bail!("there is no problem or class {name}: see `quality list`");
            }
        }
        let named = |problem: &&Problem| {
            (self.problems.is_empty() && problem.is_plain())
                || self.problems.iter().any(|name| problem.name == *name || problem.class == name)
        };
        Ok(problems.iter().filter(named).collect())
    }

    /// Makes the runs, several at once, and appends the row of each when it is there.
    fn race(&self, races: &[Race<'_>]) -> Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.out)
            .with_context(|| format!("cannot write {}", self.out.display()))?;
        let (next, (sender, receiver)) = (AtomicUsize::new(0), mpsc::channel());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                let (next, sender) = (&next, sender.clone());
                scope.spawn(move || {
                    while let Some(race) = races.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if sender.send(race.run()).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            for row in receiver {
                writeln!(file, "{}", serde_json::to_string(&row?)?)?;
            }
            Ok(())
        })
    }
}
