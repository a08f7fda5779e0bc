//! Files by their addresses, in a simulated object storage and on this machine.

use async_trait::async_trait;
use engine::ports::backend::{Chunk, ReadError};
use engine::time::Timestamp;
use retrial_backends::cloud::credentials::{Credentials, CredentialsError, Provider};
use retrial_backends::cloud::http::{Http, HttpSettings};
use retrial_backends::cloud::proxy::ProxySettings;
use retrial_backends::cloud::secret::Secret;
use retrial_backends::cloud::world::{SystemWorld, World};
use retrial_backends::files::{Address, FileError, Files, LIST_BOUND, OssSettings, S3Settings, Settings};
use serde_json::{Value, json};
use simulators::oss::{Script, Simulator};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const BUCKET: &str = "metrics";

fn simulator(more: &Value) -> Simulator {
    let mut script = json!({
        "accounts": [{"access_key_id": "key", "access_key_secret": "planted-secret"}],
        "buckets": [{"name": BUCKET}, {"name": "elsewhere", "region": "cn-beijing"}],
        // Buckets of today take nothing else.
        "signatures": ["v4"],
    });
    for (name, value) in more.as_object().unwrap() {
        script[name] = value.clone();
    }
    Simulator::anywhere(&serde_json::from_value::<Script>(script).unwrap()).unwrap()
}

fn key(id: &str, secret: &str, token: Option<&str>) -> Credentials {
    Credentials {
        access_key_id: id.to_owned(),
        access_key_secret: Secret::new(secret.to_owned()),
        security_token: token.map(|token| Secret::new(token.to_owned())),
    }
}

fn settings(simulator: &Simulator) -> Settings {
    Settings {
        oss: OssSettings {
            region: Some("cn-hangzhou".to_owned()),
            internal: None,
            endpoint: Some(format!("http://{}", simulator.address())),
        },
        ..Settings::default()
    }
}

/// The system's clock and chance; whoever sleeps in it wakes at once, later by as much.
#[derive(Debug, Default)]
struct Quick {
    system: SystemWorld,
    slept: Mutex<Duration>,
}

#[async_trait]
impl World for Quick {
    fn wall(&self) -> Timestamp {
        self.system.wall()
    }

    fn steady(&self) -> Duration {
        self.system.steady() + *self.slept.lock().unwrap()
    }

    async fn sleep(&self, time: Duration) {
        *self.slept.lock().unwrap() += time;
    }

    fn random(&self) -> u128 {
        self.system.random()
    }
}

fn files_with(provider: Arc<dyn Provider>, settings: Settings, http: &HttpSettings) -> Files {
    Files::new(provider, Arc::new(Quick::default()), Http::new(http).unwrap(), settings)
}

fn files(simulator: &Simulator) -> Files {
    files_with(Arc::new(key("key", "planted-secret", None)), settings(simulator), &HttpSettings::default())
}

fn at(key: &str) -> Address {
    Address::parse(&format!("oss://{BUCKET}/{key}")).unwrap()
}

fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn chunk(bytes: &[u8], start: u64, at_end: bool) -> Chunk {
    Chunk { bytes: bytes.to_vec(), start, at_end }
}

/// The failure of a read, which must be one.
fn failed(read: Result<Chunk, ReadError>) -> String {
    match read.unwrap_err() {
        ReadError::Failed { what, reason } => format!("{what}: {reason}"),
        other => panic!("{other}"),
    }
}

#[test]
fn a_file_is_written_and_read_whole_and_in_parts_under_a_name_with_everything_in_it() {
    let simulator = simulator(&json!({}));
    let files = files(&simulator);
    let address = at("runs 1/é 中+%~&=#?!'()*.json");
    now(async {
        files.write(&address, b"0123456789".to_vec()).await.unwrap();
        assert_eq!(files.read_whole(&address, 10).await.unwrap(), b"0123456789");
        assert_eq!(files.read(&address, 0, 4).await, Ok(chunk(b"0123", 0, false)));
        assert_eq!(files.read(&address, 8, 100).await, Ok(chunk(b"89", 8, true)));
        assert_eq!(files.read(&address, 10, 100).await, Ok(chunk(b"", 10, true)));
        assert_eq!(files.read(&address, u64::MAX, 100).await, Ok(chunk(b"", u64::MAX, true)));
        let listed = files.list(&at("runs 1")).await.unwrap();
        assert_eq!(listed, [address.to_string()]);
        assert_eq!(Address::parse(&listed[0]), Ok(address.clone()));
        let error = files.read_whole(&address, 9).await.unwrap_err();
        assert_eq!(error.code.to_string(), "E0546");
        files.write(&address, Vec::new()).await.unwrap();
        assert_eq!(files.read(&address, 0, 4).await, Ok(chunk(b"", 0, true)));
        assert_eq!(files.read_whole(&address, 4).await.unwrap(), b"");
    });
    assert!(simulator.calls().iter().all(|call| call.signed == "OSS4-HMAC-SHA256"));
}

