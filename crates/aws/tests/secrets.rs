//! References to secrets, resolved by moto's Secrets Manager and Systems Manager.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_config::SdkConfig;
use respaldo_aws::sdk;
use respaldo_aws::secrets::{AwsSecrets, REMEMBERED};
use respaldo_core::ports::{ExposeSecret, Secrets};
use respaldo_core::{ErrorKind, Result};
use respaldo_testkit::aws::{Moto, REGION};
use serde_json::{Value, json};

/// The server is shared, so names are each test's own.
fn name(word: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    format!("respaldo/{process}-{count}/{word}")
}

async fn config(endpoint: &str) -> SdkConfig {
    sdk::loader(Some(endpoint), Some(REGION)).credentials_provider(aws_credentials()).load().await
}

fn aws_credentials() -> aws_sdk_secretsmanager::config::Credentials {
    aws_sdk_secretsmanager::config::Credentials::new("test", "test", None, None, "test")
}

async fn store(moto: &Moto) -> AwsSecrets {
    AwsSecrets::over(config(&moto.endpoint()).await)
}

async fn put(moto: &Moto, name: &str, text: &str) -> Value {
    let body = json!({"Name": name, "SecretString": text});
    moto.call("secretsmanager", "secretsmanager.CreateSecret", &body).await
}

async fn got(secrets: &AwsSecrets, name: &str) -> Result<Option<String>> {
    Ok(secrets.get(name).await?.map(|secret| secret.expose_secret().to_owned()))
}

#[tokio::test]
async fn a_secret_is_read_by_name_by_arn_and_by_field() {
    let moto = Moto::shared();
    let secrets = store(&moto).await;
    let (plain, login) = (name("plain"), name("login"));
    put(&moto, &plain, "p\"ñ w").await;
    let made = put(&moto, &login, r#"{"username": "orders", "password": "s3cret"}"#).await;
    assert_eq!(got(&secrets, &format!("secretsmanager:{plain}")).await.unwrap().as_deref(), Some("p\"ñ w"));
    let field = format!("secretsmanager:{login}#password");
    assert_eq!(got(&secrets, &field).await.unwrap().as_deref(), Some("s3cret"));
    let arn = format!("secretsmanager:{}#username", made["ARN"].as_str().unwrap());
    assert_eq!(got(&secrets, &arn).await.unwrap().as_deref(), Some("orders"));
    let error = got(&secrets, &format!("secretsmanager:{login}")).await.unwrap_err();
    assert!(error.message().contains("JSON object") && !error.to_string().contains("s3cret"), "{error}");
    let error = got(&secrets, &format!("secretsmanager:{plain}#password")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_parameter_is_read_opened() {
    let moto = Moto::shared();
    let secrets = store(&moto).await;
    let parameter = format!("/{}", name("password"));
    let body = json!({"Name": parameter, "Value": "s3cret", "Type": "SecureString"});
    moto.call("ssm", "AmazonSSM.PutParameter", &body).await;
    assert_eq!(got(&secrets, &format!("ssm:{parameter}")).await.unwrap().as_deref(), Some("s3cret"));
}

#[tokio::test]
async fn what_is_not_there_is_none_and_what_is_no_name_is_refused() {
    let moto = Moto::shared();
    let secrets = store(&moto).await;
    let missing = name("missing");
    assert_eq!(got(&secrets, &format!("secretsmanager:{missing}")).await.unwrap(), None);
    assert_eq!(got(&secrets, &format!("ssm:/{missing}")).await.unwrap(), None);
    assert_eq!(got(&secrets, "secretsmanager:a b").await.unwrap_err().kind(), ErrorKind::Invalid);
    // A variable is another store's.
    assert_eq!(got(&secrets, "POSTGRES_PASSWORD").await.unwrap(), None);
}

#[tokio::test]
async fn a_login_costs_one_request_and_a_rotated_one_is_read_anew_soon() {
    let moto = Moto::private();
    let secrets = store(&moto).await;
    put(&moto, "login", r#"{"username": "u", "password": "old"}"#).await;
    assert_eq!(got(&secrets, "secretsmanager:login#username").await.unwrap().as_deref(), Some("u"));
    let rotated = json!({"SecretId": "login", "SecretString": r#"{"username": "u", "password": "new"}"#});
    moto.call("secretsmanager", "secretsmanager.PutSecretValue", &rotated).await;
    // Both fields of one login come of one reading.
    assert_eq!(got(&secrets, "secretsmanager:login#password").await.unwrap().as_deref(), Some("old"));
    assert!(REMEMBERED <= Duration::from_mins(1), "a rotated login must not be wrong for long");
    let soon = secrets.remembering(Duration::ZERO);
    assert_eq!(got(&soon, "secretsmanager:login#password").await.unwrap().as_deref(), Some("new"));
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_worth_another_try() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let secrets = AwsSecrets::over(config(&endpoint).await);
    for name in ["secretsmanager:a", "ssm:a"] {
        let error = got(&secrets, name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_retryable() && error.operation().starts_with("a: "), "{error}");
    }
}

#[tokio::test]
async fn a_secret_that_is_being_deleted_or_holds_bytes_is_told_so() {
    let moto = Moto::shared();
    let secrets = store(&moto).await;
    let (gone, bytes) = (name("gone"), name("bytes"));
    put(&moto, &gone, "x").await;
    moto.call("secretsmanager", "secretsmanager.DeleteSecret", &json!({"SecretId": gone})).await;
    let error = got(&secrets, &format!("secretsmanager:{gone}")).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains(&gone), "{error}");
    let body = json!({"Name": bytes, "SecretBinary": "AAEC"});
    moto.call("secretsmanager", "secretsmanager.CreateSecret", &body).await;
    let error = got(&secrets, &format!("secretsmanager:{bytes}")).await.unwrap_err();
    assert!(error.message().contains("bytes"), "{error}");
}
