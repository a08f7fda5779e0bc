//! The clients of the regions that jobs are in: one for each endpoint and credential, made when it is first needed.

use super::api::Dlc;
use super::handle::Place;
use super::logs::reader::{Logs, Settings};
use super::protocol::Acs3;
use crate::cloud::client::{Client, Limits};
use crate::cloud::http::{Http, HttpSettings};
use crate::cloud::locked::locked;
use crate::cloud::providers::Providers;
use crate::cloud::world::World;
use crate::files::{self, Files, OssSettings};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

/// The name in `User-Agent`.
const USER_AGENT: &str = concat!("retrial/", env!("CARGO_PKG_VERSION"));

/// One endpoint as one identity sees it.
#[derive(Debug)]
pub struct Region {
    /// The operations.
    pub dlc: Arc<Dlc>,
    /// What jobs print.
    pub logs: Logs,
    /// What jobs leave in buckets and on disks that are mounted there and here.
    pub files: Files,
}

/// All of them.
pub struct Regions {
    world: Arc<dyn World>,
    http: HttpSettings,
    limits: Limits,
    logs: Settings,
    providers: Providers,
    files: files::Settings,
    made: Mutex<BTreeMap<Place, Arc<Region>>>,
}

impl fmt::Debug for Regions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Regions")
            .field("limits", &self.limits)
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}

impl Regions {
    /// Regions whose clients have these settings and limits.
    pub fn new(
        world: Arc<dyn World>,
        http: HttpSettings,
        limits: Limits,
        logs: Settings,
        files: files::Settings,
        providers: Providers,
    ) -> Self {
        Self { world, http, limits, logs, providers, files, made: Mutex::default() }
    }

    /// The client for a place; an error only if no client can be made on this machine at all.
    pub fn at(&self, place: &Place) -> Result<Arc<Region>, String> {
        let name = Place { workspace: String::new(), ..place.clone() };
        let mut made = locked(&self.made);
        if let Some(region) = made.get(&name) {
            return Ok(Arc::clone(region));
        }
        let http = Http::new(&self.http).map_err(|error| error.to_string())?;
        let provider = (self.providers)(&place.who)?;
        let protocol = Box::new(Acs3::new(place.endpoint.clone(), USER_AGENT));
        let client =
            Client::new(http.clone(), Arc::clone(&self.world), Arc::clone(&provider), protocol, self.limits);
        let dlc = Arc::new(Dlc::new(client));
        let logs = Logs::new(Arc::clone(&dlc), Arc::clone(&self.world), self.logs);
        let oss = OssSettings {
            // What the experiment file says counts more than what is around.
            region: place.oss.region.clone().or_else(|| self.files.oss.region.clone()),
            endpoint: place.oss.endpoint.clone().or_else(|| self.files.oss.endpoint.clone()),
            ..self.files.oss.clone()
        };
        let settings = files::Settings { oss, ..self.files.clone() };
        let files = Files::new(provider, Arc::clone(&self.world), http, settings);
        let region = Arc::new(Region { dlc, logs, files });
        made.insert(name, Arc::clone(&region));
        Ok(region)
    }
}
