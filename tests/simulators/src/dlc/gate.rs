//! The gateway in front of the service: who calls, when, whether once only, whether too often, and what goes wrong.

use super::limits;
use super::refusal::Refusal;
use super::script::{Account, Rate, Script};
use super::signature;
use crate::clock;
use crate::dice::Dice;
use crate::fault::{self, Fault};
use crate::wire::Wire;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What the gateway remembers.
#[derive(Debug)]
pub struct Gate {
    /// Who may call.
    pub accounts: Vec<Account>,
    /// What is to go wrong, and has not yet.
    pub faults: Vec<Fault>,
    /// The calls that came before the time that a refusal had named.
    pub early: u64,
    dice: Dice,
    rate: Option<Rate>,
    /// By key and by whether the call creates a job.
    buckets: BTreeMap<(String, bool), Bucket>,
    not_before: BTreeMap<(String, bool), i64>,
    nonces: BTreeSet<String>,
    nonces_by_time: BTreeSet<(i64, String)>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at_ms: i64,
}

impl Bucket {
    fn full(tokens: f64, at_ms: i64) -> Self {
        Self { tokens, at_ms }
    }
}

/// The key that a call says it is signed with.
fn caller(wire: &Wire) -> Option<String> {
    let authorization = signature::authorization(wire.header("authorization")?).ok()?;
    Some(authorization.key_id.to_owned())
}

impl Gate {
    /// The gateway of a script.
    pub fn new(script: &Script) -> Self {
        Self {
            accounts: script.accounts.clone(),
            faults: script.faults.clone(),
            early: 0,
            // Another stream than that of the jobs' ids, so that faults do not depend on jobs.
            dice: Dice::new(script.seed ^ 0x6661_756C_7473),
            rate: script.rate.clone(),
            buckets: BTreeMap::new(),
            not_before: BTreeMap::new(),
            nonces: BTreeSet::new(),
            nonces_by_time: BTreeSet::new(),
        }
    }

    /// Bounds the rate of calls otherwise from now on.
    pub fn set_rate(&mut self, rate: Option<Rate>) {
        self.rate = rate;
        self.buckets.clear();
    }

    /// Which fault hits a call.
    pub fn fault(&mut self, operation: &str, wire: &Wire) -> Option<Fault> {
        fault::hit(&mut self.faults, &mut self.dice, operation, wire)
    }

    /// Lets a call in, and says whose it is; or says why not.
    pub fn admit(&mut self, operation: &str, wire: &Wire, now_ms: i64) -> Result<String, Refusal> {
        if wire.header("x-acs-version") != Some("2020-12-03") {
            return Err(Refusal::new(404, "InvalidVersion", "x-acs-version is not 2020-12-03"));
        }
        if wire.header("x-acs-action") != Some(operation) {
            let message = format!("x-acs-action is not {operation}, which the path says");
            return Err(Refusal::new(404, "InvalidApi.NotFound", message));
        }
        let account = self.authenticate(wire, now_ms)?;
        self.throttle(&account.access_key_id, operation == "CreateJob", now_ms)?;
        if account.denied.iter().any(|denied| denied == operation) {
            let mut refusal = Refusal::new(
                403,
                "NoPermission",
                format!("You are not authorized to do this action: paidlc:{operation}."),
            );
            refusal.detail = Some(json!({
                "PolicyType": "AccountLevelIdentityBasedPolicy",
                "AuthAction": format!("paidlc:{operation}"),
                "NoPermissionType": "ImplicitDeny",
            }));
            return Err(refusal);
        }
        if wire.body.len() > limits::BODY_BYTES {
            let message = format!("the request has more than {} bytes", limits::BODY_BYTES);
            return Err(Refusal::parameter(message));
        }
        Ok(account.access_key_id)
    }

