//! Where a MongoDB server is: one host, the hosts of a replica set, a socket, or a DNS name that tells them.
//!
//! The driver and MongoDB's own tools read the same connection string, so it is made once, here. The user and the
//! password are in it only where it goes into a file of mode 0600.

use std::fmt::Write as _;
use std::path::Path;

use secrecy::ExposeSecret;

use crate::engine::source::{ResolvedLogin, Source};
use crate::model::Settings;
use crate::{Error, Result};

/// The modes, in words of our own: the tools have switches for them.
pub(super) const TLS_MODES: [&str; 3] = ["disable", "enable", "insecure"];
/// What a name that stands for a whole deployment begins with.
const SRV: &str = "mongodb+srv://";
/// Where a user is defined when nobody says otherwise.
pub(super) const AUTH_SOURCE: &str = "admin";
/// Seconds that a connection may take.
pub(super) const CONNECT_TIMEOUT: u64 = 15;
/// Replica sets have 50 members at most.
const MOST_HOSTS: usize = 50;

/// Where distributions keep the certificates that this machine trusts.
const TRUSTED: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Whether the host is a name whose SRV record tells the servers.
pub(super) fn is_srv(settings: &Settings) -> bool {
    settings.host.as_deref().is_some_and(|host| host.starts_with(SRV))
}

/// Whether one server is meant, and no deployment that it may be a member of.
pub(super) fn is_direct(settings: &Settings) -> bool {
    let several = settings.host.as_deref().is_some_and(|host| host.contains(','));
    settings.replica_set.is_none() && !several && !is_srv(settings)
}

/// Checks the host and the port, and puts in the port that is usual.
///
/// # Errors
/// `Invalid` with the field.
pub(crate) fn well_formed(settings: &mut Settings) -> Result<()> {
    let host = settings.host.as_deref().unwrap_or_default();
    if let Some(name) = host.strip_prefix(SRV) {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() || !name.chars().all(plain) {
            let message = format!("{SRV} is followed by a name alone, without user, port, path and options");
            return Err(Error::invalid("host", message)
                .with_mend("give user and password as credentials, the database as database_name"));
        }
        if settings.port.is_some() {
            return Err(Error::invalid("port", "the DNS entry of a mongodb+srv name tells the ports")
                .with_mend("leave port out"));
        }
        return Ok(());
    }
    if host.contains("://") {
        return Err(Error::invalid("host", "a URL is no host")
            .with_mend("write name, name:port, a list a:27017,b:27017, or mongodb+srv://NAME"));
    }
    let hosts: Vec<&str> = host.split(',').collect();
    if hosts.len() > MOST_HOSTS {
        return Err(Error::invalid("host", format!("at most {MOST_HOSTS} hosts are allowed")));
    }
    for host in &hosts {
        split(host)?;
    }
    settings.port = settings.port.or(settings.engine.default_port());
    Ok(())
}

/// A host and its own port.
fn split(text: &str) -> Result<(&str, Option<u16>)> {
    let refused = |why: String| Error::invalid("host", why);
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%' | '/');
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or(rest))),
        None if text.matches(':').count() == 1 && !text.starts_with('/') => {
            text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
        }
        None => (text, None),
    };
    if host.is_empty() || host.starts_with('-') || !host.chars().all(plain) {
        let message =
            "each host is a name, an address or a socket's path, with :port where it has one of its own";
        return Err(refused(message.to_owned()));
    }
    let number = |port: &str| port.parse::<u16>().ok().filter(|port| *port > 0);
    let port = port.map(|port| {
        let message = || refused(format!("{port:?} is no port; allowed are 1 to 65535"));
        number(port).ok_or_else(message)
    });
    Ok((host, port.transpose()?))
}

/// The connection string without user and password.
pub(super) fn url(settings: &Settings) -> Result<String> {
    build(settings, "")
}

/// The whole connection string, for a file that nobody else reads.
pub(super) fn secret_url(source: &Source) -> Result<String> {
    build(&source.settings, &userinfo(&source.login))
}

fn userinfo(login: &ResolvedLogin) -> String {
    let Some(user) = &login.username else { return String::new() };
    let password = login.password.as_ref().map(|password| format!(":{}", encoded(password.expose_secret())));
    format!("{}{}@", encoded(user), password.unwrap_or_default())
}

