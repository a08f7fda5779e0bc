//! Where MaxCompute answers. Begin with [`Endpoint::find`].

use crate::cloud::codes;
use crate::cloud::host::{Host, is_label, scheme};
use engine::error::SpecError;

/// The path below which the service's own paths begin.
const API: &str = "/api";

/// From where the service is called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// The internet.
    #[default]
    Public,
    /// A VPC of the same region; what it carries is not charged for.
    Vpc,
}

impl Network {
    /// The network of this name, as experiment files have it.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "public" => Some(Self::Public),
            "vpc" => Some(Self::Vpc),
            _ => None,
        }
    }
}

/// The address of the service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// `https`, or `http` for a simulator.
    pub scheme: &'static str,
    /// Host, with a port if there is one.
    pub host: String,
    /// What comes before the paths of the service: `/api`, or nothing for the tunnel.
    pub base: String,
    /// The region, if it is known; requests are signed by v4 then.
    pub region: Option<String>,
}

impl Endpoint {
    /// The endpoint to use. An explicit one wins and needs no region; it is an address such as
    /// `https://service.cn-hangzhou.maxcompute.aliyun.com/api`, whose scheme and path may be left out. `place` is
    /// where the settings stand.
    pub fn find(
        explicit: Option<&str>,
        region: Option<&str>,
        network: Network,
        place: &str,
    ) -> Result<Self, SpecError> {
        let region = region.filter(|region| !region.is_empty());
        if let Some(region) = region.filter(|region| !is_label(region)) {
            return Err(SpecError::new(
                codes::BAD_ENDPOINT,
                format!("{place}.region"),
                format!("`{region}` is not a region"),
                "regions are named like `cn-hangzhou`: lower-case letters, digits and hyphens",
            ));
        }
        if let Some(text) = explicit.filter(|text| !text.is_empty()) {
            let mut found = Self::parse(text).ok_or_else(|| {
                SpecError::new(
                    codes::BAD_ENDPOINT,
                    format!("{place}.endpoint"),
                    format!("`{text}` is not an endpoint"),
                    "give an address such as `https://service.cn-hangzhou.maxcompute.aliyun.com/api`",
                )
            })?;
            if let (Some(wanted), Some(named)) = (region, &found.region)
                && wanted != named
            {
                return Err(SpecError::new(
                    codes::BAD_ENDPOINT,
                    format!("{place}.endpoint"),
                    format!("the endpoint is in the region `{named}`, and `region` is `{wanted}`"),
                    "keep one of them: an endpoint only knows the projects of its own region",
                ));
            }
            found.region = region.map(str::to_owned).or(found.region);
            return Ok(found);
        }
        let Some(region) = region else {
            return Err(SpecError::new(
                codes::BAD_ENDPOINT,
                place,
                "there is neither a region nor an endpoint of MaxCompute",
                "set `region`, such as `cn-hangzhou`",
            ));
        };
        let host = match network {
            Network::Public => format!("service.{region}.maxcompute.aliyun.com"),
            Network::Vpc => format!("service.{region}-vpc.maxcompute.aliyun-inc.com"),
        };
        Ok(Self { scheme: "https", host, base: API.to_owned(), region: Some(region.to_owned()) })
    }

    /// The endpoint of the tunnel, from the host that the service has named for it: the same scheme, no path of its own.
    pub fn tunnel(&self, host: &str) -> Option<Self> {
        let found = Self::parse(&format!("{}://{}/", self.scheme, host.trim()))?;
        Some(Self { base: String::new(), region: self.region.clone(), ..found })
    }

    /// The whole address.
    pub fn address(&self) -> String {
        format!("{}://{}{}", self.scheme, self.host, self.base)
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = scheme(text)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, "api"));
        let host = Host::parse(host)?.to_string();
        let path = path.trim_end_matches('/');
        let path_fits = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
        let base = if path.is_empty() { String::new() } else { format!("/{path}") };
        let region = region_of(&host).map(str::to_owned);
        path_fits.then_some(Self { scheme, host, base, region })
    }
}

