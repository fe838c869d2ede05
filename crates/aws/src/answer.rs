//! What Amazon's refusals mean to us.

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use respaldo_core::{Error, ErrorKind};

/// From this status on the service, and not the request, is at fault.
const SERVERS_FAULT: u16 = 500;
const TOO_MANY_REQUESTS: u16 = 429;
/// In a code: it may be asked again later.
const THROTTLED: [&str; 6] =
    ["Throttl", "TooManyRequests", "SlowDown", "LimitExceeded", "OverLimit", "ThroughputExceeded"];
/// The same in the reason, where ECS gives a code that blames the request: capacity that is used up, and a
/// service behind it that is throttled.
const FULL: [&str; 5] = [
    "Capacity is unavailable",
    "reached the limit on the number of",
    "RequestLimitExceeded",
    "Rate exceeded",
    "capacity limit exceeded",
];
/// In a code: it is about a key of KMS.
const KEY: [&str; 4] = ["Kms", "KMS", "InvalidKeyId", "DecryptionFailure"];
/// The same in the reason, where the code says only that it is denied.
const KEY_REASONS: [&str; 3] = ["KMS", "kms:", "ciphertext"];

/// A call, and what its caller must be allowed.
#[derive(Debug)]
pub(crate) struct Call {
    /// In the product's words.
    pub(crate) operation: &'static str,
    /// What the caller's policy must allow.
    pub(crate) action: &'static str,
    /// What it must allow besides on a key of the user's own, where there is one.
    pub(crate) on_key: &'static str,
}

/// The error that a call ended with after the SDK's own tries.
pub(crate) fn failed<E: ProvideErrorMetadata>(call: &Call, error: &SdkError<E, HttpResponse>) -> Error {
    let operation = call.operation;
    match error {
        SdkError::ServiceError(answer) => refused(call, answer.err(), answer.raw().status().as_u16()),
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

fn refused(call: &Call, error: &impl ProvideErrorMetadata, status: u16) -> Error {
    let operation = call.operation;
    let (code, reason) = (error.code().unwrap_or("no code"), error.message().unwrap_or("no message"));
    let message = format!("{code}: {reason}");
    let says = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
    if says(&THROTTLED)
        || status >= SERVERS_FAULT
        || status == TOO_MANY_REQUESTS
        || FULL.iter().any(|part| reason.contains(part))
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
    // A name may hold these letters too: where the call itself is what is refused, it is not the key.
    let call_named = reason.to_lowercase().contains(&first_word(call.action).to_lowercase());
    let of_key = says(&KEY) || (!call_named && KEY_REASONS.iter().any(|part| reason.contains(part)));
    if says(&["AccessDenied", "NotAuthorized", "Unauthorized"]) {
        let Call { action, on_key, .. } = call;
        return Error::new(ErrorKind::Denied, operation, message).with_mend(if of_key {
            format!("allow {on_key} on the key, in its policy or in that of this host's role")
        } else {
            format!("allow {action} in the policy of this host's role")
        });
    }
    if of_key {
        return Error::new(ErrorKind::Config, operation, message)
            .with_mend("look at the key that it is under: it must be enabled, and not be deleted");
    }
    if says(&["NonExistent", "DoesNotExist", "NotFound", "InvalidAddress"]) {
        return Error::new(ErrorKind::Config, operation, message)
            .with_mend("check the name that is set, its region and its account");
    }
    Error::new(ErrorKind::Config, operation, message)
}

fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or(text)
}
