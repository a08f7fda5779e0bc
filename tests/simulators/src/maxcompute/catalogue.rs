//! Calls about tables and models, and downloads of rows.

use super::definition::Definition;
use super::instance::{Outcome, Status};
use super::limits;
use super::picture;
use super::refusal::Refusal;
use super::reply::Reply;
use super::service::{self, Operation};
use super::sql::Failure;
use super::sql::statement::Column;
use super::table::{Cell, Table};
use super::tunnel;
use super::warehouse::Warehouse;
use super::world::World;
use super::xml::{character_data, escape};
use crate::clock::http_date;
use serde_json::{Value, json};
use std::sync::{Arc, MutexGuard, PoisonError};

/// Carries an operation out.
pub fn act(world: &mut World, operation: &Operation, owner: &str) -> Result<Reply, Refusal> {
    match operation.name {
        "CreateDownload" => {
            let rows = result(world, operation)?;
            Ok(begin(world, &rows, &[]))
        }
        "CreateTableDownload" => {
            let warehouse = open(world, operation)?;
            let keys = definition(&warehouse, &operation.object)?.partitioned.clone();
            let partition = operation.query.get("partition").map(|text| text.replace(',', "/"));
            let rows =
                warehouse.read(&operation.object, &[], partition.as_deref()).map_err(|error| told(&error))?;
            drop(warehouse);
            Ok(begin(world, &Arc::new(rows), &keys))
        }
        "GetDownload" => {
            let id = operation.query.get("downloadid").map(String::as_str).unwrap_or_default();
            let rows = Arc::clone(world.sessions.rows(id)?);
            Ok(Reply::json(&session(id, &rows, &[])))
        }
        "ReadDownload" => read(world, operation),
        "ListTables" => {
            let prefix = operation.query.get("name").map(|name| name.to_lowercase()).unwrap_or_default();
            let warehouse = open(world, operation)?;
            let tables = warehouse.tables.iter().filter(|(name, _)| name.starts_with(&prefix));
            let all: String =
                tables.map(|(name, definition)| table(name, definition, owner, false)).collect();
            Ok(Reply::xml(&format!("<Tables><Marker/><MaxItems>{}</MaxItems>{all}</Tables>", limits::PAGE)))
        }
        "GetTable" => {
            let warehouse = open(world, operation)?;
            let known = definition(&warehouse, &operation.object)?;
            Ok(Reply::xml(&table(&operation.object.to_lowercase(), known, owner, true)))
        }
        "ListPartitions" => {
            let warehouse = open(world, operation)?;
            let known = definition(&warehouse, &operation.object)?;
            let wanted = asked(operation);
            let all: String = known
                .partitions
                .iter()
                .filter(|values| fits(known, values, &wanted))
                .map(|values| partition(known, values))
                .collect();
            Ok(Reply::xml(&format!(
                "<Partitions><Marker/><MaxItems>{}</MaxItems>{all}</Partitions>",
                limits::PAGE
            )))
        }
        "GetPartition" => {
            let warehouse = open(world, operation)?;
            let known = definition(&warehouse, &operation.object)?;
            let wanted = asked(operation);
            let values = known.partitions.iter().find(|values| fits(known, values, &wanted));
            let values = values.ok_or_else(|| {
                Refusal::new(404, "NoSuchPartition", "The specified partition does not exist.")
            })?;
            Ok(Reply::xml(&partition(known, values)))
        }
        _ => models(world, operation, owner),
    }
}

fn models(world: &World, operation: &Operation, owner: &str) -> Result<Reply, Refusal> {
    let mut warehouse = open(world, operation)?;
    let shown = |name: &str, kind: &str| {
        format!(
            "<OfflineModel><Name>{}</Name><Owner>{}</Owner><Type>{kind}</Type></OfflineModel>",
            escape(name),
            escape(owner)
        )
    };
    if operation.name == "ListOfflineModels" {
        let all: String = warehouse.models.iter().map(|(name, model)| shown(name, model.kind())).collect();
        return Ok(Reply::xml(&format!(
            "<OfflineModels><Marker/><MaxItems>{}</MaxItems>{all}</OfflineModels>",
            limits::PAGE
        )));
    }
    let name = operation.object.to_lowercase();
    let absent = || Refusal::new(404, "NoSuchObject", format!("Offline model not found - {name}"));
    if operation.name == "DeleteOfflineModel" {
        warehouse.models.remove(&name).ok_or_else(absent)?;
        return Ok(Reply::empty(204));
    }
    let model = warehouse.models.get(&name).ok_or_else(absent)?;
    Ok(Reply::xml(&shown(&name, model.kind())))
}

fn open<'a>(world: &'a World, operation: &Operation) -> Result<MutexGuard<'a, Warehouse>, Refusal> {
    let found = world.warehouse(&operation.project);
    let found = found.ok_or_else(|| Refusal::not_found("Project", &operation.project))?;
    Ok(found.lock().unwrap_or_else(PoisonError::into_inner))
}

fn definition<'a>(warehouse: &'a Warehouse, table: &str) -> Result<&'a Definition, Refusal> {
    warehouse.definition(table).map_err(|error| told(&error))
}

fn told(failure: &Failure) -> Refusal {
    Refusal::new(404, "NoSuchObject", failure.0.clone())
}

/// The partition that a call names, as names and values.
fn asked(operation: &Operation) -> Vec<(String, String)> {
    let text = operation.query.get("partition").map(String::as_str).unwrap_or_default();
    let parts = text.split([',', '/']).filter_map(|part| part.split_once('='));
    parts
        .map(|(name, value)| (name.trim().to_lowercase(), value.trim().trim_matches(['\'', '"']).to_owned()))
        .collect()
}

