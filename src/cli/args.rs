//! The command line as typed: a contract, since scripts rely on it.

use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::time::Span;
use std::path::PathBuf;

/// Hyperparameter tuning that never loses a trial.
#[derive(Debug, Parser)]
#[command(name = "retrial", version, about, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    /// Options of every command
    #[command(flatten)]
    pub common: Common,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The folder that holds the experiments
    #[arg(long, global = true, env = "RETRIAL_STORE", default_value = ".retrial", value_name = "DIR")]
    pub store: PathBuf,
    /// What named it
    #[arg(skip)]
    pub store_from: NamedBy,
    /// A daemon elsewhere in place of a store, such as <https://tuning.example:7340>; `RETRIAL_TOKEN` holds the token for it
    #[arg(long, global = true, env = "RETRIAL_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// What named it
    #[arg(skip)]
    pub server_from: NamedBy,
    /// Print JSON for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// What an acknowledged result survives
    #[arg(long, global = true, env = "RETRIAL_DURABILITY", default_value = "disk", value_name = "LEVEL")]
    pub durability: Durability,
    /// Say more on standard error (also through the variable `RETRIAL_LOG`, such as `debug`)
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

/// What named a store or a daemon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NamedBy {
    /// Nothing: it is the default.
    #[default]
    Default,
    /// The environment, which other commands find as well.
    Environment,
    /// The option, which other commands need as well.
    Typed,
}

/// What an acknowledged result survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Durability {
    /// The end of the process in any way, not a power loss
    Process,
    /// A power loss as well
    Disk,
}

/// An experiment: its id, a unique beginning of one, or its name.
#[derive(Debug, Clone, Args)]
pub struct Exp {
    /// The experiment: its id, a unique beginning of it, or its name (the newest of that name)
    #[arg(value_name = "EXP")]
    pub exp: String,
}

/// How importance is told.
#[derive(Debug, Clone, Args)]
pub struct Question {
    /// What is asked: what set the best trials apart, or what explains the variance
    #[arg(long, default_value = "ped-anova")]
    pub method: Method,
    /// The share of the trials that are the best (ped-anova; 0.1 if not given)
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub top: Option<f64>,
    /// Compare them with this best share of the trials instead of all (ped-anova)
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with = "space")]
    pub within: Option<f64>,
    /// Compare them with the whole search space, also where no trial was (ped-anova)
    #[arg(long)]
    pub space: bool,
    /// What is explained: a metric of the objective instead of its value
    #[arg(long, value_name = "NAME")]
    pub metric: Option<String>,
}

/// What importance means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// What set the best trials apart from the others
    PedAnova,
    /// How much of the variance over the space is due to each parameter and each pair
    Fanova,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("a share is a number above 0, at most 1".to_owned()),
    }
}

fn limit(text: &str) -> Result<(String, u32), String> {
    let (backend, trials) = text.split_once('=').ok_or("write, for example, local=4")?;
    if !backends::registry::AVAILABLE.contains(&backend) {
        return Err(format!("the backends are {}", backends::registry::AVAILABLE.join(", ")));
    }
    match trials.parse() {
        Ok(trials) if trials > 0 => Ok((backend.to_owned(), trials)),
        _ => Err("the number of trials is a whole number above 0".to_owned()),
    }
}

/// How the daemon serves.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:7340", value_name = "ADDRESS:PORT")]
    pub listen: std::net::SocketAddr,
    /// Users with their keys, tokens and roles; without it only programs of this machine are answered
    #[arg(long, env = "RETRIAL_ACCESS", value_name = "FILE")]
    pub access: Option<PathBuf>,
    /// Take no experiments that run commands on this machine
    #[arg(long)]
    pub no_local: bool,
    /// A certificate with its chain (PEM): with it connections are encrypted
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    pub tls_certificate: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, requires = "tls_certificate", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Most trials that run at once on a backend, over all experiments (may be repeated); trials then start by turns
    #[arg(long, value_name = "BACKEND=TRIALS", value_parser = limit)]
    pub limit: Vec<(String, u32)>,
    /// Most trials of each user that run at once; the file of users may say otherwise for some
    #[arg(long, value_name = "TRIALS", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit_per_user: Option<u32>,
    /// Most requests per second of each user, over ten seconds
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub requests_per_second: Option<u32>,
    /// At its start experiments leave that ended so long ago, such as 90d, once they are at least half of the history
    #[arg(long, requires = "archive_folder", value_name = "AGE")]
    pub archive_ended_before: Option<Span>,
    /// The folder for the archives of what leaves
    #[arg(long, requires = "archive_ended_before", value_name = "DIR")]
    pub archive_folder: Option<PathBuf>,
}

