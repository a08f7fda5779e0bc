//! Addresses of services, as settings have them. Begin with [`scheme`] and [`Host::parse`].

use std::fmt;

/// The scheme of an address, `https` where none is said, and what follows it; `None` for any other than `http`.
pub fn scheme(text: &str) -> Option<(&'static str, &str)> {
    match text.split_once("://") {
        Some(("https", rest)) => Some(("https", rest)),
        Some(("http", rest)) => Some(("http", rest)),
        Some(_) => None,
        None => Some(("https", text)),
    }
}

/// A host: a name, or an address whose version 6 is in brackets, and a port if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// In lower case.
    pub name: String,
    /// Not 0.
    pub port: Option<u16>,
}

impl Host {
    /// Reads a host; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, Some(port)),
            _ => (text, None),
        };
        let name = name.to_ascii_lowercase();
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let named = match address {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => name.split('.').all(is_label),
        };
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return None,
        };
        named.then_some(Self { name, port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Whether a text can be a part of a host's name: 1 to 63 lower-case letters, digits and hyphens, no hyphen at either
/// end.
pub fn is_label(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('-') && !text.ends_with('-')
}
