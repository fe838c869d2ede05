//! Keys: which were given to the server, and what those that a caller shows open.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use respaldo_core::ports::{ExposeSecret as _, SecretString};
use respaldo_core::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::Scope;

/// The settings that hold the keys: admin, restore, delete.
const NAMES: [&str; 3] = ["ADMIN_API_KEY", "BACKUP_RESTORE_API_KEY", "BACKUP_DELETE_API_KEY"];

/// The digest of a key. Keys are compared by digest, so that neither their length nor their first
/// wrong character can be measured.
type KeyDigest = [u8; 32];

/// The keys of a server. A scope without a key of its own is served by the admin key.
#[derive(Clone)]
pub struct Keys {
    admin: KeyDigest,
    restore: KeyDigest,
    delete: KeyDigest,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// Takes the values of `ADMIN_API_KEY`, `BACKUP_RESTORE_API_KEY` and `BACKUP_DELETE_API_KEY`.
    /// They are kept as digests only.
    ///
    /// # Errors
    /// `Config` when a key is empty, cannot stand in a header, or the admin key is missing: nobody
    /// could then register a database.
    pub fn new(admin: Option<&str>, restore: Option<&str>, delete: Option<&str>) -> Result<Self> {
        let admin = checked(NAMES[0], admin)?.ok_or_else(|| {
            refused(NAMES[0], "it is not set, though another key is")
                .with_mend("set it: it serves whatever has no key of its own")
        })?;
        let restore = checked(NAMES[1], restore)?.unwrap_or(admin);
        let delete = checked(NAMES[2], delete)?.unwrap_or(admin);
        Ok(Self { admin, restore, delete })
    }

    /// Asks for the keys by the names of their settings; none: no key is set.
    ///
    /// # Errors
    /// As [`Keys::new`], and whatever `look_up` answers.
    pub fn read(look_up: impl Fn(&str) -> Result<Option<SecretString>>) -> Result<Option<Self>> {
        let [admin, restore, delete] = [look_up(NAMES[0])?, look_up(NAMES[1])?, look_up(NAMES[2])?];
        if admin.is_none() && restore.is_none() && delete.is_none() {
            return Ok(None);
        }
        let text = |key: &Option<SecretString>| key.as_ref().map(|key| key.expose_secret().to_owned());
        Self::new(text(&admin).as_deref(), text(&restore).as_deref(), text(&delete).as_deref()).map(Some)
    }

    /// What the keys that a request shows open.
    pub(super) fn shown(&self, headers: &HeaderMap) -> Shown {
        let named = ["x-admin-key", "x-restore-key", "x-delete-key"];
        let named =
            named.iter().flat_map(|name| headers.get_all(*name)).map(axum::http::HeaderValue::as_bytes);
        let bearer = headers.get_all(AUTHORIZATION).iter().filter_map(|value| bearer(value.as_bytes()));
        let mut granted = Granted::default();
        for key in named.chain(bearer) {
            let digest = digest(key.trim_ascii());
            granted.admin |= bool::from(digest.ct_eq(&self.admin));
            granted.restore |= bool::from(digest.ct_eq(&self.restore));
            granted.delete |= bool::from(digest.ct_eq(&self.delete));
        }
        Shown { granted, known: granted != Granted::default() }
    }
}

fn checked(name: &str, key: Option<&str>) -> Result<Option<KeyDigest>> {
    let Some(key) = key.map(str::trim) else { return Ok(None) };
    if key.is_empty() {
        return Err(refused(name, "it is set and empty").with_mend("give it a value, or do not set it"));
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refused(name, "it holds characters that a header cannot carry")
            .with_mend("use letters, digits and signs without spaces"));
    }
    Ok(Some(digest(key.as_bytes())))
}

fn refused(name: &str, why: &str) -> Error {
    Error::new(ErrorKind::Config, "read the API keys", why).with_field(name)
}

fn digest(key: &[u8]) -> KeyDigest {
    Sha256::digest(key).into()
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

pub(super) struct Shown {
    pub(super) granted: Granted,
    /// Whether any of the keys is one of ours.
    pub(super) known: bool,
}

/// The scopes that a request's keys open. Handlers find it among the request's extensions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Granted {
    admin: bool,
    restore: bool,
    delete: bool,
}

impl Granted {
    /// Every scope: nobody is told apart.
    pub fn everything() -> Self {
        Self { admin: true, restore: true, delete: true }
    }

    /// The scopes, for the log.
    pub(crate) fn names(self) -> String {
        let all = [(self.admin, "admin"), (self.restore, "restore"), (self.delete, "delete")];
        let open: Vec<&str> = all.iter().filter_map(|(open, name)| open.then_some(*name)).collect();
        open.join(", ")
    }

    /// Whether this scope is open.
    pub fn has(self, scope: Scope) -> bool {
        match scope {
            Scope::Public => true,
            Scope::Admin => self.admin,
            Scope::Restore => self.restore,
            Scope::Delete => self.delete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_keys_without_the_admin_key_is_refused() {
        let error = Keys::new(None, None, Some("d")).unwrap_err();
        assert_eq!(error.field(), Some("ADMIN_API_KEY"));
    }

    #[test]
    fn keys_are_asked_for_by_name_and_without_any_there_are_none() {
        assert!(Keys::read(|_| Ok(None)).unwrap().is_none());
        let one =
            |name: &str| Ok((name == "BACKUP_DELETE_API_KEY").then(|| SecretString::from("d".to_owned())));
        assert_eq!(Keys::read(one).unwrap_err().field(), Some("ADMIN_API_KEY"));
        let all = Keys::read(|name| Ok(Some(SecretString::from(name.to_owned())))).unwrap().unwrap();
        let headers = HeaderMap::from_iter([(
            axum::http::HeaderName::from_static("x-delete-key"),
            axum::http::HeaderValue::from_static("BACKUP_DELETE_API_KEY"),
        )]);
        let granted = all.shown(&headers).granted;
        assert!(granted.has(Scope::Delete) && !granted.has(Scope::Admin) && !granted.has(Scope::Restore));
    }

    #[test]
    fn a_key_that_is_empty_or_cannot_be_sent_is_refused_without_being_shown() {
        for key in ["", " \n", "clé", "two words"] {
            let error = Keys::new(Some(key), None, None).unwrap_err();
            assert!(key.trim().is_empty() || !error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn debugging_shows_nothing_of_a_key() {
        assert_eq!(format!("{:?}", Keys::new(Some("a"), None, None).unwrap()), "Keys");
    }
}
