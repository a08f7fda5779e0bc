//! What people see of experiments on DLC, when all is well and when it is not: the program against the simulated service.

use super::support::{Done, Lab, Running, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use simulators::dlc::{Script, Simulator};
use std::process::Command;

const KEY: &str = "LTAISimulatedKey";
const SECRET: &str = "simulated-secret";

/// A simulated service, and the program with its keys.
struct Cloud {
    lab: Lab,
    service: Simulator,
}

impl Cloud {
    fn new(script: Value) -> Self {
        let script: Script = serde_json::from_value(script).unwrap();
        Self { lab: Lab::new(), service: Simulator::anywhere(script).unwrap() }
    }

    /// With jobs that print ten scores within two seconds.
    fn usual() -> Self {
        Self::new(json!({"life": life(2_000)}))
    }

    /// An experiment of trials that are jobs of this service.
    fn spec(&self, trials: u32, changes: &Value) -> String {
        let mut dlc = json!({
            "command": "train", "endpoint": format!("http://{}", self.service.address()), "workspace_id": "10001",
            "JobType": "PyTorchJob", "JobSpecs": [{"Type": "Worker", "Image": "train:1", "EcsSpec": "ecs.g6.large"}],
        });
        for (key, value) in changes.as_object().into_iter().flatten() {
            dlc[key] = value.clone();
        }
        self.lab.spec(&json!({
            "name": "cloud", "space": {"x": {"uniform": [0, 1]}}, "sampler": "random", "seed": 1,
            "objective": {"metric": "score", "goal": "maximize"}, "metric": {"stdout": "score=([0-9]+)"},
            "budget": {"trials": trials, "concurrency": 2}, "run": {"dlc": dlc},
        }))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.lab.command(args);
        for (name, _) in std::env::vars_os() {
            let cloud = name.to_string_lossy().to_lowercase();
            if cloud.starts_with("alibaba_cloud") || cloud.ends_with("proxy") {
                command.env_remove(name);
            }
        }
        command.env("ALIBABA_CLOUD_ACCESS_KEY_ID", KEY).env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET);
        command.env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true").env("HOME", self.lab.dir());
        command.env("RETRIAL_POLL_SECONDS", "0.1").env("RETRIAL_CALLS_PER_SECOND", "1000");
        command
    }

    fn start(&self, args: &[&str]) -> Running {
        Running::begin(&self.lab, self.command(args))
    }

    fn run(&self, code: i32, args: &[&str]) -> Done {
        ended(self.start(args), code)
    }

    fn tell(&self, path: &str, what: &Value) {
        self.service.control("POST", path, what).unwrap();
    }

    /// From now on every call fails with this answer, until [`Cloud::mend`].
    fn refuse(&self, answer: &Value) {
        self.tell("faults", &json!([{"times": 0, "answer": answer}]));
    }

    fn mend(&self) {
        self.service.control("DELETE", "faults", &json!(null)).unwrap();
    }

    fn jobs(&self) -> usize {
        self.service.jobs(<[_]>::len)
    }
}

fn ended(running: Running, code: i32) -> Done {
    let done = running.end();
    assert_eq!(done.code, Some(code), "{done}");
    assert!(!done.err.contains(SECRET) && !done.out.contains(SECRET), "{done}");
    done.no_panic();
    done
}

/// A life with ten lines such as `score=3`, evenly over the time that the job runs.
fn life(ms: u64) -> Value {
    json!({
        "phases": [{"status": "Queuing", "ms": 50}, {"status": "Running", "ms": ms}, {"status": "Succeeded"}],
        "log": [{"text": "score={n}", "times": 10, "every_ms": ms / 11}],
    })
}

fn error(status: u16, code: &str) -> Value {
    json!({"error": {"status": status, "code": code, "message": "said by the service"}})
}

/// Ten reports for each of the trials, from 0 to 9: none lost, none twice.
fn assert_whole(cloud: &Cloud, trials: usize) {
    let seen = cloud.lab.trials("cloud");
    assert_eq!(seen.len(), trials);
    for trial in seen {
        let values: Vec<f64> =
            trial["reports"].as_array().unwrap().iter().map(|r| r["value"].as_f64().unwrap()).collect();
        assert_eq!(values, (0..10).map(f64::from).collect::<Vec<_>>(), "{trial}");
    }
    assert_eq!(cloud.jobs(), trials);
}

