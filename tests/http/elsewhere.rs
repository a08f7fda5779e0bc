//! The command line against a daemon elsewhere: in an empty folder, with the daemon's address and somebody's token.

use crate::client::Client;
use crate::daemon::Daemon;
use crate::native::{by_clients, gated, until_status};
use crate::support::{Done, Lab, Running, experiment, until, with};
use crate::users::{ADMIN, BEN, CARL, VIEWER, access, with_users};
use nix::sys::signal::Signal;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The machine of somebody who uses the daemon.
pub struct There {
    lab: Lab,
    server: String,
    token: &'static str,
}

impl There {
    pub fn new(address: &str, token: &'static str) -> Self {
        Self { lab: Lab::new(), server: format!("http://{address}"), token }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.lab.command(args);
        command.env_remove("RETRIAL_STORE").env("RETRIAL_SERVER", &self.server);
        command.env("RETRIAL_TOKEN", self.token);
        command
    }

    pub fn start(&self, args: &[&str]) -> Running {
        Running::begin(&self.lab, self.command(args))
    }

    fn retrial(&self, args: &[&str]) -> Done {
        let done = self.start(args).end();
        done.no_panic();
        assert!(!format!("{done}").contains("planted"), "{done}");
        done
    }

    fn expect(&self, code: i32, args: &[&str]) -> Done {
        let done = self.retrial(args);
        assert_eq!(done.code, Some(code), "retrial {}\n{done}", args.join(" "));
        done
    }
}

impl Drop for There {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(!self.lab.file(".retrial").exists(), "no store was made where the command was typed");
        }
    }
}

#[test]
fn every_command_that_looks_says_the_same_there_as_on_the_daemons_machine() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "info");
    let there = There::new(daemon.address(), ADMIN);
    let file = lab.spec(&experiment(12, "echo score=${x}; echo warn-${x} >&2"));
    let ran = there.expect(0, &["run", &file]);
    assert!(ran.out.contains("begins: 12 trials") && ran.out.matches("\ntrial ").count() >= 12, "{ran}");
    let mut admin = Client::with_token(&daemon, ADMIN);
    admin.create(&by_clients("second", 2));
    let seq = lab.events("lab").last().unwrap()["seq"].as_u64().unwrap();
    let (at, beyond) = (seq.to_string(), (seq + 1_000).to_string());
    let commands: &[&[&str]] = &[
        &["ls"],
        &["ls", "--all"],
        &["show", "lab"],
        &["trials", "lab"],
        &["best", "lab"],
        &["best", "second"],
        &["logs", "lab", "3"],
        &["logs", "lab", "3", "--stderr"],
        &["logs", "lab", "3", "-f"],
        &["logs", "lab", "99"],
        &["logs", "second", "0"],
        &["events", "lab"],
        &["events", "lab", "-f"],
        &["watch", "lab"],
        &["importance", "lab"],
        &["importance", "lab", "--method", "fanova"],
        &["importance", "second"],
        &["check", &file],
        &["check", &file, "--dry-run"],
        &["run", &file],
        &["run", "lab"],
        &["run", "second"],
        &["show", "none"],
        &["audit", "log", "lab"],
        &["audit", "replay", "lab", "--at", &at],
        &["audit", "replay", "lab", "--at", "2999-01-01T00:00:00Z"],
        &["audit", "replay", "lab", "--at", "2001-01-01T00:00:00Z"],
        &["audit", "replay", "lab", "--at", &beyond],
        &["audit", "replay", "lab", "--at", "yesterday"],
        &["audit", "resample", "lab"],
        &["clean", "lab"],
        &["clean", "lab", "--dry-run"],
        &["clean", "second"],
        &["audit", "verify"],
    ];
    for command in commands {
        for json in [false, true] {
            let command: Vec<&str> = command.iter().copied().chain(json.then_some("--json")).collect();
            let (here, far) = (lab.retrial(&command), there.retrial(&command));
            let named = command.join(" ");
            assert_eq!((far.code, &far.out), (here.code, &here.out), "{named}\n{far}\n{here}");
        }
    }
    for name in ["a.csv", "a.json"] {
        lab.expect(0, &["export", "lab", "-o", name]);
        let told = there.expect(0, &["export", "lab", "-o", name]);
        assert_eq!(told.out, format!("12 trials written to {name}\n"));
        assert_eq!(there.lab.text(name), lab.text(name));
    }
    daemon.end();
}