fn fits(definition: &Definition, values: &[String], wanted: &[(String, String)]) -> bool {
    let mut pairs = definition.partitioned.iter().zip(values);
    wanted
        .iter()
        .all(|(name, wanted)| pairs.clone().any(|(column, value)| column.name == *name && value == wanted))
        && pairs.next().is_some()
}

fn partition(definition: &Definition, values: &[String]) -> String {
    let pairs = definition.partitioned.iter().zip(values);
    let columns: String = pairs
        .map(|(column, value)| {
            format!("<Column Name=\"{}\" Value=\"{}\"/>", escape(&column.name), escape(value))
        })
        .collect();
    let seconds = definition.modified_ms / 1000;
    let schema = json!({"createTime": seconds, "lastDDLTime": seconds, "lastModifiedTime": seconds});
    format!(
        "<Partition>{columns}<CreationTime>{seconds}</CreationTime><Schema>{}</Schema></Partition>",
        character_data(&schema.to_string())
    )
}

fn columns(columns: &[Column]) -> Value {
    columns
        .iter()
        .map(|column| json!({"name": column.name, "type": column.kind, "comment": column.comment, "nullable": true}))
        .collect()
}

fn table(name: &str, definition: &Definition, owner: &str, whole: bool) -> String {
    let schema = json!({
        "columns": columns(&definition.columns),
        "partitionKeys": columns(&definition.partitioned),
        "comment": definition.comment,
        "lifecycle": definition.lifecycle.map_or(-1, i64::from),
        "IsVirtualView": false,
        "createTime": definition.created_ms / 1000,
        "lastModifiedTime": definition.modified_ms / 1000,
        "lastDDLTime": definition.created_ms / 1000,
    });
    let schema = if whole {
        format!("<Schema format=\"Json\">{}</Schema>", character_data(&schema.to_string()))
    } else {
        String::new()
    };
    format!(
        "<Table><Name>{}</Name><Owner>{}</Owner><Type>MANAGED_TABLE</Type><Comment>{}</Comment><CreationTime>{}</CreationTime>\
         <LastModifiedTime>{}</LastModifiedTime>{schema}</Table>",
        escape(name),
        escape(owner),
        escape(&definition.comment),
        http_date(definition.created_ms),
        http_date(definition.modified_ms)
    )
}

/// The rows that an instance gave.
fn result(world: &World, operation: &Operation) -> Result<Arc<Table>, Refusal> {
    let instance = service::instance(world, operation)?;
    match (&instance.status, &instance.outcome) {
        (Status::Success, Some(Outcome::Rows(table))) => {
            let limited = operation.query.contains_key("instance_tunnel_limit_enabled");
            if !limited || table.rows.len() <= limits::RESULT_ROWS {
                return Ok(Arc::clone(table));
            }
            let rows = table.rows.iter().take(limits::RESULT_ROWS).cloned().collect();
            Ok(Arc::new(Table { columns: table.columns.clone(), rows }))
        }
        (status, _) if status.has_ended() => {
            Err(Refusal::new(400, "InstanceTypeNotSupported", "The instance has no rows to download."))
        }
        _ => Err(Refusal::new(400, "TaskNotSuccess", "The instance has not ended.")),
    }
}

/// How a session is shown; the columns `keys` are told apart from the others.
fn session(id: &str, rows: &Table, keys: &[Column]) -> Value {
    let is_key =
        |column: &Value| keys.iter().any(|key| column.get("name").and_then(Value::as_str) == Some(&key.name));
    let all = picture::columns(rows, "name", "type");
    let (partition, plain): (Vec<Value>, Vec<Value>) =
        all.as_array().cloned().unwrap_or_default().into_iter().partition(is_key);
    json!({
        "DownloadID": id, "Status": "NORMAL", "RecordCount": rows.rows.len(),
        "Schema": {"IsVirtualView": false, "columns": plain, "partitionKeys": partition},
    })
}

fn begin(world: &mut World, rows: &Arc<Table>, keys: &[Column]) -> Reply {
    let id = world.sessions.open(Arc::clone(rows));
    Reply::json(&session(&id, rows, keys))
}

/// A part of the rows: `rowrange=(first,count)`, and perhaps only some columns.
fn read(world: &World, operation: &Operation) -> Result<Reply, Refusal> {
    let get = |name: &str| operation.query.get(name).map(String::as_str).unwrap_or_default();
    if operation.query.contains_key("arrow") {
        return Err(Refusal::parameter("arrow is not simulated"));
    }
    let rows = world.sessions.rows(get("downloadid"))?;
    let range = get("rowrange").trim_matches(['(', ')']);
    let (first, count) = range
        .split_once(',')
        .and_then(|(first, count)| {
            Some((first.trim().parse::<usize>().ok()?, count.trim().parse::<usize>().ok()?))
        })
        .ok_or_else(|| Refusal::parameter("rowrange is not (first,count)"))?;
    let part: Vec<Vec<Cell>> = rows.rows.iter().skip(first).take(count).cloned().collect();
    let names: Vec<&str> = get("columns").split(',').filter(|name| !name.is_empty()).collect();
    let places: Vec<usize> = if names.is_empty() {
        (0..rows.columns.len()).collect()
    } else {
        names.iter().filter_map(|name| rows.position(name)).collect()
    };
    let body = tunnel::stream(rows, &part, &places);
    Ok(Reply { status: 200, kind: "application/octet-stream", body, ..Reply::default() }
        .with("odps-tunnel-record-count", part.len().to_string()))
}
