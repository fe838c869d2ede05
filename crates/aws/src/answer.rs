//! What Amazon's refusals mean to us.

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use respaldo_core::{Error, ErrorKind};

/// From this status on the service, and not the request, is at fault.
const SERVERS_FAULT: u16 = 500;
const TOO_MANY_REQUESTS: u16 = 429;

/// The error that a call ended with after the SDK's own tries.
pub(crate) fn failed<E: ProvideErrorMetadata>(operation: &str, error: &SdkError<E, HttpResponse>) -> Error {
    match error {
        SdkError::ServiceError(answer) => refused(operation, answer.err(), answer.raw().status().as_u16()),
        SdkError::TimeoutError(_) => {
            Error::new(ErrorKind::Timeout, operation, "the service did not answer in time")
        }
        SdkError::DispatchFailure(failure) => {
            let why = failure.as_connector_error().map_or_else(|| "no request was sent".to_owned(), whole);
            unreachable(operation, why)
        }
        SdkError::ResponseError(_) => unreachable(operation, "its answer broke off or cannot be read"),
        SdkError::ConstructionFailure(_) => {
            Error::internal(operation, "the request could not be made of its settings")
        }
        _ => unreachable(operation, "the call failed"),
    }
}

fn unreachable(operation: &str, why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unavailable, operation, why)
        .with_mend("check network, region and endpoint, and that credentials can be had here")
}

/// An error with its causes, in one line: the outermost alone says nothing, and some tell a whole list.
pub(crate) fn whole(error: &(impl std::error::Error + ?Sized)) -> String {
    let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
    let mut text = first_line(error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {}", first_line(error.to_string()));
        cause = error.source();
    }
    text
}

fn refused(operation: &str, error: &impl ProvideErrorMetadata, status: u16) -> Error {
    let code = error.code().unwrap_or("no code");
    let message = format!("{code}: {}", error.message().unwrap_or("no message"));
    let says = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
    if says(&["Throttl", "TooManyRequests", "SlowDown", "LimitExceeded", "OverLimit"])
        || status >= SERVERS_FAULT
        || status == TOO_MANY_REQUESTS
    {
        return Error::new(ErrorKind::Unavailable, operation, message);
    }
    if says(&["ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient", "Signature", "InvalidAccessKey"])
    {
        // A role's credentials are replaced under way.
        return Error::new(ErrorKind::Denied, operation, message)
            .with_retryable(true)
            .with_mend("renew the credentials of this host, or check its clock");
    }
    if says(&["AccessDenied", "NotAuthorized", "Unauthorized"]) {
        return Error::new(ErrorKind::Denied, operation, message)
            .with_mend("allow it in the policy of this host's role");
    }
    if says(&["NonExistent", "DoesNotExist", "NotFound", "InvalidAddress"]) {
        return Error::new(ErrorKind::Config, operation, message)
            .with_mend("check the name that is set, its region and its account");
    }
    Error::new(ErrorKind::Config, operation, message)
}
