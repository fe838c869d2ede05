//! Versions and locks of S3's objects, for which OpenDAL has no calls.
//!
//! Never anything else of S3: whatever OpenDAL can do goes through it.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::head_object::HeadObjectError;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ObjectLockEnabled, ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode};
use jiff::Timestamp;
use respaldo_core::model::LockMode;
use respaldo_core::storage::{Bucket, Locks, Version};
use respaldo_core::{Error, ErrorKind, Result};

use crate::sdk;

const ASK: &str = "ask for a bucket's locks";
const LOCK: &str = "lock an object";
const READ: &str = "read an object's lock";
const LIST: &str = "list an object's versions";
const REMOVE: &str = "remove a version";
const MEND_LOCKS: &str = "make a bucket with Object Lock (and so with versioning), or take retention.object_lock out \
                          of the configuration";
const MEND_RIGHTS: &str = "allow s3:GetBucketObjectLockConfiguration, s3:GetObject, s3:GetObjectRetention, s3:PutObjectRetention, \
                           s3:ListBucketVersions and s3:DeleteObjectVersion";

/// The locks of one bucket.
#[derive(Debug, Clone)]
pub struct S3Locks {
    client: Client,
    bucket: String,
    root: String,
}

impl S3Locks {
    /// Makes a client with the usual credentials; nothing is asked yet.
    pub async fn open(bucket: Bucket) -> Self {
        let config = sdk::load(bucket.endpoint.as_deref(), Some(&bucket.region)).await;
        Self::with(&config, bucket)
    }

    /// The same with a configuration that is there already.
    pub fn with(config: &SdkConfig, bucket: Bucket) -> Self {
        let config = aws_sdk_s3::config::Builder::from(config).force_path_style(bucket.path_style).build();
        Self { client: Client::from_conf(config), bucket: bucket.name, root: bucket.root }
    }

    fn whole(&self, key: &str) -> String {
        format!("{}{key}", self.root)
    }

    /// A version of an object of ours; whatever else a store lists is not.
    fn version(&self, key: Option<&str>, id: Option<&str>, prefix: &str) -> Option<Version> {
        let key = key?.strip_prefix(&self.root).filter(|key| key.starts_with(prefix))?;
        Some(Version { key: key.to_owned(), id: id?.to_owned() })
    }
}

#[async_trait]
impl Locks for S3Locks {
    async fn check(&self) -> Result<()> {
        let asked = self.client.get_object_lock_configuration().bucket(&self.bucket).send().await;
        let configuration = asked.map_err(|e| explain(ASK, &e))?.object_lock_configuration;
        let enabled = configuration.and_then(|configuration| configuration.object_lock_enabled);
        if enabled == Some(ObjectLockEnabled::Enabled) {
            return Ok(());
        }
        Err(without_locks(ASK))
    }

    async fn lock(&self, key: &str, mode: LockMode, until: Timestamp) -> Result<()> {
        let held = self.locked(key).await?;
        if held.is_some_and(|(as_strict, held)| held >= until && is_as_strict(as_strict, mode)) {
            return Ok(());
        }
        // One that lasts longer but may be lifted becomes one that may not, and keeps its date.
        let until = held.map_or(until, |(_, held)| held.max(until));
        let mode = match mode {
            LockMode::Governance => ObjectLockRetentionMode::Governance,
            LockMode::Compliance => ObjectLockRetentionMode::Compliance,
        };
        // A lock ends with a whole second: rather later than promised.
        let until = until.as_second() + i64::from(until.subsec_nanosecond() > 0);
        let retention =
            ObjectLockRetention::builder().mode(mode).retain_until_date(DateTime::from_secs(until)).build();
        let put = self.client.put_object_retention().bucket(&self.bucket).key(self.whole(key));
        put.retention(retention).send().await.map(drop).map_err(|e| explain(LOCK, &e))
    }

    async fn locked(&self, key: &str) -> Result<Option<(LockMode, Timestamp)>> {
        // Its head and not its retention: whoever has no lock is no error there, and no store lacks that call.
        let asked = self.client.head_object().bucket(&self.bucket).key(self.whole(key)).send().await;
        let head = match asked {
            Err(e) if e.as_service_error().is_some_and(HeadObjectError::is_not_found) => return Ok(None),
            asked => asked.map_err(|e| explain(READ, &e))?,
        };
        let mode = match head.object_lock_mode {
            None => return Ok(None),
            Some(ObjectLockMode::Compliance) => LockMode::Compliance,
            Some(_) => LockMode::Governance,
        };
        let until = head.object_lock_retain_until_date.and_then(|until| {
            let nanoseconds = i32::try_from(until.subsec_nanos()).ok()?;
            Timestamp::new(until.secs(), nanoseconds).ok()
        });
        Ok(until.map(|until| (mode, until)))
    }

    async fn versions(&self, prefix: &str) -> Result<Vec<Version>> {
        if prefix.is_empty() {
            return Err(Error::internal(LIST, "no prefix would mean every version in the bucket"));
        }
        let (mut found, mut key_marker, mut id_marker) = (Vec::new(), None, None);
        loop {
            let list = self.client.list_object_versions().bucket(&self.bucket).prefix(self.whole(prefix));
            let list = list.set_key_marker(key_marker.take()).set_version_id_marker(id_marker.take());
            let page = list.send().await.map_err(|e| explain(LIST, &e))?;
            let versions = page.versions().iter().map(|version| (version.key(), version.version_id()));
            let marks = page.delete_markers().iter().map(|mark| (mark.key(), mark.version_id()));
            found.extend(versions.chain(marks).filter_map(|(key, id)| self.version(key, id, prefix)));
            // Part of them would be taken for all, and what is left for removed.
            if page.is_truncated != Some(true) {
                return Ok(found);
            }
            if page.next_key_marker.is_none() {
                let why = "the store says that there are more versions, and not where";
                return Err(Error::new(ErrorKind::Storage, LIST, why));
            }
            (key_marker, id_marker) = (page.next_key_marker, page.next_version_id_marker);
        }
    }

