//! How Retrial names a job: its address at the service, with who may ask for it and which submission it belongs to.
//!
//! A handle is all that is left of a job after a restart, so that it says everything that is needed to reach the job.
//! It holds no secret.

use super::endpoint::{Endpoint, Network};
use crate::cloud::credentials::Choice;
use crate::cloud::encode::percent;
use crate::cloud::handle::{Query, add, add_who, decoded};
use crate::files::OssSettings;
use engine::id::SubmissionKey;
use engine::ports::backend::JobHandle;

/// A job that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobName {
    /// The service's name for it.
    pub id: String,
    /// Its submission.
    pub key: SubmissionKey,
    /// Where it is.
    pub place: Place,
    /// Whether the experiment file asks that machines are kept after the end.
    pub reserve: bool,
}

/// Where jobs are, and who asks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The service.
    pub endpoint: Endpoint,
    /// The workspace.
    pub workspace: String,
    /// The credentials.
    pub who: Choice,
    /// The buckets that jobs write to.
    pub oss: OssSettings,
}

impl JobName {
    /// The handle: an address, readable and stable.
    pub fn handle(&self) -> JobHandle {
        let Place { endpoint: Endpoint { scheme, host }, workspace, who, oss } = &self.place;
        let mut text = format!("{scheme}://{host}/jobs/{}?key={}", percent(&self.id), self.key);
        add(&mut text, "workspace", workspace);
        add_who(&mut text, who);
        add(&mut text, "oss_region", oss.region.as_deref().unwrap_or_default());
        add(&mut text, "oss_endpoint", oss.endpoint.as_deref().unwrap_or_default());
        if self.reserve {
            add(&mut text, "reserve", "1");
        }
        JobHandle(text)
    }

    /// Reads a handle; `None` if it is none of this backend.
    pub fn parse(handle: &JobHandle) -> Option<Self> {
        let (address, query) = handle.0.split_once('?')?;
        let (endpoint, id) = address.split_once("/jobs/")?;
        let query = Query(query);
        Some(Self {
            id: decoded(id).filter(|id| !id.is_empty())?,
            key: query.value("key")?.parse().ok()?,
            place: Place {
                endpoint: Endpoint::find(Some(endpoint), None, Network::Public, "").ok()?,
                workspace: query.value("workspace").unwrap_or_default(),
                who: query.who(),
                oss: OssSettings {
                    region: query.value("oss_region"),
                    endpoint: query.value("oss_endpoint"),
                    ..OssSettings::default()
                },
            },
            reserve: query.value("reserve").is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::credentials::RoleChoice;

    #[test]
    fn a_handle_says_all_that_is_needed_to_reach_the_job() {
        let key: SubmissionKey = "kq3m2x7a-12-1-0".parse().unwrap();
        let role = RoleChoice {
            arn: "acs:ram::123:role/hpo".to_owned(),
            session: Some("a b&c".to_owned()),
            external_id: None,
            sealed: Some("tuner-key".to_owned()),
        };
        let region = Some("cn-hangzhou".to_owned());
        let near = OssSettings { region, ..OssSettings::default() };
        for (who, oss, reserve, text) in [
            (Choice::Chain, OssSettings::default(), false, ""),
            (
                Choice::Profile("prod".to_owned()),
                near,
                true,
                "&credential=prod&oss_region=cn-hangzhou&reserve=1",
            ),
            (
                Choice::Role(role),
                OssSettings::default(),
                false,
                "&role=acs%3Aram%3A%3A123%3Arole%2Fhpo&session=a%20b%26c&role_key=tuner-key",
            ),
        ] {
            let endpoint = Endpoint { scheme: "https", host: "pai-dlc.cn-hangzhou.aliyuncs.com".to_owned() };
            let place = Place { endpoint, workspace: "12345".to_owned(), who, oss };
            let job = JobName { id: "dlc1abc".to_owned(), key, place, reserve };
            let handle = job.handle();
            let expected = format!(
                "https://pai-dlc.cn-hangzhou.aliyuncs.com/jobs/dlc1abc?key=kq3m2x7a-12-1-0&workspace=12345{text}"
            );
            assert_eq!(handle.0, expected);
            assert_eq!(JobName::parse(&handle), Some(job));
        }
    }

    #[test]
    fn other_texts_are_no_handles() {
        for text in [
            "",
            "never heard of it",
            "https://h/jobs/?key=kq3m2x7a-12-1-0",
            "https://h/jobs/x",
            "x/jobs/y?key=z",
        ] {
            assert_eq!(JobName::parse(&JobHandle(text.to_owned())), None, "{text}");
        }
    }
}
