//! Clients that are slow, and those who are nobody: they wait, and nobody else does.

use crate::client::Client;
use crate::daemon::Daemon;
use crate::native::by_clients;
use crate::support::{Lab, until};
use crate::users::{ADMIN, BEN, with_users};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Bodies of one user that the daemon takes in at once.
const BODIES_OF_ONE: usize = 128;

/// A request whose body does not come.
fn without_body(daemon: &Daemon, authorization: &str) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let head = format!(
        "POST /v1/experiments HTTP/1.1\r\nHost: {}\r\n{authorization}Content-Length: 1000\r\n\r\n{{",
        daemon.address()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// The status of the answer that comes, if one does.
fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut answer = [0; 12];
    match stream.read_exact(&mut answer) {
        Ok(()) => std::str::from_utf8(&answer[9..]).ok()?.parse().ok(),
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}");
            None
        }
    }
}

#[test]
fn who_is_unknown_is_refused_before_the_body_and_makes_nobody_wait() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "info");
    let began = Instant::now();
    let mut strangers: Vec<TcpStream> = (0..600)
        .map(|number| {
            let signed =
                "Authorization: ACS3-HMAC-SHA256 Credential=LTAI-ann,SignedHeaders=host,Signature=x\r\n";
            let wrong = "Authorization: Bearer no-such-token-at-all\r\n";
            without_body(&daemon, ["", wrong, signed][number % 3])
        })
        .collect();
    let mut ben = Client::with_token(&daemon, BEN);
    for _ in 0..20 {
        ben.create(&by_clients("lab", 1));
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    for stranger in &mut strangers {
        assert_eq!(status(stranger), Some(401));
    }
    // The body of what anybody may ask for is not waited for either.
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n").unwrap();
    assert_eq!(status(&mut stream), Some(200));
    // Whoever sends all of it before reading gets to read why it is refused.
    let large = format!("{{\"spec\": \"{}\"}}", "x".repeat(1 << 20));
    let mut nobody = Client::of(&daemon);
    assert_eq!(nobody.try_send("POST", "/v1/experiments", &[], &large).unwrap().status, 401);
    daemon.end();
}

#[test]
fn a_user_who_is_slow_has_so_many_requests_coming_in_and_loses_those_that_trickle() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "info");
    let began = Instant::now();
    let of_ben = format!("Authorization: Bearer {BEN}\r\n");
    let mut slow: Vec<TcpStream> = (0..BODIES_OF_ONE).map(|_| without_body(&daemon, &of_ben)).collect();
    let mut ben = Client::with_token(&daemon, BEN);
    let answer = until("a refusal of one more", || {
        let answer = ben.send("POST", "/v1/experiments", &json!({"spec": by_clients("lab", 1)}));
        (answer.status == 503).then_some(answer)
    });
    assert_eq!((answer.header("retry-after"), &answer.json()["code"]), ("1", &json!("E0634")));
    // What has no body comes in, and so does what others send.
    ben.get("/v1/experiments");
    let mut ann = Client::with_token(&daemon, ADMIN);
    ann.create(&by_clients("lab", 1));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // They go on with a byte from time to time, which is not enough.
    let mut answers = Vec::new();
    while let Some(mut stream) = slow.pop() {
        if began.elapsed() < Duration::from_secs(6) {
            let _ = stream.write_all(b" ");
            slow.insert(0, stream);
            std::thread::sleep(Duration::from_millis(10));
            continue;
        }
        answers.push(status(&mut stream));
    }
    assert!(answers.iter().all(|status| *status == Some(408)), "{answers:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    ben = Client::with_token(&daemon, BEN);
    ben.create(&by_clients("lab", 1));
    assert_eq!(ben.send("GET", "/healthz", &Value::Null).status, 200);
    daemon.end();
}
