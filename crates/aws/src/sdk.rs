//! The one configuration that all of Amazon's clients are made from.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// What stands in for the region where none is named: emulators ask for one and care for none.
const NO_REGION: &str = "us-east-1";
/// How long one try of a request may take. The SDK alone waits for an answer for ever: one that never comes would
/// stop a tick, and with it all schedules.
const TRY_WITHIN: Duration = Duration::from_secs(8);
/// How long all tries of a request may take.
const ALL_TRIES_WITHIN: Duration = Duration::from_secs(20);
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Reads region and credentials from the usual chain: environment, profile, container, instance. With an
/// endpoint, requests go there.
pub async fn load(endpoint: Option<&str>, region: Option<&str>) -> SdkConfig {
    loader(endpoint, region).load().await
}

/// What [`load`] loads, for who has credentials of its own to add.
pub fn loader(endpoint: Option<&str>, region: Option<&str>) -> ConfigLoader {
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_WITHIN)
        .operation_attempt_timeout(TRY_WITHIN)
        .operation_timeout(ALL_TRIES_WITHIN)
        .build();
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).http_client(http).timeout_config(timeouts);
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    let region = region.or_else(|| endpoint.is_some().then_some(NO_REGION));
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    loader
}
