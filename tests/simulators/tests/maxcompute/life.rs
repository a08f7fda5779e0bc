//! Instances from their creation to their end, under a clock that stands until it is told to move.

use crate::caller::{Caller, INSTANCES, sql, started, xflow};
use retrial_simulators::maxcompute::Simulator;
use serde_json::{Value, json};

/// A simulator whose clock stands, and a caller whose time is near it.
fn standing(mut script: Value) -> (Simulator, Caller) {
    script["standing_clock"] = json!(jiff::Timestamp::now().to_string());
    started(script)
}

fn stop(caller: &Caller, id: &str) {
    let body = "<Instance><Status>Terminated</Status></Instance>";
    assert_eq!(caller.call("PUT", &format!("{INSTANCES}/{id}"), body).status, 200);
}

#[test]
fn an_instance_waits_runs_and_ends() {
    let (simulator, caller) =
        standing(json!({"life": {"waiting_ms": 1000, "running_ms": 2000}, "results": {"plain": true}}));
    let id = caller.create(&sql("select 1 as a", None, 9));
    let state = || (caller.task_status(&id), caller.look(&id, "").xml().value("Status").unwrap().to_owned());
    let is = |task: &str, instance: &str| (task.to_owned(), instance.to_owned());
    assert_eq!(state(), is("Waiting", "Running"));
    assert_eq!(caller.result(&id), "");
    simulator.advance(1000);
    assert_eq!(state(), is("Running", "Running"));
    simulator.advance(1000);
    let progress = caller.look(&id, "instanceprogress=AnonymousSQLTask&taskname=AnonymousSQLTask").xml();
    assert_eq!(progress.child("Stage").unwrap().value("FinishedPercentage"), Some("50"));
    simulator.advance(1000);
    caller.wait_for(&id, "Success");
    assert_eq!(state(), is("Success", "Terminated"));
    assert_eq!(caller.result(&id), "\"a\"\n\"1\"\n");
    let answer = caller.look(&id, "instancestatus");
    assert_ne!(answer.header("x-odps-end-time"), answer.header("x-odps-start-time"));
    // It has ended: there is nothing to stop.
    stop(&caller, &id);
    assert_eq!(caller.task_status(&id), "Success");
}

#[test]
fn an_instance_runs_longer_or_shorter_once_it_is_told_to() {
    let (simulator, caller) = standing(json!({"life": {"waiting_ms": 0, "running_ms": 1000}}));
    let id = caller.create(&sql("select 1 as a", None, 9));
    let change = |id: &str, running_ms: i64| {
        simulator.control("POST", &format!("instances/{id}"), &json!({"running_ms": running_ms}))
    };
    change(&id, 60_000).unwrap();
    simulator.advance(30_000);
    assert_eq!(caller.task_status(&id), "Running");
    change(&id, 0).unwrap();
    caller.wait_for(&id, "Success");
    simulator.instances(|all| {
        assert_eq!(all[0].ended_ms.unwrap() - all[0].begun_ms.unwrap(), 30_000);
    });
    assert!(change("another", 0).is_err());
}

#[test]
fn the_most_urgent_runs_first_where_there_is_no_place() {
    let (simulator, caller) = standing(json!({"life": {"waiting_ms": 0, "running_ms": 1000}, "capacity": 1}));
    let ids: Vec<String> =
        [5, 5, 1].iter().map(|priority| caller.create(&sql("select 1", None, *priority))).collect();
    let states = || ids.iter().map(|id| caller.task_status(id)).collect::<Vec<_>>();
    assert_eq!(states(), ["Running", "Waiting", "Waiting"]);
    simulator.advance(1000);
    caller.wait_for(&ids[0], "Success");
    assert_eq!(states(), ["Success", "Waiting", "Running"]);
    stop(&caller, &ids[2]);
    assert_eq!(states(), ["Success", "Running", "Cancelled"]);
}

#[test]
fn what_is_stopped_while_it_waits_never_begins() {
    let (simulator, caller) = standing(json!({"life": {"waiting_ms": 1000}}));
    let id = caller.create(&sql("create table never as select 1 as a", None, 9));
    stop(&caller, &id);
    assert_eq!(caller.task_status(&id), "Cancelled");
    simulator.advance(10_000);
    assert_eq!(caller.task_status(&id), "Cancelled");
    assert_eq!(simulator.instances(|all| all[0].starts), 0);
    assert!(simulator.warehouse("simulated_project", |all| !all.tables.contains_key("never")).unwrap());
}

