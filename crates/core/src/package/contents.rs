//! The files that a package holds besides its members: what it is, its sums, and how to use it.

use jiff::Timestamp;
use serde::Serialize;

use super::gather::{Details, Gathered, Gathering};
use super::guide;
use crate::model::{DatabaseId, EngineKind, Job, JobId, LeftOut};
use crate::seal::Digester;
use crate::{Error, Result};

/// The names of these files.
pub(super) const OWN_NAMES: [&str; 3] = [MANIFEST, SUMS, GUIDE];
const MANIFEST: &str = "MANIFEST.json";
const SUMS: &str = "SHA256SUMS";
const GUIDE: &str = "RESTORE.md";
/// The version of `MANIFEST.json`.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Listing<'a> {
    format: u32,
    respaldo_version: &'static str,
    package_id: JobId,
    name: &'a str,
    created_at: Timestamp,
    members: Vec<Listed<'a>>,
    left_out: &'a [LeftOut],
}

#[derive(Serialize)]
struct Listed<'a> {
    file: &'a str,
    database_id: DatabaseId,
    config_id: Option<&'a str>,
    database: &'a str,
    engine: EngineKind,
    backup_id: JobId,
    backup_created_at: Timestamp,
    size_bytes: u64,
    sha256: &'a str,
    #[serde(flatten)]
    details: &'a Details,
}

/// The files, by their names, in the order in which they are written: before the members, so that whoever
/// reads the archive as it comes knows what follows.
pub(super) fn files(job: &Job, name: &str, gathered: &Gathered) -> Result<[(&'static str, String); 3]> {
    let manifest = listing(job, name, gathered)?;
    let guide = guide::write(name, job.created_at, gathered);
    let mut sums = String::new();
    for (file, text) in [(MANIFEST, &manifest), (GUIDE, &guide)] {
        let mut digester = Digester::new();
        digester.update(text.as_bytes());
        add_sum(&mut sums, &digester.finish().sha256_hex(), file);
    }
    for Gathering { chosen, .. } in &gathered.members {
        add_sum(&mut sums, &chosen.member.sha256, &chosen.member.file);
    }
    Ok([(MANIFEST, manifest), (SUMS, sums), (GUIDE, guide)])
}

/// A line as `sha256sum` prints it.
fn add_sum(sums: &mut String, sha256: &str, file: &str) {
    sums.push_str(sha256);
    sums.push_str("  ");
    sums.push_str(file);
    sums.push('\n');
}

fn listing(job: &Job, name: &str, gathered: &Gathered) -> Result<String> {
    let listing = Listing {
        format: FORMAT,
        respaldo_version: env!("CARGO_PKG_VERSION"),
        package_id: job.id,
        name,
        created_at: job.created_at,
        members: gathered.members.iter().map(listed).collect(),
        left_out: &gathered.left_out,
    };
    let mut text = serde_json::to_string_pretty(&listing)
        .map_err(|error| Error::internal("write a package's manifest", error))?;
    text.push('\n');
    Ok(text)
}

fn listed(Gathering { chosen, details }: &Gathering) -> Listed<'_> {
    let member = &chosen.member;
    Listed {
        file: &member.file,
        database_id: member.database_id,
        config_id: member.config_id.as_deref(),
        database: &member.database,
        engine: member.engine,
        backup_id: member.backup_id,
        backup_created_at: member.backup_created_at,
        size_bytes: member.size_bytes,
        sha256: &member.sha256,
        details,
    }
}
