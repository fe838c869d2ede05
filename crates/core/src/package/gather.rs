//! Getting a package's members together: chosen, held against deletion, and known by their manifests.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;

use super::plan::{Chosen, Plan, plan};
use crate::app::App;
use crate::backup::download::Hold;
use crate::model::{DumpFormat, Job, LeftOut, Manifest, ManifestContent, Member, Package, Status};
use crate::restore::target;
use crate::seal::Compression;
use crate::{Error, ErrorKind, Result};

/// How often backups may change between choosing and holding them.
const MOST_PLANS: usize = 5;
/// What is named in one error, at most.
const MOST_NAMED: usize = 10;
const OPERATION: &str = "make a package";

/// The members of a package, held until this is dropped.
pub(super) struct Gathered {
    pub(super) members: Vec<Gathering>,
    pub(super) left_out: Vec<LeftOut>,
    holds: Vec<Hold>,
}

/// One member and what its manifest tells.
pub(super) struct Gathering {
    pub(super) chosen: Chosen,
    pub(super) details: Details,
}

/// What a package tells of a member besides what stands in its record.
#[derive(Debug, Serialize)]
pub(super) struct Details {
    /// The database's name on its server.
    pub(super) database_name: String,
    pub(super) dump_format: DumpFormat,
    pub(super) compression: Compression,
    /// The recipients that it is encrypted to.
    pub(super) encryption: Vec<String>,
    /// Length before compression and encryption.
    pub(super) raw_bytes: u64,
    pub(super) md5: String,
    /// When its last byte was confirmed.
    pub(super) finished_at: Timestamp,
    /// What the dump said of its server; unknown where that is encrypted.
    pub(super) server_version: Option<String>,
    /// What the dump said of the tool that made it; the same.
    pub(super) tool_version: Option<String>,
    /// The version of Respaldo that made the backup.
    pub(super) respaldo_version: String,
}

impl Details {
    fn of(manifest: Manifest) -> Self {
        let content = match manifest.content {
            ManifestContent::Clear(content) => Some(content),
            ManifestContent::Sealed(_) => None,
        };
        let (server_version, tool_version) =
            content.map_or((None, None), |content| (content.server_version, content.tool_version));
        Self {
            database_name: manifest.database_name,
            dump_format: manifest.dump_format,
            compression: manifest.compression,
            encryption: manifest.encryption,
            raw_bytes: manifest.artifact.raw_bytes,
            md5: manifest.artifact.md5,
            finished_at: manifest.finished_at,
            server_version,
            tool_version,
            respaldo_version: manifest.respaldo_version,
        }
    }
}

/// A member that cannot be packed, by its database, and why.
#[derive(Debug, Clone)]
pub(super) struct Broken {
    pub(super) left_out: LeftOut,
    pub(super) error: Error,
}

impl Broken {
    pub(super) fn of(chosen: &Chosen, kind: ErrorKind, why: &str) -> Self {
        let Member { database_id, database, backup_id, .. } = &chosen.member;
        let message = format!("backup {backup_id} of database {database_id} ({database}): {why}");
        let error = Error::new(kind, OPERATION, message)
            .with_mend("back that database up again, or ask for allow_incomplete to go without it");
        Self { left_out: chosen.left_out(&format!("backup {backup_id}: {why}")), error }
    }
}

/// Chooses the members of a package and holds them. `broken` are those that were found so before.
///
/// # Errors
/// `Conflict` that names the databases without a good backup, `Corrupt` for one whose manifest is not right,
/// unless the package may do without them; `Conflict` too where nothing is left.
pub(super) async fn gather(app: &App, package: &Package, broken: &[LeftOut]) -> Result<Gathered> {
    for _ in 0..MOST_PLANS {
        let mut plan = plan(app, &package.databases).await?;
        let is_broken =
            |chosen: &Chosen| broken.iter().any(|left_out| left_out.database_id == chosen.member.database_id);
        plan.chosen.retain(|chosen| !is_broken(chosen));
        if !package.allow_incomplete && !plan.missing.is_empty() {
            return Err(missing(&plan.missing));
        }
        let known: HashSet<_> = plan.missing.iter().map(|left_out| left_out.database_id).collect();
        plan.missing.extend(broken.iter().filter(|left_out| !known.contains(&left_out.database_id)).cloned());
        if let Some(gathered) = hold(app, package, plan).await? {
            return if gathered.members.is_empty() { Err(nothing(&gathered.left_out)) } else { Ok(gathered) };
        }
    }
    Err(Error::conflict(OPERATION, "its backups change too often").with_retryable(true))
}

