//! No task is run twice, whatever happens to requests, answers and controllers.

use super::stage::{PROJECT, controller, end, order, simulator, starts};
use engine::event::v1::Outcome;
use engine::id::{AttemptNo, ExperimentId, SubmissionKey, TaskIndex, TrialId};
use engine::ports::backend::{Backend, Found, JobHandle, Submitted, TaskOrder};
use retrial_backends::maxcompute::MaxComputeBackend;
use serde_json::json;
use std::time::Duration;

/// Trials of three tasks each: two of SQL and one run of an algorithm.
const TRIALS: u32 = 40;

/// Submits as the engine does: what is in doubt is looked for until that is settled. `restart` says when the controller
/// is replaced by one that knows nothing.
async fn submit(backend: &mut MaxComputeBackend, order: &TaskOrder, mut restart: bool) -> JobHandle {
    let mut must_find = false;
    for _ in 0..2_000 {
        if must_find {
            match backend.find(order).await {
                Found::One(handle) => return handle,
                Found::NoneForSure => must_find = false,
                Found::NoneYet | Found::Unknown(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                other => panic!("{other:?}"),
            }
            continue;
        }
        match backend.submit(order).await {
            Submitted::Accepted(_) if restart => {
                // Killed before the answer was recorded.
                restart = false;
                *backend = controller();
                must_find = true;
            }
            Submitted::Accepted(handle) | Submitted::AlreadyExists(handle) => return handle,
            Submitted::Unknown(_) => must_find = true,
            Submitted::Later(wait, _) => tokio::time::sleep(Duration::from_millis(wait.0.min(100))).await,
            Submitted::Refused(reason) => panic!("{reason}"),
        }
    }
    panic!("{} is never settled", order.key)
}

#[tokio::test]
async fn each_guid_is_one_instance_and_no_task_is_run_twice_or_left_out() {
    let simulator = simulator(&json!({
        "seed": 7, "conflict_ms": 30,
        "faults": [
            {"operation": "CreateInstance", "times": 0, "chance": 0.15, "acts": true, "answer": "drop"},
            {"operation": "CreateInstance", "times": 0, "chance": 0.1, "answer": "drop"},
            {"operation": "CreateInstance", "times": 0, "chance": 0.1, "acts": true, "answer": {"error": {"status": 500, "code": "InternalServerError", "message": "x"}}},
            {"operation": "CreateInstance", "times": 0, "chance": 0.1, "answer": {"error": {"status": 409, "code": "InstanceConflict", "message": "x", "retry_after_s": 1}}},
        ],
    }));
    let base = std::env::temp_dir().join(format!("retrial-base-{}.csv", std::process::id()));
    std::fs::write(&base, "x\n1\n2\n3\n4\n").unwrap();
    simulator.load(PROJECT, "base", &base).unwrap();
    std::fs::remove_file(&base).unwrap();
    let mut backend = controller();
    for trial in 0..TRIALS {
        for (task, command) in [
            format!("CREATE TABLE made_{trial} AS SELECT {trial} AS x"),
            format!("PAI -name split -DinputTableName=base -Doutput1TableName=a_{trial} -Doutput2TableName=b_{trial} -Dfraction=0.5"),
            format!("INSERT INTO made_{trial} SELECT {trial} + 1000"),
        ]
        .iter()
        .enumerate()
        {
            let key = SubmissionKey {
                experiment: ExperimentId::from_random(3),
                trial: TrialId(trial),
                attempt: AttemptNo(1),
                task: TaskIndex(task as u16),
            };
            let order = order(&simulator, key, command);
            let handle = submit(&mut backend, &order, (trial + task as u32).is_multiple_of(5)).await;
            assert_eq!(end(&backend, &handle).await, Outcome::Succeeded, "{key}");
            assert_eq!(starts(&simulator, &key), 1, "{key}");
        }
    }
    assert_eq!(simulator.duplicates().len(), 0);
    let hit = simulator.calls().iter().filter(|call| call.fault).count();
    assert!(hit > 20, "{hit} calls were hit by a fault");
}

#[tokio::test]
async fn with_strict_nothing_is_sent_again() {
    let simulator = simulator(&json!({
        "faults": [{"operation": "CreateInstance", "answer": "drop"}],
    }));
    let backend = controller();
    let key: SubmissionKey = "kq3m2x7a-1-1-0".parse().unwrap();
    let mut order = order(&simulator, key, "SELECT 1");
    order.config["strict"] = json!(true);
    let submitted = backend.submit(&order).await;
    assert!(matches!(submitted, Submitted::Unknown(_)), "{submitted:?}");
    for _ in 0..3 {
        let found = backend.find(&order).await;
        assert!(
            matches!(&found, Found::NotAgain(reason) if reason.contains("retrial-kq3m2x7a-1-1-0")),
            "{found:?}"
        );
    }
    assert!(simulator.instances(<[_]>::is_empty));
}

/// The answer to the first submission is lost, and another submission meets its instance before it is looked for.
#[tokio::test]
async fn a_run_of_an_algorithm_is_found_although_another_search_has_looked_at_it() {
    let split = "PAI -name split -DinputTableName=dual -Doutput1TableName=a -Doutput2TableName=b";
    for other in [split, "SELECT 1"] {
        let lost =
            json!({"operation": "CreateInstance", "contains": "-1-1-0", "acts": true, "answer": "drop"});
        let simulator = simulator(&json!({"faults": [lost]}));
        let backend = controller();
        let order_of = |key: &str, command| order(&simulator, key.parse().unwrap(), command);
        let first = order_of("kq3m2x7a-1-1-0", split);
        let submitted = backend.submit(&first).await;
        assert!(matches!(submitted, Submitted::Unknown(_)), "{submitted:?}");
        let submitted = backend.submit(&order_of("kq3m2x7a-2-1-0", other)).await;
        assert!(matches!(submitted, Submitted::Accepted(_)), "{submitted:?}");
        let found = backend.find(&first).await;
        assert!(matches!(found, Found::One(_)), "{found:?}");
        assert_eq!(starts(&simulator, &first.key), 1);
    }
}

/// What may not be looked at for now may be the one that is looked for.
#[tokio::test]
async fn a_look_that_is_not_permitted_leaves_the_question_open() {
    let denied = json!({"error": {"status": 403, "code": "NoPermission", "message": "ODPS-0420095: Access Denied - x"}});
    let simulator = simulator(&json!({"faults": [
        {"operation": "CreateInstance", "acts": true, "answer": "drop"},
        {"operation": "GetXflowSource", "answer": denied},
    ]}));
    let backend = controller();
    let split = "PAI -name split -DinputTableName=dual -Doutput1TableName=a -Doutput2TableName=b";
    let order = order(&simulator, "kq3m2x7a-1-1-0".parse().unwrap(), split);
    let submitted = backend.submit(&order).await;
    assert!(matches!(submitted, Submitted::Unknown(_)), "{submitted:?}");
    let found = backend.find(&order).await;
    assert!(matches!(&found, Found::Unknown(reason) if reason.contains("ODPS-0420095")), "{found:?}");
    let found = backend.find(&order).await;
    assert!(matches!(found, Found::One(_)), "{found:?}");
}
