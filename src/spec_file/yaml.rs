//! Reads YAML 1.2 with the core schema: text that is data. One document, keys that are texts, aliases only for what is
//! complete, and no tags but those of the core schema.

use super::codes;
use super::number::core_scalar;
use super::tree::{Body, MAX_DEPTH, MAX_NODES, Member, Node, TextError};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// Reads the text; `None` if it holds nothing but comments.
pub(super) fn read(text: &str) -> Result<Option<Node>, TextError> {
    Reader {
        bytes: text.char_indices().map(|(at, _)| at).chain([text.len()]).collect(),
        text,
        open: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        root: None,
    }
    .read()
}

struct Reader<'a> {
    text: &'a str,
    /// By character: its byte.
    bytes: Vec<usize>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
}

/// A list or a map that has begun.
struct Open {
    start: usize,
    anchor: usize,
    first_node: usize,
    body: OpenBody,
}

enum OpenBody {
    List(Vec<Node>),
    /// The members, and the key that waits for its value.
    Map(Vec<Member>, Option<(String, Range<usize>)>),
}

impl Reader<'_> {
    fn read(mut self) -> Result<Option<Node>, TextError> {
        let mut parser = Parser::new_from_str(self.text);
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| self.syntax(error.marker().index(), error.info()))?;
            let at = self.range(span);
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        let message = "a second YAML document begins here; an experiment file holds one";
                        return Err(TextError::new(codes::NOT_DATA, at, message, "remove the line `---`"));
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.scalar(&text, style, anchor, tag.as_deref(), at)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.begin(OpenBody::List(Vec::new()), anchor, tag, "seq", at)?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.begin(OpenBody::Map(Vec::new(), None), anchor, tag, "map", at)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.end(at.end)?,
                Event::Alias(anchor) => self.alias(anchor, at)?,
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(self.root.filter(|root| documents > 0 && !is_nothing(root)))
    }

    /// The bytes of a span, without the white space that the parser counts to the end of a scalar.
    fn range(&self, span: Span) -> Range<usize> {
        let byte = |index: usize| self.bytes.get(index).copied().unwrap_or(self.text.len());
        let (start, end) = (byte(span.start.index()), byte(span.end.index()));
        let inside = self.text.get(start..end).unwrap_or_default();
        start..start + inside.trim_end().len()
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: Range<usize>,
    ) -> Result<(), TextError> {
        let is_key = matches!(self.open.last(), Some(Open { body: OpenBody::Map(_, None), .. }));
        if is_key && tag.is_none() && anchor == 0 {
            if text == "<<" && style == ScalarStyle::Plain {
                let message = "merge keys are not a part of YAML 1.2";
                return Err(TextError::new(codes::NOT_DATA, at, message, "write the keys themselves"));
            }
            // A number or a truth value as a key is meant as its text.
            return self.place(Node { span: at, body: Body::Plain(Json::String(text.to_owned())) });
        }
        let finite = |value: Result<Json, _>| {
            value.map_err(|_| {
                let message = format!("`{text}` is not a finite number");
                TextError::new(
                    codes::NOT_FINITE,
                    at.clone(),
                    message,
                    "write a finite number, or quote the text",
                )
            })
        };
        let value = match tag.map(|tag| core_tag(tag, &at)).transpose()? {
            Some("str") => Json::String(text.to_owned()),
            Some(_) => finite(core_scalar(text))?,
            None if style == ScalarStyle::Plain => finite(core_scalar(text))?,
            None => Json::String(text.to_owned()),
        };
        let node = Node { span: at, body: Body::Plain(value) };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), 1));
        }
        self.place(node)
    }

    fn begin(
        &mut self,
        body: OpenBody,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        expected: &str,
        at: Range<usize>,
    ) -> Result<(), TextError> {
        if let Some(tag) = tag {
            let suffix = core_tag(&tag, &at)?;
            if suffix != expected {
                let message = format!("the tag `{tag}` does not fit what it is written before");
                return Err(TextError::new(codes::NOT_DATA, at, message, "remove it"));
            }
        }
        if let Some(Open { body: OpenBody::Map(_, None), .. }) = self.open.last() {
            let message = "a key is a list or a map";
            let cure = "keys are texts";
            return Err(TextError::new(codes::NOT_DATA, at, message, cure));
        }
        if self.open.len() >= MAX_DEPTH {
            let message = format!("lists and maps are nested more than {MAX_DEPTH} deep");
            return Err(TextError::new(codes::TOO_MUCH, at, message, ""));
        }
        self.open.push(Open { start: at.start, anchor, first_node: self.nodes, body });
        Ok(())
    }

    fn end(&mut self, end: usize) -> Result<(), TextError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let body = match open.body {
            OpenBody::List(items) => Body::List(items),
            OpenBody::Map(members, _) => Body::Map(members),
        };
        let span = open.start..self.trimmed(open.start, end);
        let node = Node { span, body };
        if open.anchor != 0 {
            self.anchors.insert(open.anchor, (node.clone(), self.nodes - open.first_node + 1));
        }
        self.place(node)
    }

    /// A block ends where the next thing begins: comments and empty lines between are not a part of it.
    fn trimmed(&self, start: usize, end: usize) -> usize {
        start + self.text.get(start..end).unwrap_or_default().trim_end().len()
    }

    fn alias(&mut self, anchor: usize, at: Range<usize>) -> Result<(), TextError> {
        let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
            let message = "the alias stands inside of what it refers to";
            return Err(TextError::new(codes::NOT_DATA, at, message, "write the value itself"));
        };
        self.nodes += size;
        // Checked before the copy is placed, so that copies of copies cannot grow without end.
        self.check_size(&at)?;
        if depth(&node) + self.open.len() > MAX_DEPTH {
            let message = format!("lists and maps are nested more than {MAX_DEPTH} deep");
            return Err(TextError::new(codes::TOO_MUCH, at, message, ""));
        }
        self.place(node)
    }

    fn check_size(&self, at: &Range<usize>) -> Result<(), TextError> {
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let message = format!("the file has more than {MAX_NODES} values");
        Err(TextError::new(codes::TOO_MUCH, at.clone(), message, "use fewer aliases"))
    }

    /// Puts a complete node into what is open.
    fn place(&mut self, node: Node) -> Result<(), TextError> {
        self.nodes += 1;
        self.check_size(&node.span)?;
        match self.open.last_mut().map(|open| &mut open.body) {
            None => self.root = Some(node),
            Some(OpenBody::List(items)) => items.push(node),
            Some(OpenBody::Map(members, waiting)) => match waiting.take() {
                Some((key, key_span)) => members.push(Member { key, key_span, value: node }),
                None => match node.body {
                    Body::Plain(Json::String(key)) => *waiting = Some((key, node.span)),
                    Body::Plain(key) => *waiting = Some((key.to_string(), node.span)),
                    Body::List(_) | Body::Map(_) => {
                        let message = "a key is a list or a map";
                        return Err(TextError::new(codes::NOT_DATA, node.span, message, "keys are texts"));
                    }
                },
            },
        }
        Ok(())
    }

    fn syntax(&self, index: usize, info: &str) -> TextError {
        let at = self.bytes.get(index).copied().unwrap_or(self.text.len());
        if let Some(tab) = self.tab_before(at) {
            let message = "YAML is indented with spaces, not with tabs";
            return TextError::new(codes::TAB, tab..tab + 1, message, "replace the tab by spaces");
        }
        // At the end of the text there is no character to point at: the last one stands for it.
        let last = self.text.trim_end().char_indices().next_back().map_or(0, |(last, _)| last);
        let at = at.min(last);
        let message = format!("this is not YAML: {info}");
        let start = self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
        let line = self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let cure = if line.contains("${") {
            "put texts with `${...}` in quotes"
        } else {
            hint(info, self.text.get(at..).unwrap_or_default())
        };
        TextError::new(codes::SYNTAX, at..at + 1, message, cure)
    }

    /// The first tab in the indentation of a line up to this byte.
    fn tab_before(&self, at: usize) -> Option<usize> {
        let mut start = 0;
        for line in self.text.split_inclusive('\n') {
            if start > at {
                return None;
            }
            let indentation = line.len() - line.trim_start_matches([' ', '\t']).len();
            let tab = line.get(..indentation).and_then(|blank| blank.find('\t'));
            if let Some(tab) = tab.filter(|_| !line.trim().is_empty()) {
                return Some(start + tab);
            }
            start += line.len();
        }
        None
    }
}

