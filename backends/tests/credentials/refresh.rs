//! When credentials are fetched anew, and what becomes of those at hand.

use crate::loopback::Server;
use crate::machine::{Machine, web};
use crate::vectors::{query, sts_answer};
use async_trait::async_trait;
use retrial_backends::cloud::credentials::fetch::{Answer, Fetch, Request, Unanswered};
use retrial_backends::cloud::credentials::{Choice, Provider, Refreshing, Web, codes};
use retrial_backends::cloud::secret::{Sealed, Secret};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const ARN: &str = "acs:ram::1234567890:role/tuner";

/// A machine with keys, and a server that gives a role out.
fn role(answers: &[(u16, String)]) -> (Machine, Server, Refreshing) {
    let server = Server::new(answers.iter().cloned());
    let mut machine = Machine::alone(&[
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "envAK"),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "envSK"),
    ]);
    machine.surroundings.sts_url = Some(server.url.clone());
    let provider = machine.provider(Choice::parse(ARN).unwrap());
    (machine, server, provider)
}

fn hour(id: &str, hour: u8) -> (u16, String) {
    (200, sts_answer(id, &format!("2026-01-02T{hour:02}:04:05Z")))
}

async fn id(provider: &Refreshing) -> String {
    provider.get().await.unwrap().access_key_id
}

#[tokio::test]
async fn credentials_are_fetched_anew_a_quarter_of_an_hour_before_they_end_and_not_earlier() {
    let (machine, server, provider) = role(&[hour("first", 4), hour("second", 5)]);
    assert_eq!(id(&provider).await, "first");
    // The jitter is at most a tenth of the lead.
    machine.pass(43 * 60);
    assert_eq!(id(&provider).await, "first");
    assert_eq!(server.seen().len(), 1);
    machine.pass(2 * 60);
    assert_eq!(id(&provider).await, "second");
    assert_eq!(id(&provider).await, "second");
    assert_eq!(server.seen().len(), 2);
    assert!(query(&server.seen()[0]).contains(&("RoleArn".to_owned(), ARN.to_owned())));
}

