//! Evaluating clusters (`cluster_evaluation`) by the index of Calinski and Harabasz (1974), the variance ratio criterion.
//!
//! The table that comes out has one row with one column `summary`: JSON with `count`, `centerCount`, `calinhara` and
//! `clusterCounts`.

use super::kmeans::{nearest, squared};
use super::model::Model;
use super::parameters::Parameters;
use super::run::{Output, Source};
use super::samples::{Sparse, points};
use crate::maxcompute::sql::Failure;
use crate::maxcompute::table::{Cell, Table, column};
use serde_json::{Map, Value, json};

/// `(SSB / (k - 1)) / (SSW / (n - k))`: how much centres spread beside how much points spread around them. `None` where
/// there is one cluster, as many clusters as points, or no spread within them.
pub fn calinski_harabasz(points: &[Vec<f64>], centers: &[Vec<f64>], clusters: &[usize]) -> Option<f64> {
    let (count, number) = (points.len() as f64, centers.len() as f64);
    let width = points.first().map_or(0, Vec::len);
    let mut mean = vec![0.0; width];
    for point in points {
        mean.iter_mut().zip(point).for_each(|(mean, value)| *mean += value / count);
    }
    let (mut between, mut within) = (0.0, 0.0);
    for (point, cluster) in points.iter().zip(clusters) {
        let center = centers.get(*cluster)?;
        between += squared(center, &mean);
        within += squared(point, center);
    }
    let defined = number > 1.0 && count > number && within > 0.0;
    defined.then(|| (between / (number - 1.0)) / (within / (count - number)))
}

/// Runs it.
pub fn run(source: &Source<'_>, parameters: &Parameters) -> Result<Output, Failure> {
    let model = source.model()?;
    let Model::Clusters { columns, centers, distance } = &model else {
        return Err(Failure::algorithm(&format!(
            "the model is one of {}, and has no clusters",
            model.kind()
        )));
    };
    let named = parameters.list("selectedColNames");
    if !named.is_empty() && named != *columns {
        return Err(Failure::algorithm("selectedColNames are not the columns of the model"));
    }
    let input = source.input()?;
    let all = points(&input, columns, Sparse::of(parameters, ",").as_ref())?;
    let clusters: Vec<usize> = all.iter().map(|point| nearest(centers, point, *distance).0).collect();
    let counts: Map<String, Value> = (0..centers.len())
        .map(|at| (at.to_string(), json!(clusters.iter().filter(|cluster| **cluster == at).count())))
        .collect();
    // Where it is not defined, JSON has no number: null.
    let summary = json!({
        "count": all.len(),
        "centerCount": centers.len(),
        "calinhara": calinski_harabasz(&all, centers, &clusters),
        "clusterCounts": counts,
    });
    let table = Table {
        columns: vec![column("summary", "string")],
        rows: vec![vec![Cell::Text(summary.to_string())]],
    };
    parameters.need("outputTableName")?;
    let mut output = Output::default();
    output.table(parameters, "outputTableName", table)?;
    Ok(output)
}
