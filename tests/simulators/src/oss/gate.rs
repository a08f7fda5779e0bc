//! The gateway in front of the service: who calls, when, with which token and region, and what goes wrong.

use super::refusal::Refusal;
use super::script::{Script, Version};
use super::service::Target;
use super::signature::Claim;
use crate::clock;
use crate::dice::Dice;
use crate::dlc::script::Account;
use crate::fault::{self, Fault};
use crate::wire::Wire;

/// How far a call's time may be from the service's, in milliseconds.
const SKEW_MS: i64 = 15 * 60 * 1000;

/// What the gateway remembers.
#[derive(Debug)]
pub struct Gate {
    /// Who may call.
    pub accounts: Vec<Account>,
    /// What is to go wrong, and has not yet.
    pub faults: Vec<Fault>,
    signatures: Vec<Version>,
    dice: Dice,
}

impl Gate {
    /// The gateway of a script.
    pub fn new(script: &Script) -> Self {
        Self {
            accounts: script.accounts.clone(),
            faults: script.faults.clone(),
            signatures: script.signatures.clone(),
            dice: Dice::new(script.seed),
        }
    }

    /// Which fault hits a call.
    pub fn fault(&mut self, operation: &str, wire: &Wire) -> Option<Fault> {
        fault::hit(&mut self.faults, &mut self.dice, operation, wire)
    }

    /// Lets a call in or says why not. `region` is that of its bucket, if there is such a bucket.
    pub fn admit(
        &self,
        operation: &str,
        wire: &Wire,
        target: &Target,
        region: Option<&str>,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        let claim = Claim::read(wire)?;
        let denied = |message: &str| Err(Refusal::new(403, "AccessDenied", message));
        let unknown = || {
            let message = "The OSS Access Key Id you provided does not exist in our records.";
            Refusal::new(403, "InvalidAccessKeyId", message).with("OSSAccessKeyId", claim.key_id.clone())
        };
        let account = self.accounts.iter().find(|account| account.access_key_id == claim.key_id);
        let account = account.ok_or_else(unknown)?;
        if !self.signatures.contains(&claim.version()) {
            let message = "This version of the signature is not supported; use signature version 4.";
            return Err(Refusal::new(400, "InvalidRequest", message));
        }
        let Some(time_ms) = claim.time_ms() else {
            return denied("OSS authentication requires a valid Date.");
        };
        match (claim.version(), claim.in_query) {
            (Version::V1, true) if now_ms > time_ms => return denied("Request has expired."),
            (Version::V4, true) if now_ms > time_ms + claim.expires_s.unwrap_or(0).saturating_mul(1000) => {
                return denied("Request has expired.");
            }
            (_, false) if (now_ms - time_ms).abs() > SKEW_MS => {
                let message = "The difference between the request time and the current time is too large.";
                return Err(Refusal::new(403, "RequestTimeTooSkewed", message)
                    .with("RequestTime", claim.time)
                    .with("ServerTime", clock::text(Some(now_ms))));
            }
            _ => {}
        }
        claim.verify(wire, target, &account.access_key_secret)?;
        if let (Some(claimed), Some(region)) = (&claim.region, region)
            && claimed != region
        {
            let message = format!("Invalid signing region in Authorization header: {claimed}, not {region}.");
            return Err(Refusal::argument(message));
        }
        match (&account.security_token, &claim.token) {
            // A temporary key without its token is no key.
            (Some(_), None) => return Err(unknown()),
            (token, given) if token != given => {
                let message = "The security token you provided is invalid.";
                return Err(Refusal::new(403, "InvalidSecurityToken", message));
            }
            _ => {}
        }
        let end = account.expires_at.as_deref().and_then(clock::parse);
        if end.is_some_and(|end| end <= now_ms) {
            let message = "The security token you provided has expired.";
            return Err(Refusal::new(403, "SecurityTokenExpired", message));
        }
        if account.denied.iter().any(|denied| denied == operation) {
            return denied("You have no right to access this object because of bucket acl.");
        }
        Ok(())
    }
}
