//! Storage on Google Cloud Storage.

use opendal::Operator;
use opendal::services::Gcs;
use respaldo_core::Result;
use respaldo_core::storage::Storage;

use super::{Options, remote, unusable};
use crate::url::Url;

const PARAMETERS: &str = "gs:// takes endpoint";

/// Google is sent no checksum with its parts, so what it was sent is read back.
pub(super) fn open(mut url: Url, options: &Options) -> Result<Storage> {
    let endpoint = url.take("endpoint");
    url.finish(PARAMETERS)?;
    let (bucket, root) = remote::bucket_and_root(&url, "bucket")?;
    remote::install_transport();
    let mut builder = Gcs::default().bucket(&bucket).root(&format!("/{root}"));
    if let Some(endpoint) = endpoint {
        let endpoint = remote::whole_endpoint(&url, &endpoint)?;
        // Requests carry a token that anybody may use who reads it: none goes out without TLS. What is
        // spoken to like that is an emulator, which asks for none.
        if endpoint.starts_with("http://") {
            builder = builder.skip_signature();
        }
        builder = builder.endpoint(&endpoint);
    }
    let operator = Operator::new(builder).map_err(|error| unusable(&error))?;
    Ok(Storage::new(remote::patient(operator, options.tuning), remote::location(&url)).with_read_back())
}

#[cfg(test)]
mod tests {
    use respaldo_core::storage::Confirmation;

    #[test]
    fn what_is_wrong_with_a_url_is_told() {
        for (text, part) in [
            ("gs://", "names no bucket; write gs://BUCKET/PREFIX"),
            ("gs://b?token=hunter2", "there is no parameter token; gs:// takes endpoint"),
            ("gs://b?endpoint=ftp://h", "no http:// or https:// address"),
        ] {
            let error = super::super::open(text).unwrap_err();
            assert!(error.message().contains(part), "{text}: {error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn it_is_opened_without_a_request_and_will_be_read_back() {
        let storage = super::super::open("gs://bucket/some/prefix").unwrap();
        assert_eq!(storage.location_of("k"), "gs://bucket/some/prefix/k");
        assert_eq!(storage.confirmation(), Confirmation::ReadBack);
    }
}
