//! Whom an experiment tells of what: chat robots and webhooks. Who sends and when is the shell's business.

use super::codes;
use super::credential::{SEALED, is_token};
use super::duration::duration_text;
use super::reader::{Fields, Place, Reader};
use crate::limits::{MAX_AT, MAX_NAME_CHARS, MAX_NOTIFY};
use crate::time::Span;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;

/// Time between two messages of a new best, unless the file says otherwise.
const EVERY: Span = Span::from_secs(60);
/// Longest address.
const MAX_ADDRESS_CHARS: usize = 2_048;

/// What may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occasion {
    /// The experiment has ended, in whatever way.
    End,
    /// The experiment has ended without a success.
    Failure,
    /// The brake of the first failures has paused it.
    Pause,
    /// There is a new best trial.
    Best,
}

impl Occasion {
    /// All of them with their words.
    pub const ALL: [(&'static str, Self); 4] =
        [("end", Self::End), ("failure", Self::Failure), ("pause", Self::Pause), ("best", Self::Best)];
}

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Whoever takes JSON.
    Webhook {
        /// Where: an address that holds no secret, or `secret:NAME`.
        url: String,
        /// The secret that signs, as `secret:NAME`; empty if nothing is signed.
        secret: String,
    },
    /// A robot of `DingTalk`.
    DingTalk {
        /// Where: `secret:NAME`.
        url: String,
        /// The secret that signs, as `secret:NAME`; empty if the robot asks for none.
        secret: String,
        /// A word that the robot asks for in each message; may be empty.
        keyword: String,
        /// Telephone numbers of those who are called.
        at_mobiles: Vec<String>,
        /// Those who are called, by their ids.
        at_user_ids: Vec<String>,
        /// Whether everybody is called.
        at_all: bool,
        /// Whether messages are in Markdown rather than plain text.
        markdown: bool,
    },
}

/// Somebody who is told of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// Who.
    pub target: Target,
    /// Of what.
    pub on: BTreeSet<Occasion>,
    /// Least time between two messages of a new best.
    pub every: Span,
}

/// Reads `notify`: one, or a list. `None` if there are mistakes.
pub(super) fn read_notify(reader: &mut Reader, place: Option<Place<'_>>) -> Option<Vec<Notify>> {
    let Some(place) = place else { return Some(Vec::new()) };
    let items = place.items();
    if items.len() > MAX_NOTIFY {
        let message = format!("`notify` has {} targets; the limit is {MAX_NOTIFY}", items.len());
        reader.fail(codes::TOO_MANY, &place.path, message, "let one of them tell the others");
        return None;
    }
    let before = reader.errors.len();
    let read: Vec<Notify> = items.iter().filter_map(|item| read_one(reader, item)).collect();
    (reader.errors.len() == before).then_some(read)
}

fn read_one(reader: &mut Reader, place: &Place<'_>) -> Option<Notify> {
    let cure = "write, for example, {dingtalk: 'secret:robot', events: [end, failure]}";
    let mut fields = reader.fields(place, "a map", cure)?;
    let (webhook, dingtalk) = (fields.get("webhook"), fields.get("dingtalk"));
    let on = fields.get("events").map_or_else(
        || Some(Occasion::ALL.map(|(_, occasion)| occasion).into()),
        |at| {
            let items = at.items();
            if items.is_empty() {
                reader.fail(
                    codes::EMPTY,
                    &at.path,
                    "`events` names nothing",
                    "leave it out to be told of all",
                );
            }
            items.iter().map(|item| reader.word(item, &Occasion::ALL)).collect::<Option<BTreeSet<_>>>()
        },
    );
    let every = fields.get("every").map_or(Some(EVERY), |at| reader.span(&at, true));
    fields.finish(reader);
    let target = match (webhook, dingtalk) {
        (Some(webhook), None) => read_webhook(reader, &webhook),
        (None, Some(dingtalk)) => read_dingtalk(reader, &dingtalk),
        (Some(_), Some(both)) => {
            let message = "a target is a webhook or a robot of DingTalk, not both";
            reader.fail_key(codes::CONFLICT, &both.path, message, "write two targets");
            None
        }
        (None, None) => {
            reader.fail(
                codes::MISSING_KEY,
                &place.path,
                "the target is neither `webhook` nor `dingtalk`",
                cure,
            );
            None
        }
    };
    Some(Notify { target: target?, on: on?, every: every? })
}

fn read_webhook(reader: &mut Reader, place: &Place<'_>) -> Option<Target> {
    if place.value.is_string() {
        return Some(Target::Webhook { url: address(reader, place)?, secret: String::new() });
    }
    let mut fields =
        reader.fields(place, "an address or a map", "write {url: 'https://example.org/hook'}")?;
    let url = url(reader, &mut fields);
    let secret = secret(reader, &mut fields);
    fields.finish(reader);
    Some(Target::Webhook { url: url?, secret: secret? })
}

