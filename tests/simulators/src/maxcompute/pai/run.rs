//! Running an algorithm: its input is read, then it computes without holding the warehouse, then its output is written.

use super::model::Model;
use super::parameters::Parameters;
use super::{boosting, cluster_evaluation, evaluation, kmeans, logistic_regression, prediction, split};
use crate::maxcompute::sql::Failure;
use crate::maxcompute::table::Table;
use crate::maxcompute::warehouse::Warehouse;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What an algorithm makes.
#[derive(Debug, Default)]
pub struct Output {
    /// Tables by their names.
    pub tables: Vec<(String, Table)>,
    /// A model and its name.
    pub model: Option<(String, Model)>,
    /// What it says of itself.
    pub text: String,
}

impl Output {
    /// Adds a table if a parameter names one.
    pub fn table(&mut self, parameters: &Parameters, name: &str, table: Table) -> Result<(), Failure> {
        if parameters.get(name).is_some() {
            self.tables.push((parameters.table(name)?, table));
        }
        Ok(())
    }
}

/// Where algorithms read.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    warehouse: &'a Mutex<Warehouse>,
    parameters: &'a Parameters,
}

impl Source<'_> {
    fn open(&self) -> MutexGuard<'_, Warehouse> {
        self.warehouse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table that a parameter names, all its columns, of the partitions that another one names.
    pub fn table(&self, name: &str, partitions: &str) -> Result<Table, Failure> {
        self.open().read(&self.parameters.table(name)?, &[], self.parameters.get(partitions))
    }

    /// The input table.
    pub fn input(&self) -> Result<Table, Failure> {
        self.table("inputTableName", "inputTablePartitions")
    }

    /// The model that `modelName` names.
    pub fn model(&self) -> Result<Model, Failure> {
        let name =
            self.parameters.model().ok_or_else(|| Failure::algorithm("parameter modelName is required"))?;
        let found = self.open().models.get(&name).cloned();
        found.ok_or_else(|| Failure::algorithm(&format!("offline model {name} does not exist")))
    }
}

/// Runs an algorithm. Nothing is written if `goes_on` says no when it is done.
pub fn run(
    algorithm: &str,
    parameters: &Parameters,
    warehouse: &Mutex<Warehouse>,
    now_ms: i64,
    goes_on: impl Fn() -> bool,
) -> Result<String, Failure> {
    let source = Source { warehouse, parameters };
    let lifecycle =
        parameters.get("lifecycle").map(|_| parameters.number("lifecycle", 0, 1, 36_500)).transpose()?;
    let output = match algorithm.to_lowercase().as_str() {
        "kmeans" => kmeans::run(&source, parameters, now_ms),
        "cluster_evaluation" => cluster_evaluation::run(&source, parameters),
        "logisticregression_binary" => logistic_regression::run(&source, parameters),
        "ps_smart" => boosting::run(&source, parameters),
        "prediction" => prediction::run(&source, parameters),
        "evaluate" => evaluation::run(&source, parameters),
        "split" => split::run(&source, parameters, now_ms),
        other => Err(Failure(format!(
            "ODPS-0130131:[1,1] Xflow not found - algo_public.{other} is not simulated; kmeans, cluster_evaluation, \
             logisticregression_binary, ps_smart, prediction, evaluate and split are"
        ))),
    }?;
    let mut warehouse = source.open();
    if goes_on() {
        for (name, table) in &output.tables {
            warehouse.write(name, table, lifecycle, now_ms)?;
        }
        warehouse.models.extend(output.model);
    }
    Ok(output.text)
}
