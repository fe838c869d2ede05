//! Where the server is, and which key is shown to it.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use reqwest::Url;
use respaldo_adapters::environment;
use respaldo_core::ports::{ExposeSecret as _, SecretString};

use crate::failure::{Answer, Failure};

const SERVER: &str = "http://127.0.0.1:8000";

/// Which server is asked, and how the answer is told.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server and output")]
pub(crate) struct Api {
    /// The server's address [environment: RESPALDO_URL] [default: http://127.0.0.1:8000].
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// A file that holds the server's key; else it is in RESPALDO_KEY, or in the file that RESPALDO_KEY_FILE names.
    #[arg(long, global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,
    // Whoever tries it is told where a key belongs.
    #[arg(long, global = true, hide = true, value_name = "KEY")]
    key: Option<String>,
    /// Shows the key to a server that is on another machine and not encrypted [environment: RESPALDO_INSECURE=1].
    #[arg(long, global = true)]
    insecure: bool,
    /// How long the server may be silent before it counts as unreachable.
    #[arg(
        long, global = true, value_name = "SECONDS", default_value_t = 120,
        value_parser = clap::value_parser!(u64).range(1..=3_600)
    )]
    pub(super) timeout: u64,
    /// Prints one JSON document, the API's own objects; problems are JSON too, on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Shows neither log nor progress.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

impl Api {
    /// The address: flag over environment over default.
    pub(super) fn base(&self) -> Answer<Url> {
        if let Some(base) = &self.server {
            return address("--server", base);
        }
        match environment::variable("RESPALDO_URL")?.filter(|base| !base.is_empty()) {
            Some(base) => address("RESPALDO_URL", &base),
            None => address("--server", SERVER),
        }
    }

    /// The key, where there is one.
    pub(super) fn key(&self) -> Answer<Option<SecretString>> {
        if self.key.is_some() {
            let why = "a command line can be read by others: a key does not belong there";
            return Err(Failure::usage("--key", why)
                .with_mend("set RESPALDO_KEY or RESPALDO_KEY_FILE, or give --key-file FILE"));
        }
        let key = match &self.key_file {
            Some(file) => Some(environment::secret_file("--key-file", file)?),
            None => environment::secret("RESPALDO_KEY")?,
        };
        Ok(key.filter(|key| !key.expose_secret().trim().is_empty()))
    }

    /// Whether a key may be shown over an open line.
    pub(super) fn is_insecure(&self) -> Answer<bool> {
        Ok(self.insecure || environment::variable("RESPALDO_INSECURE")?.as_deref() == Some("1"))
    }
}

fn address(field: &str, text: &str) -> Answer<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url
        .ok_or_else(|| Failure::usage(field, "it must be an address such as https://backups.example.com"))?;
    if !url.username().is_empty() || url.password().is_some() {
        let why = "it holds a user name or a password, which others could read there";
        return Err(Failure::usage(field, why).with_mend("take them out, and set RESPALDO_KEY"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Failure::usage(field, "it must end with the host, the port or a path"));
    }
    Ok(url)
}

/// Whether what is sent there stays on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn an_address_is_http_without_a_secret() {
        for good in ["http://127.0.0.1:8000", "https://b.example.com/respaldo/", "http://[::1]:8000"] {
            assert!(address("--server", good).is_ok(), "{good}");
        }
        for bad in ["", "localhost:8000", "ftp://x", "http://u:hunter2@h", "http://h/?key=hunter2", "http://"]
        {
            let failure = address("RESPALDO_URL", bad).unwrap_err();
            assert_eq!(failure.exit(), Exit::Usage, "{bad}");
            let told = format!("{failure:?}");
            assert!(told.contains("RESPALDO_URL") && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn loopback_is_this_machine_and_nothing_that_looks_like_it() {
        for (url, local) in [
            ("http://127.0.0.1:8000", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:8000", true),
            ("http://localhost:8000", true),
            ("http://LOCALHOST", true),
            ("http://localhost.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://10.0.0.1", false),
            ("http://0.0.0.0", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), local, "{url}");
        }
    }
}
