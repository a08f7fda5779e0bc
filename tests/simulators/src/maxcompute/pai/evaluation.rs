//! Evaluation of a prediction of two classes (`evaluate`).
//!
//! What is known of the positive label's probability is taken from the column `detailColName` (by default
//! `prediction_detail`, if there is one), since `prediction_score` is that of the label that was chosen; else from
//! `scoreColName` itself. PAI's documents do not show the columns of the tables that come out: here the metrics are rows
//! of `name` and `value`, and the details one row for each bin.

use super::parameters::Parameters;
use super::run::{Output, Source};
use super::samples::{labels, numbers, same_label, texts};
use crate::maxcompute::sql::Failure;
use crate::maxcompute::table::{Cell, Table, column};
use serde_json::Value;

/// Scores with the truth, the highest first.
type Ranked = Vec<(f64, bool)>;

/// The part of the pairs of a positive and a negative in which the positive has the higher score; equal ones count half.
pub fn area_under_curve(ranked: &[(f64, bool)]) -> f64 {
    let (mut above, mut pairs) = (0.0, 0.0);
    for equal in ranked.chunk_by(|one, other| one.0 == other.0) {
        let positive = equal.iter().filter(|(_, truth)| *truth).count() as f64;
        let negative = equal.len() as f64 - positive;
        pairs += negative * (above + positive / 2.0);
        above += positive;
    }
    let negatives = ranked.len() as f64 - above;
    pairs / (above * negatives)
}

/// How it is if everything from a score on is called positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// The score.
    pub score: f64,
    /// Positives that are called so.
    pub right: f64,
    /// Negatives that are called positive.
    pub wrong: f64,
    /// All positives.
    pub positives: f64,
    /// All negatives.
    pub negatives: f64,
}

impl Threshold {
    /// The part of what is called positive that is.
    pub fn precision(&self) -> f64 {
        if self.right + self.wrong > 0.0 { self.right / (self.right + self.wrong) } else { 0.0 }
    }

    /// The part of the positives that is called so.
    pub fn recall(&self) -> f64 {
        if self.positives > 0.0 { self.right / self.positives } else { 0.0 }
    }

    /// The harmonic mean of the two.
    pub fn f1(&self) -> f64 {
        let sum = self.precision() + self.recall();
        if sum > 0.0 { 2.0 * self.precision() * self.recall() / sum } else { 0.0 }
    }

    /// By how much the part of the positives is greater than that of the negatives.
    pub fn lead(&self) -> f64 {
        self.recall() - if self.negatives > 0.0 { self.wrong / self.negatives } else { 0.0 }
    }

    fn of(ranked: &[(f64, bool)], taken: usize) -> Self {
        let right = |part: &[(f64, bool)]| part.iter().filter(|(_, truth)| *truth).count() as f64;
        let head = ranked.get(..taken).unwrap_or(ranked);
        let positives = right(ranked);
        Self {
            score: head.last().map_or(f64::INFINITY, |last| last.0),
            right: right(head),
            wrong: head.len() as f64 - right(head),
            positives,
            negatives: ranked.len() as f64 - positives,
        }
    }
}

/// Thresholds between bins of equally many rows; rows of one score stay together.
pub fn thresholds(ranked: &[(f64, bool)], bins: usize) -> Vec<Threshold> {
    let bins = bins.min(ranked.len()).max(1);
    let mut ends: Vec<usize> = (1..=bins)
        .map(|bin| {
            let end = bin * ranked.len() / bins;
            let score =
                end.checked_sub(1).and_then(|last| ranked.get(last)).map_or(f64::INFINITY, |last| last.0);
            ranked.partition_point(|(other, _)| *other >= score)
        })
        .collect();
    ends.dedup();
    ends.into_iter().map(|end| Threshold::of(ranked, end)).collect()
}

