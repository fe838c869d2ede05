//! age keys: who an artifact is sealed for, and what opens it.

use std::fmt;
use std::str::FromStr;

use age::x25519;
use secrecy::ExposeSecret;

use crate::error::{Error, ErrorKind, Result};

const FIELD: &str = "encryption.recipients";

/// A public age key (`age1…`), validated.
#[derive(Clone)]
pub struct Recipient(pub(super) x25519::Recipient);

impl FromStr for Recipient {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("AGE-SECRET")) {
            // The value is a secret: it may not stand in the error.
            return Err(Error::invalid(FIELD, "this is a secret key, not a recipient").with_mend(
                "give the public key, as age-keygen -y prints it, and keep the secret key off here",
            ));
        }
        text.parse().map(Self).map_err(|reason: &str| {
            Error::invalid(FIELD, format!("{text:?} is not an age X25519 recipient: {reason}"))
                .with_mend("use a public key as age-keygen prints it: age1 and 58 more characters")
        })
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

impl PartialEq for Recipient {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Recipient {}

/// A secret age key (`AGE-SECRET-KEY-1…`). Shows nothing when debugged, and wipes itself when dropped.
#[derive(Clone)]
pub struct Identity(pub(super) x25519::Identity);

impl Identity {
    /// The keys of an identity file as `age-keygen` writes it: one a line, `#` begins a comment.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when a line is no X25519 identity (told by its number, never by its
    /// text), or when there is none at all.
    pub fn parse_file(text: &str) -> Result<Vec<Self>> {
        let mut identities = Vec::new();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let identity = line.parse().map_err(|reason: &str| {
                unusable(format!("line {} is not an age X25519 identity: {reason}", index + 1))
            })?;
            identities.push(Self(identity));
        }
        if identities.is_empty() {
            return Err(unusable("it holds no key".to_owned()));
        }
        Ok(identities)
    }

    /// A new random key.
    pub fn generate() -> Self {
        Self(x25519::Identity::generate())
    }

    /// The public key that belongs to it.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// The key's text, for the one place that writes an identity file.
    pub fn to_secret_string(&self) -> secrecy::SecretString {
        secrecy::SecretString::from(self.0.to_string().expose_secret().to_owned())
    }
}

fn unusable(message: String) -> Error {
    Error::new(ErrorKind::Config, "read the age identity", message)
        .with_field("encryption.identity_file")
        .with_mend("use a file as age-keygen writes it")
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_gives_its_text_back() {
        let recipient = Identity::generate().recipient();
        let text = recipient.to_string();
        assert!(text.starts_with("age1"));
        assert_eq!(text.parse::<Recipient>().unwrap(), recipient);
    }

    #[test]
    fn a_secret_key_given_as_recipient_is_refused_without_being_repeated() {
        let secret = Identity::generate().to_secret_string();
        for text in [secret.expose_secret().to_owned(), secret.expose_secret().to_lowercase()] {
            let error = text.parse::<Recipient>().unwrap_err().to_string();
            assert!(error.contains("secret key"), "{error}");
            assert!(!error.to_uppercase().contains(&secret.expose_secret()[18..40]), "{error}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_field() {
        for text in ["", "age1", "ssh-ed25519 AAAA", "age1qqqqqqqqqqqqqqqqqqqq", "é"] {
            let error = text.parse::<Recipient>().unwrap_err();
            assert_eq!(error.field(), Some("encryption.recipients"), "{text}");
        }
    }

    #[test]
    fn an_identity_file_is_read_as_age_keygen_writes_it_and_its_faults_are_told_by_line() {
        let identity = Identity::generate();
        let secret = identity.to_secret_string();
        let file = format!("# created: today\n# public key: x\n{}\n\n", secret.expose_secret());
        let read = Identity::parse_file(&file).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].recipient(), identity.recipient());

        let broken = format!("# one\n{}X\n", secret.expose_secret());
        let error = Identity::parse_file(&broken).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
        assert!(!error.contains(secret.expose_secret()), "{error}");
        assert!(Identity::parse_file("# nothing\n").unwrap_err().to_string().contains("no key"));
        assert_eq!(format!("{identity:?}"), "Identity(***)");
    }
}
