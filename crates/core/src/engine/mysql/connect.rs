//! How the clients are told where to go and who they are: an option file of mode 0600, read instead of
//! every other.
//!
//! The database's name is the only text of a user that goes by argument, behind `--` or `=`, where it is
//! never read as an option.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::tools::{Client, Family};
use crate::engine::process::Invocation;
use crate::engine::source::Source;
use crate::model::Settings;
use crate::{Error, ErrorKind, Result};

/// Seconds that a client waits for a connection.
pub(super) const CONNECT_TIMEOUT: u64 = 15;

/// The modes, in MySQL's words.
pub(super) const TLS_MODES: [&str; 5] = ["disabled", "preferred", "required", "verify_ca", "verify_identity"];

/// Clients cut longer lines of an option file in two.
const LONGEST_VALUE: usize = 2_000;

/// Where distributions keep the certificates that this machine trusts.
const TRUSTED: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// A client that will connect there, its option file being written into the job's private folder.
pub(super) fn invoke(source: &Source, client: &Client) -> Result<Invocation> {
    let path = write_options(source, client.family)?;
    // Only as the first argument does it keep the client from reading other files.
    let mut first = std::ffi::OsString::from("--defaults-file=");
    first.push(&path);
    Ok(Invocation::new(&client.path, &source.staging).arg(first))
}

fn write_options(source: &Source, family: Family) -> Result<PathBuf> {
    let mut text = String::from("[client]\n");
    let mut set = |name: &str, value: &str| -> Result<()> {
        text.push_str(&format!("{name}={}\n", quoted(name, value)?));
        Ok(())
    };
    address(&source.settings, &mut set)?;
    if let Some(user) = &source.login.username {
        set("user", user)?;
    }
    if let Some(password) = &source.login.password {
        set("password", password.expose_secret())?;
    }
    for line in tls(source.settings.tls.as_deref(), family) {
        text.push_str(&line);
        text.push('\n');
    }
    let path = source.staging.join(format!("{}.cnf", family.as_str()));
    let told = |e: std::io::Error| Error::new(ErrorKind::Storage, "write an option file", e.to_string());
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).map_err(told)?;
    file.write_all(text.as_bytes()).map_err(told)?;
    Ok(path)
}

/// A host that is a path is a socket, or the folder of one. Every other is reached by TCP: the clients take
/// `localhost` for a socket whatever the port.
fn address(settings: &Settings, set: &mut impl FnMut(&str, &str) -> Result<()>) -> Result<()> {
    let host = settings.host.as_deref().unwrap_or_default();
    if host.starts_with('/') {
        let path = Path::new(host);
        let socket = if path.is_dir() { path.join("mysqld.sock") } else { path.to_owned() };
        set("protocol", "socket")?;
        return set("socket", &socket.to_string_lossy());
    }
    set("protocol", "tcp")?;
    set("host", host)?;
    settings.port.map_or(Ok(()), |port| set("port", &port.to_string()))
}

/// A value as option files hold it: in quotes, in which a backslash escapes.
fn quoted(name: &str, value: &str) -> Result<String> {
    let field = match name {
        "password" => "credentials.password",
        "user" => "credentials.username",
        name => name,
    };
    if value.contains(['\n', '\r', '\0']) {
        return Err(Error::invalid(
            field,
            "an option file of MySQL's clients cannot hold a line break or a NUL",
        ));
    }
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    if escaped.len() > LONGEST_VALUE {
        return Err(Error::invalid(
            field,
            format!("it has {} bytes; MySQL's clients take {LONGEST_VALUE}", value.len()),
        ));
    }
    Ok(format!("\"{escaped}\""))
}

/// The options for a mode. MariaDB's clients know neither the word nor all modes: theirs for `required` is
/// opportunistic (so the connection is looked at, see [`must_encrypt`]), and theirs for `verify_ca`
/// checks the name too.
fn tls(mode: Option<&str>, family: Family) -> Vec<String> {
    let Some(mode) = mode else { return Vec::new() };
    let verifies = mode.starts_with("verify");
    let authorities = TRUSTED.into_iter().find(|file| verifies && Path::new(file).exists());
    let mut lines = match (family, mode) {
        // Without encryption the password is sent under the server's public key, which must be asked for.
        (Family::Mysql, "disabled") => {
            vec!["ssl-mode=DISABLED".to_owned(), "loose-get-server-public-key".to_owned()]
        }
        (Family::Mysql, mode) => vec![format!("ssl-mode={}", mode.to_ascii_uppercase())],
        (Family::Mariadb, "disabled") => vec!["skip-ssl".to_owned()],
        (Family::Mariadb, _) if verifies => vec!["ssl".to_owned(), "ssl-verify-server-cert".to_owned()],
        (Family::Mariadb, _) => vec!["ssl".to_owned(), "skip-ssl-verify-server-cert".to_owned()],
    };
    lines.extend(authorities.map(|file| format!("ssl-ca={file}")));
    lines
}

/// Whether this mode forbids a connection in clear.
pub(super) fn must_encrypt(settings: &Settings) -> bool {
    settings.tls.as_ref().is_some_and(|mode| mode == "required" || mode.starts_with("verify"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_quoted_and_its_escapes_are_escaped() {
        assert_eq!(quoted("password", r#"a"b\n#;' x"#).unwrap(), r#""a\"b\\n#;' x""#);
        for bad in ["a\nb", "a\rb", "a\0b"] {
            assert_eq!(quoted("password", bad).unwrap_err().field(), Some("credentials.password"));
        }
        assert_eq!(quoted("user", &"\\".repeat(1_001)).unwrap_err().field(), Some("credentials.username"));
    }

    #[test]
    fn no_mode_that_must_encrypt_lets_mariadb_s_client_accept_any_certificate_unasked() {
        assert_eq!(tls(Some("verify_ca"), Family::Mariadb)[1], "ssl-verify-server-cert");
        assert_eq!(tls(Some("disabled"), Family::Mariadb), ["skip-ssl"]);
        assert_eq!(tls(Some("required"), Family::Mysql), ["ssl-mode=REQUIRED"]);
        assert!(tls(None, Family::Mysql).is_empty());
    }
}
