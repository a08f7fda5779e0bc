//! One experiment's state from its own records, for whoever sees no others.

use super::{Experiment, State};
use crate::envelope::Envelope;
use crate::error::ReplayError;
use crate::id::{ActorId, ExperimentId, Seq};

/// The state of one experiment, from its records alone: those of others and of the store are left out, so that the numbers of
/// records have gaps. A record of its own that is missing is noticed all the same, by the position in the experiment.
///
/// It is for looking only. What actors are called is told by [`Self::name`].
#[derive(Debug, Clone)]
pub struct Excerpt {
    id: ExperimentId,
    state: State,
}

impl Excerpt {
    /// The experiment before its first record.
    pub fn of(id: ExperimentId) -> Self {
        Self { id, state: State::default() }
    }

    /// A state that holds this experiment and no other.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The experiment, from its first record on.
    pub fn experiment(&self) -> Option<&Experiment> {
        self.state.experiment(self.id)
    }

    /// Says what an actor is called.
    pub fn name(&mut self, actor: ActorId, name: String) {
        self.state.actors.insert(actor, name);
    }

    /// Applies the experiment's next record. An error means that it is not the next one, or does not fit.
    pub fn apply(&mut self, envelope: &Envelope) -> Result<(), ReplayError> {
        if envelope.experiment != self.id {
            return Err(ReplayError {
                seq: envelope.seq,
                experiment: envelope.experiment,
                kind: envelope.event.info().name,
                reason: format!("it is not of the experiment {}", self.id),
            });
        }
        let before = Seq(envelope.seq.0.saturating_sub(1));
        self.state.head = self.state.head.max(before);
        self.state.apply(envelope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use crate::spec::Spec;
    use crate::testing::driver::Driver;
    use crate::value::{Point, Value};
    use serde_json::json;
    use std::collections::BTreeMap;

    /// Two experiments, of which now one and now the other goes on.
    fn driven() -> Driver {
        let document = json!({
            "space": {"x": {"uniform": [0, 1]}}, "objective": "minimize", "run": {"fake": {"command": "train"}}, "budget": {"trials": 9},
        });
        let spec = Spec::parse(&document, "").unwrap().0.canonical().to_string();
        let mut driver = Driver::default();
        let ids = [7, 8].map(ExperimentId::from_random);
        for experiment in ids {
            let (spec, labels) = (spec.clone(), BTreeMap::new());
            driver.give(&Command::CreateExperiment { experiment, spec, seed: 7, labels }).unwrap();
        }
        for at in [0.25, 0.5] {
            for experiment in ids {
                let point = Point(vec![(0, Value::Float(at))]);
                driver.give(&Command::EnqueuePoint { experiment, point }).unwrap();
            }
        }
        driver.give(&Command::StopExperiment { experiment: ids[1] }).unwrap();
        driver
    }

    #[test]
    fn an_experiment_apart_from_others_is_the_same_and_misses_none_of_its_own_records() {
        let driver = driven();
        let (records, whole) = (driver.history(), driver.state());
        assert_eq!(whole.experiments().count(), 2);
        for experiment in whole.experiments() {
            let of_it = |envelope: &&Envelope| envelope.experiment == experiment.id;
            let own: Vec<&Envelope> = records.iter().filter(of_it).collect();
            let mut excerpt = Excerpt::of(experiment.id);
            for envelope in &own {
                excerpt.apply(envelope).unwrap();
            }
            assert_eq!(excerpt.experiment(), Some(experiment));
            let digest = excerpt.state().experiment_digest(experiment.id);
            assert_eq!(digest, whole.experiment_digest(experiment.id));
            excerpt.name(ActorId::FIRST_NAMED, "ann".to_owned());
            assert_eq!(excerpt.state().actor_name(ActorId::FIRST_NAMED), "ann");

            assert!(excerpt.apply(own[own.len() - 1]).is_err(), "a record is taken twice");
            let strange = records.iter().find(|envelope| !of_it(envelope)).unwrap();
            assert!(Excerpt::of(experiment.id).apply(strange).is_err());
            let mut short = Excerpt::of(experiment.id);
            short.apply(own[0]).unwrap();
            assert!(short.apply(own[2]).unwrap_err().reason.contains("position"));
        }
    }
}
