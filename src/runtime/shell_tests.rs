//! Who waits for whom among the calls of one backend.

use super::dispatcher::{Dispatcher, NoSnapshots};
use super::shell::Runtime;
use async_trait::async_trait;
use engine::command::Command;
use engine::id::{ExperimentId, TrialId};
use engine::ports::backend::{
    Backend, Capabilities, Chunk, Found, Idempotency, JobHandle, JobState, ReadError, Reports, Source,
    Submitted, TaskOrder,
};
use engine::spec::Spec;
use engine::time::{Span, Timestamp};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Takes the first trial on at once and answers no other submission.
#[derive(Default)]
struct Busy {
    polled: Notify,
    stopped: Notify,
}

#[async_trait]
impl Backend for Busy {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotency: Idempotency::Native,
            poll_batch: 100,
            poll_interval: Span(10),
            poll_rest: Span(0),
            reports: Reports::File,
        }
    }

    async fn submit(&self, order: &TaskOrder) -> Submitted {
        if order.key.trial.0 > 0 {
            std::future::pending::<()>().await;
        }
        Submitted::Accepted(JobHandle("job".to_owned()))
    }

    async fn find(&self, _order: &TaskOrder) -> Found {
        Found::NoneForSure
    }

    async fn poll(&self, handles: &[JobHandle]) -> Vec<JobState> {
        self.polled.notify_one();
        handles.iter().map(|_| JobState::Running { started: Timestamp(0) }).collect()
    }

    async fn read(&self, _: &JobHandle, _: &Source, from: u64, _: usize) -> Result<Chunk, ReadError> {
        Ok(Chunk { start: from, bytes: Vec::new(), at_end: true })
    }

    async fn stop(&self, _handle: &JobHandle) -> Result<(), String> {
        self.stopped.notify_one();
        Ok(())
    }
}

#[tokio::test]
async fn a_job_is_polled_and_stopped_while_hundreds_of_submissions_wait() {
    let id = ExperimentId::from_random(1);
    let document = json!({
        "space": {"x": {"uniform": [0.0, 1.0]}}, "objective": "minimize", "sampler": "random",
        "run": {"fake": {"command": "train"}}, "budget": {"trials": 300, "concurrency": 300},
    });
    let spec = Spec::parse(&document, "").unwrap().0.canonical().to_string();
    let journal = journal::MemoryStore::default().open();
    let dispatcher = Dispatcher::open(Box::new(journal), Box::new(NoSnapshots)).unwrap();
    let backend = Arc::new(Busy::default());
    let known = Arc::clone(&backend) as Arc<dyn Backend>;
    let (runtime, handle) = Runtime::new(dispatcher, BTreeMap::from([("fake".to_owned(), known)]));
    let running = tokio::spawn(runtime.run());
    handle
        .execute(Command::CreateExperiment { experiment: id, spec, seed: 7, labels: BTreeMap::new() }, None)
        .await
        .unwrap()
        .unwrap();

    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, backend.polled.notified()).await.unwrap();
    let first = Command::StopTrials { experiment: id, trials: vec![TrialId(0)] };
    handle.execute(first, None).await.unwrap().unwrap();
    tokio::time::timeout(patience, backend.stopped.notified()).await.unwrap();
    handle.close().await;
    running.await.unwrap().unwrap();
}