#[test]
fn a_file_that_grows_is_read_on_and_one_that_shrinks_gives_nothing_twice() {
    let simulator = simulator(&json!({}));
    let files = files(&simulator);
    let address = at("events");
    let read = |from| now(files.read(&address, from, 100));
    assert_eq!(read(0), Err(ReadError::Absent(address.to_string())));
    simulator.append(BUCKET, "events", b"one ").unwrap();
    assert_eq!(read(0), Ok(chunk(b"one ", 0, true)));
    assert_eq!(read(4), Ok(chunk(b"", 4, true)));
    simulator.append(BUCKET, "events", b"two ").unwrap();
    assert_eq!(read(4), Ok(chunk(b"two ", 4, true)));
    simulator.put(BUCKET, "events", b"new").unwrap();
    assert_eq!(read(8), Ok(chunk(b"", 8, true)));
    simulator.put(BUCKET, "events", b"new and longer").unwrap();
    assert_eq!(read(8), Ok(chunk(b"longer", 8, true)));
}

#[test]
fn a_list_of_many_pages_is_whole_and_sorted_and_bounded() {
    let simulator = simulator(&json!({}));
    let files = files(&simulator);
    for number in 0..2_500 {
        simulator.put(BUCKET, &format!("a b+/{number}/x"), b"").unwrap();
    }
    simulator.put(BUCKET, "a b+.json", b"").unwrap();
    simulator.put(BUCKET, "other/x", b"").unwrap();
    let found = now(files.list(&at("a b+"))).unwrap();
    assert_eq!(found.len(), 2_500);
    assert!(found.is_sorted() && found.contains(&format!("oss://{BUCKET}/a b+/1234/x")));
    assert_eq!(now(files.list(&at("nothing"))).unwrap(), [""; 0]);
    assert_eq!(now(files.list(&at(""))).unwrap().len(), 2_502);
    for number in 0..LIST_BOUND {
        simulator.put(BUCKET, &format!("many/{number}"), b"").unwrap();
    }
    assert_eq!(now(files.list(&at("many"))).unwrap().len(), LIST_BOUND);
    simulator.put(BUCKET, "many/x", b"").unwrap();
    assert_eq!(now(files.list(&at("many"))).unwrap_err().code.to_string(), "E0547");
}

#[test]
fn what_is_wrong_is_said_with_its_place_its_cure_and_no_secret() {
    let simulator = simulator(&json!({"accounts": [
        {"access_key_id": "key", "access_key_secret": "planted-secret", "denied": ["PutObject"]},
        {"access_key_id": "session", "access_key_secret": "planted-secret", "security_token": "planted-token"},
    ]}));
    simulator.put(BUCKET, "x", b"x").unwrap();
    let with = |id: &str, secret: &str, token: Option<&str>| {
        files_with(Arc::new(key(id, secret, token)), settings(&simulator), &HttpSettings::default())
    };
    let read = |files: &Files, address: &Address| failed(now(files.read(address, 0, 10)));
    let good = files(&simulator);
    let missing = Address::parse("oss://missing/x").unwrap();
    let elsewhere = Address::parse("oss://elsewhere/x").unwrap();
    let planted = Some("planted-other");
    for (said, code, words) in [
        (read(&good, &missing), "E0541", "`missing`"),
        (read(&good, &elsewhere), "E0542", "`elsewhere`"),
        (read(&with("nobody", "planted-secret", None), &at("x")), "E0525", "InvalidAccessKeyId"),
        (read(&with("key", "planted-wrong", None), &at("x")), "E0525", "SignatureDoesNotMatch"),
        (read(&with("session", "planted-secret", None), &at("x")), "E0525", "needs its token"),
        (read(&with("session", "planted-secret", planted), &at("x")), "E0528", "InvalidSecurityToken"),
        (now(good.write(&at("y"), b"y".to_vec())).unwrap_err().to_string(), "E0543", "oss:PutObject"),
        (now(good.list(&missing)).unwrap_err().to_string(), "E0541", "oss://missing/"),
    ] {
        assert!(said.contains(code) && said.contains(words) && said.contains("oss://"), "{code}: {said}");
        assert!(said.contains("request "), "the id of the request: {said}");
        assert!(!said.contains("planted"), "{said}");
    }
    // A wrong key costs one request, and a wrong token one more.
    let refused = |outcome: &str| simulator.calls().iter().filter(|call| call.outcome == outcome).count();
    assert_eq!((refused("SignatureDoesNotMatch"), refused("InvalidSecurityToken")), (1, 1));
}

