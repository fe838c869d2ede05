//! What a store's failure means to us.

use std::error::Error as _;
use std::io;

use crate::{Error, ErrorKind};

/// What OpenDAL says when it could not sign a request.
const UNSIGNED: &str = "signing http request";
/// What reqsign says when nobody in its chain had credentials.
const NO_CREDENTIALS: &str = "failed to load signing credential";

/// Translates a failure of the store, keeping its first line and nothing that could hold a secret.
pub(super) fn explain(operation: &str, error: &opendal::Error) -> Error {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    if let Some(explained) = io.and_then(|io| full_or_read_only(operation, io)) {
        return explained;
    }
    if let Some(refused) = refused_by_name(operation, error) {
        return refused;
    }
    if code_of(error.message()) == Some("NoSuchUpload") {
        return given_up(operation, error);
    }
    match error.kind() {
        opendal::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, operation, line(error)),
        opendal::ErrorKind::PermissionDenied => {
            Error::new(ErrorKind::Storage, operation, format!("the store refused access: {}", line(error)))
                .with_mend("check the store's credentials and its permissions")
        }
        opendal::ErrorKind::ConfigInvalid => Error::new(ErrorKind::Config, operation, line(error)),
        _ if error.message() == UNSIGNED => unsigned(operation, error),
        _ if error.is_temporary() || io.is_none() => {
            Error::new(ErrorKind::Unavailable, operation, line(error))
        }
        _ => Error::new(ErrorKind::Storage, operation, line(error)),
    }
}

/// Translates a failure of the disk.
pub(super) fn of_disk(kind: ErrorKind, operation: &str, error: &io::Error) -> Error {
    full_or_read_only(operation, error)
        .unwrap_or_else(|| Error::new(kind, operation, first_line(&error.to_string())))
}

fn full_or_read_only(operation: &str, error: &io::Error) -> Option<Error> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(
            Error::new(ErrorKind::Storage, operation, "the disk is full")
                .with_mend("free space, or point `storage` elsewhere"),
        ),
        io::ErrorKind::ReadOnlyFilesystem => {
            Some(Error::new(ErrorKind::Storage, operation, "the file system is read-only"))
        }
        _ => None,
    }
}

/// An upload in parts that the store knows nothing of: it ended it, or somebody else did. Another is as good.
fn given_up(operation: &str, error: &opendal::Error) -> Error {
    let message = format!("the store has given the upload up: {}", line(error));
    Error::new(ErrorKind::Unavailable, operation, message)
        .with_mend("if this comes back: does a rule of the bucket abort uploads before a backup can end?")
}

/// No credentials, or none just now: a role's come from a service that may be away, so that trying again
/// can help.
fn unsigned(operation: &str, error: &opendal::Error) -> Error {
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    let message = if source.contains(NO_CREDENTIALS) {
        "no credentials for the store were found".to_owned()
    } else {
        format!("the store's credentials cannot be used: {}", first_line(&source))
    };
    Error::new(ErrorKind::Storage, operation, message).with_retryable(true).with_mend(
        "for S3, give this process AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE, \
         ~/.aws) or a role; for Azure, AZURE_STORAGE_ACCOUNT_KEY or an identity; for Google, \
         GOOGLE_APPLICATION_CREDENTIALS or a service account",
    )
}

/// Refusals by name that only a person can mend.
fn refused_by_name(operation: &str, error: &opendal::Error) -> Option<Error> {
    let code = code_of(error.message())?;
    let (kind, mend) = match code {
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => {
            (ErrorKind::Storage, "renew the session token of the store, or give a key or a role in its place")
        }
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" => {
            (ErrorKind::Storage, "check the store's credentials: key and secret do not belong to it")
        }
        "RequestTimeTooSkewed" => {
            (ErrorKind::Storage, "set this machine's clock: the store's time is another by many minutes")
        }
        "NoSuchBucket" | "ContainerNotFound" => (
            ErrorKind::Config,
            "make the bucket (the container), or correct its name, endpoint and region in `storage`",
        ),
        "InvalidStorageClass" => {
            (ErrorKind::Config, "take storage_class out of `storage`, or name one that this store has")
        }
        code if code.starts_with("KMS.") => (
            ErrorKind::Storage,
            "check that the key of sse_kms_key_id exists in the bucket's region, is enabled, and may be used",
        ),
        _ => return None,
    };
    Some(Error::new(kind, operation, format!("the store refused: {}", line(error))).with_mend(mend))
}

/// The error's name out of OpenDAL's account of S3's or Azure's error document.
fn code_of(message: &str) -> Option<&str> {
    let after = |beginning| message.strip_prefix(beginning);
    let code = after("S3Error { code: \"").or_else(|| after("AzblobError { code: \""))?;
    code.split('"').next()
}

/// What it was and why. The context of an OpenDAL error (addresses, headers) stays out of it.
fn line(error: &opendal::Error) -> String {
    let mut line = format!("{}: {}", error.kind(), first_line(error.message()));
    if let Some(source) = error.source() {
        line.push_str(": ");
        line.push_str(first_line(&source.to_string()));
    }
    line
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_is_not_there_is_the_settings_mistake() {
        let message = "AzblobError { code: \"ContainerNotFound\", message: \"no\" }";
        let error = explain("write an object", &opendal::Error::new(opendal::ErrorKind::NotFound, message));
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Config, false), "{error}");
        assert!(error.mend().is_some_and(|mend| mend.contains("make the bucket (the container)")), "{error}");
        let object = "AzblobError { code: \"BlobNotFound\", message: \"no\" }";
        let error = explain("read an object", &opendal::Error::new(opendal::ErrorKind::NotFound, object));
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    #[test]
    fn an_upload_that_the_store_has_ended_is_worth_another() {
        let message = "S3Error { code: \"NoSuchUpload\", message: \"no\" }";
        let error = explain("write an artifact", &opendal::Error::new(opendal::ErrorKind::NotFound, message));
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");
        assert!(error.mend().is_some_and(|mend| mend.contains("rule of the bucket")), "{error}");
    }
}
