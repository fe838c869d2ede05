//! URLs of catalogs and storage: `scheme://place?parameter=value&…`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use respaldo_core::{Error, ErrorKind, Result};

/// A URL that carries no secret, split.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    field: &'static str,
    /// What stands before `://`.
    pub scheme: String,
    /// What stands between `://` and `?`.
    pub place: String,
    parameters: BTreeMap<String, String>,
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.place)
    }
}

impl Url {
    /// Splits a URL. `field` is the setting that it comes from, for errors.
    ///
    /// # Errors
    /// `Config`. A URL with a user name or a password is refused, and never shown.
    pub fn parse(field: &'static str, text: &str) -> Result<Self> {
        let refuse = |why: &str| Error::new(ErrorKind::Config, "read a URL", why).with_field(field);
        let (scheme, rest) = text.split_once("://").ok_or_else(|| {
            refuse("it is not a URL").with_mend("write e.g. file://data/backups or sqlite://data/catalog.db")
        })?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !matches!(scheme, "file" | "sqlite")
            && place.split('/').next().is_some_and(|authority| authority.contains('@'))
        {
            return Err(refuse("it holds credentials").with_mend(
                "take them out: they come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role",
            ));
        }
        let mut parameters = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value).ok_or_else(|| refuse("a parameter is not percent-encoded UTF-8"))?;
            if value.split_once("://").is_some_and(|(_, rest)| rest.contains('@')) {
                return Err(refuse("a parameter holds credentials").with_mend("take them out"));
            }
            if parameters.insert(name.to_owned(), value).is_some() {
                return Err(refuse("a parameter is given twice"));
            }
        }
        Ok(Self { field, scheme: scheme.to_owned(), place: place.to_owned(), parameters })
    }

    /// Takes a parameter.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.parameters.remove(name).filter(|value| !value.is_empty())
    }

    /// Takes a parameter that is `true` or `false`.
    pub fn take_flag(&mut self, name: &str) -> Result<Option<bool>> {
        self.take(name)
            .map(|value| value.parse().map_err(|_| self.refuse(format!("{name} must be true or false"))))
            .transpose()
    }

    /// Takes a parameter that is a number from 1 upwards.
    pub fn take_number(&mut self, name: &str) -> Result<Option<u64>> {
        let parsed = |value: String| value.parse().ok().filter(|number| *number > 0);
        self.take(name)
            .map(|value| {
                parsed(value).ok_or_else(|| self.refuse(format!("{name} must be a number from 1 upwards")))
            })
            .transpose()
    }

    /// Refuses parameters that nobody took. Only names are shown: a value may be a misplaced secret.
    pub fn finish(&self, allowed: &str) -> Result<()> {
        match self.parameters.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.refuse(format!("there is no parameter {name}; {allowed}"))),
        }
    }

    /// The place as a path of this machine: relative unless it begins with a slash.
    pub fn path(&self) -> Result<PathBuf> {
        if self.place.is_empty() {
            return Err(self.refuse(format!("it names no path; write e.g. {}://data/…", self.scheme)));
        }
        Ok(PathBuf::from(&self.place))
    }

    /// The refusal of this URL.
    pub fn refuse(&self, why: impl Into<String>) -> Error {
        Error::new(ErrorKind::Config, "read a URL", why).with_field(self.field)
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_and_its_parameters_decoded() {
        let mut url =
            Url::parse("storage", "s3://b/p/q?endpoint=http%3A%2F%2F127.0.0.1:9000&path_style=true").unwrap();
        assert_eq!((url.scheme.as_str(), url.place.as_str()), ("s3", "b/p/q"));
        assert_eq!(url.take("endpoint").as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(url.take_flag("path_style").unwrap(), Some(true));
        url.finish("").unwrap();
    }

    #[test]
    fn a_url_with_credentials_is_refused_and_not_shown() {
        for text in ["s3://AKIA:hunter2@bucket/x", "s3://b/x?endpoint=http://u:hunter2@h", "hunter2"] {
            let error = Url::parse("storage", text).unwrap_err();
            assert_eq!(error.field(), Some("storage"));
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_parameter_that_nobody_knows_is_refused_by_name_only() {
        let url = Url::parse("storage", "s3://b?secret_key=hunter2").unwrap();
        let error = url.finish("there are endpoint and region").unwrap_err();
        assert!(error.message().contains("secret_key") && !error.message().contains("hunter2"));
    }
}