/// Credentials that change when they are asked for anew.
#[derive(Debug)]
struct Changing {
    keys: Mutex<Vec<Credentials>>,
    refreshed: AtomicUsize,
}

#[async_trait]
impl Provider for Changing {
    async fn get(&self) -> Result<Credentials, CredentialsError> {
        Ok(self.keys.lock().unwrap()[0].clone())
    }

    async fn refresh(&self) -> Result<Credentials, CredentialsError> {
        self.refreshed.fetch_add(1, Ordering::SeqCst);
        let mut keys = self.keys.lock().unwrap();
        if keys.len() > 1 {
            keys.remove(0);
        }
        Ok(keys[0].clone())
    }
}

#[test]
fn a_token_that_has_ended_is_fetched_anew_once_and_the_new_one_is_kept() {
    let simulator = simulator(&json!({"accounts": [
        {"access_key_id": "old", "access_key_secret": "s", "security_token": "t", "expires_at": "2020-01-01T00:00:00Z"},
        {"access_key_id": "new", "access_key_secret": "s", "security_token": "u"},
    ]}));
    simulator.put(BUCKET, "x", b"x").unwrap();
    let provider = Arc::new(Changing {
        keys: Mutex::new(vec![key("old", "s", Some("t")), key("new", "s", Some("u"))]),
        refreshed: AtomicUsize::new(0),
    });
    let files = files_with(provider.clone(), settings(&simulator), &HttpSettings::default());
    for _ in 0..2 {
        assert_eq!(now(files.read(&at("x"), 0, 10)), Ok(chunk(b"x", 0, true)));
    }
    let outcomes: Vec<String> = simulator.calls().into_iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, ["SecurityTokenExpired", "ok", "ok"]);
    assert_eq!(provider.refreshed.load(Ordering::SeqCst), 1);
    // The new one ends too, and there is no other.
    simulator.set_accounts(Vec::new());
    let said = failed(now(files.read(&at("x"), 0, 10)));
    assert!(said.contains("E0525"), "{said}");
}

#[test]
fn a_clock_that_is_wrong_is_corrected_by_the_storages() {
    let simulator = simulator(&json!({"clock_offset_ms": 3_600_000}));
    let files = files(&simulator);
    now(files.write(&at("x"), b"x".to_vec())).unwrap();
    now(files.read(&at("x"), 0, 1)).unwrap();
    let outcomes: Vec<String> = simulator.calls().into_iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, ["RequestTimeTooSkewed", "ok", "ok"]);
}

#[test]
fn what_breaks_off_or_is_refused_for_now_is_done_again_and_done_right() {
    let simulator = simulator(&json!({"faults": [
        {"operation": "GetObject", "answer": "drop"},
        {"operation": "GetObject", "answer": {"cut": 700}},
        {"operation": "GetObject", "answer": {"error": {"status": 503, "code": "ServiceUnavailable"}}},
        {"operation": "PutObject", "acts": true, "answer": "drop"},
        {"operation": "ListObjectsV2", "answer": {"error": {"status": 500, "code": "InternalError"}}},
    ]}));
    let files = files(&simulator);
    let content: Vec<u8> = (0..100_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
    now(files.write(&at("x"), content.clone())).unwrap();
    assert_eq!(now(files.read(&at("x"), 0, content.len())), Ok(chunk(&content, 0, false)));
    assert_eq!(now(files.list(&at(""))).unwrap().len(), 1);
    let outcomes: Vec<String> = simulator.calls().into_iter().map(|call| call.outcome).collect();
    assert_eq!(
        outcomes,
        ["dropped", "ok", "dropped", "cut", "ServiceUnavailable", "ok", "InternalError", "ok"]
    );
}

#[test]
fn what_stays_broken_ends_after_a_bounded_number_of_attempts() {
    let simulator = simulator(&json!({"faults": [{"operation": "GetObject", "times": 0, "answer": "drop"}]}));
    simulator.put(BUCKET, "x", b"x").unwrap();
    let said = failed(now(files(&simulator).read(&at("x"), 0, 10)));
    assert!(said.contains("E0544") && said.contains("oss://metrics/x"), "{said}");
    assert_eq!(simulator.calls().len(), 5);
}

#[test]
fn an_answer_that_does_not_come_in_time_is_given_up() {
    let slow = json!({"operation": "GetObject", "times": 0, "hold_answer_ms": 10_000});
    let simulator = simulator(&json!({"faults": [slow]}));
    simulator.put(BUCKET, "x", b"x").unwrap();
    let http = HttpSettings { timeout: Duration::from_millis(50), ..HttpSettings::default() };
    let files = files_with(Arc::new(key("key", "planted-secret", None)), settings(&simulator), &http);
    let said = failed(now(files.read(&at("x"), 0, 10)));
    assert!(said.contains("E0544") && said.contains("the time ran out"), "{said}");
}

#[test]
fn nobody_there_is_said_as_such() {
    // Dropped at once, so that its port is free.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = Settings {
        oss: OssSettings {
            region: Some("cn-hangzhou".to_owned()),
            internal: None,
            endpoint: Some(format!("http://127.0.0.1:{port}")),
        },
        ..Settings::default()
    };
    let files = files_with(Arc::new(key("key", "s", None)), settings, &HttpSettings::default());
    let said = failed(now(files.read(&at("x"), 0, 10)));
    assert!(said.contains("E0544") && said.contains("cannot be reached"), "{said}");
}

