//! A document with the place of each of its keys and values: what all three formats are read into.

use super::codes;
use engine::error::Code;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::ops::Range;

/// Deepest nesting of lists and maps. A search space needs two levels for each level of its own.
pub(super) const MAX_DEPTH: usize = 64;
/// Most values of one document, those that aliases repeat included.
pub(super) const MAX_NODES: usize = 200_000;

/// A mistake in the text, at its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextError {
    pub(super) code: Code,
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) cure: String,
}

impl TextError {
    pub(super) fn new(
        code: Code,
        span: Range<usize>,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { code, span, message: message.into(), cure: cure.into() }
    }
}

/// A value and its bytes.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) body: Body,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// No list and no map.
    Plain(Json),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the text.
    Map(Vec<Member>),
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) value: Node,
}

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    /// Which of the loaded files.
    pub(super) file: usize,
    /// Its key, if it has one.
    pub(super) key: Option<Range<usize>>,
    /// The value itself.
    pub(super) value: Range<usize>,
}

/// The places of a document's values by path.
pub(super) type Spots = BTreeMap<String, Spot>;

impl Node {
    /// Takes the tree apart into the document and the places of its values. The errors are keys that are given twice.
    pub(super) fn split(self, file: usize, prefix: &str) -> (Json, Spots, Vec<TextError>) {
        let mut splitter = Splitter { file, spots: Spots::new(), errors: Vec::new() };
        let value = splitter.take(self, prefix.to_owned(), None);
        (value, splitter.spots, splitter.errors)
    }
}

struct Splitter {
    file: usize,
    spots: Spots,
    errors: Vec<TextError>,
}

impl Splitter {
    // The depth is bounded by `MAX_DEPTH`.
    fn take(&mut self, node: Node, path: String, key: Option<Range<usize>>) -> Json {
        let value = match node.body {
            Body::Plain(value) => value,
            Body::List(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| self.take(item, format!("{path}[{index}]"), None))
                .collect(),
            Body::Map(members) => {
                let mut map = Map::new();
                for member in members {
                    let inner =
                        if path.is_empty() { member.key.clone() } else { format!("{path}.{}", member.key) };
                    if map.contains_key(&member.key) {
                        let message = format!("the key `{}` is given twice", member.key);
                        let cure = "keep one of them";
                        let error = TextError::new(codes::DUPLICATE_KEY, member.key_span, message, cure);
                        self.errors.push(error);
                        continue;
                    }
                    let value = self.take(member.value, inner, Some(member.key_span));
                    map.insert(member.key, value);
                }
                Json::Object(map)
            }
        };
        // A path can stand for two values if keys contain dots or brackets; the first one is kept.
        self.spots.entry(path).or_insert(Spot { file: self.file, key, value: node.span });
        value
    }
}
