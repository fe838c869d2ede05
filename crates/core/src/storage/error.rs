//! What a store's failure means to us.

use std::error::Error as _;

use crate::{Error, ErrorKind};

/// Translates a failure of the store, keeping its first line and nothing that could hold a secret.
pub(super) fn explain(operation: &str, error: &opendal::Error) -> Error {
    let io =
        error.source().and_then(|source| source.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    match (error.kind(), io) {
        (_, Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)) => {
            Error::new(ErrorKind::Storage, operation, "the disk is full")
                .with_mend("free space, or point `storage` elsewhere")
        }
        (_, Some(std::io::ErrorKind::ReadOnlyFilesystem)) => {
            Error::new(ErrorKind::Storage, operation, "the file system is read-only")
        }
        (opendal::ErrorKind::NotFound, _) => Error::new(ErrorKind::NotFound, operation, line(error)),
        (opendal::ErrorKind::PermissionDenied, _) => {
            Error::new(ErrorKind::Storage, operation, format!("the store refused access: {}", line(error)))
                .with_mend("check the store's credentials and its permissions")
        }
        (opendal::ErrorKind::ConfigInvalid, _) => Error::new(ErrorKind::Config, operation, line(error)),
        (opendal::ErrorKind::RateLimited, _) => Error::new(ErrorKind::Unavailable, operation, line(error)),
        _ if error.is_temporary() || io.is_none() => {
            Error::new(ErrorKind::Unavailable, operation, line(error))
        }
        _ => Error::new(ErrorKind::Storage, operation, line(error)),
    }
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