#[test]
fn who_may_not_submit_is_told_before_anything_is_recorded() {
    let cloud = Cloud::new(json!({"accounts": [
        {"access_key_id": KEY, "access_key_secret": SECRET},
        {"access_key_id": "NoList", "access_key_secret": SECRET, "denied": ["ListJobs"]},
        {"access_key_id": "STS.Old", "access_key_secret": SECRET, "security_token": "token", "expires_at": "2020-01-01T00:00:00Z"},
    ]}));
    let file = cloud.spec(2, &json!({}));
    let table = [
        (KEY, "another", None, "E0525", "access key ending in dKey", "retrial doctor"),
        ("LTAIUnknownKey", SECRET, None, "E0525", "access key ending in nKey", "retrial doctor"),
        ("STS.Old", SECRET, Some("token"), "E0528", "expired", "docs/credentials.md"),
        ("NoList", SECRET, None, "E0526", "AuthAction paidlc:ListJobs", "RAM actions"),
        ("", "", None, "E0570", "\n  ALIBABA_CLOUD_ACCESS_KEY_ID and", "aliyun configure"),
    ];
    for (id, secret, token, code, said, cure) in table {
        let run = |args: &[&str]| {
            let mut command = cloud.command(args);
            command.env("ALIBABA_CLOUD_ACCESS_KEY_ID", id).env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret);
            command.envs(token.map(|token| ("ALIBABA_CLOUD_SECURITY_TOKEN", token)));
            ended(Running::begin(&cloud.lab, command), 1)
        };
        let text = run(&["run", &file]).err;
        assert!(text.starts_with(&format!("error[{code}]: ")) && text.contains(said), "{text}");
        assert!(text.lines().last().unwrap().starts_with("  = help: ") && text.contains(cure), "{text}");
        let json = run(&["run", &file, "--json"]).json();
        assert_eq!(json["error"]["code"], code, "{json}");
        assert!(json["error"]["help"].as_str().unwrap().contains(cure), "{json}");
    }
    assert_eq!(cloud.jobs(), 0);
    assert!(cloud.lab.trials("cloud").is_empty(), "nothing is recorded");
}

#[test]
fn a_service_that_is_not_there_or_wants_no_calls_is_told_at_once() {
    let cloud = Cloud::usual();
    let closed = cloud.spec(2, &json!({"endpoint": "http://127.0.0.1:1"}));
    let text = cloud.run(1, &["run", &closed]).err;
    assert!(
        text.contains("error[E0521]: ListJobs: 127.0.0.1:1 cannot be reached: tcp connect error"),
        "{text}"
    );
    assert!(text.contains("= help: check the network"), "{text}");
    let file = cloud.spec(2, &json!({}));
    cloud.refuse(&json!({"error": {"status": 429, "code": "Throttling.User", "retry_after_ms": 90_000}}));
    let text = cloud.run(1, &["run", &file]).err;
    assert!(text.contains("error[E0523]: ListJobs") && text.contains("RETRIAL_CALLS_PER_SECOND"), "{text}");
    cloud.mend();
    cloud.refuse(&error(404, "InvalidProduct.NotFound"));
    let text = cloud.run(1, &["run", &file]).err;
    assert!(text.contains("error[E0531]") && text.contains("`region`"), "{text}");
}

#[test]
fn a_job_that_is_too_large_is_refused_with_its_size() {
    let cloud = Cloud::usual();
    let library = "x".repeat(10_000);
    let file = cloud.spec(
        1,
        &json!({"command": "train", "ThirdpartyLibs": vec!["${trial_id}".to_owned() + &library; 5]}),
    );
    let long =
        cloud.lab.text("experiment.json").replace("\"train\"", &format!("\"{}\"", "${params} ".repeat(800)));
    let file = cloud.lab.write(&file, &long);
    let done = cloud.run(1, &["run", &file]);
    assert!(
        done.err.contains("error[E0520]") && done.err.contains("bytes") && done.err.contains("image"),
        "{done}"
    );
    assert_eq!(cloud.jobs(), 0);
}

