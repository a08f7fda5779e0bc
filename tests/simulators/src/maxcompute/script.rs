//! What the simulator is told to do: who may call it, how instances live, and what goes wrong.
//!
//! A [`Script`] is data, so that it can stand in a JSON file; a field that is not given has the default named here.

use crate::fault::Fault;
use serde::{Deserialize, Serialize};

/// Everything that the simulator is told before it starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Who may call. By default one account with a made-up key: see [`Account`].
    pub accounts: Vec<Account>,
    /// The projects that exist.
    pub projects: Vec<String>,
    /// The region that version 4 of the signature must name; any, if it is absent.
    pub region: Option<String>,
    /// A time (RFC 3339) at which the clock stands until it is moved; without it the clock is the machine's.
    pub standing_clock: Option<String>,
    /// How far the simulator's clock is ahead of the machine's, in milliseconds.
    pub clock_offset_ms: i64,
    /// Feeds every random choice.
    pub seed: u64,
    /// How an instance lives if no rule says otherwise.
    pub life: Life,
    /// How some instances live; the first rule that fits is used.
    pub rules: Vec<Rule>,
    /// How many instances may run at once; no bound if absent.
    pub capacity: Option<usize>,
    /// How a termination goes.
    pub stop: Stop,
    /// How long after it was created an instance is listed, in milliseconds.
    pub list_lag_ms: i64,
    /// How long after the first call a second one with the same `Guid` is answered 409 and told to come again, in
    /// milliseconds.
    pub conflict_ms: i64,
    /// Whether `Guid` makes `XFlow` instances unique too. No document says that it does, so by default it does not.
    pub xflow_guids: bool,
    /// How results are written.
    pub results: Results,
    /// How errors are told.
    pub errors: Errors,
    /// Whether there is a web console, whose address logviews then have.
    pub webconsole: bool,
    /// How fast a caller may call; no bound if absent.
    pub rate: Option<Rate>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            accounts: vec![Account::default()],
            projects: vec!["simulated_project".to_owned()],
            region: None,
            standing_clock: None,
            clock_offset_ms: 0,
            seed: 0,
            life: Life::default(),
            rules: Vec::new(),
            capacity: None,
            stop: Stop::default(),
            list_lag_ms: 0,
            conflict_ms: 0,
            xflow_guids: false,
            results: Results::default(),
            errors: Errors::default(),
            webconsole: false,
            rate: None,
            faults: Vec::new(),
        }
    }
}

/// Somebody who may call.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Account {
    /// The access key id.
    pub access_key_id: String,
    /// The access key's secret.
    pub access_key_secret: String,
    /// The token of a temporary key; a call must then carry it.
    pub security_token: Option<String>,
    /// A token that a call may carry in place of a signature.
    pub bearer_token: Option<String>,
    /// When the tokens end (RFC 3339).
    pub expires_at: Option<String>,
    /// The operations that are denied, such as `CreateInstance`.
    pub denied: Vec<String>,
    /// Who owns the instances that this account creates.
    pub owner: String,
}

/// Without what must stay secret.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("access_key_id", &self.access_key_id)
            .field("expires_at", &self.expires_at)
            .field("denied", &self.denied)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl Default for Account {
    fn default() -> Self {
        Self {
            access_key_id: "LTAISimulatedKey".to_owned(),
            access_key_secret: "simulated-secret".to_owned(),
            security_token: None,
            bearer_token: None,
            expires_at: None,
            denied: Vec::new(),
            owner: "ALIYUN$simulated@example.com".to_owned(),
        }
    }
}

/// How an instance lives.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Life {
    /// How long it waits before it runs, in milliseconds.
    pub waiting_ms: i64,
    /// How long it runs at least, in milliseconds; it ends when its work is done as well.
    pub running_ms: i64,
    /// Whether it then stays `Suspended` and never ends by itself.
    pub suspends: bool,
    /// The text with which it fails, such as `ODPS-0010000: System internal error`; its work is then not done.
    pub fails: Option<String>,
    /// Whether the call that creates it is answered with its result, and nothing waits or runs.
    pub instant: bool,
}

impl Default for Life {
    fn default() -> Self {
        Self { waiting_ms: 50, running_ms: 100, suspends: false, fails: None, instant: false }
    }
}

/// How some instances live.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// What is in the XML that was submitted.
    pub contains: String,
    /// For how many instances; 0 for all.
    pub times: u32,
    /// How they live.
    pub life: Life,
}

/// How a termination goes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stop {
    /// How long a terminated instance still runs, in milliseconds.
    pub ms: i64,
    /// Whether the instance's own end wins.
    pub loses: bool,
}

/// How results are written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Results {
    /// Whether they are written as they are and not in base64.
    pub plain: bool,
    /// Whether they come with a description of their columns.
    pub described: bool,
}

/// How errors are told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Errors {
    /// Whether they are written in JSON and not in XML. The tunnel always writes JSON.
    pub json: bool,
    /// Whether a statement that cannot be read is refused at once and not as a failed task.
    pub early: bool,
}

/// How fast a caller may call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    /// Calls in a second.
    pub per_second: f64,
    /// How many may come at once.
    pub burst: f64,
    /// Whether a refusal says after how many seconds to come again.
    pub says_when: bool,
}

impl Default for Rate {
    fn default() -> Self {
        Self { per_second: 20.0, burst: 40.0, says_when: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_script_is_the_default_one_and_shows_no_secret() {
        let script: Script = serde_json::from_str("{}").unwrap();
        let text = format!("{script:?}");
        assert_eq!(text, format!("{:?}", Script::default()));
        assert!(text.contains("LTAISimulatedKey") && !text.contains("simulated-secret"));
    }
}
