//! How many packages have ended, kept in their records: each carries the counts of its moment, so the greatest
//! are those of now, and a deletion hands them on before its record goes. Only when no record is left do they
//! begin anew.

use jiff::SignedDuration;

use crate::app::App;
use crate::jobs;
use crate::model::{Job, PackageCounts, Status};
use crate::{Error, ErrorKind, Result};

/// One counts at a time, so that two that end together have different counts.
const LEASE: &str = "packages/count";
const LEASE_LASTS: SignedDuration = SignedDuration::from_secs(10);

/// The counts of now.
pub async fn totals(app: &App) -> Result<PackageCounts> {
    Ok(greatest(&super::all(app, None).await?))
}

fn greatest(packages: &[Job]) -> PackageCounts {
    let counts = packages.iter().filter_map(|job| job.package().ok()?.counts);
    counts.fold(PackageCounts::default(), PackageCounts::max)
}

/// Counts a package that has ended, once.
pub(super) async fn count(app: &App, job: &Job) -> Result<()> {
    let counted = |job: &Job| job.package().is_ok_and(|package| package.counts.is_some());
    if counted(job) {
        return Ok(());
    }
    let now = app.now();
    let held = app.catalog.acquire_lease(LEASE, &job.id.to_string(), now, now + LEASE_LASTS).await?;
    let fence = held.ok_or_else(|| {
        Error::conflict("count a package", "another one that has ended is being counted")
            .with_retryable(true)
            .with_mend("ask again in some seconds; nothing was changed")
    })?;
    let counts = totals(app).await?.with(job.status);
    let written = jobs::update(app, job.id, |job| {
        job.package_mut()?.counts.get_or_insert(counts);
        Ok(())
    });
    let written = written.await;
    app.catalog.release_lease(LEASE, fence).await?;
    match written {
        // Deleted in the meantime.
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        written => written.map(drop),
    }
}

/// Writes the counts of a package that is being deleted into another one's record.
pub(crate) async fn hand_counts_on(app: &App, job: &Job) -> Result<()> {
    let Some(counts) = job.package()?.counts else { return Ok(()) };
    let others = super::all(app, None).await?;
    let counted = |other: &&Job| {
        let package = other.package().ok();
        other.id != job.id && other.status != Status::Deleting && package.is_some_and(|p| p.counts.is_some())
    };
    let Some(heir) = others.iter().find(counted) else { return Ok(()) };
    let known = heir.package()?.counts.unwrap_or_default();
    if known.max(counts) == known {
        return Ok(());
    }
    let written = jobs::update(app, heir.id, |job| {
        let package = job.package_mut()?;
        package.counts = Some(package.counts.unwrap_or_default().max(counts));
        Ok(())
    });
    match written.await {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            Err(Error::conflict("delete a package", "others are being deleted too").with_retryable(true))
        }
        written => written.map(drop),
    }
}
