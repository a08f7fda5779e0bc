//! What every backend must do.

use super::stage::{Stage, life};
use async_trait::async_trait;
use engine::id::SubmissionKey;
use engine::ports::backend::{Backend, TaskOrder};
use engine::testing::backend::{CASES, Script, Subject};
use retrial_backends::dlc::backend::DlcBackend;
use serde_json::{Value, json};
use std::sync::Arc;

struct Region {
    stage: Arc<Stage>,
    backend: DlcBackend,
}

#[async_trait]
impl Subject for Region {
    fn backend(&self) -> &dyn Backend {
        &self.backend
    }

    fn restart(&mut self) {
        self.backend = self.stage.controller();
    }

    async fn pass(&mut self) {
        self.stage.pass(1_000);
    }

    fn order(&self, key: SubmissionKey, script: Script) -> TaskOrder {
        let command = match script {
            Script::Print => "do_print".to_owned(),
            Script::Fail(code) => format!("do_fail {code}"),
            Script::Forever => "forever".to_owned(),
        };
        self.stage.order(key, &command, &Value::Null)
    }

    fn starts(&self, key: &SubmissionKey) -> usize {
        self.stage.starts(key)
    }

    fn tells_exit_codes(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn the_dlc_backend_obeys_its_port() {
    for (name, case) in CASES {
        for script in
            [json!({}), json!({"list_lag_ms": 3_000, "logs": {"lag_ms": 4_000}, "stop": {"ms": 2_000}})]
        {
            let mut script = script;
            script["rules"] = json!([
                {"command": "do_print", "life": life(
                    &[("Queuing", Some(500)), ("Running", Some(3_000)), ("Succeeded", None)], &["one", "two", "three"])},
                {"command": "do_fail", "life": life(&[("Queuing", Some(500)), ("Running", Some(500)), ("Failed", None)], &["it broke"])},
                {"command": "forever", "life": life(&[("Queuing", Some(500)), ("Running", None)], &[])},
            ]);
            let stage = Stage::new(script.clone());
            let backend = stage.controller();
            let mut region = Region { stage, backend };
            if let Err(violation) = case(&mut region).await {
                panic!("{name} with {script}: {violation}");
            }
        }
    }
}
