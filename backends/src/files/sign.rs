//! The signature of OSS, version 4 (OSS4-HMAC-SHA256), as a header.
//!
//! The library would sign with version 1, which OSS does not take for buckets made since September 2025. The rules are
//! those of "Include a V4 signature in the Authorization header" of the service's documents.

use crate::cloud::credentials::Credentials;
use crate::cloud::encode::percent;
use engine::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::request::Parts;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "OSS4-HMAC-SHA256";
/// A body is not part of what is signed: TLS protects it, and the service checks its length.
const PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Signs a request for a bucket of a region, at a time by the service's clock. Says why it cannot, without secrets.
pub(super) fn sign(
    request: &mut Parts,
    bucket: &str,
    in_path: bool,
    region: &str,
    credentials: &Credentials,
    at: Timestamp,
) -> Result<(), String> {
    let time =
        jiff::Timestamp::from_millisecond(at.0).map_err(|error| format!("the clock is wrong: {error}"))?;
    let (day, time) = (time.strftime("%Y%m%d").to_string(), time.strftime("%Y%m%dT%H%M%SZ").to_string());
    let mut own = vec![("x-oss-content-sha256", PAYLOAD), ("x-oss-date", &time)];
    if let Some(token) = &credentials.security_token {
        own.push(("x-oss-security-token", token.expose()));
    }
    for (name, value) in own {
        request.headers.insert(HeaderName::from_static(name), secret(value)?);
    }
    let scope = format!("{day}/{region}/oss/aliyun_v4_request");
    let text = format!(
        "{ALGORITHM}\n{time}\n{scope}\n{}",
        hex(&Sha256::digest(canonical(request, bucket, in_path)))
    );
    let mut key = format!("aliyun_v4{}", credentials.access_key_secret.expose()).into_bytes();
    for part in [day.as_str(), region, "oss", "aliyun_v4_request"] {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &text));
    let authorization =
        format!("{ALGORITHM} Credential={}/{scope}, Signature={signature}", credentials.access_key_id);
    request.headers.insert(AUTHORIZATION, secret(&authorization)?);
    Ok(())
}

fn secret(value: &str) -> Result<HeaderValue, String> {
    let mut value =
        HeaderValue::from_str(value).map_err(|_| "the credentials hold what a header cannot".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// What is signed.
fn canonical(request: &Parts, bucket: &str, in_path: bool) -> String {
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let path = plain(request.uri.path());
    // The bucket and the key, wherever the bucket stands; without a key the slash after the bucket stays.
    let key = if in_path {
        path.strip_prefix('/').and_then(|path| path.strip_prefix(bucket))
    } else {
        Some(&*path)
    };
    let key = key.unwrap_or_default().trim_start_matches('/');
    let path: Vec<String> = ["", bucket].into_iter().chain(key.split('/')).map(percent).collect();
    let query = request.uri.query().unwrap_or_default();
    let mut query: Vec<(String, String)> = query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(key, value)| (percent(&plain(key)), percent(&plain(value))))
        .collect();
    query.sort();
    let query: Vec<String> = query
        .into_iter()
        .map(|(key, value)| if value.is_empty() { key } else { format!("{key}={value}") })
        .collect();
    let signed = |name: &str| name.starts_with("x-oss-") || matches!(name, "content-type" | "content-md5");
    let mut headers: Vec<String> = request
        .headers
        .iter()
        .filter(|(name, _)| signed(name.as_str()))
        .map(|(name, value)| format!("{name}:{}\n", String::from_utf8_lossy(value.as_bytes()).trim()))
        .collect();
    headers.sort_unstable();
    // The empty line is the list of further headers that are signed: none.
    format!("{}\n{}\n{}\n{}\n\n{PAYLOAD}", request.method, path.join("/"), query.join("&"), headers.concat())
}

/// HMAC takes keys of every length, so there is no error to hide.
fn mac(key: &[u8], text: &str) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mut mac| {
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        })
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::secret::Secret;

    /// 2026-01-02T03:04:05Z.
    const AT: Timestamp = Timestamp(1_767_323_045_000);

    fn signature(request: http::request::Builder, in_path: bool, token: Option<&str>) -> String {
        let credentials = Credentials {
            access_key_id: "LTAIexample".to_owned(),
            access_key_secret: Secret::new("example-secret".to_owned()),
            security_token: token.map(|token| Secret::new(token.to_owned())),
        };
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        sign(&mut parts, "metrics", in_path, "cn-hangzhou", &credentials, AT).unwrap();
        assert_eq!(parts.headers.get("x-oss-date").unwrap(), "20260102T030405Z");
        assert!(parts.headers.get(AUTHORIZATION).unwrap().is_sensitive());
        let text = parts.headers.get(AUTHORIZATION).unwrap().to_str().unwrap().to_owned();
        let start =
            "OSS4-HMAC-SHA256 Credential=LTAIexample/20260102/cn-hangzhou/oss/aliyun_v4_request, Signature=";
        text.strip_prefix(start).unwrap().to_owned()
    }

    /// What `oss2` 2.19.1 signs at the same time with the same key.
    #[test]
    fn signatures_are_those_of_the_official_sdk_wherever_the_bucket_stands() {
        let object = "runs%201/%C3%A9%2B%25~.json?append&prefix=a%20b/%E4%B8%AD%2B&list-type=2";
        for (base, in_path) in [("http://127.0.0.1/metrics", true), ("https://metrics.example.com", false)] {
            let put = http::Request::put(format!("{base}/{object}"))
                .header("content-type", "application/json")
                .header("x-oss-range-behavior", "standard")
                .header("range", "bytes=0-1");
            assert_eq!(
                signature(put, in_path, Some("example-token")),
                "ae338784c80e47f6b6f670b66bcebccd11220e9683b203bde416cbe007754dcb"
            );
            for end in ["", "/"] {
                // Without a path there is one in every request all the same.
                let list = http::Request::get(format!("{base}{end}?list-type=2"));
                assert_eq!(
                    signature(list, in_path, None),
                    "da265c3f63a98300500e0074fba53ffea79a2411eee5844c0c95e2929ee35fca"
                );
            }
        }
    }

    #[test]
    fn a_key_that_no_header_can_hold_is_refused_and_not_repeated() {
        let credentials = Credentials {
            access_key_id: "id\n".to_owned(),
            access_key_secret: Secret::new("planted".to_owned()),
            security_token: None,
        };
        let (mut parts, ()) = http::Request::get("http://x/").body(()).unwrap().into_parts();
        let error = sign(&mut parts, "metrics", true, "cn-hangzhou", &credentials, AT).unwrap_err();
        assert!(!error.contains("planted"), "{error}");
    }
}