#[test]
fn what_is_done_there_is_done_by_the_daemon_in_the_name_of_whoever_asks() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "info");
    let there = There::new(daemon.address(), BEN);
    let spec = gated(&lab, "lab", 6, "echo score=${x}");
    let file = there.lab.spec(&spec);
    let looks_on = there.start(&["run", &file]);
    let mut ben = Client::with_token(&daemon, BEN);
    let id = until("the experiment", || {
        Some(ben.get("/v1/experiments?name=lab")["experiments"][0]["experiment"].as_str()?.to_owned())
    });
    lab.until_trials(&id, "RUNNING", 2);
    let says = |args: &[&str], told: &str| {
        let done = there.expect(0, args);
        assert_eq!(done.out, told, "{}\n{done}", args.join(" "));
    };
    says(&["pause", "lab"], &format!("paused lab ({id}): WAITING\n"));
    there.expect(1, &["rm", "lab"]);
    says(&["resume", "lab"], &format!("resumed lab ({id}): RUNNING\n"));
    says(&["enqueue", "lab", r#"{"x": 0.5, "kind": "a"}"#], &format!("enqueued in lab ({id}): RUNNING\n"));
    let outside = there.expect(2, &["enqueue", "lab", r#"{"x": 7, "kind": "a"}"#]);
    assert!(outside.err.contains("outside the search space"), "{outside}");
    let wider = with(spec.clone(), json!({"budget": {"trials": 7}}));
    let wider = there.lab.write("wider.json", &wider.to_string());
    says(&["update", "lab", &wider], &format!("updated lab ({id}): RUNNING\n"));
    let fixed = with(spec.clone(), json!({"space": {"x": {"uniform": [0, 2]}}}));
    let fixed = there.lab.write("fixed.json", &fixed.to_string());
    let (here, far) =
        (lab.expect(1, &["update", "lab", &fixed]), there.expect(1, &["update", "lab", &fixed]));
    assert!(far.err.contains("`space`") && here.err.contains("`space`"), "{far}\n{here}");
    // With the changed file the same experiment is meant, with the old one another.
    let changed = there.expect(2, &["run", &file]);
    assert!(changed.err.contains("E0609") && changed.err.contains("budget.trials"), "{changed}");
    says(&["stop", "lab", "0"], &format!("stopped trials of lab ({id}): RUNNING\n"));
    says(&["retry", "lab", "0"], &format!("to be tried again in lab ({id}): RUNNING\n"));
    let copied = there.expect(0, &["clone", "lab", "--name", "copy", "--json"]).json();
    let copy = copied["experiment"].as_str().unwrap().to_owned();
    assert_eq!(ben.get(&format!("/v1/experiments/{copy}"))["creator"], "ben");
    // Others may look, and no more.
    for (token, what) in [(VIEWER, "has the role viewer"), (CARL, "belongs to ben")] {
        let other = There::new(daemon.address(), token);
        other.expect(0, &["show", "lab"]);
        let refused = other.expect(1, &["stop", "lab"]);
        assert!(refused.err.contains("E0632") && refused.err.contains(what), "{refused}");
    }
    says(&["stop", "copy"], &format!("stopped copy ({copy}): USER_CANCELED\n"));
    says(&["rm", "copy"], &format!("removed copy ({copy}): USER_CANCELED\n"));
    there.expect(1, &["show", "copy"]);
    assert!(there.expect(0, &["ls", "--all"]).out.contains("copy"));
    lab.open_gate("gate");
    let looked = looks_on.end();
    assert_eq!(looked.code, Some(0), "{looked}");
    assert!(looked.out.contains("best: trial"), "{looked}");
    let actors: Vec<String> =
        lab.events(&id).iter().map(|event| event["actor"].as_str().unwrap().to_owned()).collect();
    assert!(actors.iter().filter(|actor| *actor == "ben").count() >= 6, "{actors:?}");
    daemon.end();
}

#[test]
fn an_experiment_is_run_in_private_and_made_public_later() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "info");
    let (there, other) = (There::new(daemon.address(), BEN), There::new(daemon.address(), CARL));
    let file = there.lab.spec(&experiment(2, "echo score=${x}"));
    there.expect(0, &["run", "--private", &file]);
    let seen_by = |there: &There| there.expect(0, &["show", "lab"]).out;
    assert!(seen_by(&there).contains("\nseen by     its creator and admins only\n"));
    assert_eq!(there.expect(0, &["show", "lab"]).out, lab.expect(0, &["show", "lab"]).out);
    other.expect(1, &["show", "lab"]);
    assert!(!other.expect(0, &["ls"]).out.contains("lab"));
    let id = there.expect(0, &["show", "lab", "--json"]).json()["experiment"].as_str().unwrap().to_owned();
    // Whoever has seen it cannot change that.
    let told = there.expect(0, &["update", "lab", "--public"]).out;
    assert_eq!(told, format!("updated lab ({id}): FINISHED\n"));
    assert!(!seen_by(&other).contains("seen by"));
    let refused = other.expect(1, &["update", &id, "--private"]);
    assert!(refused.err.contains("E0632") && refused.err.contains("belongs to ben"), "{refused}");
    // What is run in private although it is there already is private from then on, also when it has ended.
    there.expect(0, &["run", &file]);
    seen_by(&other);
    there.expect(0, &["run", "--private", &file]);
    other.expect(1, &["show", &id]);
    // A change that is refused makes nothing public.
    let spec = with(experiment(2, "echo score=${x}"), json!({"space": {"x": {"uniform": [0, 2]}}}));
    let changed = there.lab.write("changed.json", &spec.to_string());
    there.expect(1, &["update", "lab", &changed, "--public"]);
    other.expect(1, &["show", &id]);
    let more = there.lab.write("more.json", &experiment(3, "echo score=${x}").to_string());
    there.expect(0, &["update", "lab", &more, "--public"]);
    there.expect(0, &["watch", "lab"]);
    assert!(seen_by(&other).contains("3 of 3"));
    let copied = there.expect(0, &["update", "lab", "--private"]);
    assert!(copied.out.contains("FINISHED"), "{copied}");
    let copy = there.expect(0, &["clone", "lab", "--json"]).json()["experiment"].as_str().unwrap().to_owned();
    other.expect(1, &["show", &copy]);
    daemon.end();
}

#[test]
fn whoever_looks_on_may_leave_and_is_not_lost_when_the_daemon_is_replaced() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "info");
    let there = There::new(daemon.address(), BEN);
    let mut spec = gated(&lab, "lab", 4, "echo score=${x}");
    let command = format!("echo begun; {}", spec["run"]["local"]["command"].as_str().unwrap());
    spec["run"]["local"]["command"] = json!(command);
    let file = there.lab.spec(&spec);
    let first = there.start(&["run", &file]);
    until("the first trials", || first.out().contains("begins").then_some(()));
    lab.until_trials("lab", "RUNNING", 2);
    first.signal(Signal::SIGINT);
    let left = first.end();
    assert_eq!(left.code, Some(130), "{left}");
    assert!(left.err.contains("the daemon goes on with it"), "{left}");
    let again = there.start(&["run", &file]);
    let logs = there.start(&["logs", "lab", "1", "-f"]);
    let events = there.start(&["events", "lab", "-f", "--json"]);
    until("that it goes on", || again.out().contains("goes on at trial 0").then_some(()));
    until("what the trial has written", || logs.out().contains("begun").then_some(()));
    until("the first events", || events.out().contains("TaskStarted").then_some(()));
    let address: SocketAddr = daemon.address().parse().unwrap();
    daemon.end();
    until("the note", || again.err().contains("it is tried again").then_some(()));
    let serve = ["serve", "--listen", &address.to_string(), "--json", "--access", &access(&lab)];
    let daemon = Daemon::begin(&lab, lab.command(&serve));
    lab.open_gate("gate");
    for looking in [again, logs, events] {
        let done = looking.end();
        assert_eq!(done.code, Some(0), "{done}");
    }
    let told = lab.expect(0, &["events", "lab", "--json"]).out;
    assert_eq!(there.expect(0, &["events", "lab", "--json"]).out, told);
    assert_eq!(lab.json(&["show", "lab"])["status"], "FINISHED");
    daemon.end();
}

