//! A simulated region and a controller, which share their time.

use async_trait::async_trait;
use engine::id::SubmissionKey;
use engine::ports::backend::{CommandLine, TaskOrder};
use engine::time::Timestamp;
use retrial_backends::cloud::client::Limits;
use retrial_backends::cloud::credentials::{Credentials, Provider};
use retrial_backends::cloud::http::HttpSettings;
use retrial_backends::cloud::rate::Rates;
use retrial_backends::cloud::world::World;
use retrial_backends::dlc::backend::{DlcBackend, Parts};
use retrial_backends::dlc::logs::reader::Settings;
use retrial_backends::dlc::regions::Regions;
use serde_json::{Value, json};
use simulators::dlc::{Script, Simulator};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

const BEGIN_MS: i64 = 1_767_323_045_000;

/// Time that passes when somebody waits, here and in the simulated region.
#[derive(Debug)]
pub struct Stage {
    pub simulator: Simulator,
    pub files: retrial_backends::files::Settings,
    passed_ms: AtomicI64,
    drawn: AtomicU64,
}

#[async_trait]
impl World for Stage {
    fn wall(&self) -> Timestamp {
        Timestamp(BEGIN_MS + self.passed_ms.load(Ordering::Relaxed))
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(self.passed_ms.load(Ordering::Relaxed).unsigned_abs())
    }

    async fn sleep(&self, time: Duration) {
        self.pass(i64::try_from(time.as_millis()).unwrap().max(1));
        tokio::task::yield_now().await;
    }

    fn random(&self) -> u128 {
        u128::from(self.drawn.fetch_add(1, Ordering::Relaxed)) + 1
    }
}

impl Stage {
    /// A region that does what the script says.
    pub fn new(mut script: Value) -> Arc<Self> {
        script["standing_clock"] = json!("2026-01-02T03:04:05Z");
        let script: Script = serde_json::from_value(script).unwrap();
        let simulator = Simulator::anywhere(script).unwrap();
        let files = retrial_backends::files::Settings::default();
        Arc::new(Self { simulator, files, passed_ms: AtomicI64::new(0), drawn: AtomicU64::new(0) })
    }

    /// Lets time pass.
    pub fn pass(&self, ms: i64) {
        self.simulator.advance(ms);
        self.passed_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// A controller that knows nothing yet.
    pub fn controller(self: &Arc<Self>) -> DlcBackend {
        let credentials = Credentials {
            access_key_id: "LTAISimulatedKey".to_owned(),
            access_key_secret: "simulated-secret".to_owned().into(),
            security_token: None,
        };
        let world = Arc::clone(self) as Arc<dyn World>;
        // The time of connections is real.
        let http = HttpSettings { timeout: Duration::from_millis(400), ..HttpSettings::default() };
        let limits = Limits { rates: Rates::of(9_000.0), ..Limits::default() };
        let providers = Arc::new(move |_: &_| Ok(Arc::new(credentials.clone()) as Arc<dyn Provider>));
        DlcBackend::new(Parts {
            regions: Regions::new(
                Arc::clone(&world),
                http,
                limits,
                Settings::default(),
                self.files.clone(),
                providers,
            ),
            world,
            job_files: Arc::new(|_, _| Err("there are no files".to_owned())),
            variables: Arc::new(|_| None),
            poll_interval: Duration::from_secs(5),
        })
    }

    /// An order for a job with this command, and more settings.
    pub fn order(&self, key: SubmissionKey, command: &str, more: &Value) -> TaskOrder {
        let mut config = json!({
            "endpoint": format!("http://{}", self.simulator.address()), "workspace_id": "10001",
            "JobType": "PyTorchJob",
            "JobSpecs": [{"Type": "Worker", "Image": "image", "EcsSpec": "ecs.g6.large"}],
        });
        config.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let command = CommandLine::Shell(command.to_owned());
        TaskOrder { config, ..engine::testing::backend::order(key, command) }
    }

    /// How many jobs of a submission began to run.
    pub fn starts(&self, key: &SubmissionKey) -> usize {
        let token = key.to_string();
        self.simulator.jobs(|jobs| {
            let ours = |job: &&simulators::dlc::job::Job| job.tags.get("retrial-key") == Some(&token);
            jobs.iter().filter(ours).filter(|job| job.since("Running").is_some()).count()
        })
    }

    /// How many calls of an operation came.
    pub fn calls(&self, operation: &str) -> usize {
        self.simulator.calls().iter().filter(|call| call.operation == operation).count()
    }
}

/// A life of a job: its states with their milliseconds, and the lines that it prints.
pub fn life(phases: &[(&str, Option<i64>)], lines: &[&str]) -> Value {
    let phases: Vec<Value> = phases.iter().map(|(status, ms)| json!({"status": status, "ms": ms})).collect();
    let lines: Vec<Value> =
        lines.iter().enumerate().map(|(at, text)| json!({"text": text, "after_ms": at})).collect();
    json!({"phases": phases, "log": lines})
}
