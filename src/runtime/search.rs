//! What proposes and judges the trials of one live experiment: caches over its history, rebuilt when the process starts.

use engine::error::SpecError;
use engine::event::v1::Origin;
use engine::id::{AttemptNo, TrialId};
use engine::ports::early_stop::{EarlyStop, Verdict};
use engine::ports::sampler::{Observation, Problem, Proposal, Sampler, TrialResult};
use engine::space::SearchSpace;
use engine::spec::{Algorithm, Objective, Outcomes, Parts, Spec};
use engine::state::{Experiment, Report, Trial, TrialStatus};
use engine::value::Goal;
use samplers::recipe::{FOR_SEVERAL_OBJECTIVES, KNOW_THE_GAIN};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A sampler and early-stopping rules, fed with what has happened.
pub struct Search {
    sampler: Box<dyn Sampler>,
    rules: Vec<Box<dyn EarlyStop>>,
    outcomes: Arc<Outcomes>,
    /// Of trials that report again after a retry: the attempt, and the least step that it has reported.
    retried: BTreeMap<TrialId, (AttemptNo, u64)>,
}

/// What a sampler is told of a specification.
pub fn problem(spec: &Spec, seed: u64) -> Problem {
    Problem {
        seed,
        noisy: spec.objective.noisy,
        replicates: spec.objective.replicates,
        trials: spec.budget.trials,
        concurrency: spec.budget.concurrency,
        known: spec.known.clone().into(),
        prior: Arc::new(spec.prior.clone()),
        outcomes: Arc::new(spec.objective.outcomes.clone()),
        cost_budget: spec.budget.cost,
        gain: spec.budget.gain,
        ..Problem::new(Arc::clone(&spec.space), spec.objective.goal)
    }
}