#[test]
fn a_stop_may_take_time_or_lose() {
    let script = |loses: bool| json!({"life": {"waiting_ms": 0, "running_ms": 5000}, "stop": {"ms": 1000, "loses": loses}});
    let (simulator, caller) = standing(script(false));
    let id = caller.create(&sql("select 1", None, 9));
    stop(&caller, &id);
    simulator.advance(999);
    assert_eq!(caller.task_status(&id), "Running");
    simulator.advance(1);
    assert_eq!(caller.task_status(&id), "Cancelled");
    let (simulator, caller) = standing(script(true));
    let id = caller.create(&sql("select 1", None, 9));
    stop(&caller, &id);
    simulator.advance(5000);
    caller.wait_for(&id, "Success");
}

#[test]
fn an_instance_may_rest_or_fail_as_it_was_told() {
    let (simulator, caller) = standing(json!({
        "results": {"plain": true},
        "rules": [
            {"contains": "rest", "life": {"waiting_ms": 0, "running_ms": 0, "suspends": true}},
            {"contains": "bad", "times": 1, "life": {"waiting_ms": 0, "running_ms": 0, "fails": "ODPS-0010000: fuxi job failed"}},
        ],
    }));
    let resting = caller.create(&sql("select 'rest'", None, 9));
    assert_eq!(caller.look(&resting, "").xml().value("Status"), Some("Suspended"));
    let bad = caller.create(&sql("select 'bad'", None, 9));
    assert_eq!(caller.task_status(&bad), "Failed");
    assert_eq!(caller.result(&bad), "ODPS-0010000: fuxi job failed");
    let good = caller.create(&sql("select 'bad'", None, 9));
    simulator.advance(1000);
    caller.wait_for(&good, "Success");
}

#[test]
fn lists_are_late_and_in_pages() {
    let (simulator, caller) = standing(json!({"list_lag_ms": 500, "life": {"running_ms": 3_600_000}}));
    let ids: Vec<String> = (0..5).map(|_| caller.create(&sql("select 1", None, 9))).collect();
    assert!(caller.list("").is_empty());
    simulator.advance(500);
    assert_eq!(caller.list("onlyowner=yes"), ids);
    let page = caller.call("GET", &format!("{INSTANCES}?maxitems=3"), "").xml();
    let marker = page.value("Marker").unwrap();
    assert_eq!(caller.list("maxitems=3"), ids[..3]);
    assert_eq!(caller.list(&format!("maxitems=3&marker={marker}")), ids[3..]);
    let now = jiff::Timestamp::now().as_second();
    assert_eq!(caller.list(&format!("daterange={}%3A", now - 60)), ids);
    assert!(caller.list(&format!("daterange=%3A{}", now - 60)).is_empty());
    assert!(caller.list("status=Terminated").is_empty());
}

#[test]
fn one_guid_is_one_instance_of_sql_and_any_number_of_xflows() {
    let (simulator, caller) = standing(json!({"conflict_ms": 1000}));
    let first = caller.create(&sql("select 1", Some("g"), 9));
    let again = caller.call("POST", INSTANCES, &sql("select 2", Some("g"), 9));
    assert_eq!((again.status, again.header("retry-after")), (409, Some("1")));
    simulator.advance(1000);
    assert_eq!(caller.create(&sql("select 2", Some("g"), 9)), first);
    assert_eq!(caller.look(&first, "source").xml().value("Guid"), Some("g"));
    let split = xflow("split", &[("inputTableName", "dual"), ("output1TableName", "x")], Some("f"));
    let (one, two) = (caller.create(&split), caller.create(&split));
    assert_ne!(one, two);
    let source = caller.look(&one, "xsource").xml();
    assert_eq!(source.child("XflowInstance").unwrap().value("Guid"), Some("f"));
    assert!(caller.look(&first, "xsource").status == 400);
    simulator.advance(1000);
    caller.wait_for(&two, "Success");
    assert_eq!(simulator.duplicates().keys().collect::<Vec<_>>(), ["simulated_project/f"]);

    let (_simulator, caller) = standing(json!({"xflow_guids": true}));
    assert_eq!(caller.create(&split), caller.create(&split));
}

#[test]
fn an_instant_result_comes_with_the_answer() {
    let (_simulator, caller) =
        started(json!({"life": {"instant": true}, "results": {"plain": true, "described": true}}));
    let answer = caller.call("POST", INSTANCES, &sql("select 7 as n", None, 9));
    assert_eq!(answer.status, 200);
    let task = answer.xml().child("Tasks").unwrap().child("Task").unwrap().clone();
    assert_eq!(task.child("Result").unwrap().text, "\"n\"\n\"7\"\n");
    let described: Value = serde_json::from_str(&task.child("ResultDescriptor").unwrap().text).unwrap();
    assert_eq!(described["Schema"]["Columns"][0]["Type"], "bigint");
    let id = answer.header("location").unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!(caller.task_status(&id), "Success");
    let failed = caller.call("POST", INSTANCES, &sql("selec 7", None, 9));
    assert!(
        failed.text.contains("<Status>Failed</Status>") && failed.text.contains("ODPS-0130161"),
        "{failed:?}"
    );
}
