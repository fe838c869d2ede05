//! The one configuration that all of Amazon's clients are made from.

use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// What stands in for the region where none is named: emulators ask for one and care for none.
const NO_REGION: &str = "us-east-1";

/// Reads region and credentials from the usual chain: environment, profile, container, instance. With an
/// endpoint, requests go there.
pub async fn load(endpoint: Option<&str>, region: Option<&str>) -> SdkConfig {
    loader(endpoint, region).load().await
}

/// What [`load`] loads, for who has credentials of its own to add.
pub fn loader(endpoint: Option<&str>, region: Option<&str>) -> ConfigLoader {
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    let region = region.or_else(|| endpoint.is_some().then_some(NO_REGION));
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    loader
}
