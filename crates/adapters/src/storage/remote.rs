//! What stores that are reached by HTTP have in common.

use std::sync::Once;

use opendal::layers::{RetryLayer, TimeoutLayer};
use opendal::{HttpTransporter, Operator};
use opendal_http_transport_reqwest::ReqwestTransport;
use respaldo_core::Result;

use super::Tuning;
use crate::environment;
use crate::url::Url;

/// What every key begins with, out of the prefix of a URL: empty, or ending with a slash.
pub(super) fn root_of(prefix: &str) -> String {
    prefix.split('/').filter(|part| !part.is_empty()).map(|part| format!("{part}/")).collect()
}

/// The bucket (or container, or whatever `what` says) and the root of a URL.
pub(super) fn bucket_and_root(url: &Url, what: &str) -> Result<(String, String)> {
    let (bucket, prefix) = url.place.split_once('/').unwrap_or((&url.place, ""));
    if bucket.is_empty() {
        let (scheme, shown) = (&url.scheme, what.to_uppercase());
        return Err(url.refuse(format!("it names no {what}; write {scheme}://{shown}/PREFIX")));
    }
    Ok((bucket.to_owned(), root_of(prefix)))
}

/// Where objects are said to be.
pub(super) fn location(url: &Url) -> String {
    format!("{}://{}", url.scheme, url.place.trim_end_matches('/'))
}

/// An endpoint as people write it, with `https://` where it says nothing else.
pub(super) fn whole_endpoint(url: &Url, text: &str) -> Result<String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
    // One spelling, because what goes out without TLS is told by it.
    let whole = format!("{}://{rest}", scheme.to_ascii_lowercase());
    let uri = whole.parse::<http::Uri>().ok();
    let authority = uri.as_ref().and_then(http::Uri::authority);
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(url.refuse("its endpoint holds credentials").with_mend("take them out"));
    }
    let served = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    match served {
        Some(uri) if uri.query().is_none() => Ok(whole.trim_end_matches('/').to_owned()),
        _ => Err(url.refuse("its endpoint is no http:// or https:// address")),
    }
}

/// The first of these variables that says anything.
pub(super) fn first_variable(names: &[&str]) -> Result<Option<String>> {
    for name in names {
        if let Some(value) = environment::variable(name)?.filter(|value| !value.is_empty()) {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// Timeouts, and further tries around them.
pub(super) fn patient(operator: Operator, tuning: Tuning) -> Operator {
    operator.layer(TimeoutLayer::new().with_timeout(tuning.timeout).with_io_timeout(tuning.io_timeout)).layer(
        RetryLayer::new().with_max_times(tuning.retries).with_min_delay(tuning.first_delay).with_jitter(),
    )
}

/// One HTTP client and one TLS provider for the whole process.
pub(super) fn install_transport() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // It fails only when a provider is there already, which serves as well.
        let _provider = rustls::crypto::ring::default_provider().install_default();
        HttpTransporter::install_default(ReqwestTransport::default());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_folder_however_its_slashes_stand() {
        for (text, root) in [("", ""), ("p", "p/"), ("p/q/", "p/q/"), ("/p", "p/"), ("//", "")] {
            assert_eq!(root_of(text), root, "{text}");
        }
    }

    #[test]
    fn an_endpoint_has_one_spelling_of_its_scheme_and_no_credentials() {
        let url = Url::parse("storage", "s3://b").unwrap();
        assert_eq!(whole_endpoint(&url, "HTTP://h:9000/").unwrap(), "http://h:9000");
        assert_eq!(whole_endpoint(&url, "Https://H/p").unwrap(), "https://H/p");
        assert_eq!(whole_endpoint(&url, "h").unwrap(), "https://h");
        for text in ["u:hunter2@h", "https://u:hunter2@h:9000", "hunter2@h/p"] {
            let error = whole_endpoint(&url, text).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