#[tokio::test]
async fn credentials_with_a_short_life_are_not_fetched_for_each_call() {
    // 15 minutes, which is what the lead is for longer ones.
    let (machine, server, provider) = role(&[(200, sts_answer("short", "2026-01-02T03:19:05Z"))]);
    for _ in 0..9 {
        assert_eq!(id(&provider).await, "short");
        machine.pass(60);
    }
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_failure_keeps_what_is_valid_and_lets_the_service_rest_and_only_the_end_is_an_error() {
    let down = || (503, "down".to_owned());
    let (machine, server, provider) = role(&[hour("first", 4), down(), down(), down(), hour("second", 6)]);
    assert_eq!(id(&provider).await, "first");
    machine.pass(46 * 60);
    for _ in 0..5 {
        assert_eq!(id(&provider).await, "first");
    }
    assert_eq!(server.seen().len(), 2, "one attempt, and then a pause");
    machine.pass(31);
    assert_eq!(id(&provider).await, "first");
    assert_eq!(server.seen().len(), 3);
    machine.pass(14 * 60);
    let error = provider.get().await.unwrap_err();
    assert_eq!(error.code, codes::UNREACHABLE);
    assert!(error.is_transient());
    assert_eq!(provider.get().await.unwrap_err(), error, "told again without a request");
    assert_eq!(server.seen().len(), 4);
    machine.pass(6);
    assert_eq!(id(&provider).await, "second");
}

#[tokio::test]
async fn what_the_service_refuses_is_fetched_anew_once_for_all() {
    let (machine, server, provider) = role(&[hour("first", 4), hour("second", 4)]);
    assert_eq!(id(&provider).await, "first");
    machine.pass(60);
    for _ in 0..3 {
        assert_eq!(provider.refresh().await.unwrap().access_key_id, "second");
    }
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn lasting_keys_of_a_file_are_read_anew_when_they_were_refused() {
    let machine = Machine::alone(&[]);
    let file = |id: &str| format!("[default]\ntype=access_key\naccess_key_id={id}\naccess_key_secret=s\n");
    machine.write(".alibabacloud/credentials.ini", &file("old"));
    let provider = machine.provider(Choice::Chain);
    assert_eq!(id(&provider).await, "old");
    machine.write(".alibabacloud/credentials.ini", &file("new"));
    machine.pass(100_000_000);
    assert_eq!(id(&provider).await, "old");
    assert_eq!(provider.refresh().await.unwrap().access_key_id, "new");
}

#[tokio::test]
async fn another_current_profile_does_not_change_who_a_running_program_is() {
    let machine = Machine::alone(&[]);
    let file = |current: &str| {
        let profile = |name: &str| serde_json::json!({"name": name, "mode": "AK", "access_key_id": format!("{name}AK"), "access_key_secret": "s"});
        serde_json::json!({"current": current, "profiles": [profile("a"), profile("b")]}).to_string()
    };
    machine.write(".aliyun/config.json", &file("a"));
    let provider = machine.provider(Choice::Chain);
    assert_eq!(id(&provider).await, "aAK");
    machine.write(".aliyun/config.json", &file("b"));
    machine.pass(100);
    assert_eq!(provider.refresh().await.unwrap().access_key_id, "aAK");
    assert_eq!(id(&machine.provider(Choice::Chain)).await, "bAK");
}

/// Takes its time over each request.
struct Slow(AtomicUsize, Web);

#[async_trait]
impl Fetch for Slow {
    async fn fetch(&self, request: Request) -> Result<Answer, Unanswered> {
        self.0.fetch_add(1, Ordering::Relaxed);
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        self.1.fetch(request).await
    }
}

#[tokio::test]
async fn one_fetches_at_a_time_and_the_others_get_the_same_or_what_is_still_valid() {
    let (machine, _server, _) = role(&[hour("first", 4), hour("second", 6)]);
    let slow = Arc::new(Slow(AtomicUsize::new(0), web()));
    let fetch: Arc<dyn Fetch> = Arc::<Slow>::clone(&slow);
    let provider =
        Arc::new(Refreshing::new(Choice::parse(ARN).unwrap(), machine.surroundings.clone(), fetch));
    let all = |provider: &Arc<Refreshing>| {
        let tasks: Vec<_> = (0..20)
            .map(|_| Arc::clone(provider))
            .map(|provider| tokio::spawn(async move { id(&provider).await }))
            .collect();
        async move {
            let mut ids = Vec::new();
            for task in tasks {
                ids.push(task.await.unwrap());
            }
            ids
        }
    };
    assert_eq!(all(&provider).await, vec!["first"; 20]);
    assert_eq!(slow.0.load(Ordering::Relaxed), 1);
    machine.pass(50 * 60);
    let ids = all(&provider).await;
    assert_eq!(ids.iter().filter(|id| *id == "second").count(), 1, "the others need not wait");
    assert_eq!(all(&provider).await, vec!["second"; 20]);
    assert_eq!(slow.0.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn credentials_that_have_ended_when_they_come_are_an_error() {
    let (_machine, _server, provider) = role(&[hour("old", 2)]);
    let error = provider.get().await.unwrap_err();
    assert!(error.message.contains("clock"), "{error}");
}

#[tokio::test]
async fn a_sealed_key_that_was_replaced_or_removed_is_used_no_more() {
    let kept = Arc::new(Mutex::new(Some("first")));
    let (mut machine, vault) = (Machine::alone(&[]), Arc::clone(&kept));
    machine.surroundings.sealed = Sealed::new(Arc::new(move |name| {
        let id = vault.lock().unwrap().ok_or_else(|| format!("no secret `{name}`"))?;
        Ok(Secret::new(format!(r#"{{"access_key_id": "{id}", "access_key_secret": "SK"}}"#)))
    }));
    let provider = machine.provider(Choice::parse("secret:team").unwrap());
    assert_eq!(id(&provider).await, "first");
    *kept.lock().unwrap() = Some("second");
    machine.pass(6);
    assert_eq!(id(&provider).await, "second");
    *kept.lock().unwrap() = None;
    machine.pass(6);
    for _ in 0..3 {
        let error = provider.get().await.unwrap_err();
        assert!(error.message.contains("team"), "{error}");
        machine.pass(1);
    }
    *kept.lock().unwrap() = Some("third");
    machine.pass(6);
    assert_eq!(id(&provider).await, "third");
}
