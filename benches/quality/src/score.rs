//! From rows to figures: normalised regret, tables, and pairs of runs.

use crate::problem::{CLASSES, Problem};
use crate::row::Row;
use engine::id::TrialId;
use samplers::stream::{Purpose, Stream};
use std::collections::{BTreeMap, BTreeSet};

/// How often pairs are drawn anew for an interval.
const RESAMPLES: usize = 2_000;

/// The scale of each problem: 0 is its optimum, 1 the median of random search.
pub(crate) struct Scale {
    least: BTreeMap<String, f64>,
    random: BTreeMap<String, f64>,
    /// The class of each problem that has a scale.
    classes: BTreeMap<String, &'static str>,
}

impl Scale {
    /// The scale at a number of trials. Problems that no random search has run have none.
    ///
    /// The optimum is the problem's, or the least value in any row if that is below.
    pub(crate) fn new(rows: &[Row], problems: &[Problem], trials: u32) -> Self {
        let mut least: BTreeMap<String, f64> =
            problems.iter().map(|problem| (problem.name.clone(), problem.optimum)).collect();
        let mut random: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for row in rows {
            if let Some(least) = least.get_mut(&row.problem) {
                *least = row.curve.iter().map(|(_, value)| *value).fold(*least, f64::min);
            }
            if row.solver.rsplit(':').next() == Some("random")
                && let Some(best) = row.best(trials)
            {
                random.entry(row.problem.clone()).or_default().push(best);
            }
        }
        let random: BTreeMap<_, _> =
            random.into_iter().map(|(name, values)| (name, median(values))).collect();
        let known = problems.iter().filter(|problem| random.contains_key(&problem.name));
        let classes = known.map(|problem| (problem.name.clone(), problem.class)).collect();
        Self { least, random, classes }
    }

    /// How many problems of a class, or of all, have a scale.
    fn count(&self, class: Option<&str>) -> usize {
        self.classes.values().filter(|own| class.is_none_or(|class| **own == class)).count()
    }

    /// Where a value stands: cut to 0 and 1. None if the problem has no scale.
    pub(crate) fn regret(&self, problem: &str, value: Option<f64>) -> Option<f64> {
        let (least, random) = (self.least.get(problem)?, self.random.get(problem)?);
        let Some(value) = value else { return Some(1.0) };
        let width = random - least;
        let regret = if width > 0.0 { (value - least) / width } else { f64::from(u8::from(value > *least)) };
        Some(regret.clamp(0.0, 1.0))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
    f64::midpoint(at(values.len().saturating_sub(1) / 2), at(values.len() / 2))
}

pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() { None } else { Some(values.iter().sum::<f64>() / values.len() as f64) }
}

/// The mean regret of a solver after so many trials: of each problem over seeds, then over the problems of a class, or
/// of all. None if the solver has not run each of them.
pub(crate) fn regret(rows: &[&Row], scale: &Scale, class: Option<&str>, trials: u32) -> Option<f64> {
    let mut by_problem: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for row in rows.iter().filter(|row| class.is_none_or(|class| row.class == class)) {
        if let Some(regret) = scale.regret(&row.problem, row.best(trials)) {
            by_problem.entry(&row.problem).or_default().push(regret);
        }
    }
    if by_problem.len() < scale.count(class) {
        return None;
    }
    mean(&by_problem.values().filter_map(|regrets| mean(regrets)).collect::<Vec<f64>>())
}

/// The solvers, and the rows of each that have at least so many trials; by name.
pub(crate) fn solvers(rows: &[Row], trials: u32) -> BTreeMap<&str, Vec<&Row>> {
    let mut solvers: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.trials >= trials) {
        solvers.entry(&row.solver).or_default().push(row);
    }
    solvers
}

/// The classes that have rows, in their order.
pub(crate) fn classes(rows: &[Row]) -> Vec<&'static str> {
    CLASSES.into_iter().filter(|class| rows.iter().any(|row| row.class == *class)).collect()
}

/// The mean regret of each solver, by class and over all problems, with CPU time and duplicates.
pub(crate) fn table(rows: &[Row], problems: &[Problem], trials: u32) -> String {
    let scale = Scale::new(rows, problems, trials);
    let classes = classes(rows);
    let mut lines: Vec<(f64, String)> = Vec::new();
    for (solver, rows) in solvers(rows, trials) {
        let mut line = format!("| {solver} |");
        for class in std::iter::once(None).chain(classes.iter().copied().map(Some)) {
            let cell = regret(&rows, &scale, class, trials);
            line.push_str(&cell.map_or_else(|| " |".to_owned(), |regret| format!(" {regret:.3} |")));
        }
        let costs: Vec<f64> = rows.iter().filter_map(|row| mean(&row.cpu_us)).collect();
        let cost = mean(&costs).unwrap_or(0.0) / 1_000.0;
        let (asked, twice) =
            rows.iter().fold((0, 0), |(asked, twice), row| (asked + row.trials, twice + row.duplicates));
        let share = 100.0 * f64::from(twice) / f64::from(asked.max(1));
        let seeds: BTreeSet<u64> = rows.iter().map(|row| row.seed).collect();
        line.push_str(&format!(" {cost:.3} | {share:.1} | {} |", seeds.len()));
        lines.push((regret(&rows, &scale, None, trials).unwrap_or(f64::INFINITY), line));
    }
    lines.sort_by(|a, b| a.0.total_cmp(&b.0));
    let count = rows.iter().map(|row| &row.problem).collect::<BTreeSet<_>>().len();
    let mut text = format!(
        "Mean normalised regret after {trials} trials, {count} problems\n\n| solver | all | {} | CPU ms per trial | \
         twice % | seeds |\n|---{}|\n",
        classes.join(" | "),
        "|---".repeat(classes.len() + 4)
    );
    for (_, line) in lines {
        text.push_str(&format!("{line}\n"));
    }
    text
}

