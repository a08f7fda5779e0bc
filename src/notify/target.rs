//! How each kind of target is spoken to, and what its answers mean.
//!
//! Sources: "Custom robots send messages" of `DingTalk`'s open platform (body, keyword, `at`, and the signature over
//! `timestamp\nsecret`); RFC 2104 for what signs a webhook.

use super::message::Message;
use crate::secrets::{PREFIX, Vault};
use backends::cloud::encode::percent;
use backends::cloud::http::{Answer, Request};
use backends::cloud::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::spec::Target;
use engine::spec::notify::is_address;
use engine::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// The header of a webhook's signature: `sha256=` and the HMAC-SHA256 of the body in hexadecimal digits.
pub const SIGNATURE: &str = "retrial-signature";
/// The header of a message's id, which is the same each time that it is sent.
pub const DELIVERY: &str = "retrial-delivery";
/// Characters of a robot's own words that are repeated.
const WORDS: usize = 120;
/// What a robot answers that is busy or has been sent too much.
const BUSY: [i64; 3] = [-1, 130_101, 410_100];

/// What became of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has arrived.
    Delivered,
    /// It may arrive later; says why not now.
    Later(String),
    /// The target will not take it; says why.
    Never(String),
}

/// Who is told, as one text: the same target has the same one.
pub fn key(target: &Target) -> String {
    blake3::hash(format!("{target:?}").as_bytes()).to_hex().chars().take(16).collect()
}

/// A word for it in logs, without its address.
pub const fn word(target: &Target) -> &'static str {
    match target {
        Target::Webhook { .. } => "the webhook",
        Target::DingTalk { .. } => "the robot",
    }
}

/// The request that tells a target. Secrets are opened now, so that one that was replaced is used at once.
pub fn request(target: &Target, message: &Message, vault: &Vault, now: Timestamp) -> Result<Request, String> {
    let mut headers = vec![
        ("content-type", "application/json; charset=utf-8".to_owned()),
        ("user-agent", concat!("retrial/", env!("CARGO_PKG_VERSION")).to_owned()),
    ];
    let (url, body) = match target {
        Target::Webhook { url, secret } => {
            let body = serde_json::to_vec(message).map_err(|error| error.to_string())?;
            if let Some(secret) = opened(secret, vault)? {
                let signature: String =
                    signed(&secret, &body).iter().map(|byte| format!("{byte:02x}")).collect();
                headers.push((SIGNATURE, format!("sha256={signature}")));
            }
            headers.push((DELIVERY, message.id.clone()));
            (address(url, vault)?, body)
        }
        Target::DingTalk { url, secret, .. } => {
            let mut url = address(url, vault)?;
            if let Some(secret) = opened(secret, vault)? {
                let text = format!("{}\n{}", now.0, secret.expose());
                let sign = percent(&STANDARD.encode(signed(&secret, text.as_bytes())));
                let joint = if url.contains('?') { '&' } else { '?' };
                url.push_str(&format!("{joint}timestamp={}&sign={sign}", now.0));
            }
            (url, robot_body(target, message).to_string().into_bytes())
        }
    };
    Ok(Request { method: "POST", url, headers, body, new_connection: false, timeout: None })
}

