//! The table of the operations of PAI's API. Whatever the service takes by PUT is also taken by POST, as older pages have it.

use super::{experiment, list, logs, service, trial};
use crate::http::access::Role;
use crate::http::operation::{Dialect, Operation, Verb, handler};

macro_rules! operation {
    ($method:ident $path:expr, $name:literal $needs:ident, $about:literal, $run:path) => {
        Operation {
            method: Verb::$method,
            path: $path,
            name: $name,
            about: $about,
            needs: Some(Role::$needs),
            dialect: Dialect::Pai,
            query: &[],
            body: None,
            answers: (200, None),
            media: "application/json",
            or_json: None,
            refusals: &[],
            run: handler!($run),
        }
    };
}

macro_rules! of_experiment {
    ($rest:literal) => {
        concat!("/api/automl/v1/hpo/experiment/{ExperimentId}", $rest)
    };
}

macro_rules! of_trial {
    ($rest:literal) => {
        concat!("/api/automl/v1/hpo/experiment/{ExperimentId}/trial/{TrialId}", $rest)
    };
}

const ROLE: &str = "/api/automl/v1/serviceidentityrole";

static OPERATIONS: &[Operation] = &[
    operation!(Post "/api/automl/v1/hpo/experiment", "CreateHpoExperiment" User, "Creates an experiment", experiment::create),
    operation!(Get "/api/automl/v1/hpo/experiments", "ListHpoExperiments" Viewer, "Experiments", list::list),
    operation!(Get of_experiment!(""), "GetHpoExperiment" Viewer, "An experiment", experiment::show),
    operation!(Put of_experiment!("/update"), "UpdateHpoExperiment" User, "Changes an experiment", experiment::update),
    operation!(Post of_experiment!("/update"), "UpdateHpoExperiment" User, "The same", experiment::update),
    operation!(Put of_experiment!("/stop"), "StopHpoExperiment" User, "Stops an experiment", experiment::stop),
    operation!(Post of_experiment!("/stop"), "StopHpoExperiment" User, "The same", experiment::stop),
    operation!(Put of_experiment!("/delete"), "DeleteHpoExperiment" User, "Hides an ended experiment", experiment::delete),
    operation!(Post of_experiment!("/delete"), "DeleteHpoExperiment" User, "The same", experiment::delete),
    operation!(Get of_experiment!("/logs"), "ListHpoExperimentLogs" Viewer, "What was recorded", logs::of_experiment),
    operation!(Get of_experiment!("/trials"), "ListHpoTrials" Viewer, "Trials", trial::list),
    operation!(Put of_experiment!("/stop_trials"), "StopHpoTrials" User, "Stops trials", trial::stop),
    operation!(Post of_experiment!("/stop_trials"), "StopHpoTrials" User, "The same", trial::stop),
    operation!(Put of_experiment!("/restart_trials"), "RestartHpoTrials" User, "Tries points again", trial::restart),
    operation!(Post of_experiment!("/restart_trials"), "RestartHpoTrials" User, "The same", trial::restart),
    operation!(Get of_trial!(""), "GetHpoTrial" Viewer, "A trial", trial::show),
    operation!(Get of_trial!("/lognames"), "ListHpoTrialLogNames" Viewer, "The logs of a trial", logs::names),
    operation!(Get of_trial!("/logs"), "ListHpoTrialLogs" Viewer, "What a trial wrote", logs::of_trial),
    operation!(Get of_trial!("/commands"), "ListHpoTrialCommands" Viewer, "What a trial runs", logs::commands),
    operation!(Post ROLE, "CreateServiceIdentityRole" User, "The name of a role that is not needed here", service::role),
    operation!(Get ROLE, "GetServiceIdentityRole" Viewer, "The same", service::role),
    operation!(Post "/api/automl/v1/autofe/experiment", "CreateAutofeExperiment" User, "Not supported", service::no_autofe),
    operation!(Get "/api/automl/v1/autofe/experiment/{ExperimentId}", "GetAutofeExperiment" Viewer, "Not supported",
        service::no_autofe),
];

/// The operations of PAI's API.
pub fn operations() -> &'static [Operation] {
    OPERATIONS
}
