//! Storage by its URL: `file://`, `memory://`, `s3://`, and where this build has them `azblob://` and
//! `gs://`.

mod at_rest;
#[cfg(feature = "azblob")]
mod azblob;
#[cfg(feature = "gcs")]
mod gcs;
mod parts;
mod remote;
mod s3;
mod uploads;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::time::Duration;

use opendal::Operator;
use opendal::services::{Fs, Memory};
use respaldo_core::config::Stores;
use respaldo_core::ports::SecretString;
use respaldo_core::storage::{Bucket, Storage};
use respaldo_core::{Error, ErrorKind, Result};

use crate::url::Url;

const FIELD: &str = "storage";

/// The stores that this build has, and why it lacks the others (ADR 0015).
pub const STORES: Stores = Stores {
    here: &[
        "file",
        "s3",
        "memory",
        #[cfg(feature = "azblob")]
        "azblob",
        #[cfg(feature = "gcs")]
        "gs",
    ],
    left_out: &[
        #[cfg(not(feature = "azblob"))]
        ("azblob", "Azure Blob Storage is not in this build; build Respaldo with --features azblob"),
        #[cfg(not(feature = "gcs"))]
        ("gs", "Google Cloud Storage is not in this build; build Respaldo with --features gcs"),
    ],
};

/// What opening storage takes beside its URL. The default is what every installation uses.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How long and how often it tries.
    pub tuning: Tuning,
    /// The key to use instead of the usual chain (environment, profile, role).
    pub key: Option<AccessKey>,
}

/// How long and how often a store is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// For a call that moves no data.
    pub timeout: Duration,
    /// For a call that moves a part: some ten megabytes over a slow line.
    pub io_timeout: Duration,
    /// Further tries after one that failed in a way that may pass.
    pub retries: usize,
    /// The wait before the first of them; it doubles with each.
    pub first_delay: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(1),
            io_timeout: Duration::from_mins(5),
            retries: 3,
            first_delay: Duration::from_secs(1),
        }
    }
}

/// A key of S3 or Azure that does not come from the usual chain.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// Its public half; at Azure the account's name.
    pub id: String,
    /// Its secret half, never shown.
    pub secret: SecretString,
}

/// Opens storage. Nothing is read or written yet, but on local disk the folder is made.
///
/// - `file://data/backups` (relative) or `file:///srv/backups`
/// - `memory://`, which is gone with the process
/// - `s3://BUCKET/PREFIX?endpoint=…&region=…&path_style=true&max_parts=10000`; credentials come from
///   the usual chain (environment, profile, role), path style is the default with an endpoint, and
///   the region `us-east-1` then too; `sse`, `sse_kms_key_id` and `storage_class` say how objects are kept;
///   `confirm=read_back` reads objects back in place of checksums
/// - `azblob://CONTAINER/PREFIX?account=…&endpoint=…` with the feature `azblob`
/// - `gs://BUCKET/PREFIX?endpoint=…` with the feature `gcs`
///
/// # Errors
/// `Config` for a URL that is none of these, `Storage` for a folder that cannot be made.
pub fn open(text: &str) -> Result<Storage> {
    open_with(text, &Options::default())
}

/// [`open`] for whoever only reads: a folder that is not there is not made, but refused, because a name that
/// was mistyped would look like storage that holds nothing.
///
/// # Errors
/// As [`open`], and `NotFound` for a folder that is not there.
pub fn open_existing(text: &str) -> Result<Storage> {
    let url = Url::parse(FIELD, text)?;
    if url.scheme == "file" {
        let path = url.path()?;
        if !path.is_dir() {
            let why = format!("there is no folder {}", path.display());
            return Err(Error::new(ErrorKind::NotFound, "open storage", why).with_field(FIELD));
        }
    }
    open(text)
}

/// The bucket of an `s3://` URL; none of another.
///
/// # Errors
/// As [`open`].
pub fn bucket(text: &str) -> Result<Option<Bucket>> {
    let url = Url::parse(FIELD, text)?;
    if url.scheme == "s3" { s3::bucket(url).map(Some) } else { Ok(None) }
}

/// [`open`] with other timeouts, or a key of its own.
pub fn open_with(text: &str, options: &Options) -> Result<Storage> {
    let url = Url::parse(FIELD, text)?;
    match url.scheme.as_str() {
        "file" => local(&url),
        "memory" => memory(&url),
        "s3" => s3::open(url, options),
        #[cfg(feature = "azblob")]
        "azblob" => azblob::open(url, options),
        #[cfg(feature = "gcs")]
        "gs" => gcs::open(url, options),
        other => Err(url.refuse(match STORES.why_left_out(other) {
            Some(why) => why.to_owned(),
            None => format!("there is no storage {other}://; there are {}", STORES.spelled()),
        })),
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
    // Dumps are for nobody else's eyes; a folder that is there already keeps the mode it was given.
    DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
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

fn unusable(error: &opendal::Error) -> Error {
    let message = error.message().lines().next().unwrap_or_default().to_owned();
    Error::new(ErrorKind::Config, "open storage", message).with_field(FIELD)
}

#[cfg(test)]
mod tests {
    use respaldo_core::storage::Confirmation;

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
            ("ftp://bucket", "there are file://, s3://, memory://"),
            #[cfg(not(feature = "gcs"))]
            ("gs://bucket", "build Respaldo with --features gcs"),
            #[cfg(not(feature = "azblob"))]
            ("azblob://container?account=a", "build Respaldo with --features azblob"),
            ("s3://b?region=r&confirm=hope", "confirm must be checksums or read_back"),
            ("s3://", "names no bucket"),
            ("s3://b?colour=red", "endpoint, region, path_style, max_parts, confirm, sse"),
            ("s3://b?region=r&endpoint=http://", "no http:// or https:// address"),
            ("s3://b?region=r&endpoint=ftp://h", "no http:// or https:// address"),
            ("s3://b?path_style=maybe", "true or false"),
            ("s3://b?max_parts=0", "from 1 upwards"),
            ("s3://b?region=r&max_parts=10001", "at most 10000"),
            ("s3://b?region=r&sse=aes", "sse must be AES256, aws:kms or aws:kms:dsse"),
            ("s3://b?region=r&sse_kms_key_id=k", "sse_kms_key_id needs sse=aws:kms"),
            ("s3://b?region=r&sse=AES256&sse_kms_key_id=k", "sse_kms_key_id needs sse=aws:kms"),
            ("s3://b?region=r&sse=aws:kms&sse_kms_key_id=a%0Ab", "sse_kms_key_id is not the id"),
            ("s3://b?region=r&storage_class=GLACIER", "cannot be read at once"),
            ("s3://b?region=r&storage_class=DEEP_ARCHIVE", "cannot be read at once"),
            ("s3://b?region=r&storage_class=COLD", "storage_class must be one of STANDARD"),
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
        assert_eq!(storage.confirmation(), Confirmation::Checksums);
        let read_back = open("s3://bucket?endpoint=http://127.0.0.1:9&confirm=read_back").unwrap();
        assert_eq!(read_back.confirmation(), Confirmation::ReadBack);
    }
}