/// The name of a tag of the core schema.
fn core_tag<'t>(tag: &'t Tag, at: &Range<usize>) -> Result<&'t str, TextError> {
    if tag.is_yaml_core_schema()
        && matches!(tag.suffix.as_str(), "str" | "int" | "float" | "bool" | "null" | "seq" | "map")
    {
        return Ok(&tag.suffix);
    }
    // The tag `!` alone: no number, whatever it looks like.
    if matches!((tag.handle.as_str(), tag.suffix.as_str()), ("!", "") | ("", "!")) {
        return Ok("str");
    }
    let message = format!("the tag `{tag}` has no meaning in an experiment file");
    Err(TextError::new(codes::NOT_DATA, at.clone(), message, "remove it"))
}

/// Whether the root is an empty scalar: a file of comments.
fn is_nothing(node: &Node) -> bool {
    matches!(&node.body, Body::Plain(Json::Null)) && node.span.is_empty()
}

fn depth(node: &Node) -> usize {
    match &node.body {
        Body::Plain(_) => 0,
        Body::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Body::Map(members) => 1 + members.iter().map(|member| depth(&member.value)).max().unwrap_or(0),
    }
}

/// What is usually behind a syntax error.
fn hint(info: &str, rest: &str) -> &'static str {
    if rest.starts_with(['%', '@', '`', '*', '&', '!', '|', '>']) || info.contains("mapping values") {
        "a text with `: `, or that begins with a special character, needs quotes"
    } else if info.contains("flow") || info.contains("',' or") {
        "look for a bracket that is not closed, or a missing comma"
    } else if info.contains("quoted scalar") {
        "look for a quote that is not closed"
    } else {
        "look at the indentation, and for a missing colon, quote or bracket"
    }
}
