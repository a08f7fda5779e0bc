//! The model without the sampler, for others that learn from few numbers. Read [`Regression`].

use super::fit::{Beliefs, Data, fit};
use super::kernel::{Columns, Metric};
use super::model::Model;
use super::{MOST_SUMMED, RESTART_EVALUATIONS, warp};

/// A Gaussian process fitted from scratch.
#[derive(Debug)]
pub(crate) struct Regression {
    model: Model,
}

impl Regression {
    /// Fits a model to values of mean 0 and deviation 1, each seen at the features of its row: coordinates of the unit
    /// interval or indices of options, as the metrics say.
    pub(crate) fn fit(metrics: &[Metric], rows: &[Vec<f64>], y: &[f64]) -> Self {
        let mut columns = Columns::new(metrics.len());
        for row in rows {
            columns.push(row);
        }
        let beliefs = Beliefs::new(metrics.len());
        let data = Data { columns: &columns, metrics, y, beliefs: &beliefs };
        let theta = fit(&data, metrics.len() <= MOST_SUMMED, None, RESTART_EVALUATIONS);
        Self { model: Model::new(&theta, metrics, &columns, y) }
    }

    /// Pretends that points were seen with the values expected there.
    pub(crate) fn believe(&mut self, points: &[Vec<f64>]) {
        for point in points {
            self.model.believe(point);
        }
        self.model.settle();
    }

    /// The expected value at a point, and its standard deviation.
    pub(crate) fn at(&mut self, point: &[f64]) -> (f64, f64) {
        let belief = self.model.at(point);
        (belief.mean, belief.deviation)
    }
}

/// Values made fit for a model: order is kept, mean 0, deviation 1, and about as often far above as far below.
pub(crate) fn normalized(values: &[f64]) -> Vec<f64> {
    warp::warp(values).0
}