#[test]
fn a_clock_that_is_an_hour_off_is_corrected_and_one_that_cannot_be_is_told() {
    let cloud = Cloud::new(json!({"clock_offset_ms": 3_600_000, "life": life(300)}));
    let file = cloud.spec(1, &json!({}));
    let done = cloud.run(0, &["run", &file]);
    assert_eq!(done.err.matches("this machine's clock is").count(), 1, "{done}");
    assert!(done.err.contains(" s behind that of 127.0.0.1"), "{done}");
    cloud.refuse(&error(400, "InvalidTimeStamp.Expired"));
    let text = cloud.run(1, &["run", &file, "--new"]).err;
    assert!(text.contains("error[E0527]") && text.contains("= help: set this machine's clock"), "{text}");
}

#[test]
fn a_wrong_workspace_or_image_fails_the_trial_with_the_services_words() {
    let cloud =
        Cloud::new(json!({"workspaces": ["10001"], "rules": [{"image": "missing", "life": {"phases": [
            {"status": "EnvPreparing", "ms": 100},
            {"status": "Failed", "reason_code": "ImagePullFailed", "reason_message": "there is no missing:1"},
        ]}}]}));
    let workspace = cloud.spec(1, &json!({"workspace_id": "99"}));
    let done = cloud.run(3, &["run", &workspace]);
    assert!(
        done.out.contains("E0531: CreateJob") && done.out.contains("help: check `region` and `workspace_id`"),
        "{done}"
    );
    let nodes = json!([{"Type": "Worker", "Image": "missing:1", "EcsSpec": "ecs.g6.large"}]);
    let image = cloud.spec(1, &json!({"JobSpecs": nodes}));
    let done = cloud.run(3, &["run", &image, "--new"]);
    let line = done.out.lines().find(|line| line.starts_with("        ")).unwrap();
    assert!(line.contains("ImagePullFailed: there is no missing:1"), "{done}");
}

/// Runs two jobs, lets something happen while they run, waits until it is told, and puts it right.
fn through(cloud: &Cloud, begin: impl Fn(), told: &str, end: impl Fn()) {
    let file = cloud.spec(2, &json!({}));
    let run = cloud.start(&["run", &file]);
    until("reports", || cloud.lab.trials("cloud").first()?["reports"].as_array()?.first().cloned());
    begin();
    until(told, || run.err().contains(told).then_some(()));
    end();
    let done = ended(run, 0);
    let (bad, good) = ("does not give what a trial writes", "gives again what trials write");
    assert_eq!((done.err.matches(bad).count(), done.err.matches(good).count()), (1, 1), "{done}");
    assert_whole(cloud, 2);
}

#[test]
fn a_service_that_is_away_for_some_time_costs_nothing() {
    let cloud = Cloud::usual();
    through(&cloud, || cloud.refuse(&json!("drop")), "E0522: ", || cloud.mend());
}

#[test]
fn a_permission_that_is_taken_away_is_told_and_nothing_is_lost() {
    let cloud = Cloud::usual();
    through(
        &cloud,
        || cloud.refuse(&error(403, "NoPermission")),
        "help: ask for the RAM actions",
        || cloud.mend(),
    );
}

#[test]
fn a_key_that_is_revoked_is_told_and_nothing_is_lost() {
    let cloud = Cloud::usual();
    let accounts = |secret| json!([{"access_key_id": KEY, "access_key_secret": secret}]);
    let revoke = || cloud.tell("accounts", &accounts("another"));
    through(&cloud, revoke, "help: check the access key", || cloud.tell("accounts", &accounts(SECRET)));
}

#[test]
fn who_may_look_and_not_submit_is_told_and_the_experiment_waits() {
    let cloud = Cloud::usual();
    let accounts =
        |denied: &[&str]| json!([{"access_key_id": KEY, "access_key_secret": SECRET, "denied": denied}]);
    cloud.tell("accounts", &accounts(&["CreateJob"]));
    let file = cloud.spec(2, &json!({}));
    let run = cloud.start(&["run", &file]);
    let told = "the backend `dlc` takes no task now; it is tried again";
    until(told, || run.err().contains(told).then_some(()));
    assert!(run.err().contains("AuthAction paidlc:CreateJob"), "{}", run.err());
    // Whoever looks from another terminal sees it as well.
    let trouble = cloud.lab.json(&["show", "cloud"])["troubles"][0].take();
    assert_eq!((&trouble["backend"], &trouble["work"]), (&json!("dlc"), &json!("submit")), "{trouble}");
    assert!(cloud.lab.expect(0, &["show", "cloud"]).out.contains(told));
    cloud.tell("accounts", &accounts(&[]));
    let done = ended(run, 0);
    assert!(done.err.contains("the backend `dlc` takes tasks again, after "), "{done}");
    assert_eq!(cloud.lab.json(&["show", "cloud"])["troubles"], json!([]));
    assert_whole(&cloud, 2);
}