#[test]
fn a_redirect_is_not_followed_with_a_signed_request() {
    let to = TcpListener::bind("127.0.0.1:0").unwrap();
    to.set_nonblocking(true).unwrap();
    let raw = json!({"status": 307, "location": format!("http://{}/", to.local_addr().unwrap())});
    let simulator = simulator(&json!({"faults": [{"answer": {"raw": raw}}]}));
    let said = failed(now(files(&simulator).read(&at("x"), 0, 10)));
    assert!(said.contains("E0542"), "{said}");
    assert!(to.accept().is_err(), "nobody came");
}

#[test]
fn a_gateway_that_does_not_know_ranges_is_noticed() {
    let raw = json!({"status": 200, "body": "from the beginning"});
    let simulator = simulator(&json!({"faults": [{"answer": {"raw": raw}}]}));
    let said = failed(now(files(&simulator).read(&at("x"), 5, 10)));
    assert!(said.contains("E0548") && said.contains("the whole file"), "{said}");
}

#[test]
fn the_bucket_is_part_of_the_hosts_name_where_the_host_has_one() {
    let simulator = simulator(&json!({}));
    // The simulator plays the proxy: it is asked for the hosts of OSS themselves.
    let http = HttpSettings {
        proxy: ProxySettings {
            http: Some(Secret::new(format!("http://{}", simulator.address()))),
            ..ProxySettings::default()
        },
        ..HttpSettings::default()
    };
    let of = |region: &str| {
        let oss = OssSettings {
            region: None,
            internal: None,
            endpoint: Some(format!("http://oss-{region}.aliyuncs.com")),
        };
        let provider = Arc::new(key("key", "planted-secret", None));
        files_with(provider, Settings { oss, ..Settings::default() }, &http)
    };
    let address = at("a folder/中.json");
    now(async {
        of("cn-hangzhou").write(&address, b"abc".to_vec()).await.unwrap();
        assert_eq!(of("cn-hangzhou").read(&address, 1, 10).await, Ok(chunk(b"bc", 1, true)));
        assert_eq!(of("cn-hangzhou").list(&at("")).await.unwrap(), [address.to_string()]);
        let said = failed(of("cn-beijing").read(&address, 0, 10).await);
        assert!(said.contains("E0542"), "{said}");
    });
    assert_eq!(simulator.object(BUCKET, "a folder/中.json"), Some(b"abc".to_vec()));
}

#[test]
fn files_of_this_machine_have_addresses_too() {
    let dir = tempfile::tempdir().unwrap();
    let root = Address::parse(&format!("file://{}", dir.path().display())).unwrap();
    let files = files(&simulator(&json!({})));
    let address = root.join("a b/c/é.json").unwrap();
    now(async {
        assert_eq!(files.read(&address, 0, 10).await, Err(ReadError::Absent(address.to_string())));
        assert_eq!(files.list(&root.join("missing").unwrap()).await.unwrap(), [""; 0]);
        files.write(&address, b"0123456789".to_vec()).await.unwrap();
        files.write(&address, b"0123456".to_vec()).await.unwrap();
        assert_eq!(files.read(&address, 2, 3).await, Ok(chunk(b"234", 2, false)));
        assert_eq!(files.read(&address, 2, 100).await, Ok(chunk(b"23456", 2, true)));
        assert_eq!(files.read(&address, 7, 100).await, Ok(chunk(b"", 7, true)));
        assert_eq!(files.read(&address, 100, 100).await, Ok(chunk(b"", 100, true)));
        assert_eq!(files.read_whole(&address, 7).await.unwrap(), b"0123456");
        assert_eq!(files.read_whole(&address, 6).await.unwrap_err().code.to_string(), "E0546");
        assert_eq!(files.list(&root).await.unwrap(), [address.to_string()]);
        let error: FileError = files.read_whole(&root, 10).await.unwrap_err();
        assert_eq!(error.code.to_string(), "E0548");
        let below = address.join("x").unwrap();
        assert!(files.write(&below, Vec::new()).await.unwrap_err().to_string().contains("file:///"));
    });
}

