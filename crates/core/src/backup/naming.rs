//! Giving an artifact its name, once and for all its attempts.

use jiff::Timestamp;

use crate::app::App;
use crate::jobs;
use crate::model::{EngineKind, Job, Settings, Work, artifact_name, package_name};
use crate::{Error, Result};

/// More artifacts than this of one database in one second are not worth a name.
const MOST_NAMESAKES: u32 = 10_000;

/// What stands for the database in names: for a file its stem.
pub(super) fn shown_name(settings: &Settings) -> String {
    if settings.engine != EngineKind::Sqlite {
        return settings.database_name.clone();
    }
    let path = std::path::Path::new(&settings.database_name);
    path.file_stem()
        .map_or_else(|| settings.database_name.clone(), |stem| stem.to_string_lossy().into_owned())
}

/// The job with its name: the one it has, or the first that neither the catalog nor storage knows.
pub(crate) async fn named(app: &App, job: Job, fence: u64, started: Timestamp) -> Result<(Job, String)> {
    if let Some(name) = job.file_name().map(ToOwned::to_owned) {
        return Ok((job, name));
    }
    let id = job.id.to_string();
    for nth in 1..=MOST_NAMESAKES {
        let name = name_of(&job, started, nth)?;
        let claim = claim_key(&name);
        match app.catalog.claim(&claim, &id, started, None).await? {
            Some(other) if other != id => continue,
            _ => {}
        }
        // Files of an earlier catalog may lie where this one's artifacts go.
        if app.storage.name_is_taken(&name).await? {
            app.catalog.release_claim(&claim, &id).await?;
            continue;
        }
        let job = jobs::update(app, job.id, |job| {
            job.check_fence(fence)?;
            match &mut job.work {
                Work::Package(package) => package.name = Some(name.clone()),
                _ => job.backup_mut()?.name = Some(name.clone()),
            }
            Ok(())
        })
        .await?;
        return Ok((job, name));
    }
    Err(Error::conflict("name an artifact", "every name of this second is taken").with_retryable(true))
}

fn name_of(job: &Job, started: Timestamp, nth: u32) -> Result<String> {
    match &job.work {
        Work::Package(package) => Ok(package_name(package.format, started, nth)),
        _ => Ok(artifact_name(job.backup()?, started, nth)),
    }
}

/// The claim that keeps a name for one backup or package.
pub(crate) fn claim_key(name: &str) -> String {
    format!("name/{name}")
}
