//! Lets one sampler search one problem, with as many trials at once as asked for, on a clock that is only counted.

use crate::prior;
use crate::problem::Problem;
use crate::progress::Progress;
use crate::row::{BLOCK, Row};
use anyhow::{Context, Result, anyhow, bail};
use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem as Task, Proposal, Sampler, TrialResult};
use engine::value::{Goal, Point};
use nix::time::{ClockId, clock_gettime};
use samplers::stream::{Purpose, Stream};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::time::Duration;

/// One run that is to be made.
pub(crate) struct Race<'a> {
    pub(crate) problem: &'a Problem,
    pub(crate) sampler: &'a str,
    pub(crate) seed: u64,
    pub(crate) trials: u32,
    pub(crate) concurrency: u32,
}

/// How long a trial takes on the counted clock: log-normal, with a median of 1.
pub(crate) fn duration(seed: u64, trial: u32) -> f64 {
    libm::exp(0.6 * Stream::new(seed, TrialId(trial), Purpose::Other, 11).normal())
}

/// The number that stands for the noise of a trial.
pub(crate) fn noise(seed: u64, trial: u32) -> u64 {
    Stream::new(seed, TrialId(trial), Purpose::Other, 12).bits() >> 32
}

/// CPU time of this thread so far.
fn cpu() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// A trial that runs.
struct Pending {
    ends: f64,
    trial: TrialId,
    point: Point,
    metrics: Vec<f64>,
}

/// What was found so far, and what it cost.
#[derive(Default)]
pub(crate) struct Record {
    seen: BTreeSet<Vec<(u16, u8, u64)>>,
    /// Value and point of the best trial.
    pub(crate) best: Option<(f64, Point)>,
    progress: Progress,
    curve: Vec<(u32, f64)>,
    ended: u32,
    duplicates: u32,
    /// Of every trial, in microseconds.
    cpu_us: Vec<f64>,
}

impl Race<'_> {
    /// Makes the run.
    pub(crate) fn run(&self) -> Result<Row> {
        let record = self.search()?;
        let mean = |block: &[f64]| (block.iter().sum::<f64>() / block.len() as f64 * 10.0).round() / 10.0;
        Ok(Row {
            solver: self.sampler.to_owned(),
            problem: self.problem.name.clone(),
            class: self.problem.class.to_owned(),
            seed: self.seed,
            trials: self.trials,
            concurrency: self.concurrency,
            curve: record.curve,
            cpu_us: record.cpu_us.chunks(BLOCK as usize).map(mean).collect(),
            duplicates: record.duplicates,
        })
    }

    /// Searches, and gives what was found.
    pub(crate) fn search(&self) -> Result<Record> {
        let (sampler, prior) = prior::of(self.sampler, self.problem, self.seed)?;
        let task = Task {
            seed: self.seed,
            noisy: self.problem.noisy,
            trials: Some(self.trials),
            concurrency: self.concurrency,
            outcomes: self.problem.outcomes.clone(),
            prior: prior.into(),
            ..Task::new(self.problem.space.clone(), Goal::Minimize)
        };
        let mut sampler = samplers::sampler(sampler, &Json::Null, &task, "sampler").map_err(|errors| {
            anyhow!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        })?;
        let (mut record, mut running, mut now) = (Record::default(), Vec::new(), 0.0);
        loop {
            while (running.len() as u32) < self.concurrency && (record.cpu_us.len() as u32) < self.trials {
                let Some(pending) = self.begin(sampler.as_mut(), &mut record, now)? else { break };
                running.push(pending);
            }
            let next = running.iter().enumerate().min_by(|(_, a), (_, b)| a.ends.total_cmp(&b.ends));
            let Some((next, _)) = next else { break };
            let done: Pending = running.swap_remove(next);
            now = done.ends;
            self.end(sampler.as_mut(), &mut record, &done)?;
        }
        Ok(record)
    }

    /// Asks for a trial and starts it; none if there is none now.
    fn begin(&self, sampler: &mut dyn Sampler, record: &mut Record, now: f64) -> Result<Option<Pending>> {
        let trial = TrialId(record.cpu_us.len() as u32);
        let began = cpu()?;
        let Proposal::Point { point, memo, .. } = sampler.suggest(trial) else { return Ok(None) };
        sampler.observe(Observation::Suggested { trial, point: &point, memo: &memo });
        record.cpu_us.push(micros(cpu()?.saturating_sub(began)));
        if let Err(errors) = self.problem.space.check(&point) {
            bail!("{} proposed a point outside of {}: {errors:?}", self.sampler, self.problem.name);
        }
        record.duplicates += u32::from(!record.seen.insert(point.key()));
        let metrics = self.problem.metrics(&point, Some(noise(self.seed, trial.0)))?;
        Ok(Some(Pending { ends: now + duration(self.seed, trial.0), trial, point, metrics }))
    }

    fn end(&self, sampler: &mut dyn Sampler, record: &mut Record, done: &Pending) -> Result<()> {
        let began = cpu()?;
        let first = done.metrics.first().copied().context("no metric")?;
        let metrics = if self.problem.is_plain() { &[] } else { done.metrics.as_slice() };
        sampler.observe(Observation::Ended { trial: done.trial, result: TrialResult::Value(first), metrics });
        if let Some(cost) = record.cpu_us.get_mut(done.trial.0 as usize) {
            *cost += micros(cpu()?.saturating_sub(began));
        }
        record.ended += 1;
        if !self.problem.is_plain() {
            let reached = record.progress.add(self.problem, &done.metrics);
            record.curve.extend(reached.map(|value| (record.ended, value)));
        } else if record.best.as_ref().is_none_or(|(best, _)| first < *best) {
            record.best = Some((first, done.point.clone()));
            let value = if self.problem.noisy { self.problem.value(&done.point, None)? } else { first };
            record.curve.push((record.ended, value));
        }
        Ok(())
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem;

    #[test]
    fn a_run_is_a_function_of_its_seed_with_one_trial_at_once_and_with_several() {
        let problems = problem::all().unwrap();
        let problem = problems.iter().find(|problem| problem.name == "tree_a").unwrap();
        for concurrency in [1, 4] {
            let race = |seed| {
                let row = Race { problem, sampler: "tpe", seed, trials: 30, concurrency }.run().unwrap();
                (row.curve, row.duplicates, row.cpu_us.len())
            };
            let (curve, duplicates, blocks) = race(1);
            assert_eq!((duplicates, blocks), (0, 3));
            assert!(curve.windows(2).all(|pair| pair[1].1 < pair[0].1 && pair[1].0 > pair[0].0), "{curve:?}");
            assert_eq!(race(1).0, curve);
            assert_ne!(race(2).0, curve);
        }
    }

    #[test]
    fn durations_have_a_median_of_one() {
        let longer = (0..1_000).filter(|trial| duration(3, *trial) > 1.0).count();
        assert!((450..550).contains(&longer), "{longer}");
    }
}
