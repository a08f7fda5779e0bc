//! How instances, tasks and results are shown.

use super::instance::{Instance, Outcome, Status};
use super::limits::RESULT_ROWS;
use super::reply::Reply;
use super::script::Script;
use super::table::Table;
use super::xml::{character_data, escape};
use crate::clock::http_date;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

fn time(time_ms: Option<i64>) -> String {
    time_ms.map(http_date).unwrap_or_default()
}

/// The answer to a plain look at an instance.
pub fn status(instance: &Instance) -> Reply {
    Reply::xml(&format!("<Instance><Status>{}</Status></Instance>", instance.status.instance()))
        .with("x-odps-owner", &*instance.owner)
        .with("x-odps-start-time", time(Some(instance.created_ms)))
        .with("x-odps-end-time", time(instance.ended_ms))
}

/// The states of an instance's tasks.
pub fn task_status(instance: &Instance) -> Reply {
    Reply::xml(&format!(
        "<Instance><Status>{}</Status><Tasks><Task Type=\"{}\"><Name>{}</Name><StartTime>{}</StartTime><EndTime>{}</EndTime>\
         <Status>{}</Status><Histories/></Task></Tasks></Instance>",
        instance.status.instance(),
        instance.submission.kind(),
        escape(&instance.submission.task),
        time(instance.begun_ms),
        time(instance.ended_ms),
        instance.status.task()
    ))
}

/// What an instance's task has given; a task that has not ended has given nothing yet.
pub fn result(instance: &Instance, script: &Script) -> Reply {
    let (format, text) = match &instance.outcome {
        _ if !instance.status.has_ended() || instance.status == Status::Cancelled => ("text", String::new()),
        Some(Outcome::Rows(table)) => ("csv", table.csv(RESULT_ROWS)),
        Some(Outcome::Text(text)) => ("text", text.clone()),
        Some(Outcome::Failed(failure)) => ("text", failure.0.clone()),
        None => ("text", String::new()),
    };
    let (transform, text) = if script.results.plain {
        ("", text)
    } else {
        (" Transform=\"Base64\"", BASE64_STANDARD.encode(text))
    };
    let descriptor = match &instance.outcome {
        Some(Outcome::Rows(table)) if script.results.described && instance.status == Status::Success => {
            let all = table.rows.len() <= RESULT_ROWS;
            let value = json!({
                "IsSelect": true,
                "SelectResultStatus": if all { "YES" } else { "TRUNCATED" },
                "Schema": {"Columns": columns(table, "Name", "Type")},
            });
            format!("<ResultDescriptor>{}</ResultDescriptor>", character_data(&value.to_string()))
        }
        _ => String::new(),
    };
    Reply::xml(&format!(
        "<Instance><Tasks><Task Type=\"{}\"><Name>{}</Name><Status>{}</Status><Result{transform} Format=\"{format}\">{}\
         </Result>{descriptor}</Task></Tasks></Instance>",
        instance.submission.kind(),
        escape(&instance.submission.task),
        instance.status.task(),
        character_data(&text)
    ))
}

/// The columns of a table as JSON, under the names of two fields.
pub fn columns(table: &Table, name: &str, kind: &str) -> Value {
    table
        .columns
        .iter()
        .map(|column| json!({name: column.name, kind: column.kind, "nullable": true}))
        .collect()
}

/// The actions of an algorithm: a check on the spot, and one sub-instance that trains.
pub fn xflow_result(instance: &Instance) -> Reply {
    let text = match &instance.outcome {
        Some(Outcome::Text(text)) => text.as_str(),
        Some(Outcome::Failed(failure)) => failure.0.as_str(),
        _ => "",
    };
    let action = |kind: &str, id: &str, name: &str, text: &str| {
        format!(
            "<Action NodeType=\"{kind}\"><InstanceId>{id}</InstanceId><Name>{name}</Name><Result Format=\"text\">{}</Result></Action>",
            character_data(text)
        )
    };
    let mut actions = action("Local", "", "check", "");
    // It appears when it begins.
    if instance.begun_ms.is_some() {
        actions.push_str(&action("Instance", &format!("{}s1", instance.id), "train", text));
    }
    Reply::xml(&format!("<Xinstance><Actions>{actions}</Actions></Xinstance>"))
}

/// How far an instance is: one stage with one worker.
pub fn progress(instance: &Instance, now_ms: i64) -> Reply {
    let Some(begun_ms) = instance.begun_ms else { return Reply::xml("<Progress></Progress>") };
    let ended = instance.status.has_ended();
    let part = (now_ms - begun_ms).max(0) as f64 / instance.life.running_ms.max(1) as f64;
    let percent = if ended { 100 } else { (part * 100.0).min(99.0) as i64 };
    let rows = match &instance.outcome {
        Some(Outcome::Rows(table)) => table.rows.len(),
        _ => 0,
    };
    Reply::xml(&format!(
        "<Progress><Stage ID=\"M1_Stg1_job0\"><BackupWorkers>0</BackupWorkers><TerminatedWorkers>{}</TerminatedWorkers>\
         <RunningWorkers>{}</RunningWorkers><TotalWorkers>1</TotalWorkers><InputRecords>{rows}</InputRecords>\
         <OutputRecords>{rows}</OutputRecords><FinishedPercentage>{percent}</FinishedPercentage></Stage></Progress>",
        i32::from(ended),
        i32::from(!ended)
    ))
}

/// What an instance has used.
pub fn summary(instance: &Instance, now_ms: i64) -> Reply {
    let seconds = instance
        .begun_ms
        .map_or(0, |begun_ms| (instance.ended_ms.unwrap_or(now_ms) - begun_ms).max(0) / 1000);
    let cost = json!({"Cost": {"CPU": seconds * 100, "Memory": seconds * 1024, "Input": 0}}).to_string();
    let text = format!("resource cost: cpu {:.2} Core * Min", seconds as f64 / 60.0);
    Reply::json(&json!({"Instance": {"JsonSummary": cost, "Summary": text}}))
        .with("x-odps-task-finalized", instance.status.has_ended().to_string())
}

/// A line of a list.
pub fn listed(instance: &Instance) -> String {
    format!(
        "<Instance><Name>{}</Name><Owner>{}</Owner><StartTime>{}</StartTime><EndTime>{}</EndTime><Status>{}</Status></Instance>",
        instance.id,
        escape(&instance.owner),
        time(Some(instance.created_ms)),
        time(instance.ended_ms),
        instance.status.instance()
    )
}