fn read_dingtalk(reader: &mut Reader, place: &Place<'_>) -> Option<Target> {
    let plain = |url| Target::DingTalk {
        url,
        secret: String::new(),
        keyword: String::new(),
        at_mobiles: Vec::new(),
        at_user_ids: Vec::new(),
        at_all: false,
        markdown: true,
    };
    if place.value.is_string() {
        return address(reader, place).map(plain);
    }
    let mut fields = reader.fields(place, "an address or a map", "write {url: 'secret:robot'}")?;
    let url = url(reader, &mut fields);
    let secret = secret(reader, &mut fields);
    let keyword = fields.get("keyword").map_or(Some(String::new()), |at| short(reader, &at));
    let at_mobiles = several(reader, fields.get("at_mobiles"));
    let at_user_ids = several(reader, fields.get("at_user_ids"));
    let at_all = fields.get("at_all").map_or(Some(false), |at| reader.flag(&at));
    let words = [("markdown", true), ("text", false)];
    let markdown = fields.get("format").map_or(Some(true), |at| reader.word(&at, &words));
    fields.finish(reader);
    Some(Target::DingTalk {
        url: url?,
        secret: secret?,
        keyword: keyword?,
        at_mobiles: at_mobiles?,
        at_user_ids: at_user_ids?,
        at_all: at_all?,
        markdown: markdown?,
    })
}

