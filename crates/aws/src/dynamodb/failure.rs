//! What DynamoDB and its SDK say, in the product's words.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use respaldo_core::{Error, ErrorKind};

use super::Dynamo;
use crate::answer::whole;

/// Whether a write was refused because its condition did not hold.
pub(super) fn is_refusal<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    code_of(error) == Some("ConditionalCheckFailedException")
}

pub(super) fn code_of<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    match error {
        SdkError::ServiceError(service) => service.err().code(),
        _ => None,
    }
}

impl Dynamo {
    /// The error that the caller of `operation` gets when the SDK's `call` failed.
    pub(super) fn failure<E>(&self, operation: &str, call: &str, error: &SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let SdkError::ServiceError(service) = error else { return unsent(operation, error) };
        let (meta, status) = (service.err(), service.raw().status().as_u16());
        if let Some(code) = meta.code() {
            return self.refused(operation, call, code, meta.message().unwrap_or("it gives no reason"));
        }
        // Not the service's own words: a gateway's, or half of an answer.
        let why = format!("the answer to {call} cannot be read (HTTP status {status})");
        Error::new(ErrorKind::Unavailable, operation, why)
    }

    /// Whoever made a request is told that the installation's own settings do not hold together: none of his
    /// credentials are meant.
    fn refused(&self, operation: &str, call: &str, code: &str, message: &str) -> Error {
        let table = &self.table;
        let new =
            |kind, why: &str| Error::new(kind, operation, format!("{why} (DynamoDB: {code}: {message})"));
        match code {
            "ResourceNotFoundException" => new(
                ErrorKind::Config,
                &format!("there is no table {table} with the indexes that it must have"),
            )
            .with_mend("run respaldo catalog init, or correct the name, the region or the endpoint"),
            "ProvisionedThroughputExceededException"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestLimitExceeded"
            | "LimitExceededException"
            | "ResourceInUseException"
            | "TransactionInProgressException"
            | "TransactionConflictException"
            | "ReplicatedWriteConflictException" => {
                new(ErrorKind::Unavailable, &format!("the table {table} takes no more requests now"))
            }
            // The next try may be made by a process that has new ones.
            "ExpiredTokenException" | "ExpiredToken" => {
                new(ErrorKind::Config, "the credentials for AWS have expired")
                    .with_retryable(true)
                    .with_mend("renew them")
            }
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "IncompleteSignatureException"
            | "MissingAuthenticationTokenException" => {
                new(ErrorKind::Config, "the credentials for AWS are not accepted").with_mend(
                    "correct the access key, the secret key and the region; is the machine's clock right?",
                )
            }
            "AccessDeniedException" | "NotAuthorized" => {
                new(ErrorKind::Config, &format!("the role may not do dynamodb:{call} on the table {table}"))
                    .with_mend(format!("allow dynamodb:{call} on the table and on its indexes"))
            }
            "InternalServerError"
            | "InternalFailure"
            | "ServiceUnavailable"
            | "ServiceUnavailableException" => new(ErrorKind::Unavailable, "DynamoDB cannot serve now"),
            _ => new(ErrorKind::Internal, &format!("DynamoDB refuses {call}")),
        }
    }

    /// After the last try of a batch of which something was always left over.
    pub(super) fn overloaded(&self, operation: &str) -> Error {
        let why = format!("the table {} keeps answering that it cannot take the whole batch", self.table);
        Error::new(ErrorKind::Unavailable, operation, why)
    }

    /// After the last try of a write that others were always faster with.
    pub(super) fn crowded(operation: &str) -> Error {
        Error::new(ErrorKind::Unavailable, operation, "others kept writing the same item")
    }
}

/// A request that got no answer of the service's. Of an answer that broke off nothing is told: it holds records.
fn unsent<E: std::error::Error + 'static>(operation: &str, error: &SdkError<E, HttpResponse>) -> Error {
    let context = whole(error);
    let ours = match error {
        SdkError::ConstructionFailure(_) => true,
        // The network's failures are not: their words may be anything.
        SdkError::DispatchFailure(failure) => !failure.is_io() && !failure.is_timeout(),
        _ => false,
    };
    let lower = context.to_lowercase();
    if ours && (lower.contains("credential") || lower.contains("identity")) {
        return Error::new(
            ErrorKind::Config,
            operation,
            format!("there are no credentials for AWS: {context}"),
        )
        .with_mend("give the function or task a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    }
    if ours && lower.contains("region") {
        return Error::new(ErrorKind::Config, operation, format!("no region is known: {context}"))
            .with_mend("add ?region=… to the catalog's URL, or set AWS_REGION");
    }
    let why = format!("DynamoDB cannot be reached, or its answer did not arrive: {context}");
    Error::new(ErrorKind::Unavailable, operation, why)
}

/// A table that is no catalog yet.
pub(super) fn unfit(operation: &str, why: &str) -> Error {
    Error::new(ErrorKind::Config, operation, why)
        .with_mend("run respaldo catalog init, or correct the name, the region or the endpoint")
}
