//! What the handles of all clouds say in the same way: an address, and who may ask for it.
//!
//! A handle is all that is left of a job after a restart. It holds no secret.

use super::credentials::{Choice, RoleChoice};
use super::encode::percent;
use super::secret::SEALED_PREFIX;
use engine::event::v1::Outcome;
use engine::ports::backend::{JobHandle, JobState};
use engine::time::Timestamp;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// Adds a value to the query of a handle, unless it is empty.
pub fn add(handle: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        handle.push_str(&format!("&{name}={}", percent(value)));
    }
}

/// Adds whose credentials are used.
pub fn add_who(handle: &mut String, who: &Choice) {
    match who {
        Choice::Chain => {}
        Choice::Profile(name) => add(handle, "credential", name),
        Choice::Sealed(name) => add(handle, "credential", &format!("{SEALED_PREFIX}{name}")),
        Choice::Role(RoleChoice { arn, session, external_id, sealed }) => {
            add(handle, "role", arn);
            add(handle, "session", session.as_deref().unwrap_or_default());
            add(handle, "external_id", external_id.as_deref().unwrap_or_default());
            add(handle, "role_key", sealed.as_deref().unwrap_or_default());
        }
    }
}

/// A part of a handle, decoded; `None` if it is not UTF-8.
pub fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned)
}

/// The states of jobs in the order in which they were asked for. `names` are the handles, read; what `service` has not
/// given out is lost at `now`.
pub fn in_order<N>(
    handles: &[JobHandle],
    names: &[Option<N>],
    state: impl Fn(&N) -> Option<JobState>,
    service: &str,
    now: Timestamp,
) -> Vec<JobState> {
    let of = |(name, handle): (&Option<N>, &JobHandle)| match name {
        Some(name) => state(name).unwrap_or_else(|| JobState::Unknown("it was not asked for".to_owned())),
        None => {
            let reason = format!("`{}` is no handle of the {service} backend", handle.0);
            JobState::Ended { started: None, ended: now, outcome: Outcome::Lost { reason } }
        }
    };
    names.iter().zip(handles).map(of).collect()
}

/// The query of a handle.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a>(pub &'a str);

impl Query<'_> {
    /// The value of this name.
    pub fn value(self, wanted: &str) -> Option<String> {
        let mut pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| *name == wanted).and_then(|(_, value)| decoded(value))
    }

    /// Whose credentials are used.
    pub fn who(self) -> Choice {
        match (self.value("credential"), self.value("role")) {
            (Some(name), _) => match name.strip_prefix(SEALED_PREFIX) {
                Some(name) => Choice::Sealed(name.to_owned()),
                None => Choice::Profile(name),
            },
            (None, Some(arn)) => Choice::Role(RoleChoice {
                arn,
                session: self.value("session"),
                external_id: self.value("external_id"),
                sealed: self.value("role_key"),
            }),
            (None, None) => Choice::Chain,
        }
    }
}
