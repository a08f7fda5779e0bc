//! Questions to tables, results and reasons.

use super::stage::{PATIENCE, controller, controller_at, end, order, simulator};
use engine::event::v1::Outcome;
use engine::ports::backend::{Backend, ReadError, Source, Submitted};
use engine::testing::backend::key;
use retrial_backends::cloud::rate::{Rate, Rates};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn one_row_is_an_object_and_anything_else_says_what_is_wrong() {
    let simulator = simulator(&json!({}));
    let backend = controller();
    let made = "CREATE TABLE m AS SELECT 'a' AS trial, 0.75 AS auc, CAST(NULL AS DOUBLE) AS none UNION ALL SELECT 'b', 0.5, 1.5";
    let submitted = backend.submit(&order(&simulator, key(1, 0), made)).await;
    let Submitted::Accepted(job) = submitted else { panic!("{submitted:?}") };
    assert_eq!(end(&backend, &job).await, Outcome::Succeeded);
    let ask = async |sql: &str| backend.read(&job, &Source::Query(sql.to_owned()), 0, 1_000).await;
    let chunk = ask("SELECT auc, none FROM m WHERE trial = 'a'").await.unwrap();
    let row: serde_json::Value = serde_json::from_slice(&chunk.bytes).unwrap();
    assert_eq!((row, chunk.at_end), (json!({"auc": 0.75, "none": null}), true));
    for (sql, part) in [
        ("SELECT auc FROM m", "E0556: the query gives 2 rows"),
        ("SELECT auc FROM m WHERE trial = 'c'", "E0556: the query gives no row"),
        ("SELECT auc FROM gone", "E0552"),
        ("SELEC auc FROM m", "E0553"),
        ("CREATE TABLE IF NOT EXISTS n (x BIGINT)", "SELECT"),
        ("SELECT 1; SELECT 2", "statements"),
    ] {
        let error = ask(sql).await.unwrap_err();
        assert!(
            matches!(&error, ReadError::Useless { reason, .. } if reason.contains(part)),
            "{sql}: {error:?}"
        );
    }
}

/// A trial that has done its work is asked again when the key is good again.
#[tokio::test]
async fn a_question_that_is_refused_for_now_is_no_answer() {
    let simulator = simulator(&json!({}));
    let backend = controller();
    let submitted = backend.submit(&order(&simulator, key(1, 0), "CREATE TABLE m AS SELECT 1 AS auc")).await;
    let Submitted::Accepted(job) = submitted else { panic!("{submitted:?}") };
    assert_eq!(end(&backend, &job).await, Outcome::Succeeded);
    let question = Source::Query("SELECT auc FROM m".to_owned());
    for (status, code, message, page) in [
        (401, "Unauthorized", "ODPS-0410051: Invalid credentials - the token has expired", "E0528"),
        (403, "NoPermission", "ODPS-0420095: Access Denied", "E0526"),
        (403, "QuotaExceeded", "ODPS-1830001: Quota exceeded", "E0555"),
    ] {
        let error = json!({"status": status, "code": code, "message": message});
        let fault = json!([{"operation": "CreateInstance", "times": 0, "answer": {"error": error}}]);
        simulator.control("POST", "faults", &fault).unwrap();
        let refused = backend.read(&job, &question, 0, 1_000).await.unwrap_err();
        assert!(
            matches!(&refused, ReadError::Unavailable { code, cure, .. } if code.to_string() == page && !cure.is_empty()),
            "{code}: {refused:?}"
        );
        simulator.control("DELETE", "faults", &json!([])).unwrap();
    }
    assert!(backend.read(&job, &question, 0, 1_000).await.is_ok());
}

/// Polls of thousands of instances would wait for the questions of those that have ended.
#[tokio::test]
async fn a_question_takes_nothing_of_the_pace_of_polls() {
    let simulator = simulator(&json!({}));
    let few = Rate { per_second: 0.001, burst: 3.0 };
    // A submission takes a search, and a look at one that has succeeded two calls: then no read is left.
    let backend = controller_at(Rates { reads: few, ..Rates::of(9_000.0) });
    let made = "CREATE TABLE m AS SELECT 1 AS auc";
    let submitted = backend.submit(&order(&simulator, key(1, 0), made)).await;
    let Submitted::Accepted(job) = submitted else { panic!("{submitted:?}") };
    let begun = Instant::now();
    while !simulator.instances(|all| all.iter().all(|one| one.status.has_ended())) {
        assert!(begun.elapsed() < PATIENCE, "it does not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(end(&backend, &job).await, Outcome::Succeeded);
    assert!(backend.stop(&job).await.is_err(), "a read is left");
    let question = Source::Query("SELECT auc FROM m".to_owned());
    assert!(backend.read(&job, &question, 0, 1_000).await.is_ok());
}

#[tokio::test]
async fn a_failure_says_why_and_one_of_the_service_is_no_failure_of_the_task() {
    let rules = json!([
        {"contains": "AS broken", "life": {"waiting_ms": 0, "running_ms": 0, "fails": "ODPS-0123055:User script exception - it broke"}},
        {"contains": "AS unlucky", "life": {"waiting_ms": 0, "running_ms": 0, "fails": "ODPS-0010000:System internal error - fuxi job failed"}},
    ]);
    let simulator = simulator(&json!({"rules": rules}));
    let backend = controller();
    let mut outcomes = Vec::new();
    for (trial, name) in [(1, "broken"), (2, "unlucky")] {
        let submitted =
            backend.submit(&order(&simulator, key(trial, 0), &format!("SELECT 1 AS {name}"))).await;
        let Submitted::Accepted(job) = submitted else { panic!("{submitted:?}") };
        outcomes.push(end(&backend, &job).await);
        let said = backend.read(&job, &Source::Stdout, 0, 1_000).await.unwrap();
        assert!(String::from_utf8(said.bytes).unwrap().contains("ODPS-"));
    }
    assert!(
        matches!(&outcomes[0], Outcome::Failed { reason, .. } if reason.contains("it broke")),
        "{outcomes:?}"
    );
    assert!(matches!(&outcomes[1], Outcome::Lost { reason } if reason.contains("fuxi")), "{outcomes:?}");
}
