//! A database's user name and password: from a file, a variable, or typed without being shown.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use respaldo_adapters::environment;
use respaldo_core::ports::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use crate::failure::{Answer, Failure};
use crate::show::{note, secret};

/// No password is longer, in bytes.
const LONGEST: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(super) struct Login {
    /// The user name. Without a password beside it, a terminal is asked for one.
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// The file that holds the password, or - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "password_env")]
    password_file: Option<PathBuf>,
    /// The variable of this command's environment that holds the password.
    #[arg(long, value_name = "NAME")]
    password_env: Option<String>,
    // Whoever tries it is told where a password belongs.
    #[arg(long, hide = true, value_name = "PASSWORD")]
    password: Option<String>,
}

impl Login {
    /// Adds `credentials` to the fields, where a login is given.
    pub(super) fn add_to(&self, fields: &mut Map<String, Value>) -> Answer<()> {
        if self.password.is_some() {
            let why = "a command line can be read by others: a password does not belong there";
            return Err(Failure::usage("--password", why)
                .with_mend("give --password-file FILE (- is standard input) or --password-env NAME"));
        }
        let password = self.password()?;
        let mut login = Map::new();
        login.extend(self.username.as_ref().map(|name| ("username".to_owned(), json!(name))));
        login.extend(password.map(|password| ("password".to_owned(), json!(password.expose_secret()))));
        if !login.is_empty() {
            fields.insert("credentials".to_owned(), Value::Object(login));
        }
        Ok(())
    }

    fn password(&self) -> Answer<Option<SecretString>> {
        match (&self.password_file, &self.password_env) {
            (Some(file), _) if file == Path::new("-") => piped().map(Some),
            (Some(file), _) => Ok(Some(environment::secret_file("--password-file", file)?)),
            (None, Some(name)) => {
                let password = environment::variable(name)?.map(SecretString::from);
                let unset = || Failure::usage("--password-env", format!("the variable {name} is not set"));
                password.ok_or_else(unset).map(Some)
            }
            (None, None) if self.username.is_none() => Ok(None),
            (None, None) => {
                let typed = secret("Password (none: just Enter): ")?;
                if typed.is_none() {
                    note("no password is sent: there is no terminal to ask on, and no --password-file");
                }
                Ok(typed.filter(|typed| !typed.expose_secret().is_empty()))
            }
        }
    }
}

/// From standard input; one line break at its end is not part of it.
fn piped() -> Answer<SecretString> {
    let refused = |why: String| Failure::usage("--password-file", format!("standard input: {why}"));
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = std::io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text);
    read.map_err(|error| refused(error.to_string()))?;
    if text.len() as u64 > LONGEST {
        return Err(refused(format!("a password has at most {LONGEST} bytes")));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(SecretString::from(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}