/// Which cloud is simulated.
#[derive(Debug, Subcommand)]
pub enum Simulate {
    /// PAI-DLC, with its signatures, states, lists, logs and, if asked for, its faults
    Dlc {
        /// Where it listens; only an address of this machine. Port 0 takes a free one
        #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT")]
        listen: std::net::SocketAddr,
        /// Run the commands of jobs as processes of this machine, with your rights
        #[arg(long)]
        run: bool,
        /// Where its object storage (OSS) listens; only an address of this machine
        #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT")]
        storage: std::net::SocketAddr,
        /// A folder whose folders are the buckets of the object storage, and their files the objects
        #[arg(long, value_name = "DIR")]
        buckets: Option<PathBuf>,
        /// How jobs live and what goes wrong, as JSON
        #[arg(long, value_name = "FILE")]
        script: Option<PathBuf>,
        /// Write the variables that clients need to a file that only you may read
        #[arg(long, value_name = "FILE")]
        env_file: Option<PathBuf>,
    },
    #[expect(clippy::doc_markdown, reason = "it is printed as it is")]
    /// MaxCompute, with its signatures, instances, SQL, some of PAI's algorithms and, if asked for, its faults
    Maxcompute {
        /// Where it listens; only an address of this machine. Port 0 takes a free one
        #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT")]
        listen: std::net::SocketAddr,
        /// How instances live and what goes wrong, as JSON
        #[arg(long, value_name = "FILE")]
        script: Option<PathBuf>,
        /// Write the variables that clients need to a file that only you may read
        #[arg(long, value_name = "FILE")]
        env_file: Option<PathBuf>,
        /// Make a table of a CSV file whose first line names the columns (may be repeated)
        #[arg(long, value_name = "FILE.csv=TABLE")]
        data: Vec<String>,
    },
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an experiment to its end, or go on with it
    ///
    /// Of several experiments of the file's name it goes on with one that asks for the same, an unfinished one before
    /// an ended one, the newest before older ones. If none asks for the same, it shows the differences.
    Run {
        /// The experiment file (YAML, JSON or TOML; - for standard input), or an unfinished experiment of the store
        file: String,
        /// Start another experiment even if there is one of that name
        #[arg(long)]
        new: bool,
        /// Let only its creator and admins see it, where a daemon has users
        #[arg(long)]
        private: bool,
    },
    /// Check an experiment file and print every mistake
    Check {
        /// The experiment file
        file: String,
        /// Print the first trial's task as the backend would get it
        #[arg(long)]
        dry_run: bool,
    },
    /// List the experiments
    Ls {
        /// Show removed experiments as well
        #[arg(long, short)]
        all: bool,
    },
    /// Show one experiment
    Show(Exp),
    /// List an experiment's trials
    Trials(Exp),
    /// Print the best trial
    Best(Exp),
    /// Print what a trial wrote
    Logs {
        /// Which one
        #[command(flatten)]
        exp: Exp,
        /// The trial's number
        trial: u32,
        /// Go on until the trial ends
        #[arg(long, short)]
        follow: bool,
        /// Another attempt than the last one
        #[arg(long)]
        attempt: Option<u32>,
        /// One task only, from 1
        #[arg(long)]
        task: Option<u16>,
        /// Standard error instead of standard output
        #[arg(long)]
        stderr: bool,
    },
    /// Print an experiment's history
    Events {
        /// Which one
        #[command(flatten)]
        exp: Exp,
        /// Go on as it grows
        #[arg(long, short)]
        follow: bool,
    },
    /// Watch an experiment that another process runs
    Watch(Exp),
    /// Stop an experiment, or single trials of it
    Stop {
        /// Which one
        #[command(flatten)]
        exp: Exp,
        /// The trials; without any the whole experiment
        trials: Vec<u32>,
    },
    /// Start no further trials; running ones go on
    Pause(Exp),
    /// Let a paused or stopped experiment go on
    Resume(Exp),
    /// Try ended, unsuccessful trials again, as new trials
    Retry {
        /// Which one
        #[command(flatten)]
        exp: Exp,
        /// The trials
        #[arg(required = true)]
        trials: Vec<u32>,
    },
    /// Replace an experiment's specification, or who may see it; an ended one goes on if it is given more to do
    #[command(group = clap::ArgGroup::new("change").args(["file", "private", "public"]).required(true).multiple(true))]
    Update {
        /// Which one
        #[command(flatten)]
        exp: Exp,
        /// The changed experiment file
        file: Option<String>,
        /// From now on let only its creator and admins see it, where a daemon has users
        #[arg(long, conflicts_with = "public")]
        private: bool,
        /// From now on let everybody see it
        #[arg(long)]
        public: bool,
    },
    /// Create a new experiment with the same specification
    Clone {
        /// Which one
        #[command(flatten)]
        exp: Exp,
        /// Its name; otherwise the same
        #[arg(long)]
        name: Option<String>,
    },
    /// Try this point next
    Enqueue {
        /// Which one
        #[command(flatten)]
        exp: Exp,
        /// The parameters as JSON, such as '{"lr": 0.1}'
        params: String,
    },
    /// Hide an ended experiment; its history stays
    Rm(Exp),
    /// Remove what an ended experiment's trials left at the backend, as `clean` in its file says
    Clean {
        /// Which one
        #[command(flatten)]
        exp: Exp,
        /// Also what belongs to the best trial
        #[arg(long)]
        all: bool,
        /// Only show the commands
        #[arg(long)]
        dry_run: bool,
    },
    /// Write an experiment's trials to a file
    Export {
        /// Which one
        #[command(flatten)]
        exp: Exp,
        /// The file; its ending says which format: csv or json
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Show which parameters mattered
    Importance {
        /// Which one
        #[command(flatten)]
        exp: Exp,
        /// How to tell
        #[command(flatten)]
        how: Question,
    },
    /// Run all experiments of the store, and serve them over HTTP
    Serve(Serve),
    /// Keep secrets sealed, for experiments that name them as secret:NAME
    #[command(subcommand)]
    Secret(Secrets),
    /// Prove, replay and compare histories
    #[command(subcommand)]
    Audit(Audit),
    /// Drive a sampler over standard input and output, one JSON object per line; kept only with --store
    AskTell {
        /// The experiment file; only its space, objective, sampler, `early_stop` and budget are needed
        #[arg(long)]
        spec: String,
        /// The seed, in place of the file's
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Simulate a cloud on this machine, to try its backend without an account
    #[command(subcommand)]
    Simulate(Simulate),
    /// Check this machine: disk, clock, backends
    Doctor,
    /// Print a completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one page for each command
    Man {
        /// The folder to write to
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// Keep secrets sealed.
#[derive(Debug, Subcommand)]
pub enum Secrets {
    /// Keep a secret that comes on standard input, in place of one of that name
    Set {
        /// Its name
        name: String,
    },
    /// List the names
    Ls,
    /// Remove a secret
    Rm {
        /// Its name
        name: String,
    },
}

/// Prove, replay and compare histories.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Check chain, density, checksums, both copies and the replayed digests
    Verify,
    /// Print an experiment's history with who, when and why
    Log(Exp),
    /// Print the state as it was at a record or a time
    Replay {
        /// Which one
        #[command(flatten)]
        exp: Exp,
        /// A record's number, or a time such as 2026-11-24T09:30:00Z (UTC where it names no zone)
        #[arg(long, value_name = "SEQ or TIME")]
        at: String,
    },
    /// Compute every suggestion again and compare the bits
    Resample(Exp),
    /// Show the first difference between two stores
    Diff {
        /// One store
        a: PathBuf,
        /// The other
        b: PathBuf,
    },
    /// Write the whole history to a portable archive
    Export {
        /// The archive; - for standard output
        file: PathBuf,
        /// The last record to write
        #[arg(long, value_name = "SEQ")]
        up_to: Option<u64>,
    },
    /// Move experiments that ended long ago out of the store, into an archive of the whole history
    Archive {
        /// The archive, a new file
        file: PathBuf,
        /// How long ago they ended at least, such as 30d
        #[arg(long, value_name = "AGE")]
        ended_before: Span,
        /// Print what would leave, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Make a new store of an archive
    Import {
        /// The archive
        file: PathBuf,
    },
}
