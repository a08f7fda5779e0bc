//! What the service asks for around experiments, and what it can do beside them.

use super::request::answer;
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::server::App;
use axum::http::StatusCode;
use serde_json::json;

/// The role that the service has to be given before it may run jobs. Nothing here asks for one.
const ROLE: &str = "AliyunServiceRoleForPaiAutoml";

/// `CreateServiceIdentityRole` and `GetServiceIdentityRole`
pub(super) async fn role(_app: &App, asked: Asked) -> Result<Reply, Problem> {
    Ok(answer(&asked, json!({"RoleName": ROLE})))
}

/// `CreateAutofeExperiment` and `GetAutofeExperiment`
pub(super) async fn no_autofe(_app: &App, _asked: Asked) -> Result<Reply, Problem> {
    let message = "AutoFE is not supported: this daemon tunes hyperparameters and makes no features";
    Err(Problem::coded(StatusCode::BAD_REQUEST, engine::spec::codes::NOT_SUPPORTED, message, ""))
}
