//! Storage by its URL: `file://`, `memory://`, `s3://`.

use std::sync::Once;
use std::time::Duration;

use opendal::layers::{RetryLayer, TimeoutLayer};
use opendal::services::{Fs, Memory, S3};
use opendal::{HttpTransporter, Operator};
use opendal_http_transport_reqwest::ReqwestTransport;
use respaldo_core::storage::Storage;
use respaldo_core::{Error, ErrorKind, Result};

use crate::url::Url;

const FIELD: &str = "storage";
const TRIES: usize = 3;
/// For calls that move no data.
const TIMEOUT: Duration = Duration::from_mins(1);
/// For calls that move a part: some ten megabytes over a slow line.
const IO_TIMEOUT: Duration = Duration::from_mins(5);
/// What a store of S3's kind signs with when it has no regions.
const NO_REGION: &str = "us-east-1";
const S3_PARAMETERS: &str = "s3:// takes endpoint, region, path_style and max_parts";

/// Opens storage. Nothing is read or written yet, but on local disk the folder is made.
///
/// - `file://data/backups` (relative) or `file:///srv/backups`
/// - `memory://`, which is gone with the process
/// - `s3://BUCKET/PREFIX?endpoint=…&region=…&path_style=true&max_parts=10000`; credentials come from
///   the usual chain (environment, profile, role), path style is the default with an endpoint, and
///   the region `us-east-1` then too
///
/// # Errors
/// `Config` for a URL that is none of these, `Storage` for a folder that cannot be made.
pub fn open(text: &str) -> Result<Storage> {
    let url = Url::parse(FIELD, text)?;
    match url.scheme.as_str() {
        "file" => local(&url),
        "memory" => memory(&url),
        "s3" => s3(url),
        other => {
            Err(url.refuse(format!("there is no storage {other}://; there are file://, s3:// and memory://")))
        }
    }
}

fn local(url: &Url) -> Result<Storage> {
    url.finish("file:// takes none")?;
    let path = url.path()?;
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Storage, "open storage", format!("{}: {error}", path.display()))
            .with_field(FIELD)
            .with_mend("check that the folder can be made and written by this user")
    };
    std::fs::create_dir_all(&path).map_err(failed)?;
    let root = path.canonicalize().map_err(failed)?;
    let shown = root.to_str().ok_or_else(|| url.refuse("the path is not UTF-8"))?;
    let operator = Operator::new(Fs::default().root(shown)).map_err(|error| unusable(&error))?;
    Ok(Storage::on_local_disk(operator, root))
}

fn memory(url: &Url) -> Result<Storage> {
    url.finish("memory:// takes none")?;
    let operator = Operator::new(Memory::default()).map_err(|error| unusable(&error))?;
    Ok(Storage::new(operator, "memory://"))
}

fn s3(mut url: Url) -> Result<Storage> {
    let (endpoint, region) = (url.take("endpoint"), url.take("region"));
    let path_style = url.take_flag("path_style")?.unwrap_or(endpoint.is_some());
    let max_parts = url.take_number("max_parts")?;
    url.finish(S3_PARAMETERS)?;
    let (bucket, prefix) = url.place.split_once('/').unwrap_or((&url.place, ""));
    if bucket.is_empty() {
        return Err(url.refuse("it names no bucket; write s3://BUCKET/PREFIX"));
    }
    let region = region.or_else(|| endpoint.is_some().then(|| NO_REGION.to_owned()));
    let mut builder = S3::default().bucket(bucket).root(&format!("/{prefix}")).checksum_algorithm("crc32c");
    if let Some(endpoint) = &endpoint {
        builder = builder.endpoint(endpoint);
    }
    if let Some(region) = &region {
        builder = builder.region(region);
    }
    if !path_style {
        builder = builder.enable_virtual_host_style();
    }
    install_transport();
    let operator = Operator::new(builder).map_err(|error| unusable(&error))?;
    let operator = operator
        .layer(TimeoutLayer::new().with_timeout(TIMEOUT).with_io_timeout(IO_TIMEOUT))
        .layer(RetryLayer::new().with_max_times(TRIES).with_jitter());
    let storage = Storage::new(operator, format!("s3://{}", url.place.trim_end_matches('/')));
    Ok(max_parts.into_iter().fold(storage, Storage::with_most_parts))
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

fn unusable(error: &opendal::Error) -> Error {
    let message = error.message().lines().next().unwrap_or_default().to_owned();
    let error = Error::new(ErrorKind::Config, "open storage", message).with_field(FIELD);
    if error.message().contains("region") {
        return error.with_mend("add ?region=… to the URL, or set AWS_REGION");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_keeps_what_is_put() {
        let storage = open("memory://").unwrap();
        storage.put("databases/x.json", "{}").await.unwrap();
        assert_eq!(storage.get("databases/x.json", 10).await.unwrap().unwrap(), "{}");
    }

    #[tokio::test]
    async fn a_folder_is_made_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/backups");
        let storage = open(&format!("file://{}", path.display())).unwrap();
        storage.check().await.unwrap();
        storage.put("databases/x.json", "{}").await.unwrap();
        assert_eq!(std::fs::read_to_string(path.join("databases/x.json")).unwrap(), "{}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_one_clear_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = open(&format!("file://{}/backups", file.display())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert_eq!(error.to_string().lines().count(), 1);
        assert!(error.message().contains("/backups"), "{error}");
    }

    #[test]
    fn what_is_unknown_is_refused_with_what_there_is() {
        for (url, part) in [
            ("gs://bucket", "file://, s3:// and memory://"),
            ("s3://", "names no bucket"),
            ("s3://b?colour=red", "endpoint, region, path_style and max_parts"),
            ("s3://b?path_style=maybe", "true or false"),
            ("s3://b?max_parts=0", "from 1 upwards"),
            ("file://", "names no path"),
            ("file://x?y=z", "takes none"),
            ("/srv/backups", "not a URL"),
        ] {
            let error = open(url).unwrap_err();
            assert_eq!((error.kind(), error.field()), (ErrorKind::Config, Some("storage")), "{url}");
            assert!(error.message().contains(part), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn an_s3_url_is_opened_without_a_request() {
        let storage = open("s3://bucket/some/prefix?endpoint=http://127.0.0.1:9&region=eu-west-1").unwrap();
        assert_eq!(storage.location_of("k"), "s3://bucket/some/prefix/k");
    }
}
