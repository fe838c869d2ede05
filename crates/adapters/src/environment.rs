//! Environment variables, read here alone.
#![expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use respaldo_core::ports::{SecretName, SecretString};
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

/// Secrets that [`keep`] was given, by the variables that they stand for.
static KEPT: Mutex<BTreeMap<String, SecretString>> = Mutex::new(BTreeMap::new());

/// A secret from the variable `NAME`, from the file that `NAME_FILE` names, or from the store of secrets that
/// `NAME_FROM` points into. One line break at the file's end is not part of it.
///
/// # Errors
/// `Config` when more than one is set, the file cannot be read, or nobody has fetched what `NAME_FROM` names.
pub fn secret(name: &str) -> Result<Option<SecretString>> {
    let from_file = format!("{name}_FILE");
    let set = (variable(name)?, variable(&from_file)?, reference(name)?);
    match set {
        (None, None, None) => Ok(None),
        (Some(value), None, None) => Ok(Some(SecretString::from(value))),
        (None, Some(path), None) => secret_file(&from_file, Path::new(&path)).map(Some),
        (None, None, Some(from)) => {
            let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
            kept.get(name).cloned().map(Some).ok_or_else(|| {
                unreadable(&format!("{name}_FROM"), &format!("this program has not fetched {from}"))
                    .with_mend(format!("give the secret in {name} or {from_file}"))
            })
        }
        _ => Err(unreadable(
            name,
            &format!("two of {name}, {from_file} and {name}_FROM are set; set one of them"),
        )),
    }
}

/// What `NAME_FROM` names.
///
/// # Errors
/// `Config` when it names no secret of a store.
pub fn reference(name: &str) -> Result<Option<SecretName>> {
    let from = format!("{name}_FROM");
    let Some(text) = variable(&from)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    match SecretName::parse(&text) {
        Ok(stored) if stored.is_stored() => Ok(Some(stored)),
        _ => Err(unreadable(&from, "it names no secret of a store")
            .with_mend("write secretsmanager:ID, secretsmanager:ID#FIELD or ssm:NAME")),
    }
}

/// Keeps, for [`secret`], what was fetched for `NAME_FROM`.
pub fn keep(name: &str, fetched: SecretString) {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), fetched);
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
}
