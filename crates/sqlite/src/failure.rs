//! What SQLite says, in the product's words.

use respaldo_core::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// Why a statement did not answer: SQLite's reason, or ours. The operation is added at the pool,
/// the one place that knows it.
pub(crate) enum Fault {
    Sqlite(rusqlite::Error),
    Ours(Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

/// A `Result` inside a transaction.
pub(crate) type Outcome<T> = Result<T, Fault>;

impl Fault {
    /// The error that the caller of `operation` gets.
    pub(crate) fn during(self, operation: &str) -> Error {
        match self {
            Self::Ours(error) => error,
            Self::Sqlite(error) => translate(operation, &error),
        }
    }
}

fn translate(operation: &str, error: &rusqlite::Error) -> Error {
    let new = |kind, message: &str| Error::new(kind, operation, format!("{message} ({error})"));
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            new(ErrorKind::Unavailable, "another process holds the catalog's write lock")
        }
        Some(ErrorCode::DiskFull) => {
            new(ErrorKind::Storage, "the disk that holds the catalog is full").with_mend("free some space")
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            new(ErrorKind::Corrupt, "the catalog's file is damaged")
                .with_mend("restore the file, or rebuild the catalog from storage")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            new(ErrorKind::Storage, "the catalog's file cannot be written")
                .with_mend("let the user that runs Respaldo write the file and its folder")
        }
        Some(ErrorCode::SystemIoFailure) => {
            new(ErrorKind::Storage, "the catalog's file cannot be read or written")
                .with_mend("check the disk that holds it")
        }
        Some(ErrorCode::TooBig) => new(ErrorKind::Invalid, "the record is longer than the catalog can hold"),
        _ => Error::internal(operation, error),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn each_failure_of_sqlite_has_its_kind_and_only_a_busy_file_is_worth_another_try() {
        for (code, kind) in [
            (ffi::SQLITE_BUSY, ErrorKind::Unavailable),
            (ffi::SQLITE_LOCKED, ErrorKind::Unavailable),
            (ffi::SQLITE_FULL, ErrorKind::Storage),
            (ffi::SQLITE_IOERR, ErrorKind::Storage),
            (ffi::SQLITE_READONLY, ErrorKind::Storage),
            (ffi::SQLITE_CORRUPT, ErrorKind::Corrupt),
            (ffi::SQLITE_NOTADB, ErrorKind::Corrupt),
            (ffi::SQLITE_ERROR, ErrorKind::Internal),
        ] {
            let fault = Fault::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
            let error = fault.during("write a job");
            assert_eq!(error.kind(), kind, "{code}");
            assert_eq!(error.is_retryable(), kind == ErrorKind::Unavailable, "{code}");
            assert!(error.to_string().starts_with("write a job: "), "{error}");
        }
    }
}
