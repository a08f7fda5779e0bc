//! How jobs live: states, pods, stops, lists and logs, on a clock that stands until it is moved.

#[expect(dead_code, reason = "each test uses a part of it")]
mod support;

use retrial_simulators::dlc::{Script, Simulator};
use serde_json::{Value, json};
use support::{Caller, body};

fn script(value: Value) -> Script {
    serde_json::from_value(value).unwrap()
}

/// A simulator whose clock stands at the machine's present second, so that calls are signed with the right time.
fn standing(mut value: Value) -> (Simulator, Caller) {
    let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap();
    value["standing_clock"] = json!(now.to_string());
    let simulator = Simulator::anywhere(script(value)).unwrap();
    let caller = Caller { date: Some(now.to_string()), ..Caller::of(&simulator) };
    (simulator, caller)
}

/// Moves the clock, and the caller's with it.
fn pass(simulator: &Simulator, caller: &mut Caller, ms: i64) {
    simulator.advance(ms);
    let at = caller.date.as_deref().unwrap().parse::<jiff::Timestamp>().unwrap().as_second() + ms / 1000;
    caller.date = Some(jiff::Timestamp::from_second(at).unwrap().to_string());
}

#[test]
fn a_job_goes_through_its_states_and_keeps_them() {
    let (simulator, caller) = standing(json!({}));
    let id = caller.create(&body("a"));
    for (ms, status) in
        [(0, "Creating"), (100, "Queuing"), (100, "EnvPreparing"), (200, "Running"), (1000, "Succeeded")]
    {
        simulator.advance(ms);
        assert_eq!(caller.job(&id)["Status"], status);
    }
    let job = caller.job(&id);
    assert_eq!(job["ReasonCode"], "JobSucceeded");
    assert_eq!(job["StatusHistory"].as_array().unwrap().len(), 5);
    assert_eq!(job["RestartTimes"], "0/20");
    // One worker alone is the master.
    assert_eq!(job["Pods"][0]["PodId"], format!("{id}-master-0"));
    assert_eq!(job["Pods"][0]["Status"], "Succeeded");
    assert!(job["RequestGPU"].is_f64());
    let item = &caller.call("GET", "/api/v1/jobs", "").json()["Jobs"][0];
    assert!(item["RequestGPU"].is_string() && item["Settings"]["Tags"]["token"] == "a");
    assert!(
        caller.call("GET", &format!("/api/v1/jobs/{id}?NeedDetail=False"), "").json().get("Pods").is_none()
    );
}

#[test]
fn a_restart_changes_the_pods_identity_and_keeps_what_it_wrote() {
    let (simulator, caller) = standing(json!({"life": {
        "phases": [
            {"status": "Running", "ms": 2000}, {"status": "Restarting", "ms": 1000, "sub_status": "Evicted"},
            {"status": "Running", "ms": 2000}, {"status": "SucceededReserving", "ms": 5000}, {"status": "Succeeded"}
        ],
        "log": [{"text": "line {n}", "times": 3, "every_ms": 900}]
    }}));
    let id = caller.create(&body("a"));
    let first = caller.job(&id)["Pods"][0]["PodUid"].clone();
    simulator.advance(2500);
    assert_eq!(caller.job(&id)["Status"], "Restarting");
    simulator.advance(2500);
    let job = caller.job(&id);
    assert_eq!((&job["Status"], &job["RestartTimes"]), (&json!("SucceededReserving"), &json!("1/20")));
    let pod = &job["Pods"][0];
    assert_ne!(pod["PodUid"], first);
    assert_eq!(pod["HistoryPods"][0]["PodUid"], first);
    assert_eq!(pod["HistoryPods"][0]["SubStatus"], "Evicted");
    for uid in [&first, &pod["PodUid"]] {
        let target = format!("/api/v1/jobs/{id}/pods/{id}-master-0/logs?PodUid={}", uid.as_str().unwrap());
        assert_eq!(caller.call("GET", &target, "").json()["Logs"], json!(["line 0", "line 1", "line 2"]));
    }
    // The outcome is known, and a stop only gives the machines back.
    assert_eq!(caller.call("POST", &format!("/api/v1/jobs/{id}/stop"), "").status, 200);
    assert_eq!(caller.job(&id)["Status"], "Succeeded");
}

