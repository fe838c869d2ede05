//! Where a rescued dump goes, as a URL: `postgres://user@host:port/db`, `mysql://…`, `mariadb://…`,
//! `mongodb://user@a:1,b:2/db?authSource=…&replicaSet=…`, `mongodb+srv://…`, `sqlite:///path`.

use std::path::{Path, PathBuf};

use crate::databases;
use crate::model::{EngineKind, Settings};
use crate::{Error, Result};

const FIELD: &str = "to";
const EXAMPLES: &str = "write e.g. postgres://user@host:5432/db, mysql://user@host/db, mongodb://user@host/db or \
     sqlite:///path/of/file.db";

/// A database to restore into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetUrl {
    /// The kind of database.
    pub engine: EngineKind,
    /// The server's name or address; none for a file.
    pub host: Option<String>,
    /// Its port; none: the engine's own.
    pub port: Option<u16>,
    /// Who logs in.
    pub user: Option<String>,
    /// The database's name; for SQLite the path of its file.
    pub database_name: String,
    /// The TLS mode in the engine's own words (`?tls=`).
    pub tls: Option<String>,
    /// MongoDB: the database that the user is defined in (`?authSource=`).
    pub auth_source: Option<String>,
    /// MongoDB: the replica set that the hosts belong to (`?replicaSet=`).
    pub replica_set: Option<String>,
}

impl TargetUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// `Invalid` with the field `to`. A URL that holds a password is refused, because every user of the machine
    /// can read a command line; it is never shown.
    pub fn parse(text: &str) -> Result<Self> {
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| refused("it is not a URL").with_mend(EXAMPLES))?;
        let engine = match scheme {
            "postgres" | "postgresql" => EngineKind::Postgres,
            "mysql" => EngineKind::Mysql,
            "mariadb" => EngineKind::Mariadb,
            "sqlite" => EngineKind::Sqlite,
            "mongodb" | "mongodb+srv" => EngineKind::Mongodb,
            _ => return Err(refused("no database is reached by such a URL").with_mend(EXAMPLES)),
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        if engine == EngineKind::Sqlite {
            return Self::file(place, query);
        }
        let (authority, name) =
            place.split_once('/').ok_or_else(|| refused("it names no database").with_mend(EXAMPLES))?;
        let (user, server) = match authority.rsplit_once('@') {
            Some((user, server)) => (Some(user), server),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(refused("it holds a password, which every user of this machine could read")
                .with_mend(
                    "take it out, and set RESPALDO_TARGET_PASSWORD or RESPALDO_TARGET_PASSWORD_FILE",
                ));
        }
        let (host, port) = match scheme {
            "mongodb+srv" => (format!("{scheme}://{server}"), None),
            // Each of several hosts may have a port of its own.
            "mongodb" => (decode(server)?, None),
            _ => server_of(server)?,
        };
        let database_name = decode(name)?;
        if database_name.is_empty() || name.contains('/') {
            return Err(refused("it names no database").with_mend(EXAMPLES));
        }
        let [tls, auth_source, replica_set] = parameters(query, engine)?;
        let user = user.map(decode).transpose()?.filter(|user| !user.is_empty());
        Ok(Self { engine, host: Some(host), port, user, database_name, tls, auth_source, replica_set })
    }

    fn file(place: &str, query: &str) -> Result<Self> {
        if !query.is_empty() {
            return Err(refused("sqlite:// takes no parameters"));
        }
        let path = decode(place)?;
        if path.is_empty() || path.ends_with('/') {
            return Err(refused("it names no file").with_mend(EXAMPLES));
        }
        let (engine, database_name) = (EngineKind::Sqlite, path);
        let (host, port, user, tls) = (None, None, None, None);
        Ok(Self { engine, host, port, user, database_name, tls, auth_source: None, replica_set: None })
    }

    /// Settings that reach this database, with the engine's own port where none is given.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            host: self.host.clone(),
            port: self.usual_port(),
            enabled: false,
            tls: self.tls.clone(),
            auth_source: self.auth_source.clone(),
            replica_set: self.replica_set.clone(),
            ..Settings::bare(self.database_name.clone(), self.engine, self.database_name.clone())
        }
    }

    /// Of MongoDB's hosts the engine knows which lacks a port.
    fn usual_port(&self) -> Option<u16> {
        let usual = self.engine.default_port().filter(|_| self.engine != EngineKind::Mongodb);
        self.port.or(usual)
    }

    /// The folder that a file lies in.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        let folder = Path::new(&self.database_name).parent().filter(|_| self.engine == EngineKind::Sqlite)?;
        Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() })
    }

    /// The settings, if an engine takes them.
    ///
    /// # Errors
    /// `Invalid`, with the part after `to.`.
    pub(super) fn check(&self) -> Result<Settings> {
        databases::well_formed(self.settings()).map_err(|e| {
            let field = e.field().map_or_else(|| FIELD.to_owned(), |field| format!("{FIELD}.{field}"));
            e.with_field(field)
        })
    }
}

