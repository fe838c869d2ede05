//! The signed manifest beside an archive: written last, and looked for after a crash.

use jiff::Timestamp;

use super::gather::Gathered;
use crate::Result;
use crate::app::App;
use crate::keys;
use crate::model::{Artifact, Job, LONGEST_MANIFEST, Member, PackageManifest};

/// Describes an archive that is stored.
pub(super) fn describe(
    job: &Job,
    name: &str,
    gathered: &Gathered,
    offsets: &[u64],
    artifact: Artifact,
    finished_at: Timestamp,
) -> Result<PackageManifest> {
    let package = job.package()?;
    let placed = gathered.members.iter().zip(offsets);
    let members = placed.map(|(member, offset)| Member { offset: *offset, ..member.chosen.member.clone() });
    Ok(PackageManifest {
        format: PackageManifest::FORMAT,
        respaldo_version: env!("CARGO_PKG_VERSION").to_owned(),
        package_id: job.id,
        name: name.to_owned(),
        archive: package.format,
        kind: package.kind,
        slot: package.slot,
        created_at: job.created_at,
        started_at: job.started_at.unwrap_or(job.created_at),
        finished_at,
        members: members.collect(),
        left_out: gathered.left_out.clone(),
        artifact,
    })
}

/// The folder of one attempt.
pub(super) fn folder(job: &Job, attempt: u32) -> String {
    keys::attempt_below(&keys::package_prefix(job.id), attempt)
}

/// The manifest of one attempt, if it is there, is ours, describes this package, and its archive is all there.
pub(super) async fn find_complete(app: &App, job: &Job, attempt: u32) -> Result<Option<PackageManifest>> {
    let key = keys::manifest_below(&folder(job, attempt));
    let Some(bytes) = app.storage.get(&key, LONGEST_MANIFEST).await? else { return Ok(None) };
    // One that cannot be read, or that somebody else signed, is not a reason to fail but to pack anew.
    let Ok((manifest, true)) = PackageManifest::decode(&bytes, &app.key) else { return Ok(None) };
    if manifest.package_id != job.id || manifest.artifact.attempt != attempt {
        return Ok(None);
    }
    for volume in &manifest.artifact.volumes {
        if app.storage.length(&volume.key).await? != Some(volume.size_bytes) {
            return Ok(None);
        }
    }
    Ok(Some(manifest))
}
