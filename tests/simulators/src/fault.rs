//! What goes wrong with calls, in the same words for every simulated service.
//!
//! A [`Fault`] says which calls it hits and how; [`hit`] finds the one that hits a call, and uses it up.

use crate::dice::Dice;
use crate::wire::Wire;
use serde::{Deserialize, Serialize};

/// Something that goes wrong with a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// The operation, by its name in the service; any if absent.
    pub operation: Option<String>,
    /// A text that must be in the call's path, query (decoded) or body.
    pub contains: Option<String>,
    /// How many fitting calls go well first.
    pub skip: u32,
    /// How many are then hit; 0 for all.
    pub times: u32,
    /// How likely each of those is hit.
    pub chance: f64,
    /// Whether the call takes effect although its answer is not the usual one.
    pub acts: bool,
    /// How long the call is on its way before it takes effect, in milliseconds; it does so even if the caller is gone.
    pub hold_request_ms: u64,
    /// How long its answer is on its way, in milliseconds.
    pub hold_answer_ms: u64,
    /// After how many milliseconds a copy of the call takes effect, whether or not the call itself does.
    pub repeat_after_ms: Option<u64>,
    /// What is answered.
    pub answer: Answer,
}

impl Default for Fault {
    fn default() -> Self {
        Self {
            operation: None,
            contains: None,
            skip: 0,
            times: 1,
            chance: 1.0,
            acts: false,
            hold_request_ms: 0,
            hold_answer_ms: 0,
            repeat_after_ms: None,
            answer: Answer::Usual,
        }
    }
}

/// What is answered to a call that a fault hits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// What is right.
    #[default]
    Usual,
    /// Nothing: the connection is closed.
    Drop,
    /// So many bytes of what is right, and then the connection is closed.
    Cut(u64),
    /// An error in the service's form.
    Error {
        /// The HTTP status.
        status: u16,
        /// The `Code`.
        code: String,
        /// The `Message`.
        #[serde(default)]
        message: String,
        /// After how many milliseconds to come again, if the service has a header for it.
        #[serde(default)]
        retry_after_ms: Option<u64>,
        /// The header `Retry-After`, in seconds.
        #[serde(default)]
        retry_after_s: Option<u64>,
    },
    /// Any status and body, such as a proxy's page.
    Raw {
        /// The HTTP status.
        status: u16,
        /// The `Content-Type`.
        #[serde(default)]
        content_type: String,
        /// The `Location` of a redirect.
        #[serde(default)]
        location: Option<String>,
        /// The body.
        #[serde(default)]
        body: String,
    },
}

/// Which fault hits a call; one that has hit as often as it was to is removed.
pub fn hit(faults: &mut Vec<Fault>, dice: &mut Dice, operation: &str, wire: &Wire) -> Option<Fault> {
    let mentions = |text: &str| {
        let query = wire.pairs();
        wire.path.contains(text)
            || query.iter().any(|(_, value)| value.contains(text))
            || String::from_utf8_lossy(&wire.body).contains(text)
    };
    for at in 0..faults.len() {
        let Some(fault) = faults.get_mut(at) else { break };
        let fits = fault.operation.as_deref().is_none_or(|wanted| wanted == operation)
            && fault.contains.as_deref().is_none_or(mentions);
        if !fits {
            continue;
        }
        if fault.skip > 0 {
            fault.skip -= 1;
            continue;
        }
        if !dice.chance(fault.chance) {
            continue;
        }
        let hit = fault.clone();
        match fault.times {
            0 => {}
            1 => drop(faults.remove(at)),
            _ => fault.times -= 1,
        }
        return Some(hit);
    }
    None
}
