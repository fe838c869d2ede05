//! Where things lie in storage: the one place that knows the key layout.
//!
//! ```text
//! backups/{database uid}/{backup id}/{attempt}/{name}           the artifact (its first volume)
//! backups/{database uid}/{backup id}/{attempt}/{name}.002       its second volume, and so on
//! backups/{database uid}/{backup id}/{attempt}/manifest.json    written last
//! packages/{package id}/{attempt}/{name}                        a package's archive; volumes as above
//! packages/{package id}/{attempt}/manifest.json                 written last
//! databases/{database uid}.json                                 the database's definition
//! incoming/{upload id}                                          a file that was sent, until it is a backup
//! {name}                                                        local disk: a hard link to the artifact
//! ```
//! Attempts never share a key, so no write needs a condition and nothing is ever overwritten.

use crate::model::{DatabaseUid, JobId};

/// The folder of everything that backups are made of.
pub const BACKUPS: &str = "backups/";
/// The folder of everything that packages are made of.
pub const PACKAGES: &str = "packages/";
/// The folder of definitions.
pub const DEFINITIONS: &str = "databases/";
/// The folder of files that are sent to storage, and not yet backups.
pub const INCOMING: &str = "incoming/";
/// What a manifest is called in its attempt's folder.
pub const MANIFEST: &str = "manifest.json";
/// What a small object is called, last, while local disk is writing it.
const PARTIAL: &str = ".partial";

/// Whether this is a small object that was never finished.
pub fn is_partial(name: &str) -> bool {
    name.ends_with(PARTIAL)
}

/// The folder of one attempt, with its trailing slash.
pub fn attempt_prefix(database: DatabaseUid, backup: JobId, attempt: u32) -> String {
    format!("{}{attempt}/", backup_prefix(database, backup))
}

/// The folder of all backups of one database, with its trailing slash.
pub fn database_prefix(database: DatabaseUid) -> String {
    format!("{BACKUPS}{database}/")
}

/// The folder of one backup, with its trailing slash.
pub fn backup_prefix(database: DatabaseUid, backup: JobId) -> String {
    format!("{}{backup}/", database_prefix(database))
}

/// The key of an artifact's volume, counted from 1.
pub fn volume(database: DatabaseUid, backup: JobId, attempt: u32, name: &str, number: usize) -> String {
    volume_below(&attempt_prefix(database, backup, attempt), name, number)
}

/// The same below an attempt's folder.
pub fn volume_below(attempt: &str, name: &str, number: usize) -> String {
    if number == 1 { format!("{attempt}{name}") } else { format!("{attempt}{name}.{number:03}") }
}

/// The folder of one package, with its trailing slash.
pub fn package_prefix(package: JobId) -> String {
    format!("{PACKAGES}{package}/")
}

/// The folder of one attempt of a job that has this folder, with its trailing slash.
pub fn attempt_below(job: &str, attempt: u32) -> String {
    format!("{job}{attempt}/")
}

/// The key of the manifest below an attempt's folder.
pub fn manifest_below(attempt: &str) -> String {
    format!("{attempt}{MANIFEST}")
}

/// The key of an attempt's manifest.
pub fn manifest(database: DatabaseUid, backup: JobId, attempt: u32) -> String {
    format!("{}{MANIFEST}", attempt_prefix(database, backup, attempt))
}

/// The key of a file that is sent to storage; `upload` is also the id of the backup that it becomes.
pub fn incoming(upload: JobId) -> String {
    format!("{INCOMING}{upload}")
}

/// The key of a database's definition.
pub fn definition(database: DatabaseUid) -> String {
    format!("{DEFINITIONS}{database}.json")
}
