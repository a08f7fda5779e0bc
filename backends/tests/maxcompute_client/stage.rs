//! A client of MaxCompute in front of a scripted server.

use crate::scripted::{Scripted, Step, Still};
use engine::time::Timestamp;
use retrial_backends::cloud::client::{Client, Limits};
use retrial_backends::cloud::credentials::{Credentials, Provider};
use retrial_backends::cloud::http::{Http, HttpSettings};
use retrial_backends::cloud::skew::http_date;
use retrial_backends::cloud::world::World;
use retrial_backends::maxcompute::api::MaxCompute;
use retrial_backends::maxcompute::endpoint::{Endpoint, Network};
use retrial_backends::maxcompute::protocol::Odps;
use std::sync::Arc;
use std::time::Duration;

pub const PROJECT: &str = "fake_project";
pub const SECRET: &str = "planted-secret";
pub const TOKEN: &str = "planted/token==";

pub fn keys(token: Option<&str>) -> Credentials {
    Credentials {
        access_key_id: "FAKEAKID".to_owned(),
        access_key_secret: SECRET.to_owned().into(),
        security_token: token.map(|token| token.to_owned().into()),
    }
}

pub fn start_of_tests() -> Timestamp {
    http_date("Mon, 23 Nov 2026 19:56:07 GMT").unwrap()
}

/// A server that answers so, and a client of it.
pub async fn stage(
    steps: Vec<Step>,
    provider: Arc<dyn Provider>,
    region: Option<&str>,
) -> (Arc<Still>, Scripted, MaxCompute) {
    let world = Still::new(start_of_tests());
    let server = Scripted::start(&world, steps).await;
    let address = format!("http://{}/api", server.address);
    let endpoint = Endpoint::find(Some(&address), region, Network::Public, "run.maxcompute").unwrap();
    let settings = HttpSettings { timeout: Duration::from_millis(300), ..HttpSettings::default() };
    let client = Client::new(
        Http::new(&settings).unwrap(),
        Arc::clone(&world) as Arc<dyn World>,
        provider,
        Box::new(Odps::new(endpoint, PROJECT, "retrial/test")),
        Limits::default(),
    );
    (world, server, MaxCompute::new(client, PROJECT, address))
}