#[test]
fn an_interruption_ends_the_looking_also_while_the_daemon_does_not_answer() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "info");
    let there = There::new(daemon.address(), BEN);
    let file = there.lab.spec(&gated(&lab, "lab", 2, "echo score=${x}"));
    let mut looking = vec![there.start(&["run", &file])];
    lab.until_trials("lab", "RUNNING", 2);
    looking.push(there.start(&["run", &file]));
    for looks_on in &looking {
        until("the view", || looks_on.out().contains("lab").then_some(()));
    }
    daemon.running().signal(Signal::SIGSTOP);
    // Whoever looks on asks it again before it looks at anything else.
    for (looks_on, signal) in looking.into_iter().zip([Signal::SIGINT, Signal::SIGTERM]) {
        looks_on.signal(signal);
        let done = looks_on.end();
        assert_eq!(done.code, Some(130), "{done}");
        assert!(done.err.contains("the daemon goes on with it"), "{done}");
    }
    daemon.running().signal(Signal::SIGCONT);
    lab.open_gate("gate");
    there.expect(0, &["watch", "lab"]);
    daemon.end();
}

/// A server that answers every request with the same bytes.
fn stranger(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn what_is_wrong_with_the_way_to_the_daemon_is_told_with_its_cure() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "info");
    let says = |there: &There, args: &[&str], code: i32, told: &[&str]| {
        let done = there.expect(code, args);
        for told in told {
            assert!(done.err.contains(told), "`{told}` is not said: {done}");
        }
        assert!(done.out.is_empty() && done.err.contains("help:"), "{done}");
    };
    let wrong = There::new(daemon.address(), "planted-token-of-anybody");
    says(&wrong, &["ls"], 1, &["E0631", "token of that daemon's file of users"]);
    says(&wrong, &["stop", "lab"], 1, &["E0631"]);
    says(&There::new(daemon.address(), ""), &["ls"], 1, &["E0631", "set RETRIAL_TOKEN to your token"]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    says(&There::new(&closed, BEN), &["ls"], 1, &["E0650", "is not reached", "retrial serve"]);
    let page = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: 39\r\n\r\n\
                <html><title>Bad Gateway</title></html>";
    says(
        &There::new(&stranger(page), BEN),
        &["ls"],
        1,
        &["E0651", "502", "text/html", "\"Bad Gateway\"", "proxy"],
    );
    let leads_on = "HTTP/1.1 301 Moved\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    says(
        &There::new(&stranger(leads_on), BEN),
        &["ls"],
        1,
        &["E0651", "leads on to https://elsewhere.example/"],
    );
    let no_http = "no HTTP at all\r\n";
    says(&There::new(&stranger(no_http), BEN), &["ls"], 1, &["E0650", "https://"]);
    // A daemon of another version.
    let older = "HTTP/1.1 404 Not Found\r\nContent-Type: application/problem+json\r\nConnection: close\r\nContent-Length: 85\r\n\r\n\
                 {\"status\":404,\"code\":\"E0633\",\"detail\":\"there is nothing at GET /x\",\"version\":\"0.0.9\"}";
    says(&There::new(&stranger(older), BEN), &["show", "lab"], 1, &["E0651", "has the version 0.0.9"]);

    // One that is busy for longer than anybody waits, and says it with what a terminal would obey.
    let busy = "HTTP/1.1 503 Busy\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\
                Retry-After: 18446744073709551615\r\nContent-Length: 83\r\n\r\n\
                {\"code\":\"E0634\",\"detail\":\"it is\\u001b[2J \\u009bbusy\",\"help\":\"a\\u0007\\u001b]0;x\\nb\"}";
    let done = There::new(&stranger(busy), BEN).expect(1, &["ls"]);
    assert_eq!(done.err, "error[E0634]: it is [2J  busy\n  = help: a  ]0;x\nb\n");

    let there = There::new(daemon.address(), BEN);
    for args in
        [&["serve"][..], &["doctor"], &["secret", "ls"], &["audit", "import", "x"], &["audit", "export", "x"]]
    {
        says(&there, args, 2, &["E0652", "--store DIR"]);
    }
    says(&there, &["ls", "--server", "ftp://x"], 2, &["https://"]);
    says(&there, &["ls", "--store", "s", "--server", "http://127.0.0.1:1"], 2, &["two places"]);
    // What is typed counts more than the environment.
    let store = lab.store().display().to_string();
    there.expect(0, &["ls", "--store", &store]);
    says(&there, &["ls", "--server", &format!("http://{closed}")], 1, &["E0650", &closed]);
    let mistyped = there.expect(1, &["show", "none", "--server", &there.server]);
    assert!(mistyped.err.contains(&format!("`retrial ls --server {}`", there.server)), "{mistyped}");
    // What has nothing to do with a store works as ever.
    there.expect(0, &["completions", "bash"]);
    daemon.end();
}

