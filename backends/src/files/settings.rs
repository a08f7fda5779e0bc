//! To which endpoint a bucket's requests go, and for which region they are signed.
//!
//! Read [`OssSettings`] first. OSS serves a bucket at the endpoint of its region alone, and signature 4 names the region.

use super::codes;
use super::error::FileError;

/// Settings of all storages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Of `oss://`.
    pub oss: OssSettings,
    /// Of `s3://`.
    pub s3: S3Settings,
}

/// Where the buckets of OSS are. The first that is known counts: `endpoint`, the host of the address, `region`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct OssSettings {
    /// Such as `cn-hangzhou`. With an endpoint, it is what requests are signed for.
    pub region: Option<String>,
    /// Whether the network inside of the region is used (`-internal`); by default, as the address says. Addresses of jobs
    /// often name it, and it cannot be reached from elsewhere.
    pub internal: Option<bool>,
    /// A host such as `oss-cn-hangzhou.aliyuncs.com`, or an address such as `http://127.0.0.1:41637`. It counts for all
    /// buckets, also for those whose address names a host.
    pub endpoint: Option<String>,
}

/// Where the buckets of S3 are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// Such as `eu-central-1`.
    pub region: Option<String>,
    /// An address other than Amazon's, such as `https://minio.example:9000`; the bucket is then part of the path.
    pub endpoint: Option<String>,
}

impl Settings {
    /// From variables of the environment: `OSS_REGION` and `OSS_ENDPOINT`; `AWS_REGION` or `AWS_DEFAULT_REGION`, and
    /// `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`. These are the names that the services' own tools use.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| {
            let found = names.iter().find_map(|name| variable(name).filter(|text| !text.trim().is_empty()));
            found.map(|text| text.trim().to_owned())
        };
        Self {
            oss: OssSettings {
                region: first(&["OSS_REGION"]),
                internal: None,
                endpoint: first(&["OSS_ENDPOINT"]),
            },
            s3: S3Settings {
                region: first(&["AWS_REGION", "AWS_DEFAULT_REGION"]),
                endpoint: first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]),
            },
        }
    }
}

/// Where one bucket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    /// Scheme and host, and the port if there is one, without the bucket.
    pub endpoint: String,
    /// Whether the bucket is the first part of the path, and not of the host: so under numbers and `localhost`.
    pub in_path: bool,
    /// What requests are signed for.
    pub region: String,
}

impl OssSettings {
    /// Where a bucket is whose address names this host, or none.
    pub(super) fn locate(&self, host: Option<&str>) -> Result<Located, FileError> {
        let wrong = |message: String| {
            let cure = "set the region of the bucket, such as OSS_REGION=cn-hangzhou, or its endpoint, or write the host \
                        into the address: oss://BUCKET.oss-cn-hangzhou.aliyuncs.com/KEY";
            FileError::new(codes::WRONG_ENDPOINT, message, cure)
        };
        let own = |host: &str| {
            let host = if self.internal == Some(false) {
                host.replacen("-internal.", ".", 1)
            } else {
                host.to_owned()
            };
            match self.internal {
                Some(true) if !host.contains("-internal.") => host.replacen('.', "-internal.", 1),
                _ => host,
            }
        };
        let endpoint = match (&self.endpoint, host, &self.region) {
            (Some(endpoint), ..) => endpoint.trim_end_matches('/').to_owned(),
            (None, Some(host), _) => own(host),
            (None, None, Some(region)) => own(&format!("oss-{}.aliyuncs.com", bare(region))),
            (None, None, None) => {
                return Err(wrong("it is not known in which region the bucket is".to_owned()));
            }
        };
        let endpoint = if endpoint.contains("://") { endpoint } else { format!("https://{endpoint}") };
        let uri: Option<http::Uri> = endpoint.parse().ok();
        let usable = uri.as_ref().filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.path_and_query().is_none_or(|path| path == "/")
                && !uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
        });
        let Some(name) = usable.and_then(http::Uri::host) else {
            return Err(wrong(
                "the endpoint is not a host, or one with http:// or https:// before it".to_owned(),
            ));
        };
        let in_path =
            name == "localhost" || name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok();
        // A bucket that the address places elsewhere is not in the region of the settings.
        let region = region_of(name).or_else(|| match &self.endpoint {
            Some(_) => self.region.as_deref().or_else(|| region_of(host?)),
            None => self.region.as_deref(),
        });
        let Some(region) = region.map(bare) else {
            return Err(wrong(format!("the region cannot be told from the endpoint {name}")));
        };
        Ok(Located { in_path, region: region.to_owned(), endpoint })
    }
}

/// A region as signatures name it: `cn-hangzhou`, also where it is written as `oss-cn-hangzhou`.
fn bare(region: &str) -> &str {
    region.strip_prefix("oss-").unwrap_or(region)
}

