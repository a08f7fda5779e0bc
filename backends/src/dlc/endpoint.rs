//! Where the service of a region answers.
//!
//! Begin with [`Endpoint::find`]. The rule is that of the official SDK, which holds for any region, also for one that is newer
//! than this program.

use crate::cloud::codes;
use crate::cloud::host::{Host, is_label, scheme};
use engine::error::SpecError;

/// From where the service is called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// The internet.
    #[default]
    Public,
    /// A VPC of the same region; what it carries is not charged for.
    Vpc,
    /// Alibaba's own network.
    Internal,
}

impl Network {
    /// The network of this name, as experiment files have it.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "public" => Some(Self::Public),
            "vpc" => Some(Self::Vpc),
            "internal" => Some(Self::Internal),
            _ => None,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Public => "",
            Self::Vpc => "-vpc",
            Self::Internal => "-internal",
        }
    }
}

/// Old and inner regions that one central endpoint serves, whatever the network.
const CENTRAL: &[&str] = &[
    "ap-northeast-2-pop",
    "ap-south-1",
    "ap-southeast-2",
    "cn-beijing-finance-1",
    "cn-beijing-finance-pop",
    "cn-beijing-gov-1",
    "cn-beijing-nu16-b01",
    "cn-chengdu",
    "cn-edge-1",
    "cn-fujian",
    "cn-haidian-cm12-c01",
    "cn-hangzhou-bj-b01",
    "cn-hangzhou-finance",
    "cn-hangzhou-internal-prod-1",
    "cn-hangzhou-internal-test-1",
    "cn-hangzhou-internal-test-2",
    "cn-hangzhou-internal-test-3",
    "cn-hangzhou-test-306",
    "cn-hongkong-finance-pop",
    "cn-huhehaote",
    "cn-huhehaote-nebula-1",
    "cn-north-2-gov-1",
    "cn-qingdao",
    "cn-qingdao-nebula",
    "cn-shanghai-et15-b01",
    "cn-shanghai-et2-b01",
    "cn-shanghai-inner",
    "cn-shanghai-internal-test-1",
    "cn-shenzhen-finance-1",
    "cn-shenzhen-inner",
    "cn-shenzhen-st4-d01",
    "cn-shenzhen-su18-b01",
    "cn-wuhan",
    "cn-yushanfang",
    "cn-zhangbei",
    "cn-zhangbei-na61-b01",
    "cn-zhangjiakou",
    "cn-zhangjiakou-na62-a01",
    "cn-zhengzhou-nebula-1",
    "eu-west-1",
    "eu-west-1-oxs",
    "me-east-1",
    "rus-west-1-pop",
];

/// The address of the service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// `https`, or `http` for a simulator.
    pub scheme: &'static str,
    /// Host, with a port if there is one.
    pub host: String,
}

impl Endpoint {
    /// The endpoint to use. An explicit one wins and needs no region; it may begin with `https://` or `http://`,
    /// and is `https` otherwise. `path` is where the settings stand in the experiment file.
    pub fn find(
        explicit: Option<&str>,
        region: Option<&str>,
        network: Network,
        path: &str,
    ) -> Result<Self, SpecError> {
        if let Some(text) = explicit.filter(|text| !text.is_empty()) {
            return Self::parse(text).ok_or_else(|| {
                SpecError::new(
                    codes::BAD_ENDPOINT,
                    format!("{path}.endpoint"),
                    format!("`{text}` is not an endpoint"),
                    "give a host, with a port if need be, such as `pai-dlc.cn-hangzhou.aliyuncs.com`",
                )
            });
        }
        let Some(region) = region.filter(|region| !region.is_empty()) else {
            return Err(SpecError::new(
                codes::BAD_ENDPOINT,
                path,
                "there is neither a region nor an endpoint",
                "set `region`, such as `cn-hangzhou`",
            ));
        };
        if !is_label(region) {
            return Err(SpecError::new(
                codes::BAD_ENDPOINT,
                format!("{path}.region"),
                format!("`{region}` is not a region"),
                "regions are named like `cn-hangzhou`: lower-case letters, digits and hyphens",
            ));
        }
        let host = if CENTRAL.contains(&region) {
            "pai-dlc.aliyuncs.com".to_owned()
        } else {
            format!("pai-dlc{}.{region}.aliyuncs.com", network.suffix())
        };
        Ok(Self { scheme: "https", host })
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = scheme(text)?;
        let mut host = Host::parse(rest.strip_suffix('/').unwrap_or(rest))?;
        let default = if scheme == "https" { 443 } else { 80 };
        // The port of the protocol itself is never part of the header `Host`, so it must not be signed.
        host.port = host.port.filter(|port| *port != default);
        Some(Self { scheme, host: host.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../../tests/vectors/dlc/endpoints.json")).unwrap()
    }

    fn host(region: &str, network: Network) -> String {
        Endpoint::find(None, Some(region), network, "run.dlc").unwrap().host
    }

    #[test]
    fn regions_and_networks_give_the_endpoints_of_the_official_sdk() {
        let vectors = vectors();
        for row in vectors["rows"].as_array().unwrap() {
            let network = row[1].as_str().map_or(Network::Public, |name| Network::from_name(name).unwrap());
            assert_eq!(host(row[0].as_str().unwrap(), network), row[2].as_str().unwrap(), "{row}");
        }
        let central = vectors["central_endpoint_regions"].as_array().unwrap();
        assert_eq!(central.len(), CENTRAL.len());
        for region in central {
            assert_eq!(host(region.as_str().unwrap(), Network::Vpc), "pai-dlc.aliyuncs.com");
        }
    }

    #[test]
    fn an_explicit_endpoint_wins_and_needs_no_region() {
        let cases = [
            ("127.0.0.1:9", "https", "127.0.0.1:9"),
            ("http://127.0.0.1:9/", "http", "127.0.0.1:9"),
            ("http://[::1]:9", "http", "[::1]:9"),
            ("HOST.example:443", "https", "host.example"),
            ("http://localhost", "http", "localhost"),
        ];
        for (text, scheme, host) in cases {
            let found = Endpoint::find(Some(text), None, Network::Vpc, "run.dlc").unwrap();
            assert_eq!((found.scheme, found.host.as_str()), (scheme, host), "{text}");
        }
        let both = Endpoint::find(Some("h:1"), Some("cn-hangzhou"), Network::Public, "run.dlc").unwrap();
        assert_eq!(both.host, "h:1");
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_place() {
        for text in ["ftp://h", "h/path", "h:0", "h:99999", "user@h", "a b", "http://", "[::1", "-h"] {
            let error = Endpoint::find(Some(text), None, Network::Public, "run.dlc").unwrap_err();
            assert_eq!(
                (error.code, error.path.as_str()),
                (codes::BAD_ENDPOINT, "run.dlc.endpoint"),
                "{text}"
            );
        }
        let error = Endpoint::find(None, Some("evil.example/"), Network::Public, "run.dlc").unwrap_err();
        assert_eq!(error.path, "run.dlc.region");
        assert_eq!(Endpoint::find(None, None, Network::Public, "run.dlc").unwrap_err().path, "run.dlc");
    }
}