fn build(settings: &Settings, userinfo: &str) -> Result<String> {
    let host = settings.host.as_deref().unwrap_or_default();
    let (scheme, hosts) = match host.strip_prefix(SRV) {
        Some(name) => (SRV, name.to_owned()),
        None => ("mongodb://", listed(host, settings.port)?),
    };
    let mut url = format!("{scheme}{userinfo}{hosts}/?");
    let mut add = |name: &str, value: &str| {
        let and = if url.ends_with('?') { "" } else { "&" };
        url.push_str(&format!("{and}{name}={}", encoded(value)));
    };
    if !userinfo.is_empty() {
        add("authSource", settings.auth_source.as_deref().unwrap_or(AUTH_SOURCE));
    }
    if let Some(set) = &settings.replica_set {
        add("replicaSet", set);
    }
    if is_direct(settings) {
        add("directConnection", "true");
    }
    match settings.tls.as_deref() {
        Some("disable") => add("tls", "false"),
        Some(mode) => {
            add("tls", "true");
            let authorities = TRUSTED.into_iter().find(|file| Path::new(file).exists());
            match (mode, authorities) {
                ("insecure", _) => add("tlsInsecure", "true"),
                (_, Some(file)) => add("tlsCAFile", file),
                (_, None) => {}
            }
        }
        None => {}
    }
    let milliseconds = (CONNECT_TIMEOUT * 1_000).to_string();
    add("connectTimeoutMS", &milliseconds);
    add("serverSelectionTimeoutMS", &milliseconds);
    add("appName", "respaldo");
    Ok(url)
}

fn listed(hosts: &str, port: Option<u16>) -> Result<String> {
    let mut list = String::new();
    for item in hosts.split(',') {
        let (host, own) = split(item)?;
        let comma = if list.is_empty() { "" } else { "," };
        let shown = match host {
            socket if socket.starts_with('/') => encoded(socket),
            six if six.contains(':') => format!("[{six}]"),
            name => name.to_owned(),
        };
        list.push_str(&format!("{comma}{shown}"));
        if let Some(port) = own.or(port).filter(|_| !host.starts_with('/')) {
            list.push_str(&format!(":{port}"));
        }
    }
    Ok(list)
}

/// Percent-encoded, but for what no reader could take for anything else.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                let _infallible = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EngineKind;

    fn at(host: &str) -> Settings {
        Settings { host: Some(host.to_owned()), ..Settings::bare("n", EngineKind::Mongodb, "shop") }
    }

    fn checked(host: &str) -> Result<Settings> {
        let mut settings = at(host);
        well_formed(&mut settings).map(|()| settings)
    }

    #[test]
    fn every_way_to_name_servers_becomes_one_connection_string() {
        for (host, expected) in [
            ("db.example.com", "mongodb://db.example.com:27017/?directConnection=true"),
            ("db:27018", "mongodb://db:27018/?directConnection=true"),
            ("::1", "mongodb://[::1]:27017/?directConnection=true"),
            ("[::1]:3", "mongodb://[::1]:3/?directConnection=true"),
            ("a:1,b", "mongodb://a:1,b:27017/?connectTimeoutMS"),
            ("/run/m.sock", "mongodb://%2Frun%2Fm.sock/?directConnection=true"),
            ("mongodb+srv://cluster0.example.net", "mongodb+srv://cluster0.example.net/?connectTimeoutMS"),
        ] {
            let url = url(&checked(host).unwrap()).unwrap();
            assert!(url.starts_with(expected), "{url}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused_by_its_field() {
        for host in [
            "mongodb://u:p@h/x",
            "mongodb+srv://u:p@h.example.net",
            "mongodb+srv://h.example.net/x?y=z",
            "mongodb+srv://",
            "a,,b",
            "a:0",
            "a:x",
            "a b",
            "-a",
            "a@b",
            "a?b=c",
            "[::1",
            "[::1]x",
        ] {
            assert_eq!(checked(host).unwrap_err().field(), Some("host"), "{host}");
        }
        let mut with_port = Settings { port: Some(1), ..at("mongodb+srv://h.example.net") };
        assert_eq!(well_formed(&mut with_port).unwrap_err().field(), Some("port"));
        assert_eq!(checked("h").unwrap().port, Some(27017));
        assert_eq!(checked("mongodb+srv://h.example.net").unwrap().port, None);
    }

    #[test]
    fn a_password_of_special_characters_is_encoded_byte_for_byte() {
        let login = ResolvedLogin {
            username: Some("a@b".to_owned()),
            password: Some("p:/?#[]@ %\"\\'ñ\u{7f}".to_owned().into()),
        };
        assert_eq!(userinfo(&login), "a%40b:p%3A%2F%3F%23%5B%5D%40%20%25%22%5C%27%C3%B1%7F@");
    }
}