#[test]
fn the_longest_waiting_time_that_a_storage_names_is_kept_to() {
    let busy = json!({"error": {"status": 503, "code": "SlowDown", "retry_after_s": 3_600}});
    let simulator = simulator(&json!({"faults": [{"operation": "GetObject", "times": 0, "answer": busy}]}));
    let said = failed(now(files(&simulator).read(&at("x"), 0, 10)));
    assert!(said.contains("E0523"), "{said}");
    assert_eq!(simulator.calls().len(), 1, "an hour is longer than a call may take");
}

/// A storage that knows one answer, and what it was asked.
fn one_answer(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        let mut byte = [0];
        while !asked.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
            asked.push(byte[0]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(asked).unwrap()
    });
    (endpoint, asked)
}

/// There is no simulator of S3 here: what is asked for is looked at, and that it is signed with the environment's key.
/// The variables are those of a process of its own.
#[test]
fn s3_is_asked_with_the_environments_key() {
    if std::env::var_os("AWS_ACCESS_KEY_ID").is_none_or(|id| id != "planted-id") {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "s3_is_asked_with_the_environments_key"])
            .env("AWS_ACCESS_KEY_ID", "planted-id")
            .env("AWS_SECRET_ACCESS_KEY", "planted-secret")
            .env("AWS_SESSION_TOKEN", "planted-token")
            .env("AWS_CONFIG_FILE", "/nonexistent")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let read = |answer: &'static str| {
        let (endpoint, asked) = one_answer(answer);
        let s3 = S3Settings { region: Some("eu-central-1".to_owned()), endpoint: Some(endpoint) };
        let settings = Settings { s3, ..Settings::default() };
        let files = files_with(Arc::new(key("unused", "unused", None)), settings, &HttpSettings::default());
        let read = now(files.read(&Address::parse("s3://my.bucket/a b/c").unwrap(), 3, 5));
        (read, asked.join().unwrap())
    };
    let (part, asked) = read("HTTP/1.1 206 x\r\ncontent-length: 2\r\ncontent-range: bytes 3-4/5\r\n\r\nde");
    assert_eq!(part, Ok(chunk(b"de", 3, true)));
    let lower = asked.to_lowercase();
    assert!(asked.starts_with("GET /my.bucket/a%20b/c HTTP/1.1\r\n"), "{asked}");
    assert!(lower.contains("range: bytes=3-7\r\n") && lower.contains("x-amz-security-token: planted-token"));
    assert!(lower.contains("authorization: aws4-hmac-sha256 credential=planted-id/"), "{asked}");
    assert!(lower.contains("/eu-central-1/s3/aws4_request") && !lower.contains("planted-secret"), "{asked}");

    let (behind, _) = read("HTTP/1.1 416 x\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(behind, Ok(chunk(b"", 3, true)));
    let (absent, _) =
        read("HTTP/1.1 404 x\r\ncontent-length: 36\r\n\r\n<Error><Code>NoSuchKey</Code></Error>");
    assert_eq!(absent, Err(ReadError::Absent("s3://my.bucket/a b/c".to_owned())));
    let (elsewhere, _) = read("HTTP/1.1 301 x\r\ncontent-length: 0\r\nlocation: http://127.0.0.1:1/\r\n\r\n");
    assert!(failed(elsewhere).contains("E0542"));
    let (denied, _) =
        read("HTTP/1.1 403 x\r\ncontent-length: 38\r\n\r\n<Error><Code>AccessDenied</Code></Error>");
    assert!(failed(denied).contains("E0543"));
}

#[test]
fn s3_without_a_region_is_refused_before_anything_is_sent() {
    let files =
        files_with(Arc::new(key("unused", "unused", None)), Settings::default(), &HttpSettings::default());
    let said = failed(now(files.read(&Address::parse("s3://my.bucket/x").unwrap(), 0, 5)));
    assert!(said.contains("E0542") && said.contains("AWS_REGION"), "{said}");
    let said = failed(now(files.read(&at("x"), 0, 5)));
    assert!(said.contains("E0542") && said.contains("OSS_REGION"), "{said}");
}