/// The region in a host such as `oss-cn-hangzhou-internal.aliyuncs.com`; acceleration has none.
fn region_of(host: &str) -> Option<&str> {
    let name = host.strip_suffix(".aliyuncs.com")?.strip_prefix("oss-")?;
    let name = name.strip_suffix("-internal").unwrap_or(name);
    (!name.starts_with("accelerate") && !name.contains('.')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(settings: &OssSettings, host: Option<&str>) -> (String, bool, String) {
        let found = settings.locate(host).unwrap();
        (found.endpoint, found.in_path, found.region)
    }

    #[test]
    fn the_endpoint_counts_then_the_host_then_the_region() {
        let of = |region: &str, endpoint: &str| OssSettings {
            region: Some(region.to_owned()).filter(|text| !text.is_empty()),
            endpoint: Some(endpoint.to_owned()).filter(|text| !text.is_empty()),
            internal: None,
        };
        let internal = Some("oss-cn-beijing-internal.aliyuncs.com");
        for (region, endpoint, host, wanted) in [
            ("cn-hangzhou", "", None, ("https://oss-cn-hangzhou.aliyuncs.com", false, "cn-hangzhou")),
            ("oss-cn-hangzhou", "", None, ("https://oss-cn-hangzhou.aliyuncs.com", false, "cn-hangzhou")),
            (
                "cn-hangzhou",
                "",
                internal,
                ("https://oss-cn-beijing-internal.aliyuncs.com", false, "cn-beijing"),
            ),
            (
                "",
                "oss-ap-southeast-1.aliyuncs.com/",
                internal,
                ("https://oss-ap-southeast-1.aliyuncs.com", false, "ap-southeast-1"),
            ),
            ("", "http://127.0.0.1:80", internal, ("http://127.0.0.1:80", true, "cn-beijing")),
            ("cn-hangzhou", "http://localhost", internal, ("http://localhost", true, "cn-hangzhou")),
            ("eu-central-1", "http://[::1]:80", None, ("http://[::1]:80", true, "eu-central-1")),
            (
                "cn-hangzhou",
                "https://files.example.com",
                None,
                ("https://files.example.com", false, "cn-hangzhou"),
            ),
            (
                "cn-hangzhou",
                "oss-accelerate.aliyuncs.com",
                None,
                ("https://oss-accelerate.aliyuncs.com", false, "cn-hangzhou"),
            ),
        ] {
            let (found, in_path, signed) = located(&of(region, endpoint), host);
            assert_eq!((found.as_str(), in_path, signed.as_str()), wanted, "{region} {endpoint} {host:?}");
        }
        for (region, endpoint) in [
            ("", ""),
            ("", "http://127.0.0.1:80"),
            ("cn-hangzhou", "ftp://x"),
            ("cn-hangzhou", "https://x/path"),
            ("cn-hangzhou", "https://key:secret@x"),
            ("cn-hangzhou", "a b"),
        ] {
            let error = of(region, endpoint).locate(None).unwrap_err();
            assert_eq!(error.code, codes::WRONG_ENDPOINT, "{region} {endpoint}");
            assert!(!error.to_string().contains("secret@"), "{error}");
        }
    }

    #[test]
    fn the_network_inside_of_a_region_is_used_as_the_settings_say() {
        let of = |internal| OssSettings { region: Some("cn-hangzhou".to_owned()), internal, endpoint: None };
        let (outside, inside) = ("oss-cn-hangzhou.aliyuncs.com", "oss-cn-hangzhou-internal.aliyuncs.com");
        for (internal, host, wanted) in [
            (None, None, outside),
            (Some(true), None, inside),
            (Some(true), Some(outside), inside),
            (Some(true), Some(inside), inside),
            (Some(false), Some(inside), outside),
            (None, Some(inside), inside),
        ] {
            let (endpoint, _, region) = located(&of(internal), host);
            assert_eq!((endpoint, region.as_str()), (format!("https://{wanted}"), "cn-hangzhou"));
        }
    }

    #[test]
    fn the_environment_is_read_under_the_names_of_the_services_tools() {
        let of = |name: &str| {
            let pairs = [
                ("OSS_REGION", " cn-hangzhou "),
                ("OSS_ENDPOINT", " "),
                ("AWS_DEFAULT_REGION", "eu-central-1"),
            ];
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let settings = Settings::from_environment(of);
        assert_eq!(settings.oss.region.as_deref(), Some("cn-hangzhou"));
        assert_eq!((settings.oss.endpoint, settings.s3.endpoint), (None, None));
        assert_eq!(settings.s3.region.as_deref(), Some("eu-central-1"));
    }
}
