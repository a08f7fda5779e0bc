//! Credentials that stay valid: fetched when they are first needed and again before they end.
//!
//! The place that gave the first ones is kept, so that the identity never changes; what is in it is read anew.

use super::answer::Grant;
use super::chain::{Place, look_again, survey};
use super::choice::Choice;
use super::fetch::Fetch;
use super::surroundings::Surroundings;
use super::{Credentials, CredentialsError, Provider, codes};
use crate::cloud::locked::locked;
use async_trait::async_trait;
use engine::time::{Span, Timestamp};
use std::fmt;
use std::sync::{Arc, Mutex};

/// How long before their end credentials are fetched anew: 15 minutes, or a third of their life if that is less.
pub const LEAD: Span = Span::from_secs(15 * 60);
/// How long after a failure nothing is tried, while the credentials at hand are still valid.
pub const PAUSE: Span = Span::from_secs(30);
/// How long after a failure, or after fresh credentials, the same answer is given again.
pub const CALM: Span = Span::from_secs(5);
/// How long a sealed key is used before it is looked at again: it may have been replaced or removed.
pub const SEALED_LOOK: Span = Span::from_secs(5);

/// The usual [`Provider`].
pub struct Refreshing {
    choice: Choice,
    surroundings: Surroundings,
    fetch: Arc<dyn Fetch>,
    held: Mutex<Held>,
    /// One fetches at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    current: Option<Current>,
    /// The last failure and when it was.
    failure: Option<(Timestamp, CredentialsError)>,
}

#[derive(Clone)]
struct Current {
    place: Place,
    grant: Grant,
    fetched: Timestamp,
    /// When they are fetched anew; never, if they do not end and are not sealed.
    due: Option<Timestamp>,
}

impl Current {
    fn is_valid(&self, now: Timestamp) -> bool {
        self.grant.expires.is_none_or(|end| now < end)
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.due.is_some_and(|due| due <= now)
    }
}

impl Refreshing {
    /// Nothing is looked for before the first [`Provider::get`].
    pub fn new(choice: Choice, surroundings: Surroundings, fetch: Arc<dyn Fetch>) -> Self {
        Self { choice, surroundings, fetch, held: Mutex::default(), turn: tokio::sync::Mutex::new(()) }
    }

    /// What is at hand, with where it is from and when it ends; nothing before the first [`Provider::get`].
    pub fn at_hand(&self) -> Option<Grant> {
        self.with(|held| held.current.as_ref().map(|current| current.grant.clone()))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        change(&mut locked(&self.held))
    }

    /// Whether these are gone as soon as their place has none. A sealed key is taken away by removing it; what other places do not give
    /// now may be on its way.
    const fn may_be_revoked(&self) -> bool {
        matches!(self.choice, Choice::Sealed(_))
    }

    fn now(&self) -> Timestamp {
        (self.surroundings.clock)()
    }

    /// Fetches, with the turn taken. A failure leaves what is at hand and lets it rest.
    async fn renew(&self) -> Result<Credentials, CredentialsError> {
        let known = self.with(|held| held.current.as_ref().map(|current| current.place.clone()));
        let result = match known {
            Some(place) => self.again(place).await,
            None => self.first().await,
        };
        let now = self.now();
        let result = result.and_then(|(place, grant)| self.dated(place, grant, now));
        self.with(|held| match result {
            Ok(current) => {
                let credentials = current.grant.credentials.clone();
                *held = Held { current: Some(current), failure: None };
                Ok(credentials)
            }
            Err(error) => {
                held.failure = Some((now, error.clone()));
                if self.may_be_revoked() {
                    held.current = None;
                }
                if let Some(due) = held.current.as_mut().and_then(|current| current.due.as_mut()) {
                    *due = now.after(PAUSE);
                }
                Err(error)
            }
        })
    }

    async fn again(&self, place: Place) -> Result<(Place, Grant), CredentialsError> {
        let source = look_again(&self.choice, &place, &self.surroundings)?;
        let grant = source.obtain(&self.surroundings, &*self.fetch).await?;
        Ok((place, grant))
    }

    async fn first(&self) -> Result<(Place, Grant), CredentialsError> {
        let survey = survey(&self.choice, &self.surroundings)?;
        for warning in &survey.warnings {
            tracing::warn!("{warning}");
        }
        let mut passed = survey.passed;
        for candidate in survey.candidates {
            match candidate.source.obtain(&self.surroundings, &*self.fetch).await {
                Ok(grant) => {
                    tracing::info!("credentials: {candidate}");
                    return Ok((candidate.place, grant));
                }
                Err(error) if candidate.probed => passed.push(error.message),
                Err(error) => return Err(error),
            }
        }
        Err(CredentialsError::new(
            codes::NO_CREDENTIALS,
            format!(
                "there are no credentials for Alibaba Cloud in any of these places:\n  {}",
                passed.join("\n  ")
            ),
            "set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or run `aliyun configure`",
        ))
    }

    /// When these are to be fetched anew. Chance keeps many programs from doing so at once.
    fn dated(&self, place: Place, mut grant: Grant, now: Timestamp) -> Result<Current, CredentialsError> {
        grant.provider = place.provider(&grant.provider);
        if self.choice == Choice::Chain {
            grant.provider = format!("default/{}", grant.provider);
        }
        let due = match grant.expires {
            None => self.may_be_revoked().then(|| now.after(SEALED_LOOK)),
            Some(end) if end <= now => {
                return Err(CredentialsError::unreachable(format!(
                    "the credentials from {place} have ended already when they came; the clock of this machine may be wrong"
                )));
            }
            Some(end) => {
                let lead = LEAD.0.min(end.since(now).0 / 3);
                let jitter = (self.surroundings.chance)() % (lead / 10 + 1);
                Some(Timestamp(end.0.saturating_sub_unsigned(lead + jitter)))
            }
        };
        Ok(Current { place, grant, fetched: now, due })
    }
}

#[async_trait]
impl Provider for Refreshing {
    async fn get(&self) -> Result<Credentials, CredentialsError> {
        let usable =
            |now: Timestamp| self.with(|held| held.current.clone()).filter(|held| held.is_valid(now));
        let now = self.now();
        let _turn = match usable(now) {
            Some(current) if !current.is_due(now) => return Ok(current.grant.credentials),
            // Somebody fetches already, and these are good until then.
            Some(current) => match self.turn.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(current.grant.credentials),
            },
            None => self.turn.lock().await,
        };
        let now = self.now();
        let current = usable(now);
        match (current, self.with(|held| held.failure.clone())) {
            (Some(current), _) if !current.is_due(now) => Ok(current.grant.credentials),
            // Who has waited for the turn of somebody who failed need not fail as slowly.
            (None, Some((when, error))) if now.since(when) < CALM => Err(error),
            (current, _) => match (self.renew().await, current) {
                (Err(error), Some(current)) if !self.may_be_revoked() => {
                    tracing::warn!(
                        "credentials could not be fetched anew and those at hand are kept: {error}"
                    );
                    Ok(current.grant.credentials)
                }
                (result, _) => result,
            },
        }
    }

    async fn refresh(&self) -> Result<Credentials, CredentialsError> {
        let _turn = self.turn.lock().await;
        let now = self.now();
        // Where many calls were refused at once, the first fetches for all.
        if let Some(current) = self.with(|held| held.current.clone())
            && now.since(current.fetched) < CALM
            && current.is_valid(now)
        {
            return Ok(current.grant.credentials);
        }
        self.renew().await
    }
}

impl fmt::Debug for Refreshing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refreshing").field("choice", &self.choice).finish_non_exhaustive()
    }
}
