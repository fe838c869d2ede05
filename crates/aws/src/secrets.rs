//! Secrets Manager and the parameters of Systems Manager behind the secrets port.
//!
//! What was read is remembered for [`REMEMBERED`], so that a job that asks for user name and password, or many
//! jobs at once, cost one request. It is so short because logins are rotated: a job that a database refuses with
//! the old password reads the new one when it is tried again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use respaldo_core::ports::{ExposeSecret, SecretName, SecretString, Secrets};
use respaldo_core::{Error, ErrorKind, Result};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::answer::{Call, failed};
use crate::sdk;

/// How long a secret that was read is used again.
pub const REMEMBERED: Duration = Duration::from_mins(1);
/// How often a request is sent before its failure is told.
const MOST_TRIES: u32 = 3;
/// How long one try may take.
const TRY_WITHIN: Duration = Duration::from_secs(5);
/// How long all tries of a request may take.
const ALL_TRIES_WITHIN: Duration = Duration::from_secs(15);
const READ_SECRET: Call = Call {
    operation: "read a secret of Secrets Manager",
    action: "secretsmanager:GetSecretValue",
    on_key: "kms:Decrypt",
};
const READ_PARAMETER: Call = Call {
    operation: "read a parameter of Systems Manager",
    action: "ssm:GetParameter",
    on_key: "kms:Decrypt",
};

/// Resolves `secretsmanager:ID#FIELD` and `ssm:NAME`. Nothing is sent, and no credentials are looked for, before
/// the first of them is asked for. It must be used within a Tokio runtime.
pub struct AwsSecrets {
    endpoint: Option<String>,
    region: Option<String>,
    config: OnceCell<SdkConfig>,
    remember: Duration,
    remembered: Mutex<HashMap<SecretName, (SecretString, Instant)>>,
}

impl AwsSecrets {
    /// Without an endpoint the requests go to the region's own (`AWS_ENDPOINT_URL` is honoured), without a region
    /// to the one that environment or profile name.
    pub fn new(endpoint: Option<String>, region: Option<String>) -> Self {
        Self { endpoint, region, config: OnceCell::new(), remember: REMEMBERED, remembered: Mutex::default() }
    }

    /// The same, from a configuration that is loaded already.
    pub fn over(config: SdkConfig) -> Self {
        Self { config: OnceCell::new_with(Some(config)), ..Self::new(None, None) }
    }

    /// The same, with nothing remembered yet, and another time for which what is read is used again.
    #[must_use]
    pub fn remembering(self, remember: Duration) -> Self {
        Self { remember, remembered: Mutex::default(), ..self }
    }

    async fn config(&self) -> SdkConfig {
        let load = async || {
            let timeouts = TimeoutConfig::builder()
                .operation_attempt_timeout(TRY_WITHIN)
                .operation_timeout(ALL_TRIES_WITHIN)
                .build();
            let loaded = sdk::load(self.endpoint.as_deref(), self.region.as_deref()).await;
            let retries = RetryConfig::standard().with_max_attempts(MOST_TRIES);
            loaded.into_builder().retry_config(retries).timeout_config(timeouts).build()
        };
        self.config.get_or_init(load).await.clone()
    }

    /// The text under a name, which may be an object with fields.
    async fn text(&self, whole: SecretName) -> Result<Option<SecretString>> {
        if let Some(known) = self.recall(&whole) {
            return Ok(Some(known));
        }
        let read = match &whole {
            SecretName::SecretsManager { id, .. } => self.secret(id).await?,
            SecretName::Parameter(name) => self.parameter(name).await?,
            SecretName::Variable(_) => None,
        };
        if let Some(read) = &read {
            let until = Instant::now() + self.remember;
            let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            remembered.insert(whole, (read.clone(), until));
        }
        Ok(read)
    }

    fn recall(&self, whole: &SecretName) -> Option<SecretString> {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        remembered.retain(|_, (_, until)| *until > now);
        remembered.get(whole).map(|(secret, _)| secret.clone())
    }

    async fn secret(&self, id: &str) -> Result<Option<SecretString>> {
        let client = aws_sdk_secretsmanager::Client::new(&self.config().await);
        let answer = match client.get_secret_value().secret_id(id).send().await {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(GetSecretValueError::is_resource_not_found_exception) =>
            {
                return Ok(None);
            }
            answer => answer.map_err(|error| named(failed(&READ_SECRET, &error), id))?,
        };
        let why = format!("{id} holds bytes and no text");
        let text = answer.secret_string.ok_or_else(|| {
            Error::new(ErrorKind::Config, READ_SECRET.operation, why)
                .with_mend("store it as text, or as JSON")
        })?;
        Ok(Some(SecretString::from(text)))
    }

