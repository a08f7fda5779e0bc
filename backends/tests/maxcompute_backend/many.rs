//! Many instances at once.

use super::stage::{PATIENCE, controller, order, simulator};
use engine::ports::backend::{Backend, JobHandle, JobState, Submitted};
use engine::testing::backend::key;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[tokio::test]
async fn of_many_that_end_together_each_poll_tells_of_some_and_all_have_their_turn() {
    let simulator = simulator(&json!({}));
    let backend = controller();
    let mut jobs: Vec<JobHandle> = Vec::new();
    for trial in 0..45 {
        let submitted = backend.submit(&order(&simulator, key(trial, 0), "SELECT 1 AS done")).await;
        let Submitted::Accepted(job) = submitted else { panic!("{submitted:?}") };
        jobs.push(job);
    }
    let begun = Instant::now();
    while !simulator.instances(|all| all.iter().all(|one| one.status.has_ended())) {
        assert!(begun.elapsed() < PATIENCE, "they do not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut seen = BTreeSet::new();
    for told in [20, 40, 45] {
        let calls = simulator.calls().len();
        let states = backend.poll(&jobs).await;
        let ended = states.iter().zip(&jobs).filter(|(state, _)| matches!(state, JobState::Ended { .. }));
        seen.extend(ended.map(|(_, job)| job.clone()));
        assert_eq!((seen.len(), simulator.calls().len() - calls), (told, 1 + 2 * 20));
    }
}
