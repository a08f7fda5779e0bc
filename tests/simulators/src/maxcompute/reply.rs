//! What is answered to a call that is not refused.

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type`; none if it is empty.
    pub kind: &'static str,
    /// Other headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The instance that it is about, for the list of calls.
    pub instance: Option<String>,
    /// The number of an instant instance, whose work is to be done before the answer can be given.
    pub instant: Option<usize>,
}

impl Reply {
    /// Nothing but a status.
    pub fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// A document of XML.
    pub fn xml(text: &str) -> Self {
        let body = format!("<?xml version=\"1.0\"?>\n{text}").into_bytes();
        Self { status: 200, kind: "application/xml", body, ..Self::default() }
    }

    /// JSON.
    pub fn json(value: &serde_json::Value) -> Self {
        let body = value.to_string().into_bytes();
        Self { status: 200, kind: "application/json", body, ..Self::default() }
    }

    /// A text.
    pub fn text(text: &str) -> Self {
        Self { status: 200, kind: "text/plain", body: text.as_bytes().to_vec(), ..Self::default() }
    }

    /// With another header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
