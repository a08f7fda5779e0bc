//! Backends by their names in the experiment file: which there are, and whether their settings can be used.

use crate::cloud::client::{DEFAULT_CALLS_PER_SECOND, Limits};
use crate::cloud::credentials::Choice;
use crate::cloud::http::HttpSettings;
use crate::cloud::providers::{self, Providers};
use crate::cloud::proxy::ProxySettings;
use crate::cloud::rate::Rates;
use crate::cloud::secret::Sealed;
use crate::cloud::world::{SystemWorld, World};
use crate::codes;
use crate::dlc::{self, DlcBackend};
use crate::files;
use crate::local::{self, LocalBackend, supervisor_command};
use crate::maxcompute::settings::{Setup, SetupError};
use crate::maxcompute::{self, MaxComputeBackend};
use crate::suggest;
use engine::error::SpecError;
use engine::ports::backend::Backend;
use engine::spec::{MetricSource, Run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The names that this version can run.
pub const AVAILABLE: &[&str] = &["local", "dlc", "maxcompute"];
/// The names that an experiment file may hold and that this version cannot run.
pub const PLANNED: &[&str] = &["ray", "slurm", "kubernetes"];

/// Seconds between two polls of the jobs of a cloud.
pub const POLL_VARIABLE: &str = "RETRIAL_POLL_SECONDS";
/// Calls per second to one service.
pub const RATE_VARIABLE: &str = "RETRIAL_CALLS_PER_SECOND";
/// A file such as the `odps_config.ini` of MaxCompute's command line client.
pub const ODPS_CONFIG_VARIABLE: &str = "RETRIAL_ODPS_CONFIG";
/// What they are unless the variables say otherwise, and their bounds.
const POLL_SECONDS: (f64, f64, f64) = (5.0, 0.05, 3_600.0);
const CALLS_PER_SECOND: (f64, f64, f64) = (DEFAULT_CALLS_PER_SECOND, 0.1, 10_000.0);
/// Bytes of a file that a command line names.
const MAX_JOB_FILE_BYTES: u64 = 1 << 20;

/// What backends need of the program that they run in.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The directory below which local tasks have their files.
    pub runs: PathBuf,
    /// Keys that are kept for experiments, which name them as `secret:NAME`.
    pub sealed: Sealed,
}

/// Checks a backend's own settings. `path` is where they stand, such as `run.local`; all mistakes are given at once.
pub fn check_settings(name: &str, config: &Value, path: &str) -> Vec<SpecError> {
    match name {
        "local" => local::check_config(config, path),
        "dlc" => dlc::check_config(config, &[], path, &|_| Err(String::new())),
        "maxcompute" => maxcompute_setup(&variable).map_or_else(
            |errors| errors,
            |setup| maxcompute::config::check_config(config, &[], path, &setup),
        ),
        other => vec![unknown(other, path)],
    }
}

/// Checks all that an experiment file says about one backend: its settings, the commands, and where metrics are.
pub fn check(run: &Run, metric: &MetricSource) -> Vec<SpecError> {
    let path = format!("run.{}", run.backend);
    let mut errors = match run.backend.as_str() {
        "dlc" => {
            let files = |name: &str| job_file(&run.spec_dir, name);
            let mut errors = dlc::check_config(&run.config, &run.commands, &path, &files);
            errors.extend(dlc::check_metric(metric));
            errors
        }
        "maxcompute" => maxcompute_setup(&variable).map_or_else(
            |errors| errors,
            |setup| maxcompute::config::check_config(&run.config, &run.commands, &path, &setup),
        ),
        other => check_settings(other, &run.config, &path),
    };
    let has_tables = run.backend == "maxcompute";
    if has_tables {
        errors.extend(check_tables_only(run, metric, &path));
    } else if matches!(metric, MetricSource::Table { .. }) {
        errors.push(SpecError::key(
            codes::BAD_METRIC,
            "metric.table",
            format!("the backend `{}` has no tables", run.backend),
            "let the trial print the metric and use stdout, or append it to the file of RETRIAL_REPORT",
        ));
    }
    errors
}

/// Checks what depends on where this program runs, for settings that [`check`] has found right.
pub fn check_surroundings(name: &str, config: &Value, path: &str) -> Vec<SpecError> {
    if name == "local" { local::check_surroundings(config, path) } else { Vec::new() }
}

