//! `mongodump` and `mongorestore`: which of them is here, and how it is told where to go.
//!
//! The tools read a file of YAML, in which the connection string stands with user and password; it has mode 0600
//! and lies in the job's own folder. Their versions are of their own (100.x) and not the server's: each takes
//! servers from 4.2 on. (The driver, which looks at the server first in any case, takes them from 4.4 on.)

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::address;
use super::server::{self, Version};
use crate::engine::process::{Invocation, version_of};
use crate::engine::source::Source;
use crate::{Error, ErrorKind, Result};

/// The tools by name.
pub(super) const DUMP: &str = "mongodump";
pub(super) const RESTORE: &str = "mongorestore";

/// The first tools that read the connection string from a file.
const LEAST: Version = (100, 3, 0);

/// An installed tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) path: PathBuf,
    /// As people know it: `mongodump 100.9.4`.
    pub(super) version: String,
    pub(super) numbers: Version,
}

/// The newest tool of that name that can be used; none: what is built in does its work.
pub(super) async fn find(source: &Source, name: &str) -> Option<Installed> {
    let mut newest: Option<Installed> = None;
    for path in source.toolbox.find_all(name) {
        let Some(found) = look(&path, name, &source.staging).await else { continue };
        if found.numbers < LEAST {
            source.log.warn(format!("{} is older than 100.3 and is not used", found.version));
        } else if newest.as_ref().is_none_or(|newest| newest.numbers < found.numbers) {
            newest = Some(found);
        }
    }
    newest
}

async fn look(path: &Path, name: &str, home: &Path) -> Option<Installed> {
    let said = version_of(path, home).await?;
    let line = said.lines().find_map(|line| line.strip_prefix(&format!("{name} version: ")))?;
    let version = line.trim();
    Some(Installed {
        path: path.to_owned(),
        version: format!("{name} {version}"),
        numbers: server::numbers(version)?,
    })
}

/// A tool that will connect there, its file being written into the job's private folder.
pub(super) fn invoke(source: &Source, tool: &Installed) -> Result<Invocation> {
    let path = write_config(source)?;
    let mut argument = std::ffi::OsString::from("--config=");
    argument.push(&path);
    Ok(Invocation::new(&tool.path, &source.staging).arg(argument))
}

fn write_config(source: &Source) -> Result<PathBuf> {
    // Percent-encoded, the string holds no character that YAML's quotes could end at.
    let text = format!("uri: \"{}\"\n", address::secret_url(source)?);
    let path = source.staging.join("mongodb.yaml");
    let told = |e: std::io::Error| Error::new(ErrorKind::Storage, "write a tool's settings", e.to_string());
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).map_err(told)?;
    file.write_all(text.as_bytes()).map_err(told)?;
    Ok(path)
}
