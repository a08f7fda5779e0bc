//! What a configuration of PAI says beside the search: when trials may start, and who is told.

use super::codes;
use super::credential::SEALED;
use super::foreign::Target;
use super::pai::{no_effect, section, text};
use super::reader::{Fields, Reader};
use crate::error::SpecError;
use serde_json::{Value as Json, json};

/// The window of `schedule_config`, whose times are in the zone that a schedule has without a name.
pub(super) fn window(reader: &mut Reader, target: &mut Target, config: &mut Fields<'_>) {
    let Some(mut fields) = section(reader, config, "schedule_config") else { return };
    target.origin("schedule", &fields.path);
    for (key, native) in [("day", "days"), ("start_time", "from"), ("end_time", "to"), ("zone", "zone")] {
        if let Some(value) = fields.get(key).filter(|value| value.value != "") {
            target.put(&["schedule", native], value.value.clone(), &value.path);
        }
    }
    fields.finish(reader);
}

/// The robot of `DingTalk` that is told of failures and of each new best.
pub(super) fn monitor(reader: &mut Reader, target: &mut Target, config: &mut Fields<'_>) {
    let Some(mut fields) = section(reader, config, "monitor_config") else { return };
    let url = fields.get("url").filter(|url| url.value != "");
    let keyword = fields.get("keyword");
    let lists = [("at_mobiles", fields.get("at_mobiles")), ("at_user_ids", fields.get("at_user_ids"))];
    let at_all = fields.get("is_at_all");
    fields.finish(reader);
    let Some(url) = url else {
        return no_effect(reader, &fields.path, "`monitor_config` has no effect without `url`");
    };
    if !url.value.as_str().is_some_and(|text| text.starts_with(SEALED)) {
        let cure = "keep the address with `retrial secret set NAME` and write `url: secret:NAME`";
        let message =
            "the address of a robot holds its token: it is not taken from the file, and nobody is told";
        return reader.warnings.push(SpecError::key(codes::CREDENTIAL, &url.path, message, cure));
    }
    target.origin("notify", &fields.path);
    target.put(&["notify", "dingtalk", "url"], url.value.clone(), &url.path);
    if let Some(keyword) = keyword {
        target.put(&["notify", "dingtalk", "keyword"], keyword.value.clone(), &keyword.path);
    }
    for (key, place) in lists {
        if let Some(place) = place {
            target.put(&["notify", "dingtalk", key], list_of(place.value), &place.path);
        }
    }
    if let Some(at_all) = at_all {
        let on = matches!(text(at_all.value).to_lowercase().as_str(), "1" | "true");
        target.put(&["notify", "dingtalk", "at_all"], json!(on), &at_all.path);
    }
    target.put(&["notify", "events"], json!(["failure", "pause", "best"]), &fields.path);
}

/// A list that is written as a text, such as `[147..., 148...]`.
fn list_of(value: &Json) -> Json {
    let Json::String(text) = value else { return value.clone() };
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
    let items = inner.split(',').map(|item| item.trim().trim_matches(['"', '\'']));
    items.filter(|item| !item.is_empty()).map(Json::from).collect()
}