/// Makes a backend.
pub fn build(name: &str, surroundings: &Surroundings) -> Result<Arc<dyn Backend>, SpecError> {
    match name {
        "local" => Ok(Arc::new(LocalBackend::new(&surroundings.runs, supervisor_command()))),
        "dlc" => Ok(Arc::new(build_dlc(&surroundings.sealed)?)),
        "maxcompute" => Ok(Arc::new(build_maxcompute(&surroundings.sealed)?)),
        other => Err(unknown(other, "run")),
    }
}

/// What tasks that only know tables cannot have.
fn check_tables_only(run: &Run, metric: &MetricSource, path: &str) -> Vec<SpecError> {
    let mut errors = Vec::new();
    if !matches!(metric, MetricSource::Table { .. }) {
        errors.push(SpecError::key(
            codes::BAD_METRIC,
            "metric",
            "a task of MaxCompute prints nothing and writes no file",
            "read its metric from a table, such as `metric: {table: 'SELECT auc FROM result_${trial_id}', key: auc}`",
        ));
    }
    for (name, given) in [("env", !run.env.is_empty()), ("templates", !run.templates.is_empty())] {
        if given {
            let message = format!("a task of MaxCompute has no use for `{name}`");
            let cure = "write `${...}` into its command";
            errors.push(SpecError::key(codes::UNKNOWN_KEY, format!("{path}.{name}"), message, cure));
        }
    }
    errors
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What backends of clouds have in common.
struct Cloud {
    world: Arc<dyn World>,
    http: HttpSettings,
    limits: Limits,
    providers: Providers,
    poll_interval: Duration,
}

impl Cloud {
    fn of_process(sealed: &Sealed) -> Result<Self, SpecError> {
        let poll_interval = Duration::from_secs_f64(number(POLL_VARIABLE, POLL_SECONDS, &variable)?);
        let rates = Rates::of(number(RATE_VARIABLE, CALLS_PER_SECOND, &variable)?);
        let world: Arc<dyn World> = Arc::new(SystemWorld::default());
        let proxy = ProxySettings::from_environment(variable);
        let http = HttpSettings { proxy: proxy.clone(), ..HttpSettings::default() };
        let limits = Limits { rates, ..Limits::default() };
        let providers = providers::of_process(Arc::clone(&world), proxy, sealed.clone());
        Ok(Self { world, http, limits, providers, poll_interval })
    }
}

/// What the tools of MaxCompute are set up with here: by variables, and by their file for what those do not say.
fn maxcompute_setup(variable: &impl Fn(&str) -> Option<String>) -> Result<Setup, Vec<SpecError>> {
    let set = maxcompute::settings::VARIABLES.iter();
    let variables = set.filter_map(|name| Some(((*name).to_owned(), variable(name)?))).collect();
    let file = variable(ODPS_CONFIG_VARIABLE).filter(|path| !path.is_empty());
    let of_file = file.map_or(Ok(Setup::default()), |path| Setup::of_file(Path::new(&path)));
    let (setup, mut errors) = match Setup::of_variables(&variables) {
        Ok(setup) => (setup, Vec::new()),
        Err(error) => (Setup::default(), vec![error]),
    };
    let setup = of_file.map_or_else(
        |more| {
            errors.extend(more);
            Setup::default()
        },
        |file| setup.or(file),
    );
    let told = |error: SetupError| {
        SpecError::new(error.code, "", format!("{}: {}", error.place, error.message), error.cure)
    };
    if errors.is_empty() { Ok(setup) } else { Err(errors.into_iter().map(told).collect()) }
}

fn build_maxcompute(sealed: &Sealed) -> Result<MaxComputeBackend, SpecError> {
    let Cloud { world, http, limits, providers, poll_interval } = Cloud::of_process(sealed)?;
    let setup = maxcompute_setup(&variable).map_err(|mut errors| errors.remove(0))?;
    let account = setup.account.clone();
    let providers: Providers = Arc::new(move |who| match (&account, who) {
        // Whoever names nobody is whom the tools of MaxCompute are set up for.
        (Some(account), Choice::Chain) => Ok(account.clone().provider()),
        _ => providers(who),
    });
    let tools =
        maxcompute::projects::Tools { app: setup.app.clone(), logview_host: setup.logview_host.clone() };
    let projects =
        maxcompute::projects::Projects::new(Arc::clone(&world), http, limits, providers).with_tools(tools);
    Ok(MaxComputeBackend::new(maxcompute::backend::Parts { projects, world, setup, poll_interval }))
}

fn build_dlc(sealed: &Sealed) -> Result<DlcBackend, SpecError> {
    let Cloud { world, http, limits, providers, poll_interval } = Cloud::of_process(sealed)?;
    let logs = dlc::logs::reader::Settings::paced(poll_interval);
    Ok(DlcBackend::new(dlc::backend::Parts {
        regions: dlc::regions::Regions::new(
            Arc::clone(&world),
            http,
            limits,
            logs,
            files::Settings::from_environment(variable),
            providers,
        ),
        world,
        job_files: Arc::new(job_file),
        variables: Arc::new(variable),
        poll_interval,
    }))
}

/// A number of the environment: a default, a least and a largest value.
fn number(
    name: &str,
    (default, least, most): (f64, f64, f64),
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<f64, SpecError> {
    let Some(text) = variable(name).filter(|text| !text.is_empty()) else { return Ok(default) };
    text.parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
        let message = format!("the variable `{name}` is `{text}`, and no number from {least} to {most}");
        SpecError::new(
            codes::OUT_OF_RANGE,
            "",
            message,
            format!("set it to {default}, for example, or not at all"),
        )
    })
}

