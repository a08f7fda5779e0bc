//! What the environment says of a collector, in the names of `OpenTelemetry`'s specification.

use backends::cloud::secret::Secret;
use percent_encoding::percent_decode_str;
use std::time::Duration;

/// Where spans are sent and which.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address that takes spans.
    pub(super) endpoint: String,
    /// Headers of each request; they may hold keys.
    pub(super) headers: Vec<(String, Secret<String>)>,
    /// What is said of this process.
    pub(super) resource: Vec<(String, String)>,
    /// How long a request may take.
    pub(super) timeout: Duration,
    /// How long spans are gathered at most.
    pub(super) delay: Duration,
    /// The share of traces that are recorded, from 0 to 1.
    share: f64,
    /// Whether a caller's decision counts more than the share.
    follows_caller: bool,
}

/// A collector's settings that are not as they have to be.
#[derive(Debug, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct BadSetting {
    variable: &'static str,
    problem: String,
}

const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";

impl Settings {
    /// What the variables say; `None` if they name no collector, or want nothing to be sent.
    pub fn from(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, BadSetting> {
        // An empty variable counts as none.
        let text =
            |name: &str| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let of_traces = |name: &str| {
            text(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
                .or_else(|| text(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let off = text("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"))
            || text("OTEL_TRACES_EXPORTER").is_some_and(|text| text == "none");
        let below = |base: String| format!("{}/v1/traces", base.trim_end_matches('/'));
        let endpoint = text(TRACES_ENDPOINT).or_else(|| text(ENDPOINT).map(below));
        let Some(endpoint) = endpoint.filter(|_| !off) else { return Ok(None) };
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            let problem = "is no address that begins with http:// or https://".to_owned();
            return Err(BadSetting { variable: ENDPOINT, problem });
        }
        if let Some(protocol) = of_traces("PROTOCOL").filter(|protocol| protocol != "http/protobuf") {
            let problem = format!("is `{protocol}`, and only http/protobuf is spoken here");
            return Err(BadSetting { variable: "OTEL_EXPORTER_OTLP_PROTOCOL", problem });
        }
        let headers = pairs("OTEL_EXPORTER_OTLP_HEADERS", &of_traces("HEADERS").unwrap_or_default())?;
        let headers =
            headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), Secret::new(value)));
        let mut resource = pairs(RESOURCE, &text(RESOURCE).unwrap_or_default())?;
        if let Some(name) = text("OTEL_SERVICE_NAME") {
            resource.retain(|(known, _)| known != "service.name");
            resource.push(("service.name".to_owned(), name));
        } else if !resource.iter().any(|(known, _)| known == "service.name") {
            resource.push(("service.name".to_owned(), "retrial".to_owned()));
        }
        resource.push(("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
        let milliseconds = |text: Option<String>, default| {
            Duration::from_millis(text.and_then(|text| text.parse().ok()).unwrap_or(default))
        };
        let (share, follows_caller) = sampling(text(SAMPLER).as_deref(), text(SAMPLER_ARGUMENT).as_deref())?;
        Ok(Some(Self {
            endpoint,
            headers: headers.collect(),
            resource,
            timeout: milliseconds(of_traces("TIMEOUT"), 10_000),
            delay: milliseconds(text("OTEL_BSP_SCHEDULE_DELAY"), 5_000),
            share,
            follows_caller,
        }))
    }

    /// Whether spans of this trace are recorded, given what its caller says of itself.
    pub(super) fn samples(&self, trace: u128, caller: Option<bool>) -> bool {
        match caller.filter(|_| self.follows_caller) {
            Some(sampled) => sampled,
            // Of the low half of the number, so that others who see the same trace decide the same.
            None => self.share >= 1.0 || ((trace as u64 >> 1) as f64) < self.share * (1_u64 << 63) as f64,
        }
    }
}

/// The share of traces and whether callers are followed.
fn sampling(sampler: Option<&str>, argument: Option<&str>) -> Result<(f64, bool), BadSetting> {
    let wrong = |variable, problem: &str| Err(BadSetting { variable, problem: problem.to_owned() });
    let sampler = sampler.unwrap_or("parentbased_always_on");
    let (own, follows_caller) =
        sampler.strip_prefix("parentbased_").map_or((sampler, false), |own| (own, true));
    let share = match own {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => match argument.unwrap_or("1").parse() {
            Ok(share) if (0.0..=1.0).contains(&share) => share,
            _ => return wrong(SAMPLER_ARGUMENT, "is no number from 0 to 1"),
        },
        _ => {
            return wrong(
                SAMPLER,
                "is none of always_on, always_off, traceidratio, or one of them behind parentbased_",
            );
        }
    };
    Ok((share, follows_caller))
}

/// Reads `name=value,name=value`, with percent signs. An error does not repeat the text, which may hold keys.
fn pairs(variable: &'static str, text: &str) -> Result<Vec<(String, String)>, BadSetting> {
    let wrong = || BadSetting { variable, problem: "is no list of name=value with commas".to_owned() };
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').ok_or_else(wrong)?;
            let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_| wrong())?;
            Ok((name.trim().to_owned(), value.into_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, BadSetting> {
        Settings::from(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_is_sent_unless_a_collector_is_named() {
        let named = (ENDPOINT, "http://c:4318");
        for none in [
            &[][..],
            &[(ENDPOINT, "")],
            &[named, ("OTEL_SDK_DISABLED", "True")],
            &[named, ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert!(read(none).unwrap().is_none(), "{none:?}");
        }
        assert_eq!(read(&[named]).unwrap().unwrap().endpoint, "http://c:4318/v1/traces");
        let both = read(&[named, (TRACES_ENDPOINT, "https://t/in")]).unwrap().unwrap();
        assert_eq!(both.endpoint, "https://t/in");
    }

    #[test]
    fn a_mistake_is_told_by_its_variable_and_no_key_with_it() {
        let named = (ENDPOINT, "http://c");
        for (wrong, told) in [
            ((ENDPOINT, "c:4317"), "http://"),
            (("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), "grpc"),
            (("OTEL_EXPORTER_OTLP_HEADERS", "plantedkey"), "OTEL_EXPORTER_OTLP_HEADERS"),
            ((SAMPLER, "jaeger_remote"), "always_on"),
            ((SAMPLER_ARGUMENT, "2"), "from 0 to 1"),
        ] {
            let error = read(&[wrong, named, (SAMPLER, "traceidratio")]).unwrap_err().to_string();
            assert!(error.contains(told) && !error.contains("planted"), "{error}");
        }
        let settings = read(&[named, ("OTEL_EXPORTER_OTLP_HEADERS", "Api-Key=planted%20key, a=b")]);
        let settings = settings.unwrap().unwrap();
        assert_eq!(settings.headers[0], ("api-key".to_owned(), Secret::new("planted key".to_owned())));
        assert!(!format!("{settings:?}").contains("planted"));
    }

    #[test]
    fn a_share_of_the_traces_is_recorded_and_callers_are_followed_if_asked() {
        let of = |sampler, argument| {
            read(&[(ENDPOINT, "http://c"), (SAMPLER, sampler), (SAMPLER_ARGUMENT, argument)])
                .unwrap()
                .unwrap()
        };
        let count = |settings: &Settings| {
            (0..1_000_u64)
                .filter(|n| settings.samples(u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)), None))
                .count()
        };
        assert_eq!(count(&of("always_on", "")), 1_000);
        assert_eq!(count(&of("parentbased_always_off", "")), 0);
        assert!((200..300).contains(&count(&of("traceidratio", "0.25"))));
        assert!(of("parentbased_always_off", "").samples(1, Some(true)));
        assert!(!of("parentbased_always_on", "").samples(1, Some(false)));
        assert!(of("always_on", "").samples(1, Some(false)));
    }
}
