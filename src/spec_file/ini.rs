//! Reads the `trial.ini` of PAI's hpo-tools: sections of keys, whose values stay texts.

use super::codes;
use super::tree::{Body, Member, Node, TextError};
use serde_json::Value as Json;

/// Reads the text. A line that begins with white space goes on with the value above.
pub(super) fn read(text: &str) -> Result<Node, Vec<TextError>> {
    let mut sections: Vec<Member> = Vec::new();
    let mut errors = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let at = start;
        start += line.len();
        let content = line.trim();
        let indent = line.len() - line.trim_start().len();
        let span = at + indent..at + indent + content.len();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let value = Node { span: span.clone(), body: Body::Map(Vec::new()) };
            sections.push(Member { key: name.trim().to_owned(), key_span: span, value });
            continue;
        }
        let Some(keys) = sections.last_mut().and_then(|section| members(&mut section.value)) else {
            let message = "this line stands before the first [section]";
            errors.push(TextError::new(codes::SYNTAX, span, message, "begin with [platform_config]"));
            continue;
        };
        if indent > 0
            && let Some(Node { body: Body::Plain(Json::String(value)), span: whole }) =
                keys.last_mut().map(|member| &mut member.value)
        {
            value.push('\n');
            value.push_str(content);
            whole.end = span.end;
            continue;
        }
        let Some(equals) = content.find(['=', ':']) else {
            errors.push(TextError::new(codes::SYNTAX, span, "this line has no `=`", "write key=value"));
            continue;
        };
        let (key, value) = content.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        let blank = value.len() - value.trim_start().len();
        let value_span = span.start + equals + 1 + blank..span.end;
        let key = key.trim_end();
        keys.push(Member {
            key: key.to_owned(),
            key_span: span.start..span.start + key.len(),
            value: Node { span: value_span, body: Body::Plain(Json::String(value.trim().to_owned())) },
        });
    }
    if errors.is_empty() {
        Ok(Node { span: 0..text.trim_end().len(), body: Body::Map(sections) })
    } else {
        Err(errors)
    }
}

fn members(node: &mut Node) -> Option<&mut Vec<Member>> {
    match &mut node.body {
        Body::Map(members) => Some(members),
        _ => None,
    }
}
