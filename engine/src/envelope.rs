//! An event with the header under which it is recorded.

use crate::event::Event;
use crate::id::{ActorId, ExperimentId, Seq};
use crate::time::Timestamp;

/// One record of the journal, decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Its place in the journal.
    pub seq: Seq,
    /// The experiment, or [`ExperimentId::STORE`].
    pub experiment: ExperimentId,
    /// Its place within the experiment: dense, from 1.
    pub position: u32,
    /// When it was decided.
    pub time: Timestamp,
    /// Who caused it.
    pub actor: ActorId,
    /// The record that it follows from; zero if none.
    pub cause: Seq,
    /// The fact.
    pub event: Event,
}
