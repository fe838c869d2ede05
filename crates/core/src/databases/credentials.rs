//! Credentials: sealed when they come by API, looked up when they are referred to, opened only for
//! the job that needs them.

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::app::App;
use crate::engine::ResolvedLogin;
use crate::keyring::{MasterKey, SealedSecret};
use crate::model::{Credentials, Database, DatabaseUid};
use crate::ports::{SecretName, SecretString};
use crate::{Error, ErrorKind, Result};

const LONGEST: usize = 4096;

/// A user name and a password as somebody gave them.
#[derive(Debug, Clone, Default)]
pub struct Login {
    /// The user name.
    pub username: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    username: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    password: Option<std::borrow::Cow<'a, str>>,
}

/// Seals a login for one database: moved to another record, it cannot be opened.
pub(super) fn seal(app: &App, uid: DatabaseUid, login: &Login) -> Result<Credentials> {
    let password = login.password.as_ref().map(ExposeSecret::expose_secret);
    for (field, value) in
        [("credentials.username", login.username.as_deref()), ("credentials.password", password)]
    {
        if value.is_some_and(|value| value.len() > LONGEST || value.contains('\0')) {
            return Err(Error::invalid(field, format!("at most {LONGEST} bytes without NUL are allowed")));
        }
    }
    if login.username.is_none() && password.is_none() {
        return Ok(Credentials::None);
    }
    let stored =
        Stored { username: login.username.as_deref().map(Into::into), password: password.map(Into::into) };
    let text = serde_json::to_string(&stored).map_err(|e| Error::internal("seal credentials", e))?;
    let mut nonce = [0; 24];
    app.ids.random(&mut nonce);
    let secret = app.key.seal_secret(&bound_to(uid), &SecretString::from(text), nonce)?;
    Ok(Credentials::Sealed { secret })
}

/// A database's credentials, ready to be used, or what is missing.
pub async fn login(app: &App, database: &Database) -> Result<ResolvedLogin> {
    match &database.credentials {
        Credentials::None => Ok(ResolvedLogin::default()),
        Credentials::Sealed { secret } => {
            let text = app.key.open_secret(&bound_to(database.uid), secret)?;
            let text = Zeroizing::new(text.expose_secret().to_owned());
            let stored: Stored<'_> = serde_json::from_str(&text)
                .map_err(|_| Error::internal("open credentials", "what was sealed is no login"))?;
            Ok(ResolvedLogin {
                username: stored.username.map(std::borrow::Cow::into_owned),
                password: stored.password.map(|password| SecretString::from(password.into_owned())),
            })
        }
        Credentials::Reference { username_var, password_var } => {
            referred(app, username_var.as_deref(), password_var.as_deref()).await
        }
    }
}

/// The credentials that these variables hold.
pub(crate) async fn referred(
    app: &App,
    username_var: Option<&str>,
    password_var: Option<&str>,
) -> Result<ResolvedLogin> {
    let username = variable(app, "username_var", username_var).await?;
    let password = variable(app, "password_var", password_var).await?;
    Ok(ResolvedLogin { username: username.map(|name| name.expose_secret().to_owned()), password })
}

/// Whether sealed credentials of a database open under this key.
pub(crate) fn opens(key: &MasterKey, uid: DatabaseUid, secret: &SealedSecret) -> Result<()> {
    key.open_secret(&bound_to(uid), secret).map(drop)
}

async fn variable(app: &App, field: &str, name: Option<&str>) -> Result<Option<SecretString>> {
    let Some(name) = name else { return Ok(None) };
    let value = app.secrets.get(name).await?;
    value.map(Some).ok_or_else(|| {
        let error = |why: String, mend: String| {
            Error::new(ErrorKind::Config, "look up credentials", why).with_field(field).with_mend(mend)
        };
        if SecretName::parse(name).is_ok_and(|name| name.is_stored()) {
            return error(format!("there is no secret {name}"), "check its name and its region".to_owned());
        }
        error(
            format!("the variable {name} is not set"),
            format!("set {name} (or {name}_FILE, or {name}_FROM) where the server starts"),
        )
    })
}

fn bound_to(uid: DatabaseUid) -> String {
    format!("databases/{uid}/credentials")
}