/// Passes everything on to a daemon and back, but for the answer to the first creation, which is lost.
fn lossy(daemon: String, lost: Arc<AtomicU32>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let (Ok(mut near), Ok(mut far)) = (near, TcpStream::connect(&daemon)) else { return };
            let (mut asks, mut answers) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            let creates = Arc::new(AtomicBool::new(false));
            let (lost, noted) = (Arc::clone(&lost), Arc::clone(&creates));
            std::thread::spawn(move || {
                let mut bytes = [0; 8_192];
                while let Ok(count @ 1..) = asks.read(&mut bytes) {
                    noted.fetch_or(bytes.starts_with(b"POST /v1/experiments "), Ordering::SeqCst);
                    if far.write_all(&bytes[..count]).is_err() {
                        break;
                    }
                }
                let _ = far.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let mut bytes = [0; 8_192];
                while let Ok(count @ 1..) = answers.read(&mut bytes) {
                    if creates.load(Ordering::SeqCst) && lost.fetch_add(1, Ordering::SeqCst) == 0 {
                        break;
                    }
                    if near.write_all(&bytes[..count]).is_err() {
                        break;
                    }
                }
                let _ = near.shutdown(Shutdown::Both);
            });
        }
    });
    address
}

#[test]
fn an_answer_that_is_lost_creates_nothing_twice() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "info");
    let lost = Arc::new(AtomicU32::new(0));
    let there = There::new(&lossy(daemon.address().to_owned(), Arc::clone(&lost)), BEN);
    let file = there.lab.spec(&experiment(2, "echo score=${x}"));
    let ran = there.expect(0, &["run", &file]);
    assert!(ran.err.contains("it is tried again"), "{ran}");
    assert_eq!(lost.load(Ordering::SeqCst), 2, "the creation was sent twice");
    let listed = Client::with_token(&daemon, BEN).get("/v1/experiments");
    assert_eq!(listed["experiments"].as_array().unwrap().len(), 1, "{listed}");
    daemon.end();
}