impl std::fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.engine, self.database_name)?;
        match (&self.host, self.usual_port()) {
            (Some(host), Some(port)) => write!(f, " at {host}:{port}"),
            (Some(host), None) => write!(f, " at {host}"),
            _ => Ok(()),
        }
    }
}

/// Host and port; an IPv6 address stands in brackets, a socket's folder percent-encoded.
fn server_of(text: &str) -> Result<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => (address.to_owned(), rest.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, port)) => (decode(host)?, Some(port)),
            None => (decode(text)?, None),
        },
    };
    if host.is_empty() {
        return Err(refused("it names no host").with_mend(EXAMPLES));
    }
    let number = |port: &str| port.parse::<u16>().ok().filter(|port| *port > 0);
    let port = port.map(|port| number(port).ok_or_else(|| refused("its port is no number from 1 to 65535")));
    Ok((host, port.transpose()?))
}

/// The values of `tls`, and for MongoDB of `authSource` and `replicaSet`.
fn parameters(query: &str, engine: EngineKind) -> Result<[Option<String>; 3]> {
    let mut values = [const { None }; 3];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = match name {
            "tls" | "sslmode" => 0,
            "authSource" if engine == EngineKind::Mongodb => 1,
            "replicaSet" if engine == EngineKind::Mongodb => 2,
            // Only names are shown: a value may be a misplaced secret.
            _ if engine == EngineKind::Mongodb => {
                return Err(refused("there are three parameters, tls, authSource and replicaSet"));
            }
            _ => return Err(refused("there is one parameter, tls")),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let value = decode(value)?;
        let known = place > 0 || value.chars().all(plain);
        if value.is_empty() || !known || values[place].is_some() {
            return Err(refused(match place {
                0 => "its tls is no mode, such as require or REQUIRED",
                _ => "authSource and replicaSet are given once, each with a name",
            }));
        }
        values[place] = Some(value);
    }
    Ok(values)
}

fn decode(text: &str) -> Result<String> {
    let unreadable = || refused("it is not percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16)).ok_or_else(unreadable);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).map_err(|_| unreadable())?);
    }
    String::from_utf8(bytes).map_err(|_| unreadable())
}

fn refused(why: &str) -> Error {
    Error::invalid(FIELD, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_engine_server_user_and_database() {
        let url = TargetUrl::parse("postgres://ana%40x@db.example:6432/my%2Fshop?tls=require").unwrap();
        assert_eq!(url.engine, EngineKind::Postgres);
        assert_eq!((url.host.as_deref(), url.port), (Some("db.example"), Some(6432)));
        assert_eq!((url.user.as_deref(), url.database_name.as_str()), (Some("ana@x"), "my/shop"));
        assert_eq!(url.tls.as_deref(), Some("require"));
        let socket = TargetUrl::parse("mariadb://%2Frun%2Fmysqld/shop").unwrap();
        assert_eq!((socket.host.as_deref(), socket.settings().port), (Some("/run/mysqld"), Some(3306)));
        let six = TargetUrl::parse("mysql://root@[::1]:3307/shop").unwrap();
        assert_eq!((six.host.as_deref(), six.port), (Some("::1"), Some(3307)));
        let set =
            TargetUrl::parse("mongodb://ana@a:1,b/shop?replicaSet=rs0&authSource=shop&tls=enable").unwrap();
        let settings = set.check().unwrap();
        assert_eq!((settings.host.as_deref(), settings.port), (Some("a:1,b"), Some(27017)));
        assert_eq!(
            (settings.replica_set.as_deref(), settings.auth_source.as_deref()),
            (Some("rs0"), Some("shop"))
        );
        let srv = TargetUrl::parse("mongodb+srv://ana@c.example.net/shop").unwrap().check().unwrap();
        assert_eq!((srv.host.as_deref(), srv.port), (Some("mongodb+srv://c.example.net"), None));
        let file = TargetUrl::parse("sqlite:///srv/a b.db").unwrap();
        assert_eq!((file.database_name.as_str(), file.host), ("/srv/a b.db", None));
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_shown() {
        for text in [
            "postgres://u:hunter2@h/db",
            "mysql://u:hunter2@h:1/db",
            "postgres://u@h/db?password=hunter2",
            "mongodb://u:hunter2@h/db",
            "mongodb://u@h/db?authMechanismProperties=hunter2",
        ] {
            let error = TargetUrl::parse(text).unwrap_err();
            assert_eq!(error.field(), Some("to"));
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_an_example() {
        for text in [
            "",
            "shop",
            "ftp://h/db",
            "postgres://h",
            "postgres://h/",
            "postgres:///db",
            "sqlite://",
            "postgres://h:0/db",
            "postgres://h:x/db",
            "postgres://h/a%2",
            "mysql://h/a/b",
            "sqlite:///x?mode=ro",
        ] {
            assert_eq!(TargetUrl::parse(text).unwrap_err().field(), Some("to"), "{text}");
        }
    }
}
