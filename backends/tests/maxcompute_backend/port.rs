//! What every backend must do.

use super::stage::{controller, order, simulator, starts};
use async_trait::async_trait;
use engine::id::SubmissionKey;
use engine::ports::backend::{Backend, TaskOrder};
use engine::testing::backend::{CASES, Script, Subject};
use retrial_backends::maxcompute::MaxComputeBackend;
use serde_json::json;
use simulators::maxcompute::Simulator;
use std::time::Duration;

struct Project {
    simulator: Simulator,
    backend: MaxComputeBackend,
}

#[async_trait]
impl Subject for Project {
    fn backend(&self) -> &dyn Backend {
        &self.backend
    }

    fn restart(&mut self) {
        self.backend = controller();
    }

    async fn pass(&mut self) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    fn order(&self, key: SubmissionKey, script: Script) -> TaskOrder {
        let command = match script {
            Script::Print => "SELECT 1 AS done",
            Script::Fail(_) => "SELECT 1 AS fails",
            Script::Forever => "SELECT 1 AS forever",
        };
        order(&self.simulator, key, command)
    }

    fn starts(&self, key: &SubmissionKey) -> usize {
        starts(&self.simulator, key)
    }

    fn tells_exit_codes(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn the_maxcompute_backend_obeys_its_port() {
    for (name, case) in CASES {
        // An instance has no output that grows; its results are tested by themselves.
        if *name == "output_is_read_from_any_position" {
            continue;
        }
        let rules = json!([
            {"contains": "AS fails", "life": {"waiting_ms": 0, "running_ms": 0, "fails": "ODPS-0123055:User script exception - it broke"}},
            {"contains": "AS forever", "life": {"waiting_ms": 0, "running_ms": 1_000_000_000}},
        ]);
        let mut project = Project { simulator: simulator(&json!({"rules": rules})), backend: controller() };
        if let Err(violation) = case(&mut project).await {
            panic!("{name}: {violation}");
        }
    }
}