fn ranked(input: &Table, parameters: &Parameters) -> Result<Ranked, Failure> {
    let positive = parameters.get("positiveLabel").unwrap_or("1");
    let score = parameters.need("scoreColName")?;
    let labels = labels(input, parameters.need("labelColName")?)?;
    let detail = parameters.get("detailColName").unwrap_or("prediction_detail");
    let probability = |text: &String| {
        let detail: Value = serde_json::from_str(text).ok()?;
        detail.get(positive)?.as_f64()
    };
    let scores = if score.eq_ignore_ascii_case("prediction_score") && input.position(detail).is_some() {
        let found: Option<Vec<f64>> = texts(input, detail)?.iter().map(probability).collect();
        found.ok_or_else(|| {
            Failure::algorithm(&format!("column {detail} does not tell how probable {positive} is"))
        })?
    } else {
        numbers(input, score)?
    };
    let truths = labels.iter().map(|label| same_label(label, positive));
    let mut ranked: Ranked = scores.into_iter().zip(truths).collect();
    ranked.sort_by(|one, other| other.0.total_cmp(&one.0));
    Ok(ranked)
}

/// Runs it.
pub fn run(source: &Source<'_>, parameters: &Parameters) -> Result<Output, Failure> {
    if parameters.get("groupColName").is_some() {
        return Err(Failure::algorithm("groupColName is not simulated"));
    }
    let ranked = ranked(&source.input()?, parameters)?;
    let all = thresholds(&ranked, parameters.number("binCount", 1000, 1, 1_000_000)?);
    let half = Threshold::of(&ranked, ranked.partition_point(|(score, _)| *score >= 0.5));
    if half.positives == 0.0 || half.negatives == 0.0 {
        return Err(Failure::algorithm("all rows have one label: nothing can be evaluated"));
    }
    let most = |value: fn(&Threshold) -> f64| all.iter().map(value).fold(0.0, f64::max);
    let metrics = [
        ("Total Samples", ranked.len() as f64),
        ("Positive Samples", half.positives),
        ("Negative Samples", half.negatives),
        ("AUC", area_under_curve(&ranked)),
        ("KS", most(Threshold::lead)),
        ("F1 Score", most(Threshold::f1)),
        // At the threshold 0.5, at which a prediction chooses.
        ("Precision", half.precision()),
        ("Recall", half.recall()),
        ("Accuracy", (half.right + half.negatives - half.wrong) / ranked.len() as f64),
    ];
    let metrics = Table {
        columns: vec![column("name", "string"), column("value", "double")],
        rows: metrics.map(|(name, value)| vec![Cell::Text(name.to_owned()), Cell::Double(value)]).to_vec(),
    };
    let names = ["threshold", "true_positive", "false_positive", "precision", "recall", "f1_score", "ks"];
    let details = Table {
        columns: names.map(|name| column(name, "double")).to_vec(),
        rows: all
            .iter()
            .map(|at| {
                [at.score, at.right, at.wrong, at.precision(), at.recall(), at.f1(), at.lead()]
                    .map(Cell::Double)
                    .to_vec()
            })
            .collect(),
    };
    parameters.need("outputMetricTableName")?;
    let mut output = Output::default();
    output.table(parameters, "outputMetricTableName", metrics)?;
    output.table(parameters, "outputDetailTableName", details)?;
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_that_of_the_pairs() {
        assert_eq!(area_under_curve(&[(0.9, true), (0.8, true), (0.1, false)]), 1.0);
        assert_eq!(area_under_curve(&[(0.9, false), (0.1, true)]), 0.0);
        assert_eq!(area_under_curve(&[(0.5, true), (0.5, false)]), 0.5);
        let ranked = [(0.9, true), (0.8, false), (0.7, true), (0.6, false)];
        assert_eq!(area_under_curve(&ranked), 0.75);
    }

    #[test]
    fn thresholds_keep_equal_scores_together() {
        let ranked = [(0.9, true), (0.8, false), (0.8, true), (0.1, false)];
        let all = thresholds(&ranked, 4);
        let rights: Vec<(f64, f64)> = all.iter().map(|at| (at.right, at.wrong)).collect();
        assert_eq!(rights, [(1.0, 0.0), (2.0, 1.0), (2.0, 2.0)]);
        assert_eq!((all[0].precision(), all[0].recall(), all[1].lead()), (1.0, 0.5, 0.5));
    }
}
