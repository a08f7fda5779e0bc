//! Why a call is refused, in the form of the service's error bodies.

use super::reply::escape;

/// A refusal: its HTTP status and what its body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status, 304 to 599.
    pub status: u16,
    /// The `Code`.
    pub code: String,
    /// The `Message`.
    pub message: String,
    /// What the body says besides: element and text.
    pub more: Vec<(&'static str, String)>,
    /// What its headers say besides.
    pub headers: Vec<(&'static str, String)>,
}

impl Refusal {
    /// A refusal with a status, a code and a message.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), more: Vec::new(), headers: Vec::new() }
    }

    /// With one more element.
    #[must_use]
    pub fn with(mut self, element: &'static str, text: impl Into<String>) -> Self {
        self.more.push((element, text.into()));
        self
    }

    /// With one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// There is no such bucket.
    pub fn no_bucket(bucket: &str) -> Self {
        Self::new(404, "NoSuchBucket", "The specified bucket does not exist.").with("BucketName", bucket)
    }

    /// There is no such object.
    pub fn no_key(key: &str) -> Self {
        Self::new(404, "NoSuchKey", "The specified key does not exist.").with("Key", key)
    }

    /// An argument is not what it may be.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidArgument", message)
    }

    /// The signature does not fit.
    pub fn mismatch(text: &str) -> Self {
        let message = "The request signature we calculated does not match the signature you provided. Check your key \
                       and signing method.";
        Self::new(403, "SignatureDoesNotMatch", message).with("StringToSign", text)
    }

    /// The error body.
    pub fn body(&self, request_id: &str, host: &str) -> String {
        let mut body = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>\n");
        let usual = [
            ("Code", self.code.as_str()),
            ("Message", &self.message),
            ("RequestId", request_id),
            ("HostId", host),
        ];
        let more = self.more.iter().map(|(element, text)| (*element, text.as_str()));
        for (element, text) in usual.into_iter().chain(more) {
            body.push_str(&format!("  <{element}>{}</{element}>\n", escape(text)));
        }
        body.push_str("</Error>\n");
        body
    }
}
