//! How Retrial names an instance: its address at the service, with who may ask for it and which submission it belongs to.
//!
//! It says everything that is needed to reach the instance after a restart, and holds no secret.

use super::endpoint::{Endpoint, Network};
use crate::cloud::credentials::Choice;
use crate::cloud::encode::percent;
use crate::cloud::handle::{Query, add, add_who, decoded};
use engine::id::SubmissionKey;
use engine::ports::backend::JobHandle;

/// An instance that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceName {
    /// The service's name for it.
    pub id: String,
    /// Its submission.
    pub key: SubmissionKey,
    /// Where it is.
    pub place: Place,
}

/// Where instances are, and who asks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The service.
    pub endpoint: Endpoint,
    /// The project.
    pub project: String,
    /// The credentials.
    pub who: Choice,
}

impl InstanceName {
    /// The handle: an address, readable and stable.
    pub fn handle(&self) -> JobHandle {
        let Place { endpoint, project, who } = &self.place;
        let mut text = format!(
            "{}/projects/{}/instances/{}?key={}",
            endpoint.address(),
            percent(project),
            percent(&self.id),
            self.key
        );
        add(&mut text, "region", endpoint.region.as_deref().unwrap_or_default());
        add_who(&mut text, who);
        JobHandle(text)
    }

    /// Reads a handle; `None` if it is none of this backend.
    pub fn parse(handle: &JobHandle) -> Option<Self> {
        let (address, query) = handle.0.split_once('?')?;
        let (endpoint, rest) = address.split_once("/projects/")?;
        let (project, id) = rest.split_once("/instances/")?;
        let query = Query(query);
        // An address without a path has none; the usual one is not to be added.
        let endpoint = format!("{endpoint}/");
        let mut endpoint = Endpoint::find(Some(&endpoint), None, Network::Public, "").ok()?;
        endpoint.region = query.value("region");
        Some(Self {
            id: decoded(id).filter(|id| !id.is_empty())?,
            key: query.value("key")?.parse().ok()?,
            place: Place {
                endpoint,
                project: decoded(project).filter(|name| !name.is_empty())?,
                who: query.who(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_says_all_that_is_needed_to_reach_the_instance() {
        let key: SubmissionKey = "kq3m2x7a-12-1-0".parse().unwrap();
        for (address, region, who, more) in [
            (
                "https://service.cn-hangzhou.maxcompute.aliyun.com/api",
                Some("cn-hangzhou"),
                Choice::Chain,
                "&region=cn-hangzhou",
            ),
            ("http://127.0.0.1:9/api", None, Choice::Profile("prod".to_owned()), "&credential=prod"),
            ("http://127.0.0.1:9", None, Choice::Chain, ""),
        ] {
            let endpoint = Endpoint::find(Some(&format!("{address}/")), region, Network::Public, "").unwrap();
            let place = Place { endpoint, project: "p".to_owned(), who };
            let name = InstanceName { id: "2026abc".to_owned(), key, place };
            let handle = name.handle();
            assert_eq!(handle.0, format!("{address}/projects/p/instances/2026abc?key=kq3m2x7a-12-1-0{more}"));
            assert_eq!(InstanceName::parse(&handle), Some(name));
        }
        for text in ["", "never heard of it", "https://h/projects/p/instances/?key=kq3m2x7a-12-1-0"] {
            assert_eq!(InstanceName::parse(&JobHandle(text.to_owned())), None, "{text}");
        }
    }
}
