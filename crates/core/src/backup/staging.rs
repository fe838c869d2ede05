//! The private folder of one attempt, for copies and for files that hold secrets.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use ulid::Ulid;

use crate::app::App;
use crate::model::{Job, JobId, Status};
use crate::{Error, ErrorKind, Result};

const PROBE: &str = "probe-";
/// A probe's folder holds a password file; one as old as this was left behind.
const LONGEST_PROBE: SignedDuration = SignedDuration::from_mins(10);

/// A folder that is removed, with all in it, when this is dropped.
pub(crate) struct Staging(PathBuf);

impl Staging {
    /// Makes the folder of one attempt.
    pub(crate) fn make(app: &App, id: JobId, attempt: u32) -> Result<Self> {
        Self::at(app, &format!("{id}-{attempt}"))
    }

    /// Makes a folder for something that is no job (a probe).
    pub(crate) fn for_probe(app: &App) -> Result<Self> {
        Self::at(app, &format!("{PROBE}{}", app.ids.ulid(app.now())))
    }

    fn at(app: &App, name: &str) -> Result<Self> {
        let folder = app.limits.staging.join(name);
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&app.limits.staging)
            .and_then(|()| DirBuilder::new().mode(0o700).create(&folder))
            // Tools start inside it, so their relative paths must not depend on ours.
            .and_then(|()| folder.canonicalize());
        made.map(Self).map_err(|e| {
            Error::new(ErrorKind::Storage, "make a staging folder", format!("{}: {e}", folder.display()))
                .with_mend("check that server.staging exists, has room and may be written")
        })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now, the next sweep removes.
        let _swept_later = std::fs::remove_dir_all(&self.0);
    }
}

/// Removes the folders of attempts that no live worker is at. Answers how many.
pub(crate) async fn sweep(app: &App) -> Result<usize> {
    let told = |e: io::Error| Error::new(ErrorKind::Storage, "sweep staging", e.to_string());
    let entries = match std::fs::read_dir(&app.limits.staging) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(told)?,
    };
    let mut removed = 0;
    for entry in entries {
        let folder = entry.map_err(told)?.path();
        let Some(name) = folder.file_name().and_then(|name| name.to_str()) else { continue };
        if is_abandoned(app, name).await? {
            match std::fs::remove_dir_all(&folder) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(told(e)),
                _ => removed += 1,
            }
        }
    }
    Ok(removed)
}

/// Whether a folder is ours and nobody is at work in it any more.
async fn is_abandoned(app: &App, name: &str) -> Result<bool> {
    if let Some(begun) = probe_begun(name) {
        return Ok(app.now().duration_since(begun) > LONGEST_PROBE);
    }
    let Some((id, attempt)) = attempt_of(name) else { return Ok(false) };
    let job = app.catalog.job(id).await?;
    Ok(!job.is_some_and(|job| is_live(app, &job, attempt)))
}

fn probe_begun(name: &str) -> Option<Timestamp> {
    let id = Ulid::from_string(name.strip_prefix(PROBE)?).ok()?;
    Timestamp::from_millisecond(i64::try_from(id.timestamp_ms()).ok()?).ok()
}

fn attempt_of(name: &str) -> Option<(JobId, u32)> {
    let (id, attempt) = name.split_once('-')?;
    Some((id.parse().ok()?, attempt.parse().ok()?))
}

fn is_live(app: &App, job: &Job, attempt: u32) -> bool {
    job.status == Status::Running && job.attempts.current == attempt && !job.lease_expired(app.now())
}
