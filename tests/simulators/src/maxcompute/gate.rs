//! The gateway in front of the service: who calls, when, whether too often, and what goes wrong.

use super::limits;
use super::refusal::Refusal;
use super::script::{Account, Rate, Script};
use super::service::Operation;
use super::signature;
use crate::clock;
use crate::dice::Dice;
use crate::fault::{self, Fault};
use crate::wire::Wire;
use std::collections::BTreeMap;

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
    region: Option<String>,
    rate: Option<Rate>,
    buckets: BTreeMap<String, Bucket>,
    not_before: BTreeMap<String, i64>,
    /// Tokens that let read one instance.
    grants: BTreeMap<String, Grant>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at_ms: i64,
}

#[derive(Debug)]
struct Grant {
    resource: String,
    owner: String,
    ends_ms: i64,
}

/// Who calls, as far as the call says so.
fn caller(wire: &Wire) -> String {
    let signed = wire.header("authorization").and_then(|text| signature::authorization(text).ok());
    signed.map_or(String::new(), |found| found.key_id.to_owned())
}

fn not_valid(what: &str) -> Refusal {
    Refusal::new(401, "Unauthorized", format!("ODPS-0410051: Invalid credentials - {what}"))
}

impl Gate {
    /// The gateway of a script.
    pub fn new(script: &Script) -> Self {
        Self {
            accounts: script.accounts.clone(),
            faults: script.faults.clone(),
            early: 0,
            // Another stream than that of the instances' ids, so that faults do not depend on instances.
            dice: Dice::new(script.seed ^ 0x6661_756C_7473),
            region: script.region.clone(),
            rate: script.rate.clone(),
            buckets: BTreeMap::new(),
            not_before: BTreeMap::new(),
            grants: BTreeMap::new(),
        }
    }

    /// Which fault hits a call.
    pub fn fault(&mut self, operation: &str, wire: &Wire) -> Option<Fault> {
        fault::hit(&mut self.faults, &mut self.dice, operation, wire)
    }

    /// Lets a call in, and says who owns what it creates; or says why not.
    pub fn admit(&mut self, operation: &Operation, wire: &Wire, now_ms: i64) -> Result<String, Refusal> {
        if wire.body.len() > limits::BODY_BYTES {
            return Err(Refusal::parameter(&format!("the body has more than {} bytes", limits::BODY_BYTES)));
        }
        if let (None, Some(token)) = (wire.header("authorization"), wire.header("x-odps-bearer-token")) {
            return self.bearer(operation, wire, token, now_ms);
        }
        let account = self.authenticate(wire, now_ms)?;
        self.throttle(&account.access_key_id, now_ms)?;
        permitted(&account, operation)?;
        Ok(account.owner)
    }

    fn authenticate(&self, wire: &Wire, now_ms: i64) -> Result<Account, Refusal> {
        let missing = |name: &str| {
            let message = format!("ODPS-0410001: Missing authorization parameters - {name}");
            Refusal::new(400, "MissingParameter", message)
        };
        let authorization =
            signature::authorization(wire.header("authorization").ok_or_else(|| missing("Authorization"))?)?;
        let account = self.accounts.iter().find(|account| account.access_key_id == authorization.key_id);
        let account = account.cloned().ok_or_else(|| {
            Refusal::new(401, "InvalidParameter", "ODPS-0410051: Invalid credentials - accessKeyId not found")
        })?;
        let date = wire.header("date").ok_or_else(|| missing("Date"))?;
        let time_ms = clock::parse_http(date)
            .ok_or_else(|| Refusal::parameter("Date is not written as RFC 1123 says"))?;
        if (time_ms - now_ms).abs() > limits::SKEW_MS {
            let message = format!(
                "ODPS-0410031:Authentication request expired - the expire time interval exceeds the max limitation: {}, \
                 max_interval_date:{},expire_date:{},now_date:{}",
                limits::SKEW_MS,
                limits::SKEW_MS,
                clock::text(Some(time_ms)),
                clock::text(Some(now_ms))
            );
            // Written as the service writes it.
            return Err(Refusal::new(400, "RequestTimeTooSkewd", message));
        }
        signature::verify(wire, &authorization, &account.access_key_secret)?;
        self.application(wire)?;
        if let Some((day, region)) = authorization.scope {
            let near = [-1, 0, 1].map(|days| clock::day(now_ms + days * 86_400_000));
            if !near.iter().any(|near| near == day) {
                return Err(Refusal::new(
                    400,
                    "InvalidAuthorization",
                    format!("ODPS-0410011: the day {day} is over"),
                ));
            }
            if self.region.as_deref().is_some_and(|known| known != region) {
                return Err(not_valid(&format!("the project is not in the region {region}")));
            }
        }
        if account.security_token.as_deref() != wire.header("authorization-sts-token") {
            return Err(not_valid("the security token is not that of the key"));
        }
        unexpired(&account, now_ms)?;
        Ok(account)
    }