    async fn remove(&self, version: &Version) -> Result<()> {
        let delete = self.client.delete_object().bucket(&self.bucket).key(self.whole(&version.key));
        match delete.version_id(&version.id).send().await {
            Err(e) if is_absence(&e) => Ok(()),
            removed => removed.map(drop).map_err(|e| explain(REMOVE, &e)),
        }
    }
}

/// Whether a lock of the one mode keeps whatever one of the other would.
fn is_as_strict(held: LockMode, wanted: LockMode) -> bool {
    held == wanted || held == LockMode::Compliance
}

/// Whether there is no such object, version or lock.
fn is_absence<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    matches!(
        code(error),
        Some(
            "NoSuchKey"
                | "NoSuchVersion"
                | "NoSuchObjectLockConfiguration"
                | "ObjectLockConfigurationNotFoundError"
        )
    ) || code(error) == Some("InvalidRequest") && lacks_locks(error)
}

fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error()?.code()
}

/// S3 says so of whatever asks for an object's lock in a bucket that has none.
fn lacks_locks<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let message = error.as_service_error().and_then(ProvideErrorMetadata::message).unwrap_or_default();
    message.replace(' ', "").contains("missingObjectLockConfiguration")
}

fn without_locks(operation: &str) -> Error {
    Error::new(ErrorKind::Config, operation, "the bucket has no Object Lock").with_mend(MEND_LOCKS)
}

/// What a refusal means to us.
fn explain<E: ProvideErrorMetadata>(operation: &str, error: &SdkError<E, HttpResponse>) -> Error {
    match error {
        SdkError::TimeoutError(_) => Error::new(ErrorKind::Timeout, operation, "the store does not answer"),
        SdkError::ServiceError(refused) => {
            let status = refused.raw().status().as_u16();
            refusal(operation, status, code(error).unwrap_or_default(), lacks_locks(error))
        }
        SdkError::ResponseError(_) => {
            Error::new(ErrorKind::Unavailable, operation, "the store's answer cannot be read")
        }
        // No connection, or no credentials just now: a role's come from a service that may be away.
        _ => Error::new(ErrorKind::Unavailable, operation, "the store cannot be asked").with_mend(
            "check the endpoint, and that there are credentials: AWS_ACCESS_KEY_ID, a profile or a role",
        ),
    }
}

fn refusal(operation: &str, status: u16, code: &str, lacks_locks: bool) -> Error {
    let shown: String = code.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    let message = format!("the store refused: {status} {shown}");
    let error = |kind| Error::new(kind, operation, message.clone());
    match code {
        "ObjectLockConfigurationNotFoundError" => without_locks(operation),
        "InvalidRequest" | "InvalidArgument" if lacks_locks => without_locks(operation),
        "NoSuchBucket" => error(ErrorKind::Config)
            .with_mend("make the bucket, or correct its name, endpoint and region in `storage`"),
        "ExpiredToken" | "InvalidToken" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" => {
            error(ErrorKind::Storage).with_retryable(true).with_mend("renew the store's credentials")
        }
        "AccessDenied" if operation == REMOVE => {
            error(ErrorKind::Denied).with_mend("it is locked, or s3:DeleteObjectVersion is not allowed")
        }
        "AccessDenied" => error(ErrorKind::Denied).with_mend(MEND_RIGHTS),
        "RequestTimeTooSkewed" => error(ErrorKind::Storage).with_mend("set this machine's clock"),
        "SlowDown" | "ServiceUnavailable" | "InternalError" | "RequestTimeout" => {
            error(ErrorKind::Unavailable)
        }
        _ if status >= 500 || status == 429 => error(ErrorKind::Unavailable),
        "NotImplemented" | "MethodNotAllowed" => without_locks(operation),
        _ => error(ErrorKind::Storage).with_mend(MEND_RIGHTS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_and_what_only_a_person_mends_says_how() {
        for (status, code) in [(503, "SlowDown"), (500, "InternalError"), (429, "TooMany"), (502, "")] {
            let error = refusal(LOCK, status, code, false);
            assert!(error.is_retryable() && error.kind() == ErrorKind::Unavailable, "{error}");
        }
        let expired = refusal(LOCK, 400, "ExpiredToken", false);
        assert!(
            expired.is_retryable() && expired.mend().is_some_and(|mend| mend.contains("renew")),
            "{expired}"
        );
        for (status, code, kind) in [
            (404, "NoSuchBucket", ErrorKind::Config),
            (404, "ObjectLockConfigurationNotFoundError", ErrorKind::Config),
            (403, "AccessDenied", ErrorKind::Denied),
            (400, "SomethingNew", ErrorKind::Storage),
        ] {
            let error = refusal(ASK, status, code, false);
            assert_eq!((error.kind(), error.is_retryable()), (kind, false), "{error}");
            assert!(error.mend().is_some(), "{error}");
        }
        let none = refusal(LOCK, 400, "InvalidRequest", true);
        assert_eq!(none.message(), "the bucket has no Object Lock");
        let hostile = refusal(LOCK, 400, "\u{1b}[31m<secret>\n", false);
        assert_eq!(hostile.message(), "the store refused: 400 31msecret");
    }
}