/// What an answer means. Of its words only those of a robot are repeated, and not if they hold a part of the address.
pub fn judge(target: &Target, answer: &Answer, url: &str) -> Outcome {
    let status = answer.status;
    match status {
        200..=299 => {}
        408 | 425 | 429 | 500..=599 => return Outcome::Later(format!("{} answered {status}", word(target))),
        _ => return Outcome::Never(format!("{} answered {status}", word(target))),
    }
    if matches!(target, Target::Webhook { .. }) {
        return Outcome::Delivered;
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    match body["errcode"].as_i64() {
        Some(0) => Outcome::Delivered,
        Some(code) => {
            let said = body["errmsg"].as_str().unwrap_or_default();
            let token = url.split_once('?').map_or("", |(_, query)| query);
            let secret = token.split(['&', '=']).any(|part| part.len() > 8 && said.contains(part));
            let words: String = if secret { String::new() } else { said.chars().take(WORDS).collect() };
            let why = format!("the robot answered {code}: {}", words.escape_debug());
            if BUSY.contains(&code) { Outcome::Later(why) } else { Outcome::Never(why) }
        }
        None => Outcome::Later("the robot did not answer as robots do".to_owned()),
    }
}

fn robot_body(target: &Target, message: &Message) -> Value {
    let Target::DingTalk { keyword, at_mobiles, at_user_ids, at_all, markdown, .. } = target else {
        return Value::Null;
    };
    let mut lines = message.lines();
    // A robot refuses what lacks its word, and calls only those whom the text names.
    if !keyword.is_empty() && !lines.iter().any(|line| line.contains(keyword)) {
        lines.push(keyword.clone());
    }
    let called: Vec<String> = at_mobiles.iter().chain(at_user_ids).map(|who| format!("@{who}")).collect();
    if !called.is_empty() {
        lines.push(called.join(" "));
    }
    let at = json!({"atMobiles": at_mobiles, "atUserIds": at_user_ids, "isAtAll": at_all});
    if *markdown {
        let first = lines.first().map(|title| format!("#### {title}"));
        let text: Vec<String> =
            first.into_iter().chain(lines.iter().skip(1).map(|line| format!("- {line}"))).collect();
        json!({"msgtype": "markdown", "markdown": {"title": message.title(), "text": text.join("\n")}, "at": at})
    } else {
        json!({"msgtype": "text", "text": {"content": lines.join("\n")}, "at": at})
    }
}

/// The address itself.
fn address(url: &str, vault: &Vault) -> Result<String, String> {
    let Some(opened) = opened(url, vault)? else { return Err("there is no address".to_owned()) };
    let address = opened.expose().trim();
    if !is_address(address) {
        return Err(format!("`{url}` holds no address of HTTP"));
    }
    Ok(address.to_owned())
}

/// What a setting names, or itself; nothing if it is empty.
fn opened(setting: &str, vault: &Vault) -> Result<Option<Secret<String>>, String> {
    match setting.strip_prefix(PREFIX) {
        Some(name) => vault.open(name).map(Some).map_err(|error| error.to_string()),
        None if setting.is_empty() => Ok(None),
        None => Ok(Some(Secret::new(setting.to_owned()))),
    }
}

fn signed(secret: &Secret<String>, text: &[u8]) -> Vec<u8> {
    // A key of any length fits.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { return Vec::new() };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::super::message::Kind;
    use super::*;

    fn message() -> Message {
        Message {
            id: "kq3m2x7a-12".to_owned(),
            event: Kind::Ended,
            time: "2026-11-26T22:00:00Z".to_owned(),
            experiment: "kq3m2x7a".to_owned(),
            name: "digits".to_owned(),
            status: "FINISHED".to_owned(),
            reason: None,
            best: Value::Null,
            front: None,
            trials: json!({"SUCCEEDED": 1}),
        }
    }

    fn robot(markdown: bool, secret: &str) -> Target {
        Target::DingTalk {
            url: "secret:robot".to_owned(),
            secret: secret.to_owned(),
            keyword: "monitor".to_owned(),
            at_mobiles: vec!["147".to_owned()],
            at_user_ids: vec!["ann".to_owned()],
            at_all: false,
            markdown,
        }
    }

    fn vault() -> (tempfile::TempDir, Vault) {
        let store = tempfile::tempdir().unwrap();
        let vault = Vault::with_key(store.path(), None);
        let set = |name: &str, value: &str| vault.set(name, &Secret::new(value.to_owned())).unwrap();
        set("robot", "https://oapi.dingtalk.com/robot/send?access_token=plantedtoken");
        set("sign", "SECplanted");
        (store, vault)
    }

    #[test]
    fn a_robot_gets_its_word_and_those_whom_it_calls_in_both_forms() {
        let (_store, vault) = vault();
        let body = |markdown| -> Value {
            let request = request(&robot(markdown, ""), &message(), &vault, Timestamp(1)).unwrap();
            assert_eq!(request.url, "https://oapi.dingtalk.com/robot/send?access_token=plantedtoken");
            serde_json::from_slice(&request.body).unwrap()
        };
        let at = json!({"atMobiles": ["147"], "atUserIds": ["ann"], "isAtAll": false});
        let lines = ["status: FINISHED", "trials: 1 SUCCEEDED", "monitor", "@147 @ann"];
        let title = "digits (kq3m2x7a) has ended";
        let text = format!("{title}\n{}", lines.join("\n"));
        assert_eq!(body(false), json!({"msgtype": "text", "text": {"content": text}, "at": at}));
        let text = format!("#### {title}\n- {}", lines.join("\n- "));
        assert_eq!(
            body(true),
            json!({"msgtype": "markdown", "markdown": {"title": title, "text": text}, "at": at})
        );
    }

    #[test]
    fn a_robots_signature_is_over_the_time_and_its_secret() {
        let (_store, vault) = vault();
        let now = Timestamp(1_577_262_236_757);
        let request = request(&robot(true, "secret:sign"), &message(), &vault, now).unwrap();
        // printf '1577262236757\nSECplanted' | openssl dgst -sha256 -hmac SECplanted -binary | base64
        let sign = "JFwXXvrbMJ6J4FWE%2B3UzAEmHYN60mCLoTr6PVawa2UM%3D";
        assert!(
            request.url.ends_with(&format!("plantedtoken&timestamp=1577262236757&sign={sign}")),
            "{}",
            request.url
        );
    }

    #[test]
    fn a_webhook_gets_json_with_a_signature_of_its_body() {
        let (_store, vault) = vault();
        let target =
            Target::Webhook { url: "http://127.0.0.1:9/x".to_owned(), secret: "secret:sign".to_owned() };
        let request = request(&target, &message(), &vault, Timestamp(1)).unwrap();
        let header = |name: &str| request.headers.iter().find(|(found, _)| *found == name).unwrap().1.clone();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!((&body["event"], &body["id"]), (&json!("ended"), &json!(header(DELIVERY))));
        let mut mac = Hmac::<Sha256>::new_from_slice(b"SECplanted").unwrap();
        mac.update(&request.body);
        let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(header(SIGNATURE), format!("sha256={expected}"));
    }

    #[test]
    fn answers_say_whether_another_try_is_worth_it_and_never_show_a_token() {
        let url = "https://h/robot/send?access_token=plantedtoken";
        let judged = |target: &Target, status: u16, body: &str| {
            judge(target, &Answer { status, headers: Vec::new(), body: body.into() }, url)
        };
        let hook = Target::Webhook { url: "http://h".to_owned(), secret: String::new() };
        assert_eq!(judged(&hook, 204, ""), Outcome::Delivered);
        for status in [429, 500, 503] {
            assert!(matches!(judged(&hook, status, ""), Outcome::Later(_)), "{status}");
        }
        for status in [301, 400, 404, 410] {
            assert!(matches!(judged(&hook, status, ""), Outcome::Never(_)), "{status}");
        }
        let robot = robot(true, "");
        assert_eq!(judged(&robot, 200, r#"{"errcode":0,"errmsg":"ok"}"#), Outcome::Delivered);
        assert!(matches!(
            judged(&robot, 200, r#"{"errcode":130101,"errmsg":"send too fast"}"#),
            Outcome::Later(_)
        ));
        assert!(matches!(judged(&robot, 200, "<html>"), Outcome::Later(_)));
        let refused = judged(&robot, 200, r#"{"errcode":310000,"errmsg":"keywords not in content"}"#);
        assert_eq!(refused, Outcome::Never("the robot answered 310000: keywords not in content".to_owned()));
        let echo = judged(&robot, 200, r#"{"errcode":300001,"errmsg":"no such plantedtoken"}"#);
        assert_eq!(echo, Outcome::Never("the robot answered 300001: ".to_owned()));
    }

    #[test]
    fn a_secret_that_is_missing_or_no_address_is_told_without_what_it_holds() {
        let (_store, vault) = vault();
        vault.set("odd", &Secret::new("planted".to_owned())).unwrap();
        for (url, why) in
            [("secret:none", "no secret `none`"), ("secret:odd", "`secret:odd` holds no address")]
        {
            let target = Target::Webhook { url: url.to_owned(), secret: String::new() };
            let error = request(&target, &message(), &vault, Timestamp(1)).err().unwrap();
            assert!(error.contains(why) && !error.contains("planted"), "{error}");
        }
    }
}