    async fn parameter(&self, name: &str) -> Result<Option<SecretString>> {
        let client = aws_sdk_ssm::Client::new(&self.config().await);
        let answer = match client.get_parameter().name(name).with_decryption(true).send().await {
            Err(error) if error.as_service_error().is_some_and(GetParameterError::is_parameter_not_found) => {
                return Ok(None);
            }
            answer => answer.map_err(|error| named(failed(&READ_PARAMETER, &error), name))?,
        };
        Ok(answer.parameter.and_then(|parameter| parameter.value).map(SecretString::from))
    }
}

#[async_trait]
impl Secrets for AwsSecrets {
    async fn get(&self, name: &str) -> Result<Option<SecretString>> {
        let name = SecretName::parse(name)?;
        let (whole, field) = match name {
            SecretName::SecretsManager { id, field } => {
                (SecretName::SecretsManager { id, field: None }, field)
            }
            other => (other, None),
        };
        let called = whole.to_string();
        let Some(text) = self.text(whole).await? else { return Ok(None) };
        pick(&called, text, field.as_deref()).map(Some)
    }
}

/// The field of a secret that is JSON; without one, the secret must be no object, because nobody's password is.
fn pick(called: &str, text: SecretString, field: Option<&str>) -> Result<SecretString> {
    let refused =
        |why: String, mend: &str| Err(Error::new(ErrorKind::Config, "read a secret", why).with_mend(mend));
    let object = match serde_json::from_str::<Value>(text.expose_secret()) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    };
    match (object, field) {
        (None, None) => Ok(text),
        (None, Some(_)) => {
            refused(format!("{called} is no JSON object, so it has no fields"), "leave out the field")
        }
        (Some(_), None) => refused(
            format!("{called} is a JSON object"),
            "name the field, such as secretsmanager:ID#password",
        ),
        (Some(object), Some(field)) => match object.get(field) {
            Some(Value::String(text)) => Ok(SecretString::from(text.clone())),
            Some(Value::Number(number)) => Ok(SecretString::from(number.to_string())),
            Some(_) => refused(format!("the field {field} of {called} is no text"), "name another field"),
            None => refused(format!("{called} has no field {field}"), "check how the field is written"),
        },
    }
}

/// The same, told of which secret. No value is ever in what the services answer with a refusal.
fn named(error: Error, id: &str) -> Error {
    let mend = match (error.kind(), error.is_retryable(), error.mend()) {
        // Rights are looked at first: what is not there is refused like that, too, where they are for some names only.
        (ErrorKind::Denied, false, Some(mend)) => {
            Some(format!("{mend}, for {id}; and look whether it is there"))
        }
        _ => None,
    };
    let error = error.within(id);
    match mend {
        Some(mend) => error.with_mend(mend),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(text: &str, field: Option<&str>) -> Result<String> {
        pick("secretsmanager:x", SecretString::from(text), field).map(|it| it.expose_secret().to_owned())
    }

    #[test]
    fn a_field_is_picked_and_a_plain_text_is_the_secret_itself() {
        let login = r#"{"username": "ñ", "password": "p\"w", "port": 5432, "tags": []}"#;
        assert_eq!(picked(login, Some("password")).unwrap(), "p\"w");
        assert_eq!(picked(login, Some("port")).unwrap(), "5432");
        assert_eq!(picked("123", None).unwrap(), "123");
        assert_eq!(picked("[1", None).unwrap(), "[1");
    }

    #[test]
    fn what_cannot_be_picked_is_told_without_the_secret() {
        let login = r#"{"username": "hunter1", "password": "hunter2", "tags": ["hunter3"]}"#;
        for (text, field) in [
            (login, None),
            (login, Some("passwort")),
            (login, Some("tags")),
            ("hunter2", Some("password")),
            (r#"["hunter2"]"#, Some("0")),
        ] {
            let error = picked(text, field).unwrap_err();
            assert!(!error.to_string().contains("hunter"), "{error}");
            assert!(error.mend().is_some() && error.message().contains("secretsmanager:x"), "{error}");
        }
    }
}
