//! The clients of the projects that instances are in: one for each place, made when it is first needed.

use super::api::MaxCompute;
use super::handle::Place;
use super::protocol::Odps;
use super::signature::AppAccount;
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

/// What the tools of MaxCompute are set up with on this machine, beside project and account.
#[derive(Debug, Clone, Default)]
pub struct Tools {
    /// An application that acts for the caller.
    pub app: Option<AppAccount>,
    /// Where links to the console lead; the service is asked for it if this is absent.
    pub logview_host: Option<String>,
}

/// All of them.
pub struct Projects {
    world: Arc<dyn World>,
    http: HttpSettings,
    limits: Limits,
    providers: Providers,
    tools: Tools,
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
        Self { world, http, limits, providers, tools: Tools::default(), made: Mutex::default() }
    }

    /// The same, set up as the tools of MaxCompute are.
    #[must_use]
    pub fn with_tools(self, tools: Tools) -> Self {
        Self { tools, ..self }
    }

    /// The client for a place; an error only if no client can be made on this machine at all.
    pub fn at(&self, place: &Place) -> Result<Arc<MaxCompute>, String> {
        let mut made = locked(&self.made);
        if let Some(known) = made.get(place) {
            return Ok(Arc::clone(known));
        }
        let http = Http::new(&self.http).map_err(|error| error.to_string())?;
        let provider = (self.providers)(&place.who)?;
        let protocol = Odps::new(place.endpoint.clone(), &place.project, USER_AGENT);
        let protocol = Box::new(protocol.with_app(self.tools.app.clone()));
        let client = Client::new(http, Arc::clone(&self.world), provider, protocol, self.limits);
        let client = Arc::new(
            MaxCompute::new(client, &place.project, place.endpoint.address())
                .with_logview_host(self.tools.logview_host.clone()),
        );
        made.insert(place.clone(), Arc::clone(&client));
        Ok(client)
    }
}
