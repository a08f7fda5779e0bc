//! XML as requests bring it: a tree of [`Element`]s, read with a bound on its depth.

use super::limits::XML_DEPTH;
use quick_xml::Reader;
use quick_xml::events::Event;

/// An element: its name, its text without that of its children, and its children.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// The name.
    pub name: String,
    /// The text.
    pub text: String,
    /// The children, in order.
    pub children: Vec<Element>,
}

impl Element {
    /// The first child of a name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of a name, without space around it.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim())
    }

    /// Pairs in the form of `<Property><Name/><Value/></Property>`, by the names of the three.
    pub fn pairs(&self, item: &str, key: &str, value: &str) -> Vec<(String, String)> {
        let items = self.children.iter().filter(|child| child.name == item);
        items
            .filter_map(|child| {
                let text = child.child(value).map(|value| value.text.clone()).unwrap_or_default();
                Some((child.value(key)?.to_owned(), text))
            })
            .collect()
    }
}

/// Reads a document; the error says what is wrong with it.
pub fn parse(text: &str) -> Result<Element, String> {
    let mut reader = Reader::from_str(text);
    // The first is the document itself, whose only child is the root.
    let mut open = vec![Element::default()];
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        let Some(top) = open.last_mut() else { return Err("an element ends that has not begun".to_owned()) };
        match event {
            Event::Start(start) => {
                if open.len() > XML_DEPTH {
                    return Err(format!("elements lie more than {XML_DEPTH} deep"));
                }
                open.push(named(&start));
            }
            Event::Empty(start) => top.children.push(named(&start)),
            Event::End(_) => {
                let ended = open.pop().unwrap_or_default();
                match open.last_mut() {
                    Some(parent) => parent.children.push(ended),
                    None => return Err("an element ends that has not begun".to_owned()),
                }
            }
            Event::Text(text) => top.text.push_str(&text.xml10_content()),
            Event::CData(text) => top.text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => top.text.push(referred(&reference)?),
            Event::DocType(_) => return Err("a document type is not taken".to_owned()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(document), true) if document.children.len() == 1 => {
            document.children.into_iter().next().ok_or_else(|| "there is no element".to_owned())
        }
        (_, false) => Err("an element does not end".to_owned()),
        _ => Err("there is not exactly one outermost element".to_owned()),
    }
}

fn named(start: &quick_xml::events::BytesStart<'_>) -> Element {
    Element { name: start.name().as_ref().to_owned(), ..Element::default() }
}

/// The character of a reference; only those that XML itself knows.
fn referred(reference: &quick_xml::events::BytesRef<'_>) -> Result<char, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character);
    }
    match reference.xml10_content().as_ref() {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        other => Err(format!("&{other}; is not known")),
    }
}

/// Text for an element.
pub fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

/// Text for an element, as character data: an end mark in it is split.
pub fn character_data(text: &str) -> String {
    format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_text_and_split_character_data_are_read() {
        let text =
            "<?xml version=\"1.0\"?>\n<A><B>x &lt;&#65;</B><B/><C><![CDATA[a]]]]><![CDATA[>b <i>]]></C></A>";
        let root = parse(text).unwrap();
        assert_eq!((root.name.as_str(), root.children.len()), ("A", 3));
        assert_eq!(root.value("B"), Some("x <A"));
        assert_eq!(root.value("C"), Some("a]]>b <i>"));
        assert_eq!(parse(&format!("<A>{}</A>", character_data("a]]>b"))).unwrap().text, "a]]>b");
    }

    #[test]
    fn what_is_not_one_element_is_refused() {
        for text in ["", "text", "<A>", "<A></B>", "<A/><B/>", "</A>", "<!DOCTYPE a><A/>", "<A>&e;</A>"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"<A>".repeat(100)).unwrap_err().contains("deep"));
    }
}