/// Checks the algorithms of a specification, and whether there is a point to try: every mistake at once.
pub fn check(spec: &Spec) -> Result<(), Vec<SpecError>> {
    let mut errors = build(spec, 0).err().unwrap_or_default();
    errors.extend(without_points(spec));
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Checks the algorithms of a document that has other mistakes: what is wrong whatever the rest may be.
pub fn check_parts(parts: &Parts) -> Vec<SpecError> {
    let goal = parts.objective.as_ref().map_or(Goal::Minimize, |objective| objective.goal);
    let spaces = match &parts.space {
        Some(space) => vec![Arc::clone(space)],
        None => [json!({"x": {"uniform": [0, 1]}}), json!({"x": {"choice": ["a", "b"]}})]
            .iter()
            .filter_map(|space| SearchSpace::parse(space, None, "space").ok().map(Arc::new))
            .collect(),
    };
    let mut errors: Option<Vec<SpecError>> = None;
    for space in spaces {
        let Some(Algorithm { name, args }) = &parts.sampler else { break };
        let problem = Problem::new(space, goal);
        let found = match samplers::recipe::sampler(name, args, &problem, "sampler") {
            Ok(sampler) => {
                parts.objective.iter().filter_map(|objective| one_only(objective, sampler.name())).collect()
            }
            Err(found) => found,
        };
        errors = Some(match errors {
            None => found,
            Some(all) => all.into_iter().filter(|error| found.contains(error)).collect(),
        });
    }
    let mut errors = errors.unwrap_or_default();
    rules(&parts.early_stop, goal, &mut errors);
    errors
}

/// A mistake if the constraints leave no point.
fn without_points(spec: &Spec) -> Option<SpecError> {
    if !spec.space.is_constrained() {
        return None;
    }
    let mut random =
        samplers::sampler("random", &serde_json::Value::Null, &problem(spec, 0), "sampler").ok()?;
    (random.suggest(TrialId(0)) == Proposal::Exhausted).then(|| {
        SpecError::new(
            samplers::codes::NO_POINT,
            "constraints",
            "no point of the space was found that fulfils all constraints",
            "look for constraints that contradict each other or the bounds of the parameters",
        )
    })
}

fn build(spec: &Spec, seed: u64) -> Result<Search, Vec<SpecError>> {
    let problem = problem(spec, seed);
    let mut errors = Vec::new();
    let sampler = samplers::recipe::sampler(&spec.sampler.name, &spec.sampler.args, &problem, "sampler");
    let sampler = sampler.map_err(|mut found| errors.append(&mut found)).ok();
    let rules = rules(&spec.early_stop, problem.goal, &mut errors);
    if sampler.as_ref().is_some_and(|sampler| matches!(sampler.name(), "pbt" | "pb2")) && !rules.is_empty() {
        errors.push(SpecError::key(
            engine::spec::codes::CONFLICT,
            "early_stop",
            "population based training judges by itself: a trial is one interval of a training, and one that is stopped leaves \
             its member behind",
            "leave early_stop out, or choose another sampler",
        ));
    }
    if let Some(sampler) = &sampler {
        errors.extend(beyond(spec, sampler.name()));
    }
    match sampler {
        Some(sampler) if errors.is_empty() => {
            Ok(Search { sampler, rules, outcomes: problem.outcomes, retried: BTreeMap::new() })
        }
        _ => Err(errors),
    }
}

/// A mistake if there are several objectives and the sampler searches for one.
fn one_only(objective: &Objective, sampler: &str) -> Option<SpecError> {
    if !objective.outcomes.is_multi() || FOR_SEVERAL_OBJECTIVES.contains(&sampler) {
        return None;
    }
    let message = format!("`{sampler}` searches for one objective, and the experiment has several");
    let cure = format!(
        "choose one of {}, or combine the metrics with weights: objective: {{metrics: {{...}}, goal: ...}}",
        FOR_SEVERAL_OBJECTIVES.join(", ")
    );
    Some(SpecError::key(engine::spec::codes::CONFLICT, "sampler", message, cure))
}

/// What the experiment asks for and its sampler cannot do.
fn beyond(spec: &Spec, sampler: &str) -> Vec<SpecError> {
    let mut errors: Vec<SpecError> = one_only(&spec.objective, sampler).into_iter().collect();
    if spec.budget.gain.is_some() && !KNOW_THE_GAIN.contains(&sampler) {
        let message = format!("`{sampler}` does not say what improvement is to be expected");
        let cure =
            format!("choose one of {}, or bound the experiment with patience", KNOW_THE_GAIN.join(", "));
        errors.push(SpecError::key(engine::spec::codes::CONFLICT, "budget.gain", message, cure));
    }
    errors
}

/// Makes the early stopping rules; what is wrong with them joins the errors.
fn rules(rules: &[Algorithm], goal: Goal, errors: &mut Vec<SpecError>) -> Vec<Box<dyn EarlyStop>> {
    let path = |place: usize| {
        if rules.len() == 1 { "early_stop".to_owned() } else { format!("early_stop[{place}]") }
    };
    let made = rules.iter().enumerate().map(|(place, Algorithm { name, args })| {
        samplers::recipe::early_stop(name, args, goal, &path(place))
    });
    made.filter_map(|made| made.map_err(|mut found| errors.append(&mut found)).ok()).collect()
}

impl Search {
    /// The search of an experiment without any history.
    pub fn fresh(spec: &Spec, seed: u64) -> Result<Self, Vec<SpecError>> {
        build(spec, seed)
    }

    /// Rebuilds the search of an experiment from its history.
    pub fn new(experiment: &Experiment) -> Result<Self, Vec<SpecError>> {
        let mut search = build(&experiment.spec, experiment.seed)?;
        for trial in &experiment.trials {
            search.suggested(trial);
            search.reported(trial, 0);
        }
        for id in &experiment.ended_order {
            if let Some(trial) = experiment.trial(*id) {
                search.ended(trial);
            }
        }
        Ok(search)
    }

    /// The sampler's name.
    pub fn name(&self) -> &'static str {
        self.sampler.name()
    }

    /// The sampler's version.
    pub fn version(&self) -> u16 {
        self.sampler.version()
    }

    /// Proposes the point of a trial.
    pub fn suggest(&mut self, trial: TrialId) -> Proposal {
        self.sampler.suggest(trial)
    }

    /// A trial exists.
    pub fn suggested(&mut self, trial: &Trial) {
        let memo: &[u8] = match &trial.origin {
            Origin::Sampled { memo, .. } => memo,
            Origin::Queued { .. } => &[],
        };
        self.sampler.observe(Observation::Suggested { trial: trial.id, point: &trial.point, memo });
    }

    /// A running trial has reported; `new` is the place of its first report that is new.
    ///
    /// The rules see what counts of it: a retry begins anew, unless it goes on from a checkpoint at a later step.
    pub fn reported(&mut self, trial: &Trial, new: usize) {
        if self.rules.is_empty() {
            return;
        }
        for place in new..trial.reports.len() {
            let Some((report, before)) = trial.reports.get(..=place).and_then(<[Report]>::split_last) else {
                return;
            };
            let again = before.first().is_some_and(|first| first.attempt != report.attempt);
            let known = self.retried.get(&trial.id).filter(|(attempt, _)| *attempt == report.attempt);
            if again && known.is_none_or(|(_, least)| report.step < *least) {
                self.retried.insert(trial.id, (report.attempt, report.step));
                for rule in &mut self.rules {
                    rule.ended(trial.id, TrialResult::Failed);
                }
                let until = trial.reports.get(..=place).unwrap_or_default();
                for counted in Trial::counted(until) {
                    self.show(trial.id, counted);
                }
            } else {
                self.show(trial.id, report);
            }
        }
    }

    fn show(&mut self, trial: TrialId, report: &Report) {
        // What breaks a constraint on outcomes sets no standard for what keeps it, however good its value: to the rules it is no number.
        let usable = report.metrics.is_empty() || self.outcomes.is_feasible(&report.metrics);
        let value = report.value.filter(|_| usable).unwrap_or(f64::NAN);
        for rule in &mut self.rules {
            rule.reported(trial, report.step, value);
        }
    }

    /// A trial has ended.
    pub fn ended(&mut self, trial: &Trial) {
        let result = match (trial.status, trial.value) {
            (TrialStatus::Succeeded, Some(value)) => TrialResult::Value(value),
            (TrialStatus::EarlyStopped, value) => TrialResult::Stopped(value),
            _ => TrialResult::Failed,
        };
        let reports = curve(trial);
        if !reports.is_empty() {
            self.sampler.reported(trial.id, &reports);
        }
        self.sampler.observe(Observation::Ended { trial: trial.id, result, metrics: &trial.metrics });
        self.retried.remove(&trial.id);
        let usable = trial.metrics.is_empty() || self.outcomes.is_feasible(&trial.metrics);
        let judged = if usable { result } else { TrialResult::Failed };
        for rule in &mut self.rules {
            rule.ended(trial.id, judged);
        }
    }

    /// The first rule that calls a running trial hopeless, with its reason.
    pub fn judge(&self, trial: TrialId) -> Option<(&'static str, String)> {
        self.rules.iter().find_map(|rule| match rule.judge(trial) {
            Verdict::Continue => None,
            Verdict::Stop { why } => Some((rule.name(), why)),
        })
    }

    /// Whether anything judges running trials.
    pub fn judges(&self) -> bool {
        !self.rules.is_empty()
    }
}

/// The finite values of a trial that count, by ascending step; of one step, the last.
fn curve(trial: &Trial) -> Vec<(u64, f64)> {
    let counted = Trial::counted(&trial.reports).into_iter();
    let by_step: BTreeMap<u64, f64> =
        counted.filter_map(|report| Some((report.step, report.value?))).collect();
    by_step.into_iter().collect()
}
