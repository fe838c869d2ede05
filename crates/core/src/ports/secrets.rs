//! Where references to secrets are resolved.

use std::fmt;

use async_trait::async_trait;
pub use secrecy::{ExposeSecret, SecretString};

use crate::{Error, Result};

/// No name in a store of secrets is longer, in bytes: an ARN of the longest name there is.
const LONGEST_NAME: usize = 2_200;
const LONGEST_FIELD: usize = 256;
const SECRETS_MANAGER: &str = "secretsmanager:";
const PARAMETERS: &str = "ssm:";

/// Resolves a name, such as the `POSTGRES_PASSWORD` of `password_var`, to the secret it stands for.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The secret, or none when the name stands for nothing. The name is the text of a [`SecretName`].
    async fn get(&self, name: &str) -> Result<Option<SecretString>>;
}

/// What a reference to a secret names. Its text is no secret and may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretName {
    /// An environment variable, or its `_FILE` and `_FROM` twins: `POSTGRES_PASSWORD`.
    Variable(String),
    /// `secretsmanager:ID` or `secretsmanager:ID#FIELD`: a secret of AWS Secrets Manager by its name or ARN.
    SecretsManager {
        /// The name or ARN.
        id: String,
        /// The field of the JSON object that the secret is; none: the secret is the text itself.
        field: Option<String>,
    },
    /// `ssm:NAME`: a parameter of AWS Systems Manager by its name or ARN.
    Parameter(String),
}

impl SecretName {
    /// Reads a name.
    ///
    /// # Errors
    /// `Invalid`, with what is allowed; the text is not repeated, because somebody may have put a secret there.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(rest) = text.strip_prefix(SECRETS_MANAGER) {
            let (id, field) = match rest.split_once('#') {
                Some((id, field)) => (id, Some(field)),
                None => (rest, None),
            };
            if !is_name(id) || field.is_some_and(|field| !is_field(field)) {
                return Err(refused(
                    "after secretsmanager: stands the name or the ARN of a secret (letters, digits and /_+=.@!-), \
                     and behind # the field of its JSON, such as secretsmanager:prod/orders#password",
                ));
            }
            return Ok(Self::SecretsManager { id: id.to_owned(), field: field.map(str::to_owned) });
        }
        if let Some(name) = text.strip_prefix(PARAMETERS) {
            if !is_name(name) {
                return Err(refused(
                    "after ssm: stands the name or the ARN of a parameter (letters, digits and /_.-), such as \
                     ssm:/prod/orders/password",
                ));
            }
            return Ok(Self::Parameter(name.to_owned()));
        }
        let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !letters || text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(refused(
                "must be the name of an environment variable (letters, digits and _), or secretsmanager:ID#FIELD, \
                 or ssm:NAME",
            ));
        }
        Ok(Self::Variable(text.to_owned()))
    }

    /// Whether it names a secret of a store, and not a variable.
    pub fn is_stored(&self) -> bool {
        !matches!(self, Self::Variable(_))
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => f.write_str(name),
            Self::SecretsManager { id, field: None } => write!(f, "{SECRETS_MANAGER}{id}"),
            Self::SecretsManager { id, field: Some(field) } => write!(f, "{SECRETS_MANAGER}{id}#{field}"),
            Self::Parameter(name) => write!(f, "{PARAMETERS}{name}"),
        }
    }
}

/// Colons belong to ARNs, the exclamation mark to secrets that Amazon's databases keep themselves.
fn is_name(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@!:-".contains(&byte);
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(known)
}

fn is_field(text: &str) -> bool {
    (1..=LONGEST_FIELD).contains(&text.len()) && !text.contains(|c: char| c.is_control() || c == '#')
}

fn refused(why: &str) -> Error {
    Error::invalid("name", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_kind_are_read_and_written_alike() {
        for name in [
            "POSTGRES_PASSWORD",
            "_x",
            "secretsmanager:prod/orders",
            "secretsmanager:rds!db-0f1e#password",
            "secretsmanager:arn:aws:secretsmanager:eu-west-1:123456789012:secret:orders-AbCdEf#user name",
            "ssm:/prod/orders/password",
            "ssm:plain",
        ] {
            assert_eq!(SecretName::parse(name).unwrap().to_string(), name);
        }
        assert!(!SecretName::parse("A").unwrap().is_stored());
        assert!(SecretName::parse("ssm:A").unwrap().is_stored());
    }

    #[test]
    fn what_is_no_name_is_refused_and_not_repeated() {
        for name in [
            "",
            "1A",
            "A B",
            "../x",
            "hunter2!",
            "secretsmanager:",
            "secretsmanager:#password",
            "secretsmanager:a#",
            "secretsmanager:a#b#c",
            "secretsmanager:a b",
            "secretsmanager:a#b\nc",
            "ssm:",
            "ssm:a#b",
            "ssm:a?x",
            "vault:secret/a",
        ] {
            let error = SecretName::parse(name).unwrap_err();
            // A scheme alone is no value, and what is allowed names it.
            let told = name.is_empty() || name.ends_with(':');
            assert!(told || !error.to_string().contains(name), "{name:?}: {error}");
        }
        assert!(SecretName::parse(&format!("ssm:{}", "a".repeat(LONGEST_NAME + 1))).is_err());
    }
}
