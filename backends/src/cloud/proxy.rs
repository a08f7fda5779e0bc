//! Which proxy a request goes through: what the environment says, never for this machine itself.

use crate::cloud::secret::Secret;

/// Hosts that are never reached through a proxy: this machine, and the metadata service of a cloud's machines.
const ALWAYS_DIRECT: &str = "localhost,127.0.0.0/8,::1,100.100.100.200";

/// The settings of a proxy. Addresses may hold a password, so they are not shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// For `https` addresses.
    pub https: Option<Secret<String>>,
    /// For `http` addresses.
    pub http: Option<Secret<String>>,
    /// Hosts, domains and networks that are reached directly, separated by commas.
    pub direct: String,
}

impl ProxySettings {
    /// From variables of the environment: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case; the
    /// lower case wins, as in curl.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let of = |name: &str| {
            let found = variable(&name.to_lowercase()).or_else(|| variable(name));
            found.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let all = of("ALL_PROXY");
        let direct = of("NO_PROXY").map_or(ALWAYS_DIRECT.to_owned(), |own| format!("{ALWAYS_DIRECT},{own}"));
        Self {
            https: of("HTTPS_PROXY").or_else(|| all.clone()).map(Secret::new),
            http: of("HTTP_PROXY").or(all).map(Secret::new),
            direct,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(set: &[(&str, &str)]) -> ProxySettings {
        let of = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        ProxySettings::from_environment(of)
    }

    #[test]
    fn the_environment_decides_and_this_machine_is_always_direct() {
        let none = with(&[]);
        assert_eq!((none.https, none.http), (None, None));
        let some =
            with(&[("ALL_PROXY", "a"), ("https_proxy", "b"), ("HTTPS_PROXY", "c"), ("NO_PROXY", "x.y")]);
        assert_eq!(some.https, Some(Secret::new("b".to_owned())));
        assert_eq!(some.http, Some(Secret::new("a".to_owned())));
        assert_eq!(some.direct, format!("{ALWAYS_DIRECT},x.y"));
    }

    #[test]
    fn a_password_in_the_address_is_not_shown() {
        let shown = format!("{:?}", with(&[("HTTPS_PROXY", "http://me:planted@proxy:1")]));
        assert!(!shown.contains("planted"), "{shown}");
    }
}