#[test]
fn a_stop_takes_its_time_may_lose_and_comes_too_late() {
    for (loses, end) in [(false, "Stopped"), (true, "Succeeded")] {
        let (simulator, caller) = standing(json!({"stop": {"ms": 500, "loses": loses}}));
        let id = caller.create(&body("a"));
        let stop = format!("/api/v1/jobs/{id}/stop");
        assert_eq!(caller.call("POST", &stop, "").status, 200);
        assert_eq!(caller.job(&id)["Status"], "Stopping");
        assert_eq!(caller.call("POST", &stop, "").status, 200);
        simulator.advance(500);
        assert_eq!(caller.job(&id)["Status"], end);
        let late = caller.call("POST", &stop, "");
        assert_eq!((late.status, late.code()), (400, "400".to_owned()));
        let message = format!("Job can't be stopped, because it is {end}");
        assert_eq!(late.json()["Message"], message);
        assert_eq!(caller.call("DELETE", &format!("/api/v1/jobs/{id}"), "").status, 200);
        assert_eq!(caller.call("GET", &format!("/api/v1/jobs/{id}"), "").code(), "NotFound");
    }
}

#[test]
fn the_service_ends_a_job_that_runs_too_long() {
    let (simulator, caller) = standing(json!({"life": {"phases": [{"status": "Running"}]}}));
    let mut asked = body("a");
    asked["JobMaxRunningTimeMinutes"] = json!(1);
    let id = caller.create(&asked);
    simulator.advance(59_999);
    assert_eq!(caller.job(&id)["Status"], "Running");
    simulator.advance(1);
    assert_eq!(caller.job(&id)["ReasonCode"], "JobMaxRunningTimeExceeded");
}

#[test]
fn a_full_quota_lets_jobs_queue_by_priority() {
    let (simulator, caller) = standing(json!({"capacity": 1}));
    let create = |name: &str, priority: u32| {
        let mut asked = body(name);
        asked["Priority"] = json!(priority);
        asked["ResourceId"] = json!("quota1");
        caller.create(&asked)
    };
    let (first, low, high) = (create("a", 1), create("b", 1), create("c", 1));
    simulator.advance(150);
    // A changed priority counts while a job waits.
    let update = json!({"Priority": 9}).to_string();
    assert_eq!(caller.call("PUT", &format!("/api/v1/jobs/{high}"), &update).status, 200);
    simulator.advance(150);
    let statuses = || [&first, &low, &high].map(|id| caller.job(id)["Status"].as_str().unwrap().to_owned());
    assert_eq!(statuses(), ["EnvPreparing", "Queuing", "Queuing"]);
    simulator.advance(1100);
    assert_eq!(statuses(), ["Succeeded", "Queuing", "EnvPreparing"]);
    simulator.advance(5000);
    assert_eq!(statuses(), ["Succeeded", "Succeeded", "Succeeded"]);
}

#[test]
fn a_priority_without_a_quota_is_taken_and_ignored() {
    let (_simulator, caller) = standing(json!({}));
    let id = caller.create(&body("a"));
    let update = json!({"Priority": 9}).to_string();
    assert_eq!(caller.call("PUT", &format!("/api/v1/jobs/{id}"), &update).status, 200);
    assert_eq!(caller.job(&id)["Priority"], 1);
}

#[test]
fn a_list_is_filtered_ordered_paged_and_forgets_after_seven_days() {
    let (simulator, mut caller) = standing(json!({}));
    let old = caller.create(&body("trial-Old"));
    pass(&simulator, &mut caller, 8 * 24 * 3600 * 1000);
    let mut ids = Vec::new();
    for number in 0..12 {
        ids.push(caller.create(&body(&format!("trial-{number}"))));
        pass(&simulator, &mut caller, 1000);
    }
    assert_eq!(caller.list("").len(), 10);
    assert_eq!(caller.list("PageSize=100").len(), 12);
    assert_eq!(caller.list("PageSize=5&PageNumber=3&Order=asc"), ids[10..]);
    let page = caller.call("GET", "/api/v1/jobs?PageSize=5&PageNumber=3", "").json();
    assert_eq!(page["TotalCount"], 12);
    assert!(caller.list("DisplayName=old").is_empty());
    assert_eq!(caller.list("DisplayName=OLD&StartTime=1970-01-01T00:00:00Z"), std::slice::from_ref(&old));
    assert!(caller.list(&format!("JobIds={old}")).is_empty());
    assert_eq!(
        caller.list(&format!("JobIds={old}%2C{}&StartTime=2000-01-01T00%3A00%3A00Z", ids[3])).len(),
        2
    );
    assert_eq!(caller.list("Tags=%7B%22token%22%3A%22trial-3%22%7D"), [ids[3].clone()]);
    assert_eq!(caller.list("Status=Running&DisplayName=TRIAL-1&Order=asc"), [ids[11].clone()]);
    assert!(caller.list("WorkspaceId=77").is_empty());
    assert_eq!(caller.call("GET", "/api/v1/jobs?Tags=x", "").code(), "InvalidParameter");
    assert_eq!(caller.call("GET", "/api/v1/jobs?StartTime=x", "").code(), "InvalidParameter");
}