/// A file beside the experiment file, or anywhere if its path is absolute.
fn job_file(dir: &str, name: &str) -> Result<String, String> {
    let path = Path::new(dir).join(name);
    let failed = |error: std::io::Error| format!("failed to read {}: {error}", path.display());
    let bytes = std::fs::metadata(&path).map_err(failed)?.len();
    if bytes > MAX_JOB_FILE_BYTES {
        return Err(format!("{} has {bytes} bytes, more than {MAX_JOB_FILE_BYTES}", path.display()));
    }
    std::fs::read_to_string(&path).map_err(failed)
}

fn unknown(name: &str, path: &str) -> SpecError {
    if PLANNED.contains(&name) {
        return SpecError::key(
            codes::UNAVAILABLE_BACKEND,
            path,
            format!("the backend `{name}` is not available in this version"),
            format!("available: {}", AVAILABLE.join(", ")),
        );
    }
    let all = [AVAILABLE, PLANNED].concat();
    SpecError::key(
        codes::UNKNOWN_BACKEND,
        path,
        format!("there is no backend `{name}`"),
        suggest::cure(name, &all),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_available_planned_or_unknown_with_a_suggestion() {
        assert!(check_settings("local", &Value::Null, "run.local").is_empty());
        assert_eq!(check_settings("slurm", &Value::Null, "run.slurm")[0].code, codes::UNAVAILABLE_BACKEND);
        let strange = &check_settings("locla", &Value::Null, "run.locla")[0];
        assert_eq!((strange.code, strange.cure.as_str()), (codes::UNKNOWN_BACKEND, "did you mean `local`?"));
        let surroundings = Surroundings { runs: PathBuf::from("runs"), sealed: Sealed::default() };
        for name in AVAILABLE {
            assert_eq!(build(name, &surroundings).unwrap().name(), *name);
        }
        assert!(build("slurm", &surroundings).is_err());
    }

    #[test]
    fn the_file_of_maxcomputes_client_fills_what_variables_do_not_say() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("odps_config.ini");
        std::fs::write(
            &path,
            "project_name=theirs\naccess_id=a\naccess_key=planted\nlog_view_host=http://l\n",
        )
        .unwrap();
        let with = |project: &'static str| {
            let path = path.clone();
            move |name: &str| match name {
                ODPS_CONFIG_VARIABLE => Some(path.display().to_string()),
                "ODPS_PROJECT_NAME" => Some(project.to_owned()),
                _ => None,
            }
        };
        let setup = maxcompute_setup(&with("")).unwrap();
        assert_eq!(
            (setup.project.as_deref(), setup.logview_host.as_deref(), setup.account.is_some()),
            (Some("theirs"), Some("http://l"), true)
        );
        assert_eq!(maxcompute_setup(&with("ours")).unwrap().project.as_deref(), Some("ours"));
        std::fs::write(&path, "access_id=a\nwhat\n").unwrap();
        let errors = maxcompute_setup(&with("")).unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].message.contains("odps_config.ini:2: "), "{errors:?}");
    }

    #[test]
    fn numbers_of_the_environment_have_bounds() {
        let of = |text: &'static str| number("X", (5.0, 1.0, 9.0), &move |_: &str| Some(text.to_owned()));
        assert_eq!(of("").unwrap(), 5.0);
        assert_eq!(of("2.5").unwrap(), 2.5);
        for bad in ["0", "10", "NaN", "x"] {
            let error = of(bad).unwrap_err();
            assert!(error.message.contains("`X`") && error.code == codes::OUT_OF_RANGE, "{error}");
        }
    }
}
