//! How `psql` and `pg_dump` are told where to go and who they are.
//!
//! Everything goes by variables, which libpq takes as they are: a name that begins with `-`, or holds
//! quotes or `=`, is never read as an option or as a connection string. The password goes into a
//! password file of mode 0600.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use crate::engine::process::Invocation;
use crate::engine::source::Source;
use crate::{Error, ErrorKind, Result};

/// Seconds that libpq waits for each address of a host.
pub(super) const CONNECT_TIMEOUT: u64 = 15;

/// Where distributions keep the certificates that this machine trusts. libpq by itself looks only into
/// the home folder, which is not a person's here.
const TRUSTED: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// A source's address and its password file.
#[derive(Clone)]
pub(super) struct Connection {
    variables: Vec<(&'static str, String)>,
    home: PathBuf,
}

impl Connection {
    /// Writes the password file into the job's private folder.
    pub(super) fn prepare(source: &Source) -> Result<Self> {
        let settings = &source.settings;
        let mut variables = vec![
            ("PGDATABASE", settings.database_name.clone()),
            ("PGCONNECT_TIMEOUT", CONNECT_TIMEOUT.to_string()),
            ("PGAPPNAME", "respaldo".to_owned()),
            // Timestamps with zone are dumped alike on every machine, so that fingerprints compare.
            ("PGTZ", "UTC".to_owned()),
        ];
        let mut set = |name, value: Option<String>| variables.extend(value.map(|value| (name, value)));
        set("PGHOST", settings.host.clone());
        set("PGPORT", settings.port.map(|port| port.to_string()));
        set("PGUSER", source.login.username.clone());
        let verifies = settings.tls.as_ref().is_some_and(|mode| mode.starts_with("verify"));
        set("PGSSLMODE", settings.tls.clone());
        set(
            "PGSSLROOTCERT",
            TRUSTED.into_iter().find(|file| verifies && Path::new(file).exists()).map(str::to_owned),
        );
        if let Some(password) = &source.login.password {
            let path = source.staging.join("pgpass");
            write_password(&path, password.expose_secret())?;
            variables.push(("PGPASSFILE", path.display().to_string()));
        }
        Ok(Self { variables, home: source.staging.clone() })
    }

    /// The same, to another database of that server.
    pub(super) fn at(&self, database: &str) -> Self {
        let mut other = self.clone();
        other.set("PGDATABASE", database);
        other
    }

    /// Sets one of libpq's variables. Never a secret.
    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.to_owned()));
    }

    /// A tool that will connect there.
    pub(super) fn invoke(&self, tool: &Path) -> Invocation {
        let invocation = Invocation::new(tool, &self.home);
        self.variables.iter().fold(invocation, |invocation, (name, value)| invocation.env(name, value))
    }
}

fn write_password(path: &Path, password: &str) -> Result<()> {
    if password.contains(['\n', '\r', '\0']) {
        return Err(Error::invalid(
            "credentials.password",
            "PostgreSQL's password file cannot hold a line break or a NUL",
        ));
    }
    let line = format!("*:*:*:*:{}\n", password.replace('\\', "\\\\").replace(':', "\\:"));
    let told = |e: std::io::Error| Error::new(ErrorKind::Storage, "write a password file", e.to_string());
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(told)?;
    file.write_all(line.as_bytes()).map_err(told)
}