/// The region that a host of Alibaba's is in: `service.REGION.WORD.aliyun[-inc].com`.
fn region_of(host: &str) -> Option<&str> {
    let mut parts = host.strip_prefix("service.")?.split('.');
    let region = parts.next()?;
    let (_product, company, end) = (parts.next()?, parts.next()?, parts.next()?);
    let company = company.strip_suffix("-inc").unwrap_or(company);
    let region = region.strip_suffix("-vpc").or_else(|| region.strip_suffix("-internal")).unwrap_or(region);
    (region.contains('-') && company.len() == 6 && end == "com" && parts.next().is_none()).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(explicit: Option<&str>, region: Option<&str>, network: Network) -> Result<Endpoint, SpecError> {
        Endpoint::find(explicit, region, network, "run.maxcompute")
    }

    #[test]
    fn regions_and_networks_give_the_documented_endpoints() {
        for (network, address) in [
            (Network::Public, "https://service.cn-hangzhou.maxcompute.aliyun.com/api"),
            (Network::Vpc, "https://service.cn-hangzhou-vpc.maxcompute.aliyun-inc.com/api"),
        ] {
            let found = find(None, Some("cn-hangzhou"), network).unwrap();
            assert_eq!((found.address().as_str(), found.region.as_deref()), (address, Some("cn-hangzhou")));
            let again = find(Some(address), None, network).unwrap();
            assert_eq!(again, found, "the region is read from the address");
        }
        assert_eq!((Network::from_name("vpc"), Network::from_name("lan")), (Some(Network::Vpc), None));
    }

    #[test]
    fn an_explicit_endpoint_wins_and_needs_no_region() {
        for (text, address, region) in [
            ("http://127.0.0.1:9/api", "http://127.0.0.1:9/api", None),
            ("http://127.0.0.1:9/api/", "http://127.0.0.1:9/api", None),
            ("http://127.0.0.1:9/", "http://127.0.0.1:9", None),
            ("http://[::1]:9", "http://[::1]:9/api", None),
            ("service.odps.aliyun.com/api", "https://service.odps.aliyun.com/api", None),
            (
                "http://service.cn-shanghai.odps.aliyun-inc.com/api",
                "http://service.cn-shanghai.odps.aliyun-inc.com/api",
                Some("cn-shanghai"),
            ),
        ] {
            let found = find(Some(text), None, Network::Vpc).unwrap();
            assert_eq!((found.address().as_str(), found.region.as_deref()), (address, region), "{text}");
        }
        let both = find(Some("http://127.0.0.1:9"), Some("cn-hangzhou"), Network::Public).unwrap();
        assert_eq!((both.host.as_str(), both.region.as_deref()), ("127.0.0.1:9", Some("cn-hangzhou")));
        let tunnel = both.tunnel("127.0.0.1:10").unwrap();
        assert_eq!((tunnel.address().as_str(), tunnel.region), ("http://127.0.0.1:10", both.region.clone()));
        assert_eq!(both.tunnel("evil.example/x?"), None);
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_place() {
        for text in ["ftp://h/api", "h:0/api", "h:99999", "user@h", "a b", "http://", "[::1", "-h", "h/a?b"] {
            let error = find(Some(text), None, Network::Public).unwrap_err();
            assert_eq!(
                (error.code, error.path.as_str()),
                (codes::BAD_ENDPOINT, "run.maxcompute.endpoint"),
                "{text}"
            );
        }
        let other = "https://service.cn-hangzhou.maxcompute.aliyun.com/api";
        let error = find(Some(other), Some("cn-beijing"), Network::Public).unwrap_err();
        assert!(error.message.contains("cn-hangzhou") && error.cure.contains("own region"), "{error:?}");
        let error = find(None, Some("evil.example/"), Network::Public).unwrap_err();
        assert_eq!(error.path, "run.maxcompute.region");
        assert_eq!(find(None, None, Network::Public).unwrap_err().path, "run.maxcompute");
    }
}
