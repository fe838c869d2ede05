//! Storage on S3 and on stores that speak its protocol.

use std::sync::{Arc, Once};

use opendal::layers::{RetryLayer, TimeoutLayer};
use opendal::services::S3;
use opendal::{HttpTransporter, OperationContext, Operator};
use opendal_http_transport_reqwest::ReqwestTransport;
use reqsign_aws_v4::{Credential, DefaultCredentialProvider, StaticCredentialProvider};
use reqsign_core::ProvideCredentialChain;
use respaldo_core::Result;
use respaldo_core::ports::ExposeSecret;
use respaldo_core::storage::Storage;

use super::at_rest::AtRest;
use super::parts::PlainParts;
use super::uploads::{Uploads, signer};
use super::{AccessKey, Options, unusable};
use crate::environment;
use crate::url::Url;

/// What a store of S3's kind signs with when it has no regions.
const NO_REGION: &str = "us-east-1";
/// S3 numbers the parts of an upload from 1 to this.
const MOST_PARTS: u64 = 10_000;
const PARAMETERS: &str = "s3:// takes endpoint, region, path_style, max_parts, sse, sse_kms_key_id and \
                          storage_class";

/// Where the objects lie, worked out once for all that send requests there.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) region: String,
    /// With its scheme, without a slash at the end.
    endpoint: String,
    bucket: String,
    path_style: bool,
    /// What every key begins with: empty, or ending with a slash.
    pub(super) root: String,
}

pub(super) fn open(mut url: Url, options: &Options) -> Result<Storage> {
    let max_parts = url.take_number("max_parts")?;
    if max_parts.is_some_and(|parts| parts > MOST_PARTS) {
        return Err(url.refuse(format!("max_parts must be at most {MOST_PARTS}, as many as S3 takes")));
    }
    let at_rest = AtRest::take(&mut url)?;
    let place = Place::take(&mut url)?;
    install_transport();
    let mut builder = S3::default()
        .bucket(&place.bucket)
        .endpoint(&place.endpoint)
        .region(&place.region)
        .root(&format!("/{}", place.root))
        .credential_provider_chain(credentials(options.key.as_ref()))
        .checksum_algorithm("crc32c");
    if !place.path_style {
        builder = builder.enable_virtual_host_style();
    }
    let tuning = options.tuning;
    let plain_parts = PlainParts::new(signer(&place.region, credentials(options.key.as_ref())));
    let context = OperationContext::new().with_http_transport(HttpTransporter::new(plain_parts));
    let operator = Operator::new(at_rest.apply(builder))
        .map_err(|error| unusable(&error))?
        .with_context(context)
        .layer(TimeoutLayer::new().with_timeout(tuning.timeout).with_io_timeout(tuning.io_timeout))
        .layer(
            RetryLayer::new().with_max_times(tuning.retries).with_min_delay(tuning.first_delay).with_jitter(),
        );
    let uploads = Uploads::new(place, credentials(options.key.as_ref()), tuning);
    let storage = Storage::new(operator, format!("s3://{}", url.place.trim_end_matches('/')))
        .with_unfinished_uploads(Arc::new(uploads));
    Ok(max_parts.into_iter().fold(storage, Storage::with_most_parts))
}

impl Place {
    fn take(url: &mut Url) -> Result<Self> {
        let given = (url.take("endpoint"), url.take("region"), url.take_flag("path_style")?);
        url.finish(PARAMETERS)?;
        let (bucket, prefix) = url.place.split_once('/').unwrap_or((&url.place, ""));
        if bucket.is_empty() {
            return Err(url.refuse("it names no bucket; write s3://BUCKET/PREFIX"));
        }
        let endpoint = match given.0 {
            Some(endpoint) => Some(endpoint),
            None => first_variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])?,
        };
        let region = match given.1 {
            Some(region) => Some(region),
            None => first_variable(&["AWS_REGION", "AWS_DEFAULT_REGION"])?,
        };
        let region =
            region.or_else(|| endpoint.is_some().then(|| NO_REGION.to_owned())).ok_or_else(|| {
                url.refuse("it names no region").with_mend("add ?region=… to the URL, or set AWS_REGION")
            })?;
        let path_style = given.2.unwrap_or(endpoint.is_some());
        let endpoint = match endpoint {
            Some(text) => whole_endpoint(url, &text)?,
            None => endpoint_of(&region),
        };
        let root = prefix.split('/').filter(|part| !part.is_empty()).map(|part| format!("{part}/")).collect();
        Ok(Self { region, endpoint, bucket: bucket.to_owned(), path_style, root })
    }

    /// The bucket's URL, without a slash at the end.
    pub(super) fn url(&self) -> String {
        if self.path_style {
            return format!("{}/{}", self.endpoint, self.bucket);
        }
        self.endpoint.replacen("//", &format!("//{}.", self.bucket), 1)
    }
}

/// An endpoint as people write it, with `https://` where it says nothing else.
fn whole_endpoint(url: &Url, text: &str) -> Result<String> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let uri = whole.parse::<http::Uri>().ok();
    let served = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    match served {
        Some(uri) if uri.query().is_none() => Ok(whole.trim_end_matches('/').to_owned()),
        _ => Err(url.refuse("its endpoint is no http:// or https:// address")),
    }
}

fn endpoint_of(region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://s3.{region}.{domain}")
}

fn first_variable(names: &[&str]) -> Result<Option<String>> {
    for name in names {
        if let Some(value) = environment::variable(name)?.filter(|value| !value.is_empty()) {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn credentials(key: Option<&AccessKey>) -> ProvideCredentialChain<Credential> {
    match key {
        Some(key) => ProvideCredentialChain::new()
            .push(StaticCredentialProvider::new(&key.id, key.secret.expose_secret())),
        None => ProvideCredentialChain::new().push(DefaultCredentialProvider::new()),
    }
}

/// One HTTP client and one TLS provider for the whole process.
fn install_transport() {
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

    fn place(text: &str) -> Place {
        Place::take(&mut Url::parse("storage", text).unwrap()).unwrap()
    }

    #[test]
    fn a_bucket_is_in_the_path_with_an_endpoint_and_in_the_host_without() {
        assert_eq!(place("s3://b?endpoint=http://h:9000/").url(), "http://h:9000/b");
        assert_eq!(place("s3://b?endpoint=h").url(), "https://h/b");
        assert_eq!(place("s3://b?endpoint=http://h&path_style=false").url(), "http://b.h");
        assert_eq!(place("s3://b?endpoint=https://h/storage/v1/s3").url(), "https://h/storage/v1/s3/b");
        let amazon =
            Place { path_style: false, endpoint: endpoint_of("eu-west-1"), ..place("s3://b?endpoint=h") };
        assert_eq!(amazon.url(), "https://b.s3.eu-west-1.amazonaws.com");
        assert_eq!(endpoint_of("cn-north-1"), "https://s3.cn-north-1.amazonaws.com.cn");
    }

    #[test]
    fn a_prefix_is_a_folder_however_its_slashes_stand() {
        for (text, root) in [
            ("s3://b", ""),
            ("s3://b/", ""),
            ("s3://b/p", "p/"),
            ("s3://b/p/q/", "p/q/"),
            ("s3://b//p", "p/"),
        ] {
            assert_eq!(place(&format!("{text}?endpoint=http://h")).root, root, "{text}");
        }
    }
}