    /// The checks of the signature, in the gateway's order.
    fn authenticate(&mut self, wire: &Wire, now_ms: i64) -> Result<Account, Refusal> {
        let header = |name: &str| {
            let missing =
                || Refusal::new(400, &format!("Missing{name}"), format!("the header {name} is missing"));
            wire.header(name).ok_or_else(missing)
        };
        let authorization = signature::authorization(header("authorization")?)?;
        let account = self
            .accounts
            .iter()
            .find(|account| account.access_key_id == authorization.key_id)
            .cloned()
            .ok_or_else(|| {
                Refusal::new(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
            })?;
        let (date, nonce) = (header("x-acs-date")?, header("x-acs-signature-nonce")?);
        header("x-acs-content-sha256")?;
        signature::coverage(wire, &authorization.signed)?;
        let time = clock::parse(date).filter(|_| date.ends_with('Z') && date.len() == 20);
        let Some(time) = time else {
            return Err(Refusal::new(
                400,
                "InvalidTimeStamp.Format",
                "Specified time stamp is not well formed.",
            ));
        };
        if (time - now_ms).abs() > limits::SKEW_MS {
            return Err(Refusal::new(
                400,
                "InvalidTimeStamp.Expired",
                "Specified time stamp or date value is expired.",
            ));
        }
        if self.nonces.contains(nonce) {
            return Err(Refusal::new(
                400,
                "SignatureNonceUsed",
                "Specified signature nonce was used already.",
            ));
        }
        signature::verify(wire, &authorization, &account.access_key_secret)?;
        let token = wire.header("x-acs-security-token");
        if account.security_token.as_deref() != token {
            let message = "Specified SecurityToken is malformed.";
            return Err(Refusal::new(400, "InvalidSecurityToken.Malformed", message));
        }
        let end = account.expires_at.as_deref().and_then(clock::parse);
        if end.is_some_and(|end| end <= now_ms) {
            let message = "Specified SecurityToken is expired.";
            return Err(Refusal::new(400, "InvalidSecurityToken.Expired", message));
        }
        self.remember(nonce, now_ms);
        Ok(account)
    }

    /// A nonce is kept as long as its time could still be valid.
    fn remember(&mut self, nonce: &str, now_ms: i64) {
        let old = now_ms - 2 * limits::SKEW_MS;
        while let Some((_, nonce)) = self.nonces_by_time.first().filter(|(time, _)| *time < old) {
            self.nonces.remove(nonce);
            self.nonces_by_time.pop_first();
        }
        self.nonces.insert(nonce.to_owned());
        self.nonces_by_time.insert((now_ms, nonce.to_owned()));
    }

    fn throttle(&mut self, key: &str, creates: bool, now_ms: i64) -> Result<(), Refusal> {
        let Some(rate) = &self.rate else { return Ok(()) };
        let bucket =
            self.buckets.entry((key.to_owned(), creates)).or_insert_with(|| Bucket::full(rate.burst, now_ms));
        let per_second = if creates { rate.creates_per_second } else { rate.others_per_second };
        let gained = (now_ms - bucket.at_ms).max(0) as f64 / 1000.0 * per_second;
        bucket.tokens = (bucket.tokens + gained).min(rate.burst);
        bucket.at_ms = now_ms;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        let message = "Request was denied due to user flow control.";
        let mut refusal = Refusal::new(429, "Throttling.User", message);
        if rate.says_when && per_second > 0.0 {
            let wait_ms = ((1.0 - bucket.tokens) / per_second * 1000.0).ceil();
            refusal.retry_after_ms = Some(wait_ms as u64);
        }
        Err(refusal)
    }

    /// Counts a call that comes before the time that its caller was told.
    pub fn arrived(&mut self, wire: &Wire, operation: &str, now_ms: i64) {
        let told = caller(wire).and_then(|key| self.not_before.get(&(key, operation == "CreateJob")));
        if told.is_some_and(|not_before_ms| now_ms < *not_before_ms) {
            self.early += 1;
        }
    }

    /// Remembers that a caller was told to come again later.
    pub fn told_to_wait(&mut self, wire: &Wire, operation: &str, wait_ms: u64, now_ms: i64) {
        if let Some(key) = caller(wire) {
            let until_ms = now_ms.saturating_add(i64::try_from(wait_ms).unwrap_or(i64::MAX));
            self.not_before.insert((key, operation == "CreateJob"), until_ms);
        }
    }
}
