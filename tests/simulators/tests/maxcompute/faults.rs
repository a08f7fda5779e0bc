//! What a caller sees when the service misbehaves, and what has become of its calls.

use crate::caller::{INSTANCES, PATIENCE, sql, started};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn whoever_posts_again_with_the_same_guid_never_does_anything_twice() {
    let create = |chance: f64, answer: serde_json::Value| json!({"operation": "CreateInstance", "times": 0, "chance": chance, "acts": true, "answer": answer});
    let error = |status: u16| json!({"error": {"status": status, "code": "Passing"}});
    let (simulator, caller) = started(json!({
        "seed": 7, "life": {"waiting_ms": 0, "running_ms": 0},
        "faults": [create(0.2, json!("drop")), create(0.2, error(500)), create(0.2, error(409)), create(0.1, json!({"cut": 30}))],
    }));
    caller_creates_log(&simulator);
    for number in 0..100 {
        let body = sql(&format!("insert into log select {number}"), Some(&format!("task-{number}")), 9);
        let begun = Instant::now();
        while caller.try_call("POST", INSTANCES, &body).is_none_or(|answer| answer.status != 201) {
            assert!(begun.elapsed() < PATIENCE, "{number} was never answered");
        }
    }
    let begun = Instant::now();
    while simulator.instances(|all| all.iter().any(|one| !one.status.has_ended())) {
        assert!(begun.elapsed() < PATIENCE, "an instance does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(simulator.instances(|all| all.len() == 100 && all.iter().all(|one| one.starts == 1)));
    assert!(simulator.duplicates().is_empty());
    assert_eq!(simulator.warehouse("simulated_project", |all| all.count("log", None)).unwrap().unwrap(), 100);
    let calls = simulator.calls();
    assert!(calls.iter().filter(|call| call.fault && call.acted).count() > 50);
}

fn caller_creates_log(simulator: &retrial_simulators::maxcompute::Simulator) {
    use retrial_simulators::maxcompute::warehouse::Circumstances;
    let made = simulator.warehouse("simulated_project", |all| {
        all.run("create table log (a bigint)", &Circumstances::default())
    });
    made.unwrap().unwrap();
}

#[test]
fn a_fault_that_does_not_act_leaves_nothing_and_a_late_copy_leaves_two() {
    let (simulator, caller) = started(json!({"faults": [
        {"operation": "CreateInstance", "answer": {"error": {"status": 503, "code": "ServiceUnavailable", "retry_after_s": 3}}},
        {"operation": "CreateInstance", "repeat_after_ms": 20},
        {"operation": "GetTaskStatus", "answer": {"raw": {"status": 502, "content_type": "text/html", "body": "<html>bad</html>"}}},
    ]}));
    let body = sql("select 1", None, 9);
    let refused = caller.call("POST", INSTANCES, &body);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("3")));
    assert_eq!(simulator.instances(<[_]>::len), 0);
    let id = caller.create(&body);
    let begun = Instant::now();
    while simulator.instances(<[_]>::len) < 2 {
        assert!(begun.elapsed() < PATIENCE, "the copy never came");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(caller.look(&id, "taskstatus").text, "<html>bad</html>");
    caller.wait_for(&id, "Success");
}
