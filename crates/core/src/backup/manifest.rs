//! Writing and reading the manifest beside an artifact.

use jiff::Timestamp;

use crate::app::App;
use crate::engine::Observed;
use crate::keys;
use crate::model::{Artifact, Content, Job, LONGEST_MANIFEST, Manifest, ManifestContent};
use crate::seal::{self, Recipient};
use crate::{Error, Result};

/// The oldest version whose reader understands what this one writes.
const RESTORES_WITH: &str = "0.1.0";

/// The manifest of an attempt whose every byte storage has confirmed.
pub(super) fn describe(
    job: &Job,
    name: &str,
    artifact: Artifact,
    observed: &Observed,
    finished_at: Timestamp,
) -> Result<Manifest> {
    let backup = job.backup()?;
    let content = Content {
        fingerprint: observed.fingerprint.clone(),
        server_version: observed.server_version.clone(),
        tool_version: observed.tool_version.clone(),
    };
    Ok(Manifest {
        format: Manifest::FORMAT,
        respaldo_version: env!("CARGO_PKG_VERSION").to_owned(),
        restores_with: RESTORES_WITH.to_owned(),
        backup_id: job.id,
        database_uid: job.owner()?.uid,
        config_id: backup.config_id.clone(),
        engine: backup.engine,
        dump_format: backup.format,
        database_name: backup.database_name.clone(),
        kind: backup.kind,
        slot: backup.slot,
        name: name.to_owned(),
        created_at: job.created_at,
        started_at: job.started_at.unwrap_or(job.created_at),
        finished_at,
        compression: backup.compression,
        encryption: backup.encryption.clone(),
        artifact,
        consistency: observed.consistency,
        content: seal_content(content, &backup.encryption)?,
    })
}

/// What the content tells is sealed to the recipients of the artifact.
fn seal_content(content: Content, recipients: &[String]) -> Result<ManifestContent> {
    if recipients.is_empty() {
        return Ok(ManifestContent::Clear(content));
    }
    let recipients: Vec<Recipient> = recipients.iter().map(|text| text.parse()).collect::<Result<_>>()?;
    let json = serde_json::to_vec(&content).map_err(|e| Error::internal("seal a manifest", e))?;
    seal::armoured(&recipients, &json).map(ManifestContent::Sealed)
}

/// The manifest of one attempt, if it is there, is ours, describes this backup, and its artifact is
/// all there.
pub(super) async fn find_complete(app: &App, job: &Job, attempt: u32) -> Result<Option<Manifest>> {
    let uid = job.owner()?.uid;
    let key = keys::manifest(uid, job.id, attempt);
    let Some(bytes) = app.storage.get(&key, LONGEST_MANIFEST).await? else { return Ok(None) };
    // One that cannot be read, or that somebody else signed, is not a reason to fail but to dump anew.
    let Ok((manifest, true)) = Manifest::decode(&bytes, &app.key) else { return Ok(None) };
    let ours = manifest.describes(job.id, uid, job.backup()?) && manifest.artifact.attempt == attempt;
    if !ours {
        return Ok(None);
    }
    for volume in &manifest.artifact.volumes {
        if app.storage.length(&volume.key).await? != Some(volume.size_bytes) {
            return Ok(None);
        }
    }
    Ok(Some(manifest))
}
