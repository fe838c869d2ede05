//! Secrets that are denied.

use respaldo_aws::secrets::AwsSecrets;
use respaldo_core::ports::{ExposeSecret as _, Secrets as _};
use respaldo_core::{Error, ErrorKind};
use serde_json::json;

use super::service::{Answer, Service};

const VALUE: &str = "hunter2-the-password";

async fn refused(name: &str, answer: Answer) -> Error {
    let service = Service::start([answer]).await;
    let error = AwsSecrets::over(service.config().await).get(name).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(VALUE), "{error}");
    error
}

/// A role that may not do this.
fn denied(action: &str, on: &str) -> Answer {
    let why = format!(
        "User: arn:aws:sts::123456789012:assumed-role/dump/x is not authorized to perform: {action} on resource: {on} \
         because no identity-based policy allows the {action} action"
    );
    Answer::refusal(400, "AccessDeniedException", &why)
}

#[tokio::test]
async fn a_secret_that_is_denied_is_named_with_the_action_to_allow() {
    for (name, id, action) in [
        ("secretsmanager:prod/KMS#password", "prod/KMS", "secretsmanager:GetSecretValue"),
        ("ssm:/prod/password", "/prod/password", "ssm:GetParameter"),
    ] {
        let error = refused(name, denied(action, id)).await;
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Denied, false), "{error}");
        let mend = error.mend().unwrap();
        assert!(mend.contains(&format!("allow {action} ")) && mend.contains(id), "{mend}");
        assert!(error.operation().starts_with(&format!("{id}: ")), "{error}");
        // AWS looks at rights first, so it says the same of a secret that does not exist.
        assert!(mend.contains("whether it is there"), "{mend}");
    }
}

#[tokio::test]
async fn a_key_that_is_denied_is_told_apart_from_the_secret_that_is_under_it() {
    let ciphertext = "The ciphertext refers to a customer master key that does not exist, does not exist in this \
                      region, or you are not allowed to access.";
    for (name, id, answer) in [
        (
            "secretsmanager:prod/orders",
            "prod/orders",
            Answer::refusal(400, "AccessDeniedException", "Access to KMS is not allowed"),
        ),
        ("ssm:/prod/orders", "/prod/orders", Answer::refusal(400, "AccessDeniedException", ciphertext)),
        ("ssm:/prod/orders", "/prod/orders", denied("kms:Decrypt", "arn:aws:kms:eu-west-1:1:key/a")),
    ] {
        let error = refused(name, answer).await;
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Denied, false), "{error}");
        let mend = error.mend().unwrap();
        assert!(mend.contains("allow kms:Decrypt on the key"), "{mend}");
        assert!(error.to_string().contains(id), "{error}");
    }
}

#[tokio::test]
async fn a_key_that_is_disabled_is_no_denial_and_says_where_to_look() {
    for (name, code) in [
        ("secretsmanager:prod/orders", "DecryptionFailure"),
        ("ssm:/prod/orders", "InvalidKeyId"),
        ("ssm:/prod/orders", "KMSInvalidStateException"),
    ] {
        let error = refused(name, Answer::refusal(400, code, "key/a is disabled.")).await;
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Config, false), "{error}");
        assert!(error.mend().unwrap().contains("key"), "{error}");
    }
}

#[tokio::test]
async fn a_store_that_is_throttled_is_asked_again_and_then_told_as_that() {
    let throttled = Answer::refusal(400, "ThrottlingException", "Rate exceeded");
    for (name, good) in [
        ("secretsmanager:a", json!({ "SecretString": VALUE })),
        ("ssm:a", json!({ "Parameter": { "Value": VALUE } })),
    ] {
        let service = Service::start([throttled.clone(), Answer::unavailable(), Answer::good(&good)]).await;
        let read = AwsSecrets::over(service.config().await).get(name).await.unwrap().unwrap();
        assert_eq!((read.expose_secret(), service.asked().len()), (VALUE, 3));
        let error = refused(name, throttled.clone()).await;
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");
    }
}
