//! The clients of the projects that instances are in: one for each place, made when it is first needed.

use super::api::MaxCompute;
use super::handle::Place;
use super::protocol::Odps;
use crate::cloud::client::{Client, Limits};
use crate::cloud::http::{Http, HttpSettings};
use crate::cloud::locked::locked;
use crate::cloud::providers::Providers;
use crate::cloud::world::World;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

/// The name in `User-Agent`.
const USER_AGENT: &str = concat!("retrial/", env!("CARGO_PKG_VERSION"));

/// All of them.
pub struct Projects {
    world: Arc<dyn World>,
    http: HttpSettings,
    limits: Limits,
    providers: Providers,
    made: Mutex<BTreeMap<Place, Arc<MaxCompute>>>,
}

impl fmt::Debug for Projects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projects")
            .field("limits", &self.limits)
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}

impl Projects {
    /// Projects whose clients have these settings and limits.
    pub fn new(world: Arc<dyn World>, http: HttpSettings, limits: Limits, providers: Providers) -> Self {
        Self { world, http, limits, providers, made: Mutex::default() }
    }

    /// The client for a place; an error only if no client can be made on this machine at all.
    pub fn at(&self, place: &Place) -> Result<Arc<MaxCompute>, String> {
        let mut made = locked(&self.made);
        if let Some(known) = made.get(place) {
            return Ok(Arc::clone(known));
        }
        let http = Http::new(&self.http).map_err(|error| error.to_string())?;
        let provider = (self.providers)(&place.who)?;
        let protocol = Box::new(Odps::new(place.endpoint.clone(), &place.project, USER_AGENT));
        let client = Client::new(http, Arc::clone(&self.world), provider, protocol, self.limits);
        let client = Arc::new(MaxCompute::new(client, &place.project, place.endpoint.address()));
        made.insert(place.clone(), Arc::clone(&client));
        Ok(client)
    }
}
