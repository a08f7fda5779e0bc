//! Encryption: the daemon with a certificate, and clients that check it.

use crate::daemon::Daemon;
use crate::native::by_clients;
use crate::support::Lab;
use crate::users::{ADMIN, access};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// A certificate for a name, and its key, as files.
fn certificate(lab: &Lab, name: &str) -> (CertificateDer<'static>, [String; 2]) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let chain = lab.write(&format!("{name}.pem"), &cert.pem());
    let key = lab.write(&format!("{name}.key"), &signing_key.serialize_pem());
    (cert.der().clone(), [chain, key])
}

fn arguments<'a>(chain: &'a str, key: &'a str) -> Vec<&'a str> {
    vec!["serve", "--listen", "127.0.0.1:0", "--json", "--tls-certificate", chain, "--tls-key", key]
}

/// Sends a request as a client that trusts this certificate and expects this name; gives the answer, with its status first.
fn ask(
    daemon: &Daemon,
    trusted: &CertificateDer<'static>,
    name: &'static str,
    request: &str,
) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let client = ClientConnection::new(config, ServerName::try_from(name).unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(daemon.address())?);
    write!(stream, "{request}")?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        // It ends without the sign that TLS has for it.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof && !answer.is_empty() => Ok(answer),
        read => read.map(|_| answer),
    }
}

#[test]
fn a_client_that_checks_the_certificate_is_answered_and_one_that_does_not_encrypt_is_not() {
    let lab = Lab::new();
    let (trusted, [chain, key]) = certificate(&lab, "localhost");
    let users = access(&lab);
    let mut more = arguments(&chain, &key);
    more.extend(["--access", &users]);
    let daemon = Daemon::begin(&lab, lab.command(&more));
    let head = format!("Host: localhost\r\nConnection: close\r\nAuthorization: Bearer {ADMIN}\r\n");
    let told = ask(&daemon, &trusted, "localhost", &format!("GET /healthz HTTP/1.1\r\n{head}\r\n")).unwrap();
    assert!(told.starts_with("HTTP/1.1 200") && told.ends_with('}'), "{told}");
    let body = json!({"spec": by_clients("lab", 1)}).to_string();
    let create =
        format!("POST /v1/experiments HTTP/1.1\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let told = ask(&daemon, &trusted, "localhost", &create).unwrap();
    assert!(told.starts_with("HTTP/1.1 201"), "{told}");
    let made: Value = serde_json::from_str(told.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(lab.json(&["ls"])[0]["experiment"], made["experiment"]);
    // Neither another name nor another certificate is taken for it, and nothing is sent.
    let (stranger, _) = certificate(&lab, "other");
    let wrong = ask(&daemon, &trusted, "other", &create).unwrap_err();
    assert!(wrong.to_string().contains("not valid for name"), "{wrong}");
    let wrong = ask(&daemon, &stranger, "localhost", &create).unwrap_err();
    assert!(wrong.to_string().contains("invalid peer certificate"), "{wrong}");
    // Without encryption nothing is done, and it is said why.
    let mut plain = TcpStream::connect(daemon.address()).unwrap();
    write!(plain, "{create}").unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("call it by https://"), "{answer}");
    assert_eq!(lab.json(&["ls"]).as_array().map(Vec::len), Some(1));
    daemon.end();
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_at_the_start() {
    let lab = Lab::new();
    let (_, [chain, key]) = certificate(&lab, "localhost");
    let (_, [_, other]) = certificate(&lab, "other");
    let empty = lab.write("empty.pem", "");
    let garbage =
        lab.write("garbage.pem", "-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----\n");
    for (chain, key, said) in [
        (&chain, &other, "the key does not belong to the certificate"),
        (&empty, &key, "it holds no certificate"),
        (&chain, &empty, "holds no private key"),
        (&chain, &garbage, "holds no private key"),
        (&chain, &"nowhere.key".to_owned(), "cannot be read"),
        (&"nowhere.pem".to_owned(), &key, "nowhere.pem: "),
    ] {
        let done = lab.retrial(&arguments(chain, key));
        let told = done.to_string();
        assert!(done.code == Some(2) && told.contains("E0637") && told.contains(said), "{said}: {done}");
        assert!(told.contains("as PEM files") && !told.contains("planted"), "{done}");
    }
    assert_eq!(lab.retrial(&["serve", "--tls-certificate", &chain]).code, Some(2), "a key is needed as well");
}
