//! One operation of the API: where it is, who may call it, what it takes, what it answers. All operations stand in tables,
//! from which the server and the OpenAPI document are made, so that none can go without a check or a description.

use super::access::{Identity, Role};
use super::problem::Problem;
use super::server::App;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::MethodFilter;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::pin::Pin;

/// What a handler gives.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send + 'a>>;
/// Carries out an operation.
pub type Handler = for<'a> fn(&'a App, Asked) -> Answering<'a>;

/// A handler from an asynchronous function.
macro_rules! handler {
    ($function:path) => {
        |app, asked| Box::pin($function(app, asked))
    };
}
pub(super) use handler;

/// What a value in the address looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number within bounds.
    Whole(u64, u64),
    /// A place in the history: a record's number, or an event's id.
    Place,
    /// A number above 0, at most 1.
    Share,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// A value in the query.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it looks like.
    pub kind: Kind,
    /// What it says.
    pub about: &'static str,
}

/// The manners of an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Ours: strict, with problem details.
    Native,
    /// That of PAI: unknown parameters are ignored, errors have `Code`, `Message` and `RequestId`.
    Pai,
}

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Looks.
    Get,
    /// Does something.
    Post,
    /// Replaces something.
    Put,
    /// Takes something away.
    Delete,
}

impl Verb {
    /// As OpenAPI writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }

    /// As the router takes it.
    pub const fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

/// One operation.
#[derive(Clone, Copy)]
pub struct Operation {
    /// The method.
    pub method: Verb,
    /// The path, with `{name}` for what varies.
    pub path: &'static str,
    /// Its name in the document.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Who may call it; everybody if absent.
    pub needs: Option<Role>,
    /// Its manners.
    pub dialect: Dialect,
    /// What may stand in the query.
    pub query: &'static [Param],
    /// The JSON Schema of the body, if it takes one.
    pub body: Option<fn() -> Value>,
    /// The status of a good answer and the JSON Schema of its body; of another type than JSON if absent.
    pub answers: (u16, Option<fn() -> Value>),
    /// The type of the answer.
    pub media: &'static str,
    /// The JSON Schema of an answer in JSON, if one may be asked for instead.
    pub or_json: Option<fn() -> Value>,
    /// The statuses with which it may be refused, beside those of every operation.
    pub refusals: &'static [u16],
    /// What does it.
    pub run: Handler,
}

/// A request that may be carried out.
#[derive(Debug)]
pub struct Asked {
    /// Who asks.
    pub who: Identity,
    /// What varies in the path.
    pub path: BTreeMap<String, String>,
    /// The query.
    pub query: BTreeMap<String, String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// The number of the request in answers and logs.
    pub id: String,
}

impl Asked {
    /// A part of the path.
    pub fn part(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// A value of the query.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A number of the query, which was checked.
    pub fn whole(&self, name: &str) -> Option<u64> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    /// The body as this form of JSON; none is an empty object.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let body = if self.body.is_empty() { b"{}" } else { self.body.as_slice() };
        serde_json::from_slice(body).map_err(|error| {
            Problem::bad_request(
                format!("the body is not as it has to be: {}", told(&error)),
                "see /v1/openapi.json",
            )
        })
    }
}

/// What the parser says, without the value that it says it of: that may be a secret.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let names_a_value = text.starts_with("invalid ") || text.starts_with("unknown variant");
    match text.split_once(", expected ") {
        Some((_, expected)) if names_a_value => format!("something else than {expected}"),
        _ => text,
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The type of the body.
    pub media: &'static str,
    /// The body.
    pub body: Body,
}

impl Reply {
    /// JSON with status 200.
    pub fn json(value: &Value) -> Self {
        Self::with(StatusCode::OK, value)
    }

    /// JSON with a status.
    pub fn with(status: StatusCode, value: &Value) -> Self {
        Self { status, media: "application/json", body: Body::from(value.to_string()) }
    }

    /// The response.
    pub fn response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media));
        response
    }
}

/// Reads a query. Strict: every parameter is known, given once, and as it has to be.
pub fn query(operation: &Operation, raw: &str) -> Result<BTreeMap<String, String>, Problem> {
    let mut found = BTreeMap::new();
    let strict = operation.dialect == Dialect::Native;
    for part in raw.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (super::signature::decoded(name), super::signature::decoded(value));
        if strict {
            check(operation, &name, &value)?;
        }
        if found.insert(name.clone(), value).is_some() && strict {
            return Err(Problem::bad_request(format!("`{name}` is given twice"), "give it once"));
        }
    }
    Ok(found)
}

fn check(operation: &Operation, name: &str, value: &str) -> Result<(), Problem> {
    let Some(param) = operation.query.iter().find(|param| param.name == name) else {
        let names: Vec<&str> = operation.query.iter().map(|param| param.name).collect();
        let cure = if names.is_empty() {
            "it takes none".to_owned()
        } else {
            format!("there are {}", names.join(", "))
        };
        return Err(Problem::bad_request(format!("there is no parameter `{name}`"), cure));
    };
    match param.kind {
        Kind::Text => Ok(()),
        Kind::Whole(least, most) => {
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let fits = digits && value.parse().is_ok_and(|number| (least..=most).contains(&number));
            let told =
                || Problem::bad_request(format!("`{name}` is no whole number from {least} to {most}"), "");
            fits.then_some(()).ok_or_else(told)
        }
        Kind::Place => super::native::is_place(value).then_some(()).ok_or_else(|| {
            let message = format!("`{name}` is neither the number of a record nor the id of an event");
            Problem::bad_request(message, "write for example 0, or the id of the last event that was seen")
        }),
        Kind::Share => {
            let fits = value.parse().is_ok_and(|share: f64| share > 0.0 && share <= 1.0);
            let told = || Problem::bad_request(format!("`{name}` is no number above 0, at most 1"), "");
            fits.then_some(()).ok_or_else(told)
        }
        Kind::Word(words) => words.contains(&value).then_some(()).ok_or_else(|| {
            Problem::bad_request(format!("`{name}` is none of {}", words.join(", ")), "write one of them")
        }),
    }
}