fn url(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<String> {
    let Some(place) = fields.get("url") else {
        let path = fields.path.clone();
        reader.fail(codes::MISSING_KEY, &path, "the target has no `url`", "add url: 'secret:NAME'");
        return None;
    };
    address(reader, &place)
}

/// An address that may be recorded. No mistake repeats it.
fn address(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    let text = reader.some_text(place)?;
    if let Some(name) = text.strip_prefix(SEALED) {
        return sealed_name(reader, place, name).then_some(text);
    }
    if !is_address(&text) {
        let cure = "write https://HOST/PATH, or `secret:NAME`";
        reader.fail_key(codes::BAD_TEXT, &place.path, "this is no address of HTTP", cure);
        return None;
    }
    if holds_secret(&text) {
        let message =
            "this address holds what looks like a token, and all of this file is recorded in the journal";
        let cure = "keep the address with `retrial secret set NAME` and write `secret:NAME` here";
        reader.fail_key(codes::SECRET_ADDRESS, &place.path, message, cure);
        return None;
    }
    Some(text)
}

fn secret(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<String> {
    let Some(place) = fields.get("secret") else { return Some(String::new()) };
    let text = reader.some_text(&place)?;
    let Some(name) = text.strip_prefix(SEALED) else {
        let cure = "keep it with `retrial secret set NAME` and write `secret:NAME` here";
        reader.fail_key(codes::SECRET_ADDRESS, &place.path, "a secret is named here, and not given", cure);
        return None;
    };
    sealed_name(reader, &place, name).then_some(text)
}

fn sealed_name(reader: &mut Reader, place: &Place<'_>, name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let good = (1..=64).contains(&name.len()) && name.chars().all(fits);
    if !good {
        let message = "`secret:` is not followed by the name of a secret";
        reader.fail(codes::BAD_TEXT, &place.path, message, "`retrial secret ls` lists the names");
    }
    good
}

/// Whether a text is an absolute address of HTTP.
pub fn is_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let plain = text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\'));
    !host.is_empty() && plain && text.len() <= MAX_ADDRESS_CHARS
}

/// Whether an address may hold a secret: a person, a query, or a long piece of letters and digits in its path.
fn holds_secret(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    address.contains(['@', '?', '#']) || host.is_empty() || path.split('/').any(is_token)
}

/// A list of texts, or one text such as PAI has it: `[147..., 148...]`.
fn several(reader: &mut Reader, place: Option<Place<'_>>) -> Option<Vec<String>> {
    let Some(place) = place else { return Some(Vec::new()) };
    let items = place.items();
    if items.len() > MAX_AT {
        let message = format!("{} are called; the limit is {MAX_AT}", items.len());
        reader.fail(codes::TOO_MANY, &place.path, message, "call all with `at_all: true`");
        return None;
    }
    items.iter().map(|item| short(reader, item)).collect()
}

fn short(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    // Telephone numbers are easily written without quotes.
    let text = match place.value {
        Json::Number(number) if number.is_u64() => number.to_string(),
        _ => reader.text(place)?,
    };
    if text.chars().count() > MAX_NAME_CHARS || text.chars().any(char::is_control) {
        let message = "the text is too long or has control characters";
        reader.fail(codes::BAD_TEXT, &place.path, message, "write it shorter, on one line");
        return None;
    }
    Some(text)
}

/// The recorded form.
pub(super) fn notify_json(notify: &[Notify]) -> Json {
    notify.iter().map(one_json).collect()
}

fn one_json(notify: &Notify) -> Json {
    let mut inner = Map::new();
    let mut put = |key: &str, value: Json| {
        inner.insert(key.to_owned(), value);
    };
    let (kind, url, secret) = match &notify.target {
        Target::Webhook { url, secret } => ("webhook", url, secret),
        Target::DingTalk { url, secret, .. } => ("dingtalk", url, secret),
    };
    put("url", json!(url));
    if !secret.is_empty() {
        put("secret", json!(secret));
    }
    if let Target::DingTalk { keyword, at_mobiles, at_user_ids, at_all, markdown, .. } = &notify.target {
        put("keyword", json!(keyword));
        put("at_mobiles", json!(at_mobiles));
        put("at_user_ids", json!(at_user_ids));
        put("at_all", json!(at_all));
        put("format", json!(if *markdown { "markdown" } else { "text" }));
    }
    let words = Occasion::ALL.iter().filter(|(_, occasion)| notify.on.contains(occasion));
    let on: Vec<&str> = words.map(|(word, _)| *word).collect();
    json!({kind: inner, "events": on, "every": duration_text(notify.every)})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SpecError;
    use crate::spec::Spec;

    fn parse(notify: &Json) -> Result<Spec, Vec<SpecError>> {
        let document = json!({
            "space": {"x": {"uniform": [0, 1]}}, "objective": "minimize", "budget": {"trials": 1}, "notify": notify,
        });
        Spec::parse(&document, "").map(|(spec, warnings)| {
            assert_eq!(warnings, []);
            spec
        })
    }

    #[test]
    fn targets_are_read_short_and_long_and_recorded_so_that_they_read_back() {
        for notify in [
            json!({"dingtalk": "secret:robot"}),
            json!([{"webhook": "http://127.0.0.1:9/hook"}, {"webhook": {"url": "https://h/x", "secret": "secret:k"}, "events": "end"}]),
            json!({"dingtalk": {
                "url": "secret:robot", "secret": "secret:sign", "keyword": "monitor", "at_mobiles": [14_700_000_000_u64],
                "at_user_ids": "ann", "at_all": true, "format": "text",
            }, "events": ["best", "failure"], "every": "5m"}),
        ] {
            let spec = parse(&notify).unwrap();
            let again = Spec::parse(&spec.canonical(), "").unwrap().0;
            assert_eq!(again.notify, spec.notify);
            assert_eq!(again.canonical(), spec.canonical());
        }
        let spec = parse(&json!({"dingtalk": "secret:robot"})).unwrap();
        assert_eq!((spec.notify[0].on.len(), spec.notify[0].every), (4, EVERY));
        assert_eq!(parse(&json!(null)).unwrap().canonical().get("notify"), None);
    }

    #[test]
    fn an_address_with_a_secret_is_refused_and_never_repeated() {
        for (url, code) in [
            ("https://oapi.dingtalk.com/robot/send?access_token=planted", codes::SECRET_ADDRESS),
            ("https://hooks.example.com/services/T0planted/abcDEF0123456789planted", codes::SECRET_ADDRESS),
            ("https://me:planted@example.com/", codes::SECRET_ADDRESS),
            ("ftp://planted/", codes::BAD_TEXT),
            ("planted", codes::BAD_TEXT),
            ("secret:plan ted", codes::BAD_TEXT),
        ] {
            for target in [json!({"webhook": url}), json!({"dingtalk": {"url": url}})] {
                let errors = parse(&target).unwrap_err();
                assert_eq!(errors.len(), 1, "{url}");
                assert_eq!(errors[0].code, code, "{url}");
                assert!(!format!("{errors:?}").contains("plan"), "{errors:?}");
            }
        }
        let errors = parse(&json!({"webhook": {"url": "https://h/x", "secret": "planted"}})).unwrap_err();
        assert!(errors[0].code == codes::SECRET_ADDRESS && !format!("{errors:?}").contains("planted"));
    }

    #[test]
    fn every_other_mistake_is_named_with_its_place() {
        for (notify, path) in [
            (json!({}), "notify"),
            (json!({"webhook": "https://h", "dingtalk": "secret:x"}), "notify.dingtalk"),
            (json!([{"webhook": {"secret": "secret:x"}}]), "notify[0].webhook"),
            (json!({"webhook": "https://h", "events": ["never"]}), "notify.events[0]"),
            (json!({"webhook": "https://h", "events": []}), "notify.events"),
            (json!({"webhook": "https://h", "every": "soon"}), "notify.every"),
            (json!({"dingtalk": {"url": "secret:x", "at_all": "maybe"}}), "notify.dingtalk.at_all"),
            (json!({"webhook": {"url": "https://h", "keyword": "x"}}), "notify.webhook.keyword"),
            (json!(vec![json!({"webhook": "https://h"}); MAX_NOTIFY + 1]), "notify"),
        ] {
            let errors = parse(&notify).unwrap_err();
            assert_eq!(errors[0].path, path, "{notify}: {errors:?}");
        }
    }
}