/// None when a backup has gone, or is going, since it was chosen.
async fn hold(app: &App, package: &Package, plan: Plan) -> Result<Option<Gathered>> {
    let mut gathered = Gathered { members: Vec::new(), left_out: plan.missing, holds: Vec::new() };
    let mut names = HashSet::from(super::contents::OWN_NAMES.map(str::to_lowercase));
    for chosen in plan.chosen {
        // From here on a deletion waits; what was marked before is seen now.
        gathered.holds.push(Hold::take(app, chosen.member.backup_id).await?);
        let job = app.catalog.job(chosen.member.backup_id).await?;
        let there = |job: &Job| job.status == Status::Succeeded && job.artifact() == Some(&chosen.artifact);
        let Some(job) = job.filter(there) else { return Ok(None) };
        let known = if !is_plain(&chosen.member.file) {
            Err(Broken::of(&chosen, ErrorKind::Corrupt, "its name is no plain file name"))
        } else if !names.insert(chosen.member.file.to_lowercase()) {
            Err(Broken::of(&chosen, ErrorKind::Conflict, "another member has its name"))
        } else {
            match target::manifest(app, &job).await {
                Ok((manifest, _)) => Ok(Details::of(manifest)),
                Err(e) if e.kind() == ErrorKind::Corrupt => Err(Broken::of(&chosen, e.kind(), e.message())),
                Err(e) => return Err(e),
            }
        };
        match known {
            Ok(details) => gathered.members.push(Gathering { chosen, details }),
            Err(broken) if package.allow_incomplete => gathered.left_out.push(broken.left_out),
            Err(broken) => return Err(broken.error),
        }
    }
    Ok(Some(gathered))
}

/// Whether a name is as Respaldo gives them: whatever else a record says (it may have been rebuilt from what
/// somebody put into storage) could leave the folder that the package is unpacked in, or mean something to
/// a shell.
fn is_plain(name: &str) -> bool {
    let characters = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'));
    (1..=255).contains(&name.len()) && characters && !name.starts_with(['.', '-']) && !name.ends_with('.')
}

fn missing(left_out: &[LeftOut]) -> Error {
    let message = named(left_out);
    Error::conflict(OPERATION, message)
        .with_mend("back these databases up, or ask for allow_incomplete to go without them")
}

fn nothing(left_out: &[LeftOut]) -> Error {
    let what = if left_out.is_empty() { "no database has package: true".to_owned() } else { named(left_out) };
    Error::conflict(OPERATION, format!("nothing is left to pack: {what}"))
}

fn named(left_out: &[LeftOut]) -> String {
    let one = |left: &LeftOut| format!("database {} ({}): {}", left.database_id, left.database, left.reason);
    let mut named: Vec<String> = left_out.iter().take(MOST_NAMED).map(one).collect();
    if left_out.len() > MOST_NAMED {
        named.push(format!("and {} more", left_out.len() - MOST_NAMED));
    }
    named.join("; ")
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn only_names_that_stay_where_they_are_unpacked_are_plain() {
        for name in ["postgres_shop_20260102_030405.sql.gz", "sqlite_año_1-2.db", "a"] {
            assert!(is_plain(name), "{name}");
        }
        let long = "n".repeat(256);
        for name in [
            "", ".", "..", "../a", "a/b", "/a", "a\\b", "C:a", "-rf", ".ssh", "a b", "a\nb", "a'b", "$(a)",
            "a\0", "a.", &long,
        ] {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
