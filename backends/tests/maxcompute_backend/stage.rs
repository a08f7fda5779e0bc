//! A simulated project and a controller.

use engine::event::v1::Outcome;
use engine::id::SubmissionKey;
use engine::ports::backend::{Backend, CommandLine, JobHandle, JobState, TaskOrder};
use retrial_backends::cloud::client::Limits;
use retrial_backends::cloud::credentials::{Credentials, Provider};
use retrial_backends::cloud::http::HttpSettings;
use retrial_backends::cloud::rate::Rates;
use retrial_backends::cloud::world::{SystemWorld, World};
use retrial_backends::maxcompute::MaxComputeBackend;
use retrial_backends::maxcompute::backend::Parts;
use retrial_backends::maxcompute::projects::Projects;
use retrial_backends::maxcompute::settings::Setup;
use serde_json::{Value, json};
use simulators::maxcompute::Simulator;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const PROJECT: &str = "simulated_project";
/// How long a task may take to end.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A project in which instances live no longer than their work takes, unless the script says otherwise.
pub fn simulator(more: &Value) -> Simulator {
    let mut script = json!({"life": {"waiting_ms": 0, "running_ms": 0}});
    script.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Simulator::anywhere(serde_json::from_value(script).unwrap()).unwrap()
}

/// A controller that knows nothing yet.
pub fn controller() -> MaxComputeBackend {
    controller_at(Rates::of(9_000.0))
}

/// A controller that calls at this pace.
pub fn controller_at(rates: Rates) -> MaxComputeBackend {
    let credentials = Credentials {
        access_key_id: "LTAISimulatedKey".to_owned(),
        access_key_secret: "simulated-secret".to_owned().into(),
        security_token: None,
    };
    let world: Arc<dyn World> = Arc::new(SystemWorld::default());
    let http = HttpSettings { timeout: Duration::from_secs(2), ..HttpSettings::default() };
    let limits = Limits { rates, ..Limits::default() };
    let providers = Arc::new(move |_: &_| Ok(Arc::new(credentials.clone()) as Arc<dyn Provider>));
    let projects = Projects::new(Arc::clone(&world), http, limits, providers);
    let poll_interval = Duration::from_millis(20);
    MaxComputeBackend::new(Parts { projects, world, setup: Setup::default(), poll_interval })
}

/// An order for an instance with this command.
pub fn order(simulator: &Simulator, key: SubmissionKey, command: &str) -> TaskOrder {
    TaskOrder {
        planned: SystemWorld::default().wall(),
        config: json!({"project": PROJECT, "endpoint": simulator.endpoint(), "wait_seconds": 0.3}),
        ..engine::testing::backend::order(key, CommandLine::Shell(command.to_owned()))
    }
}

/// How often the work of a submission was begun.
pub fn starts(simulator: &Simulator, key: &SubmissionKey) -> usize {
    let guid = format!("retrial-{key}");
    simulator.instances(|instances| {
        let ours = instances.iter().filter(|instance| instance.submission.guid.as_deref() == Some(&guid));
        ours.map(|instance| instance.starts as usize).sum()
    })
}

/// The end of an instance.
pub async fn end(backend: &MaxComputeBackend, job: &JobHandle) -> Outcome {
    let begun = Instant::now();
    loop {
        if let JobState::Ended { outcome, .. } = backend.poll(std::slice::from_ref(job)).await.remove(0) {
            return outcome;
        }
        assert!(begun.elapsed() < PATIENCE, "{job:?} does not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