/// One pair of runs: which problem, and whether the first was better (1), the second (-1), or neither (0).
type Pair = (String, f64);

/// How often a solver won and lost against each other one, by class: the share of pairs won minus that of pairs lost, with a
/// 95 % interval.
pub(crate) fn pairs(rows: &[Row], problems: &[Problem], against: &str, trials: u32) -> String {
    let scale = Scale::new(rows, problems, trials);
    let (solvers, classes) = (solvers(rows, trials), classes(rows));
    let ours = solvers.get(against).cloned().unwrap_or_default();
    let mut text = format!(
        "{against} against each other solver after {trials} trials: pairs won minus pairs lost [95 % interval]\n\n\
         | against | pairs | all | {} |\n|---{}|\n",
        classes.join(" | "),
        "|---".repeat(classes.len() + 2)
    );
    for (solver, rows) in &solvers {
        if *solver == against {
            continue;
        }
        let all = matched(&ours, rows, &scale, None, trials);
        text.push_str(&format!("| {solver} | {} | {} |", all.len(), share(&all)));
        for class in &classes {
            text.push_str(&format!(" {} |", share(&matched(&ours, rows, &scale, Some(class), trials))));
        }
        text.push('\n');
    }
    text
}

fn matched(ours: &[&Row], theirs: &[&Row], scale: &Scale, class: Option<&str>, trials: u32) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for own in ours.iter().filter(|own| class.is_none_or(|class| own.class == class)) {
        let other = theirs.iter().find(|other| other.problem == own.problem && other.seed == own.seed);
        let Some(other) = other else { continue };
        let regret = |row: &Row| scale.regret(&row.problem, row.best(trials));
        let (Some(own_regret), Some(other_regret)) = (regret(own), regret(other)) else { continue };
        let ahead = other_regret - own_regret;
        pairs.push((own.problem.clone(), if ahead.abs() <= 1e-9 { 0.0 } else { ahead.signum() }));
    }
    pairs
}

/// The mean of the pairs, and its interval by the bootstrap: problems are drawn anew, then pairs within each.
fn share(pairs: &[Pair]) -> String {
    let mut by_problem: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (problem, outcome) in pairs {
        by_problem.entry(problem).or_default().push(*outcome);
    }
    let groups: Vec<Vec<f64>> = by_problem.into_values().collect();
    let outcomes: Vec<f64> = pairs.iter().map(|(_, outcome)| *outcome).collect();
    let Some(mean) = mean(&outcomes) else { return String::new() };
    let (low, high) = interval(&groups);
    format!("{mean:+.2} [{low:+.2}, {high:+.2}]")
}

fn interval(groups: &[Vec<f64>]) -> (f64, f64) {
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|i| {
            let mut draws = Stream::new(1, TrialId(i as u32), Purpose::Other, 0);
            let (mut sum, mut count) = (0.0, 0.0);
            for _ in groups {
                let group = &groups[draws.below(groups.len() as u64) as usize];
                for _ in group {
                    sum += group[draws.below(group.len() as u64) as usize];
                    count += 1.0;
                }
            }
            sum / count
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((RESAMPLES - 1) as f64 * share).round() as usize];
    (at(0.025), at(0.975))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem;

    fn row(solver: &str, seed: u64, value: f64) -> Row {
        Row {
            solver: solver.to_owned(),
            problem: "tree_a".to_owned(),
            class: "conditional".to_owned(),
            seed,
            trials: 50,
            concurrency: 1,
            curve: vec![(1, 9.0), (20, value)],
            cpu_us: vec![1_000.0; 5],
            duplicates: 0,
        }
    }

    #[test]
    fn regret_is_measured_from_the_optimum_to_the_median_of_random_search() {
        let rows = [row("random", 0, 1.0), row("random", 1, 2.0), row("random", 2, 6.0), row("tpe", 0, 0.5)];
        let scale = Scale::new(&rows, &problem::all().unwrap(), 50);
        for (value, expected) in [(0.0, 0.0), (0.5, 0.25), (2.0, 1.0), (7.0, 1.0)] {
            assert_eq!(scale.regret("tree_a", Some(value)), Some(expected), "{value}");
        }
        assert_eq!((scale.regret("tree_a", None), scale.regret("tree_b", Some(1.0))), (Some(1.0), None));
        let text = table(&rows, &problem::all().unwrap(), 50);
        assert!(text.contains("| tpe | 0.250 | 0.250 | 1.000 | 0.0 | 1 |"), "{text}");
        assert!(table(&rows, &problem::all().unwrap(), 51).lines().count() < text.lines().count());
    }

    #[test]
    fn pairs_are_runs_of_the_same_problem_and_seed() {
        let mut rows: Vec<Row> = (0..8).map(|seed| row("random", seed, 2.0)).collect();
        rows.extend((0..8).map(|seed| row("tpe", seed, if seed < 6 { 1.0 } else { 2.0 })));
        rows.push(row("tpe", 99, 0.1));
        let text = pairs(&rows, &problem::all().unwrap(), "tpe", 50);
        assert!(text.contains("| random | 8 | +0.75 [+0.38, +1.00] |"), "{text}");
    }
}
