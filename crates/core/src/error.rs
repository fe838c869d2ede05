//! The error policy, and the one error type of the product.
//!
//! Every failure says four things, because a person at three in the morning needs all four: what
//! *kind* it is (so that a caller can choose a status code), whether trying again can help, in which
//! *operation* it happened, and what to *do*. Nothing here is logged and forgotten: an error is
//! returned until somebody answers a request with it or writes it into a job's record.
//!
//! No message may carry a secret. Whoever makes an error from a tool's output passes it through
//! `crate::redact` first.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A `Result` whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, coarse enough to choose a status code by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// A value was refused; [`Error::field`] names it.
    Invalid,
    /// What was asked for does not exist.
    NotFound,
    /// It exists, but its state forbids what was asked, or somebody else changed it first.
    Conflict,
    /// A lease or fence was lost: another worker owns the job now.
    Fenced,
    /// Credentials were refused by a database or a store.
    Denied,
    /// A server, a store or the network cannot be reached, or answered that it cannot serve now.
    Unavailable,
    /// It took longer than it may, or no byte came for too long.
    Timeout,
    /// A person or a caller asked for it to stop.
    Cancelled,
    /// A tool that the engine needs is missing, or too old for the server.
    Tool,
    /// A dump ended without what proves that it is whole.
    Incomplete,
    /// Stored bytes are not what was written: a digest, a length or a signature does not match.
    Corrupt,
    /// What was sent is larger than it may be.
    TooLarge,
    /// What was sent is of no kind that is taken.
    Unsupported,
    /// No room, or a store that cannot be written.
    Storage,
    /// The settings do not hold together.
    Config,
    /// A fault of ours.
    Internal,
}

impl ErrorKind {
    /// The stable name, as it stands in records and in problem types.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Fenced => "fenced",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Tool => "tool",
            Self::Incomplete => "incomplete",
            Self::Corrupt => "corrupt",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
            Self::Storage => "storage",
            Self::Config => "config",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure: kind, whether a retry can help, operation, message, field, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    kind: ErrorKind,
    retryable: bool,
    operation: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Error {
    /// An error that trying again will not cure, unless its kind says otherwise
    /// ([`ErrorKind::Unavailable`] and [`ErrorKind::Timeout`] start as retryable).
    pub fn new(kind: ErrorKind, operation: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            retryable: matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout),
            operation: operation.into(),
            message: message.into(),
            field: None,
            mend: None,
        }
    }

    /// A refused value: which field, what was wrong and what is allowed.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let mut error = Self::new(ErrorKind::Invalid, "validate", message);
        error.field = Some(field.into());
        error
    }

    /// Something that is not there, by its word and id.
    pub fn not_found(what: &str, id: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NotFound, "look up", format!("there is no {what} {id}"))
    }

    /// A state that forbids what was asked.
    pub fn conflict(operation: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, operation, message)
    }

    /// A fault of ours.
    pub fn internal(operation: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Internal, operation, message.to_string())
    }

    /// Says whether trying again can help.
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// Says what to do about it.
    pub fn with_mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    /// Names the field that was refused.
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Puts the operation that was under way in front of the one that failed.
    pub fn within(mut self, operation: &str) -> Self {
        self.operation = format!("{operation}: {}", self.operation);
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether trying again can help.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// What was being done.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// What happened, in one line, without the operation and the mend.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The refused field, as its user wrote it.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// What to do.
    pub fn mend(&self) -> Option<&str> {
        self.mend.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operation)?;
        if let Some(field) = &self.field {
            write!(f, ": {field}")?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(mend) = &self.mend {
            write!(f, " ({mend})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_one_line_with_field_and_mend() {
        let error = Error::invalid("schedule", "the cron never fires").with_mend("use e.g. 0 3 * * *");
        assert_eq!(error.to_string(), "validate: schedule: the cron never fires (use e.g. 0 3 * * *)");
        assert!(!error.is_retryable());
    }

    #[test]
    fn only_passing_faults_start_as_retryable() {
        assert!(Error::new(ErrorKind::Unavailable, "connect", "refused").is_retryable());
        assert!(!Error::new(ErrorKind::Denied, "connect", "wrong password").is_retryable());
    }
}