const LINES: [&str; 10] = [
    "score=0", "score=1", "score=2", "score=3", "score=4", "score=5", "score=6", "score=7", "score=8",
    "score=9",
];

#[test]
fn a_log_is_followed_to_its_last_line_each_line_once() {
    // Lines that come late, so that the last of them come after the job's end.
    let cloud = Cloud::new(json!({"life": life(4_000), "logs": {"lag_ms": 250}}));
    let file = cloud.spec(1, &json!({}));
    let run = cloud.start(&["run", &file]);
    until("the trial", || cloud.lab.trials("cloud").first().cloned());
    let follow = cloud.start(&["logs", "cloud", "0", "-f"]);
    let followed_json = cloud.start(&["logs", "cloud", "0", "-f", "--json", "--stderr"]);
    until("the first lines", || follow.out().contains("score=0\n").then_some(()));
    assert!(!follow.out().contains("score=9"), "it is followed while it runs");
    ended(run, 0);
    let lines = |done: &Done| done.out.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&ended(follow, 0)), LINES);
    let texts = LINES.map(|line| json!({"text": line}).to_string());
    assert_eq!(lines(&ended(followed_json, 0)), texts);
    for args in [["logs", "cloud", "0", "--attempt=1"], ["logs", "cloud", "0", "-f"]] {
        assert_eq!(lines(&cloud.run(0, &args)), LINES);
    }
    let none = cloud.run(1, &["logs", "cloud", "0", "--attempt", "2"]);
    assert!(none.err.contains("has ended without such a task"), "{none}");
}

#[test]
fn a_log_that_cannot_be_had_says_why() {
    let cloud = Cloud::new(json!({"life": life(300)}));
    let file = cloud.spec(1, &json!({}));
    cloud.run(0, &["run", &file]);
    let mut command = cloud.command(&["logs", "cloud", "0", "--json"]);
    command.env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "another");
    let said = ended(Running::begin(&cloud.lab, command), 1).json();
    assert_eq!(said["error"]["code"], "E0525", "{said}");
    assert!(said["error"]["help"].as_str().unwrap().contains("retrial doctor"), "{said}");
    cloud.refuse(&error(404, "NotFound"));
    let said = cloud.run(1, &["logs", "cloud", "0"]).err;
    assert!(
        said.contains("error[E0531]: failed to read the output of job ") && said.contains("deleted"),
        "{said}"
    );
}

#[test]
fn a_log_is_followed_through_an_outage_and_until_somebody_has_seen_enough() {
    // Its job runs until it is told to end, so that nobody has to be fast.
    let mut life = life(1_000);
    life["phases"] = json!([{"status": "Running"}]);
    let cloud = Cloud::new(json!({"life": life}));
    let file = cloud.spec(1, &json!({}));
    let run = cloud.start(&["run", &file]);
    until("the trial", || cloud.lab.trials("cloud").first().cloned());
    let follow = cloud.start(&["logs", "cloud", "0", "-f"]);
    let other = cloud.start(&["logs", "cloud", "0", "-f"]);
    until("the first lines", || (follow.out() + &other.out()).matches("score=0\n").nth(1).map(|_| ()));
    // Not SIGINT, which is ignored by what a shell has started in the background.
    other.signal(Signal::SIGTERM);
    assert!(other.end().code != Some(0));
    cloud.refuse(&json!("drop"));
    until("the note", || follow.err().contains("it is tried again").then_some(()));
    cloud.mend();
    until("the last line", || follow.out().contains("score=9\n").then_some(()));
    let job = cloud.service.jobs(|jobs| jobs.first().map(|job| job.id.clone())).unwrap();
    cloud.tell(&format!("jobs/{job}"), &json!({"phases": [{"status": "Succeeded"}]}));
    ended(run, 0);
    let done = ended(follow, 0);
    assert_eq!(done.out.lines().collect::<Vec<_>>(), LINES);
    assert_eq!(done.err.matches("note: ").count(), 1, "{done}");
}
