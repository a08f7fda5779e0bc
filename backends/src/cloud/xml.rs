//! XML as services write and read it, as a small tree. Begin with [`Element::parse`] and [`Element::document`].
//!
//! Reading is bounded in depth and in the number of elements; the size is bounded where the answer is read. Nothing is
//! expanded but the five entities of XML itself and character references; a document type is refused. Namespaces mean
//! nothing here.

use quick_xml::events::{BytesCData, BytesDecl, BytesEnd, BytesRef, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer, XmlVersion};

/// Elements within elements.
const DEPTH_BOUND: usize = 32;
/// Elements of a document.
const ELEMENT_BOUND: usize = 200_000;

/// An element with all that is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// Its attributes, in their order.
    pub attributes: Vec<(String, String)>,
    /// Its own text, CDATA included, without that of its children.
    pub text: String,
    /// The elements in it, in their order.
    pub children: Vec<Element>,
    /// Whether the text is written as CDATA; never set by reading.
    pub unparsed: bool,
}

impl Element {
    /// An element with elements in it.
    pub fn with(name: &str, children: impl IntoIterator<Item = Self>) -> Self {
        Self { name: name.to_owned(), children: children.into_iter().collect(), ..Self::default() }
    }

    /// An element with a text.
    pub fn of(name: &str, text: impl Into<String>) -> Self {
        Self { name: name.to_owned(), text: text.into(), ..Self::default() }
    }

    /// The document whose root this is. What XML cannot say (control characters) has to be kept out before.
    pub fn document(&self) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        // Writing to memory cannot fail.
        let _ = writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)));
        let _ = self.write(&mut writer);
        writer.into_inner()
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let mut start = BytesStart::new(self.name.as_str());
        start.extend_attributes(self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        writer.write_event(Event::Start(start))?;
        if self.unparsed {
            // A text with the end mark of CDATA in it becomes several parts.
            for part in BytesCData::escaped(&self.text) {
                writer.write_event(Event::CData(part))?;
            }
        } else if !self.text.is_empty() {
            writer.write_event(Event::Text(BytesText::new(&self.text)))?;
        }
        for child in &self.children {
            child.write(writer)?;
        }
        writer.write_event(Event::End(BytesEnd::new(self.name.as_str())))
    }

    /// The root of a document. The error continues a sentence whose subject is the document.
    pub fn parse(document: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(document).map_err(|error| format!("is not UTF-8: {error}"))?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}').trim());
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.check_end_names = true;
        // The innermost open element is the last; the first holds the root once that is closed.
        let mut open = vec![Self::default()];
        let mut elements = 0;
        loop {
            let at = reader.buffer_position();
            let bad = |error: &dyn std::fmt::Display| format!("is not XML at byte {at}: {error}");
            match reader.read_event().map_err(|error| bad(&error))? {
                Event::Start(start) => {
                    elements += 1;
                    if open.len() > DEPTH_BOUND || elements > ELEMENT_BOUND {
                        return Err(format!(
                            "has more than {ELEMENT_BOUND} elements, or more than {DEPTH_BOUND} in each other"
                        ));
                    }
                    open.push(Self::begin(&start).map_err(|error| bad(&error))?);
                }
                Event::End(_) => {
                    let Some(closed) = open.pop() else { return Err(bad(&"an end without a beginning")) };
                    let Some(parent) = open.last_mut() else {
                        return Err(bad(&"an end without a beginning"));
                    };
                    parent.children.push(closed);
                }
                Event::Text(part) => add(&mut open, &part.xml10_content()),
                Event::CData(part) => add(&mut open, &part),
                Event::GeneralRef(part) => add(&mut open, &reference(&part).map_err(|error| bad(&error))?),
                Event::DocType(_) => return Err("has a document type, which is not read".to_owned()),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Empty(_) => return Err(bad(&"an empty element")),
                Event::Eof => break,
            }
        }
        let [outside] = open.as_mut_slice() else {
            return Err("ends before its last element does".to_owned());
        };
        if !outside.text.trim().is_empty() || outside.children.len() != 1 {
            return Err("is not one XML element".to_owned());
        }
        outside.children.pop().ok_or_else(|| "is empty".to_owned())
    }

    fn begin(start: &BytesStart<'_>) -> Result<Self, String> {
        let mut element = Self { name: start.name().as_ref().to_owned(), ..Self::default() };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value =
                attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|error| error.to_string())?;
            element.attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
        }
        Ok(element)
    }

    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first child of this name without the blanks around it; empty if there is none.
    pub fn value(&self, name: &str) -> &str {
        self.child(name).map_or("", |child| child.text.trim())
    }

    /// An attribute; its name in any case.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The first element of this name, this one included, in the order of the document.
    pub fn find(&self, name: &str) -> Option<&Self> {
        if self.name == name { Some(self) } else { self.children.iter().find_map(|child| child.find(name)) }
    }
}