#[test]
fn a_list_is_behind_and_a_job_is_not() {
    let (simulator, caller) = standing(json!({"list_lag_ms": 150}));
    let id = caller.create(&body("a"));
    assert!(caller.list("").is_empty());
    assert_eq!(caller.job(&id)["Status"], "Creating");
    simulator.advance(160);
    let item = &caller.call("GET", "/api/v1/jobs", "").json()["Jobs"][0];
    assert_eq!((&item["Status"], &caller.job(&id)["Status"]), (&json!("Creating"), &json!("Queuing")));
}

#[test]
fn a_log_shows_the_first_lines_of_its_window_and_late() {
    let (simulator, mut caller) = standing(json!({
        "life": {
            "phases": [{"status": "Running"}],
            "log": [{"text": "line {n}", "times": 5000, "every_ms": 100}]
        },
        "logs": {"lag_ms": 10_000, "line_bytes": 8}
    }));
    let id = caller.create(&body("a"));
    let logs = |caller: &Caller, query: &str| {
        let target = format!("/api/v1/jobs/{id}/pods/{id}-master-0/logs?{query}");
        caller.call("GET", &target, "").json()["Logs"].as_array().unwrap().clone()
    };
    pass(&simulator, &mut caller, 10_000);
    assert_eq!(logs(&caller, ""), ["line 0"]);
    pass(&simulator, &mut caller, 500_000);
    assert_eq!(logs(&caller, "").len(), 2000);
    assert_eq!(logs(&caller, "MaxLines=2"), ["line 0", "line 1"]);
    // Of 5000 lines the last is cut at eight bytes, as all are.
    assert_eq!(logs(&caller, "MaxLines=9999").last().unwrap(), "line 499");
    let from = caller.date.clone().unwrap().parse::<jiff::Timestamp>().unwrap().as_second() - 500;
    let time = |at: i64| jiff::Timestamp::from_second(at).unwrap();
    assert_eq!(logs(&caller, &format!("StartTime={}&EndTime={}", time(from), time(from))).len(), 10);
    pass(&simulator, &mut caller, 8 * 24 * 3600 * 1000);
    assert!(logs(&caller, "").is_empty());
}

#[test]
fn a_test_can_let_a_job_go_on_otherwise() {
    let (simulator, caller) = standing(json!({
        "rules": [{"image": "bad", "life": {"phases": [
            {"status": "EnvPreparing", "ms": 10},
            {"status": "Failed", "reason_code": "ImagePullFailed", "reason_message": "no such image"}
        ]}}]
    }));
    let mut asked = body("a");
    asked["JobSpecs"][0]["Image"] = json!("bad/image");
    let bad = caller.create(&asked);
    let id = caller.create(&body("b"));
    simulator.advance(10);
    assert_eq!(caller.job(&bad)["ReasonCode"], "ImagePullFailed");
    let change =
        json!({"phases": [{"status": "Levitating", "ms": 5}, {"status": "Running"}], "lines": ["said"]});
    simulator.control("POST", &format!("jobs/{id}"), &change).unwrap();
    assert_eq!(caller.job(&id)["Status"], "Levitating");
    simulator.advance(5);
    simulator.control("POST", &format!("jobs/{id}"), &json!({"lines": ["more"]})).unwrap();
    let logs = caller.call("GET", &format!("/api/v1/jobs/{id}/pods/{id}-master-0/logs"), "");
    assert_eq!(logs.json()["Logs"], json!(["more"]));
    let events = caller.call("GET", &format!("/api/v1/jobs/{bad}/events"), "").json();
    assert!(events["Events"][1].as_str().unwrap().ends_with("job is Failed ImagePullFailed no such image"));
    assert_eq!(simulator.control("GET", "state", &json!({})).unwrap()["jobs"][1]["Status"], "Running");
}

#[test]
fn the_script_of_the_documents_is_one() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/simulate.md");
    let text = std::fs::read_to_string(page).unwrap();
    let json = text.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let script: Script = serde_json::from_str(json).unwrap();
    assert_eq!((script.life.phases.len(), script.faults.len()), (7, 2));
    let fields = serde_json::to_value(Script::default()).unwrap();
    for field in
        fields.as_object().unwrap().keys().filter(|field| *field != "ecs_specs" && *field != "processes")
    {
        assert!(text.contains(&format!("`{field}`")), "{field} is not documented");
    }
}