#[test]
fn a_daemon_that_asks_to_come_again_is_waited_for() {
    let lab = Lab::new();
    let serve = ["--requests-per-second", "1", "--access", &access(&lab)];
    let daemon = Daemon::start(&lab, &serve);
    let there = There::new(daemon.address(), BEN);
    // Ten requests are taken at once.
    for _ in 0..12 {
        there.expect(0, &["ls"]);
    }
    let metrics = Client::with_token(&daemon, ADMIN).send("GET", "/metrics", &json!(null)).body;
    assert!(
        metrics.lines().any(|line| line.contains("listExperiments") && line.contains("429")),
        "{metrics}"
    );
    daemon.end();
}

#[test]
fn a_daemon_is_reached_by_https_only_where_its_certificate_is_trusted() {
    let lab = Lab::new();
    let tls = |name: &str| format!("{}/tests/http/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let (users, certificate, key) = (access(&lab), tls("certificate.pem"), tls("key.pem"));
    let encrypted = ["--tls-certificate", &certificate, "--tls-key", &key, "--access", &users];
    let daemon = Daemon::start(&lab, &encrypted);
    let mut there = There::new(daemon.address(), BEN);
    let unencrypted = there.expect(1, &["ls"]);
    assert!(unencrypted.err.contains("with encryption only"), "{unencrypted}");
    there.server = format!("https://{}", daemon.address());
    let strange = there.expect(1, &["ls"]);
    assert!(strange.err.contains("E0650") && strange.err.contains("SSL_CERT_FILE"), "{strange}");
    let trusting = |server: &str| {
        let mut command = there.command(&["ls"]);
        command.env("SSL_CERT_FILE", tls("authority.pem")).env("RETRIAL_SERVER", server);
        Running::begin(&there.lab, command).end()
    };
    let trusted = trusting(&there.server);
    assert_eq!((trusted.code, trusted.err.as_str()), (Some(0), ""), "{trusted}");
    let other_name = trusting(&there.server.replace("127.0.0.1", "localhost"));
    assert!(other_name.err.contains("E0650") && other_name.err.contains("certificate"), "{other_name}");
    daemon.end();
}

#[test]
fn a_daemon_takes_what_it_checks_and_says_what_it_does_not_take() {
    let lab = Lab::new();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--json", "--no-local", "--access", &access(&lab)];
    let daemon = Daemon::begin(&lab, lab.command(&serve));
    let there = There::new(daemon.address(), BEN);
    let file = there.lab.spec(&experiment(3, "echo score=1"));
    for command in [&["check", &file][..], &["run", &file]] {
        let refused = there.expect(2, command);
        assert!(refused.err.contains("does not run tasks on the backend `local`"), "{refused}");
    }
    let by_clients = there.lab.write("clients.json", &by_clients("clients", 3).to_string());
    assert!(there.expect(2, &["run", &by_clients]).err.contains("does not say what a trial runs"));
    let mut ben = Client::with_token(&daemon, BEN);
    assert_eq!(ben.get("/v1/experiments")["experiments"], json!([]));
    let id = ben.create(&serde_json::from_str(&there.lab.text("clients.json")).unwrap());
    until_status(&mut ben, &id, "CREATED");
    daemon.end();
}