fn add(open: &mut [Element], text: &str) {
    if let Some(innermost) = open.last_mut() {
        innermost.text.push_str(text);
    }
}

/// What `&name;` or `&#number;` stands for.
fn reference(part: &BytesRef<'_>) -> Result<String, String> {
    if let Some(letter) = part.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(letter.to_string());
    }
    quick_xml::escape::resolve_xml_entity(part)
        .map(str::to_owned)
        .ok_or_else(|| format!("the entity `{}` is not known", &**part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_document_is_read_with_its_attributes_entities_and_unparsed_parts() {
        let read = Element::parse(
            "\u{feff}<?xml version=\"1.0\"?>\n<a B='1 &amp; 2'><!-- no --><b> x &lt;&#65;&#x4e2d;</b><b/>\
             <c><![CDATA[<&>]]>]]&gt;<![CDATA[ y]]></c></a>\n"
                .as_bytes(),
        )
        .unwrap();
        assert_eq!((read.name.as_str(), read.attribute("b")), ("a", Some("1 & 2")));
        assert_eq!((read.value("b"), read.value("c"), read.value("d")), ("x <A中", "<&>]]> y", ""));
        assert_eq!(read.all("b").count(), 2);
        assert_eq!(read.find("c").map(|found| found.text.as_str()), Some("<&>]]> y"));
    }

    #[test]
    fn what_is_no_small_plain_document_is_refused() {
        let deep = "<a>".repeat(DEPTH_BOUND + 1);
        for (text, part) in [
            ("", "one XML element"),
            ("x", "one XML element"),
            ("<a/><b/>", "one XML element"),
            ("<a><b></a></b>", "byte 6"),
            ("<a>", "before its last element"),
            ("<a>&lol;</a>", "`lol`"),
            ("<!DOCTYPE a [<!ENTITY lol 'x'>]><a>&lol;</a>", "document type"),
            (deep.as_str(), "in each other"),
        ] {
            let error = Element::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(Element::parse(b"<a>\xff</a>").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn a_text_with_the_end_mark_of_cdata_is_written_in_parts() {
        let query = Element { unparsed: true, ..Element::of("q", "a ]]> b") };
        let document = Element::with("r", [query, Element::of("t", "<&>'\"")]).document();
        let text = String::from_utf8(document).unwrap();
        assert!(text.contains("<![CDATA[a ]]]]><![CDATA[> b]]>") && text.contains("&lt;&amp;"), "{text}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(text in "[a-z<>&'\"\\]\\[! \n\tü中]{0,30}", unparsed: bool) {
            let element = Element { unparsed, ..Element::of("q", text.clone()) };
            let read = Element::parse(&Element::with("r", [element]).document()).unwrap();
            prop_assert_eq!(&read.child("q").unwrap().text, &text);
        }

        #[test]
        fn nothing_makes_it_panic(text in "(<|>|/|a|b|&|;|#|x|!|\\[|\\]|CDATA|--|'|=| |\\PC){0,40}") {
            let _ = Element::parse(text.as_bytes());
        }

        #[test]
        fn bytes_never_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Element::parse(&bytes);
        }
    }
}