    /// Checks what an application has signed in addition, if one has.
    fn application(&self, wire: &Wire) -> Result<(), Refusal> {
        let Some(text) = wire.header("application-authentication") else { return Ok(()) };
        let part = |name: &str| text.split(',').find_map(|part| part.trim().strip_prefix(name));
        let account =
            self.accounts.iter().find(|account| Some(&*account.access_key_id) == part("access_id:"));
        let signed = account.map(|account| {
            signature::application(
                wire.header("authorization").unwrap_or_default(),
                &account.access_key_secret,
            )
        });
        if signed.is_some() && signed.as_deref() == part("signature:") {
            return Ok(());
        }
        Err(signature::mismatch())
    }

    fn bearer(
        &self,
        operation: &Operation,
        wire: &Wire,
        token: &str,
        now_ms: i64,
    ) -> Result<String, Refusal> {
        if let Some(account) =
            self.accounts.iter().find(|account| account.bearer_token.as_deref() == Some(token))
        {
            unexpired(account, now_ms)?;
            permitted(account, operation)?;
            return Ok(account.owner.clone());
        }
        let grant = self.grants.get(token).ok_or_else(|| not_valid("the bearer token is not known"))?;
        if grant.ends_ms <= now_ms {
            return Err(expired());
        }
        let path = wire.path.strip_prefix("/api").unwrap_or(&wire.path);
        let below = path.strip_prefix('/').unwrap_or(path);
        if wire.method != "GET" || below != grant.resource {
            return Err(no_permission(operation.name, &operation.project));
        }
        Ok(grant.owner.clone())
    }

    /// Gives a token with which a resource such as `projects/P/instances/ID` can be read.
    pub fn grant(&mut self, resource: String, owner: &str, ends_ms: i64) -> String {
        let token = format!("simulated{}{}", self.dice.characters(12), self.dice.characters(12));
        self.grants.insert(token.clone(), Grant { resource, owner: owner.to_owned(), ends_ms });
        token
    }

    fn throttle(&mut self, key: &str, now_ms: i64) -> Result<(), Refusal> {
        let Some(rate) = &self.rate else { return Ok(()) };
        let bucket =
            self.buckets.entry(key.to_owned()).or_insert(Bucket { tokens: rate.burst, at_ms: now_ms });
        let gained = (now_ms - bucket.at_ms).max(0) as f64 / 1000.0 * rate.per_second;
        bucket.tokens = (bucket.tokens + gained).min(rate.burst);
        bucket.at_ms = now_ms;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        let mut refusal = Refusal::new(429, "QPSExceeded", "Too many requests");
        if rate.says_when && rate.per_second > 0.0 {
            refusal.retry_after_s = Some(((1.0 - bucket.tokens) / rate.per_second).ceil() as u64);
        }
        Err(refusal)
    }

    /// Counts a call that comes before the time that its caller was told.
    pub fn arrived(&mut self, wire: &Wire, now_ms: i64) {
        if self.not_before.get(&caller(wire)).is_some_and(|not_before_ms| now_ms < *not_before_ms) {
            self.early += 1;
        }
    }

    /// Remembers that a caller was told to come again later.
    pub fn told_to_wait(&mut self, wire: &Wire, wait_ms: u64, now_ms: i64) {
        let until_ms = now_ms.saturating_add(i64::try_from(wait_ms).unwrap_or(i64::MAX));
        self.not_before.insert(caller(wire), until_ms);
    }
}

/// No document says how the service names this; the code is that of invalid credentials.
fn expired() -> Refusal {
    not_valid("the token has expired")
}

fn unexpired(account: &Account, now_ms: i64) -> Result<(), Refusal> {
    let end = account.expires_at.as_deref().and_then(clock::parse);
    if end.is_some_and(|end_ms| end_ms <= now_ms) { Err(expired()) } else { Ok(()) }
}

fn no_permission(operation: &str, project: &str) -> Refusal {
    let message = format!(
        "ODPS-0420095: Access Denied - Authorization Failed [4019], You have NO privilege 'odps:{operation}' on \
         {{acs:odps:*:projects/{project}}}"
    );
    Refusal::new(403, "NoPermission", message)
}

fn permitted(account: &Account, operation: &Operation) -> Result<(), Refusal> {
    if account.denied.iter().any(|denied| denied == operation.name) {
        return Err(no_permission(operation.name, &operation.project));
    }
    Ok(())
}
