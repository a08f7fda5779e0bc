//! What algorithms learn, and later ones use.

use super::boosting::Tree;
use super::kmeans::Distance;

/// A model.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    /// Centres of clusters.
    Clusters {
        /// The columns whose values place a row; one for each coordinate unless the rows were sparse.
        columns: Vec<String>,
        /// A centre for each cluster.
        centers: Vec<Vec<f64>>,
        /// How far it is between two places.
        distance: Distance,
    },
    /// Weights of features for the logarithm of the odds.
    Logistic {
        /// The features' columns.
        columns: Vec<String>,
        /// A weight for each feature.
        weights: Vec<f64>,
        /// What is added.
        intercept: f64,
        /// The label of what has a high probability, and that of the rest.
        labels: (String, String),
    },
    /// A sum of trees.
    Trees {
        /// The features' columns.
        columns: Vec<String>,
        /// The trees.
        trees: Vec<Tree>,
        /// What is added.
        base: f64,
        /// Whether the sum is the logarithm of the odds of label 1.
        logistic: bool,
    },
}

impl Model {
    /// What made it, in PAI's words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Clusters { .. } => "kmeans",
            Self::Logistic { .. } => "logisticregression_binary",
            Self::Trees { .. } => "ps_smart",
        }
    }

    /// The columns that it was made of.
    pub fn columns(&self) -> &[String] {
        match self {
            Self::Clusters { columns, .. } | Self::Logistic { columns, .. } | Self::Trees { columns, .. } => {
                columns
            }
        }
    }
}

/// The logistic function.
pub fn sigmoid(odds: f64) -> f64 {
    1.0 / (1.0 + (-odds).exp())
}
