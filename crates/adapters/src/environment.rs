//! Environment variables, read here alone.
#![expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use async_trait::async_trait;
use respaldo_core::ports::{SecretString, Secrets};
use respaldo_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// No secret in a file is longer, in bytes.
const LONGEST_SECRET: u64 = 64 * 1024;

/// A variable's text; none when it is not set.
///
/// # Errors
/// `Config` when it is not UTF-8; its value is not shown.
pub fn variable(name: &str) -> Result<Option<String>> {
    env::var_os(name)
        .map(|value| value.into_string().map_err(|_| unreadable(name, "it is not UTF-8")))
        .transpose()
}

/// A variable's bytes; none when it is not set.
pub fn raw(name: &str) -> Option<OsString> {
    env::var_os(name)
}

/// A secret from the variable `NAME`, or from the file that `NAME_FILE` names. One line break at the
/// file's end is not part of it.
///
/// # Errors
/// `Config` when both are set, or the file cannot be read.
pub fn secret(name: &str) -> Result<Option<SecretString>> {
    let from_file = format!("{name}_FILE");
    match (variable(name)?, variable(&from_file)?) {
        (Some(_), Some(_)) => Err(unreadable(name, &format!("{from_file} is set too; set one of them"))),
        (Some(value), None) => Ok(Some(SecretString::from(value))),
        (None, Some(path)) => secret_file(&from_file, Path::new(&path)).map(Some),
        (None, None) => Ok(None),
    }
}

/// A secret from the file `path`. One line break at its end is not part of it; `name` is how errors call
/// the setting.
///
/// # Errors
/// `Config` when the file cannot be read.
pub fn secret_file(name: &str, path: &Path) -> Result<SecretString> {
    let failed = |why: &str| unreadable(name, &format!("{}: {why}", path.display()));
    let length = fs::metadata(path).map_err(|error| failed(&error.to_string()))?.len();
    if length > LONGEST_SECRET {
        return Err(failed(&format!("it has {length} bytes; a secret has at most {LONGEST_SECRET}")));
    }
    let text = fs::read_to_string(path).map(Zeroizing::new).map_err(|error| failed(&error.to_string()))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(SecretString::from(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

fn unreadable(name: &str, why: &str) -> Error {
    Error::new(ErrorKind::Config, "read the environment", why).with_field(name)
}

/// References to secrets are names of environment variables, or of their `_FILE` twins.
#[derive(Debug, Clone, Copy, Default)]
pub struct EnvSecrets;

#[async_trait]
impl Secrets for EnvSecrets {
    async fn get(&self, name: &str) -> Result<Option<SecretString>> {
        let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !letters || name.is_empty() {
            return Err(unreadable(name, "no variable can have this name"));
        }
        secret(name)
    }
}

#[cfg(test)]
mod tests {
    use respaldo_core::ports::ExposeSecret;

    use super::*;

    #[test]
    fn a_secret_file_ends_with_at_most_one_line_break_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for (stored, secret) in
            [("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), (" a b \n\n", " a b \n"), ("", "")]
        {
            fs::write(&path, stored).unwrap();
            assert_eq!(secret_file("X_FILE", &path).unwrap().expose_secret(), secret);
        }
    }

    #[test]
    fn a_missing_secret_file_is_told_by_variable_and_path() {
        let error = secret_file("PGPASSWORD_FILE", Path::new("/nowhere/x")).unwrap_err();
        assert_eq!(error.field(), Some("PGPASSWORD_FILE"));
        assert!(error.message().contains("/nowhere/x"));
    }

    #[tokio::test]
    async fn a_name_that_no_variable_can_have_is_refused() {
        for name in ["", "A=B", "A B", "../x"] {
            assert!(EnvSecrets.get(name).await.is_err(), "{name}");
        }
        assert!(EnvSecrets.get("RESPALDO_SURELY_NOT_SET").await.unwrap().is_none());
    }
}
