//! What happened under a seed, and under many.

use engine::state::{ExperimentStatus, TrialStatus};
use std::collections::BTreeMap;
use std::fmt;

/// What happened under a seed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    pub records: u64,
    pub crashes: u64,
    pub started: u64,
    pub resampled: u64,
    pub statuses: BTreeMap<TrialStatus, u64>,
    pub ends: BTreeMap<ExperimentStatus, u64>,
    pub kinds: BTreeMap<&'static str, u64>,
    pub digest: String,
}

fn sum<K: Ord + Copy>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        *into.entry(*key).or_default() += count;
    }
}

impl Summary {
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.crashes += other.crashes;
        self.started += other.started;
        self.resampled += other.resampled;
        sum(&mut self.statuses, &other.statuses);
        sum(&mut self.ends, &other.ends);
        sum(&mut self.kinds, &other.kinds);
    }

    /// What must occur in a hundred seeds, or the simulation has lost its teeth.
    pub fn demand_variety(&self) {
        assert!(self.crashes > 100 && self.resampled > 100, "{self}");
        for status in TrialStatus::ALL.iter().filter(|status| status.is_ended()) {
            assert!(self.statuses.contains_key(status), "no trial is {status}: {self}");
        }
        for kind in ["TaskCleared", "TaskDoubtful", "ExperimentReopened", "SpaceExhausted", "PointEnqueued"] {
            assert!(self.kinds.contains_key(kind), "no {kind}: {self}");
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} records, {} crashes, {} tasks started, {} suggestions recomputed; trials {:?}; experiments {:?}; {:?}",
            self.records, self.crashes, self.started, self.resampled, self.statuses, self.ends, self.kinds
        )
    }
}
