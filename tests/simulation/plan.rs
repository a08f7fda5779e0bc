//! What happens under a seed: experiments, faults, and people who change their minds.

use backends::fake::{Draw, Faults};
use engine::command::Command;
use engine::id::{ExperimentId, TrialId};
use engine::ports::backend::Idempotency;
use engine::spec::Spec;
use engine::state::State;
use engine::time::Span;
use serde_json::{Value, json};

/// One experiment and the specifications that it may have.
pub struct Planned {
    pub id: ExperimentId,
    pub seed: u64,
    pub specs: Vec<String>,
}

/// A seed's scenario.
pub struct Plan {
    pub seed: u64,
    pub experiments: Vec<Planned>,
    pub idempotency: Idempotency,
    pub faults: Faults,
    /// How long a job may be invisible to searches.
    pub window: Span,
    /// Mean time between crashes; `None` means none.
    pub crashes: Option<Span>,
    /// How long faults, crashes and people go on.
    pub unrest: Span,
    /// Longest time between two steps of the disk.
    pub disk: Span,
    /// Acts of people.
    pub acts: u64,
}

fn pick<'a, T>(draw: &mut Draw, among: &'a [T]) -> &'a T {
    &among[draw.below(among.len() as u64) as usize]
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        let mut draw = Draw::new(seed ^ 0x5eed_0000);
        let count = 1 + draw.below(3);
        let experiments = (0..count).map(|number| experiment(&mut draw, number)).collect();
        let idempotency = *pick(
            &mut draw,
            &[Idempotency::Native, Idempotency::FindByKey, Idempotency::FindByKey, Idempotency::None],
        );
        let rate = *pick(&mut draw, &[0, 20, 60, 150]);
        let faults = Faults { refused: rate / 8, ..Faults::all(rate) };
        let crashes = *pick(&mut draw, &[None, Some(20), Some(60), Some(200)]);
        Self {
            seed,
            experiments,
            idempotency,
            faults,
            window: Span(*pick(&mut draw, &[3_000, 20_000, 400_000])),
            crashes: crashes.map(Span::from_secs),
            unrest: Span::from_secs(200 + draw.below(600)),
            disk: Span(*pick(&mut draw, &[1, 30, 2_000, 10_000])),
            acts: draw.below(12),
        }
    }
}

fn experiment(draw: &mut Draw, number: u64) -> Planned {
    let space = match draw.below(4) {
        0 => json!({"kind": {"choice": ["a", "b", "c"]}}),
        1 => json!({"x": {"uniform": [0.0, 1.0]}, "n": {"randint": [1, 9]}}),
        _ => json!({
            "lr": {"loguniform": [0.0001, 0.5]},
            "kind": {"choice": ["a", "b"]},
            "n": {"quniform": [8, 64, 8]},
        }),
    };
    let base = json!({
        "name": format!("experiment {number}"),
        "space": space,
        "objective": *pick(draw, &["minimize", "maximize"]),
        "metric": {"report": true, "final": *pick(draw, &["best", "final", "avg"])},
    });
    let tasks: Vec<String> =
        (0..=draw.below(6).saturating_sub(3)).map(|task| format!("task {task}")).collect();
    let early = draw.happens(400);
    let specs = (0..=draw.below(3)).map(|_| spec(draw, base.clone(), &tasks, early)).collect();
    Planned { id: ExperimentId::from_random(draw.next() | 1), seed: draw.next(), specs }
}

fn spec(draw: &mut Draw, mut document: Value, tasks: &[String], early: bool) -> String {
    document["run"] = json!({"fake": {"tasks": tasks}});
    document["sampler"] =
        pick(draw, &[json!("random"), json!({"tpe": {"startup": 2}}), json!("grid"), json!("auto")]).clone();
    if early {
        document["early_stop"] = json!({"median": {"start_step": 1}});
    }
    document["budget"] = json!({
        "concurrency": 1 + draw.below(4),
        "grace": format!("{}s", draw.below(12)),
    });
    let mut put = |key: &str, value: Value| document["budget"][key] = value;
    if draw.happens(850) {
        put("trials", json!(1 + draw.below(9)));
    } else {
        put("duration", json!(format!("{}m", 2 + draw.below(12))));
    }
    if draw.happens(150) {
        put("duration", json!(format!("{}m", 1 + draw.below(12))));
    }
    if draw.happens(350) {
        put("trial_timeout", json!(format!("{}s", 10 + draw.below(60))));
    }
    if draw.happens(150) {
        put("patience", json!(1 + draw.below(5)));
    }
    if draw.happens(100) {
        put("target", json!(0.5));
    }
    document["retry"] = json!({
        "failed": 1 + draw.below(3), "lost": 1 + draw.below(4), "preempted": 1 + draw.below(4),
        "doubtful": 1 + draw.below(2), "resume": draw.happens(500),
        "backoff": *pick(draw, &["0s", "0s", "7s", "40s"]),
    });
    document["first_failures"] = json!(draw.below(5));
    let (spec, _) = Spec::parse(&document, "").unwrap_or_else(|errors| panic!("{errors:?}: {document}"));
    spec.canonical().to_string()
}

/// What somebody does next.
pub fn act(draw: &mut Draw, plan: &Plan, state: &State) -> Option<Command> {
    let planned = pick(draw, &plan.experiments);
    let experiment = planned.id;
    let known = state.experiment(experiment)?;
    let trial = TrialId(draw.below(u64::from(known.suggested()) + 1) as u32);
    Some(match draw.below(16) {
        0 | 1 => Command::PauseExperiment { experiment },
        2 | 3 => Command::ResumeExperiment { experiment },
        4 => Command::StopExperiment { experiment },
        5 | 6 => Command::StopTrials { experiment, trials: vec![trial] },
        7 | 8 => Command::RetryTrials { experiment, trials: vec![trial] },
        9 | 10 => {
            let cube: Vec<f64> =
                known.spec.space.leaves().iter().map(|_| draw.below(1_000) as f64 / 1e3).collect();
            Command::EnqueuePoint { experiment, point: known.spec.space.point_from_unit(&cube) }
        }
        11..=13 => Command::UpdateExperiment { experiment, spec: pick(draw, &planned.specs).clone() },
        14 => Command::TakeCheckpoint,
        _ => Command::NameActor { name: format!("person {}", draw.below(3)) },
    })
}
