//! Credentials for what experiments name, as backends are handed them.

use super::credentials::{Choice, Provider, Refreshing, Surroundings, Web};
use super::proxy::ProxySettings;
use super::secret::Sealed;
use super::world::World;
use std::sync::Arc;

/// Gives credentials for what an experiment names.
pub type Providers = Arc<dyn Fn(&Choice) -> Result<Arc<dyn Provider>, String> + Send + Sync>;

/// The credentials of this machine and this process, and those that are kept sealed.
pub fn of_process(world: Arc<dyn World>, proxy: ProxySettings, sealed: Sealed) -> Providers {
    Arc::new(move |who| {
        let web = Web::new(proxy.clone()).map_err(|error| error.to_string())?;
        let surroundings =
            Surroundings { sealed: sealed.clone(), ..Surroundings::of_process(Arc::clone(&world)) };
        Ok(Arc::new(Refreshing::new(who.clone(), surroundings, Arc::new(web))))
    })
}
