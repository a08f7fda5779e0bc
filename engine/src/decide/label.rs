//! Labels: what people and programs note of an experiment. They decide nothing.

use super::codes;
use crate::error::Rejection;
use crate::event::{Event, v1};
use crate::limits;
use crate::state::Experiment;
use std::collections::BTreeMap;

type Labels = BTreeMap<String, String>;
type Changes = BTreeMap<String, Option<String>>;

/// Bytes of the names and values in one event.
const BYTES_PER_EVENT: usize = limits::MAX_LABEL_BYTES + 4 * limits::MAX_LABEL_NAME_CHARS;
/// Bytes that frame a name and its value, at most: two lengths, and whether there is a value.
const FRAME_BYTES: usize = 9 + 1 + 9;
// All known labels taken away and as many new ones set fit into a record, with room for its header.
const _: () =
    assert!(BYTES_PER_EVENT + 2 * limits::MAX_LABELS * FRAME_BYTES + 256 <= limits::MAX_RECORD_BYTES);

impl Experiment {
    pub(super) fn label(&self, changes: &Changes) -> Result<Vec<Event>, Rejection> {
        labelled(&self.labels, changes)
    }
}

/// The changes that are any to these labels, in as many events as they need.
pub(super) fn labelled(known: &Labels, changes: &Changes) -> Result<Vec<Event>, Rejection> {
    let changes = changes.iter().filter(|(name, value)| known.get(*name) != value.as_ref());
    let mut after = known.clone();
    let mut parts: Vec<Changes> = Vec::new();
    let mut room = 0;
    for (name, value) in changes {
        let size = name.len() + value.as_ref().map_or(0, String::len);
        match value {
            Some(value) => {
                check(name, value)?;
                after.insert(name.clone(), value.clone());
            }
            None => {
                after.remove(name);
            }
        }
        if parts.is_empty() || size > room {
            parts.push(Changes::new());
            room = BYTES_PER_EVENT;
        }
        room = room.saturating_sub(size);
        if let Some(part) = parts.last_mut() {
            part.insert(name.clone(), value.clone());
        }
    }
    check_all(&after)?;
    Ok(parts.into_iter().map(|labels| v1::ExperimentLabelled { labels }.into()).collect())
}

fn check(name: &str, value: &str) -> Result<(), Rejection> {
    let chars = name.chars().count();
    let wrong = if chars == 0 {
        "a label has no name".to_owned()
    } else if chars > limits::MAX_LABEL_NAME_CHARS {
        format!(
            "the name of a label has {chars} characters and at most {} are kept",
            limits::MAX_LABEL_NAME_CHARS
        )
    } else if name.chars().any(char::is_control) {
        format!("the name of the label {name:?} has a control character")
    } else {
        return check_size(
            &format!("the value of the label `{name}` has"),
            value.len(),
            limits::MAX_LABEL_BYTES,
        );
    };
    let cure = format!("a name is 1 to {} printed characters", limits::MAX_LABEL_NAME_CHARS);
    Err(Rejection::new(codes::LABEL_NAME, wrong, cure))
}

fn check_all(labels: &Labels) -> Result<(), Rejection> {
    if labels.len() > limits::MAX_LABELS {
        return Err(Rejection::new(
            codes::TOO_MANY_LABELS,
            format!("the experiment would have {} labels and takes {}", labels.len(), limits::MAX_LABELS),
            "take some away that are not needed",
        ));
    }
    let bytes = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
    check_size("the labels of the experiment would have", bytes, limits::MAX_LABELS_BYTES)
}

fn check_size(what: &str, bytes: usize, bound: usize) -> Result<(), Rejection> {
    if bytes <= bound {
        return Ok(());
    }
    Err(Rejection::new(
        codes::LABELS_TOO_LARGE,
        format!("{what} {bytes} bytes and at most {bound} are kept"),
        "label with where a large thing is to be found",
    ))
}
