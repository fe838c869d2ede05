//! What a new lease does about the attempts before it: take over one that had finished, remove the
//! others.

use super::{manifest, sweep};
use crate::Result;
use crate::app::App;
use crate::fingerprint::Fingerprint;
use crate::jobs;
use crate::model::{Artifact, Consistency, Job, ManifestContent};

/// An earlier attempt whose manifest was written, though the catalog never heard of it.
pub(super) struct Finished {
    /// Its artifact.
    pub(super) artifact: Artifact,
    /// What it holds, where that stands in clear.
    pub(super) fingerprint: Option<Fingerprint>,
    /// What it saw of its source while others wrote.
    pub(super) consistency: Option<Consistency>,
}

/// Looks for a finished attempt before the current one. If there is none, what those attempts left is
/// removed.
///
/// They are condemned in the catalog first: else a worker that was stopped between looking and removing
/// could remove what another has found whole and committed since. They stay on the sweep's list, because
/// their workers may only be slow.
pub(super) async fn adopt_or_clean(app: &App, job: &Job, fence: u64) -> Result<Option<Finished>> {
    for attempt in job.adoptable() {
        if let Some(manifest) = manifest::find_complete(app, job, attempt).await? {
            let keys: Vec<String> =
                manifest.artifact.volumes.iter().map(|volume| volume.key.clone()).collect();
            app.storage.show(&keys).await?;
            sweep::complain(app).await?;
            return Ok(Some(Finished {
                artifact: manifest.artifact,
                consistency: manifest.consistency,
                fingerprint: in_clear(manifest.content),
            }));
        }
    }
    let current = job.attempts.current;
    let earlier: Vec<u32> = job.attempts.litter.range(..current).copied().collect();
    if earlier.is_empty() {
        return Ok(None);
    }
    jobs::update(app, job.id, |job| job.condemn_earlier(fence)).await?;
    for attempt in earlier {
        sweep::remove_attempt(app, job, attempt).await?;
    }
    Ok(None)
}

/// The fingerprint that a catalog may hold.
pub(crate) fn in_clear(content: ManifestContent) -> Option<Fingerprint> {
    match content {
        ManifestContent::Clear(content) => Some(content.fingerprint),
        ManifestContent::Sealed(_) => None,
    }
}
