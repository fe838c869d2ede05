//! Retention of packages: the same pure plan as that of backups ([`crate::retention::plan()`]), over packages
//! and by `package-conf`. Scheduled ones go when they are too old or too many; the newest good one stays, none
//! goes after a package has failed, and those that somebody asked for stay until somebody deletes them.

use jiff::Timestamp;

use crate::app::App;
use crate::backup::sweep;
use crate::model::{Outline, Status};
use crate::ports::Event;
use crate::retention::{Decision, Plan, Policy, plan};
use crate::{ErrorKind, Result};

/// What would become of each package now.
async fn show(app: &App) -> Result<Plan> {
    let own = &app.limits.package;
    let policy = Policy {
        retention_days: own.retention_days,
        max_backups: own.max_packages,
        safety_days: app.limits.safety_days,
        enabled: true,
    };
    let packages = super::all(app, None).await?;
    let outlines = packages.iter().filter_map(Outline::of_package).collect();
    Ok(plan(&policy, outlines, app.now()))
}

/// Plans the retention of packages and carries it out; answers how many are gone, or go as soon as their
/// readers have ended. With `until`, no removal begins after that instant.
///
/// # Errors
/// What the catalog or storage fails with; what is left is planned again the next time.
pub async fn apply(app: &App, until: Option<Timestamp>) -> Result<usize> {
    let plan = show(app).await?;
    let mut removed = 0;
    for decision in plan.removals() {
        if until.is_some_and(|until| app.now() >= until) {
            break;
        }
        removed += usize::from(remove(app, &plan, decision).await?);
    }
    Ok(removed)
}

/// False when it is not as it was planned any more: the next plan judges it anew.
async fn remove(app: &App, plan: &Plan, decision: &Decision) -> Result<bool> {
    let Some(mut job) = app.catalog.job(decision.job.id).await? else { return Ok(false) };
    if Outline::of_package(&job).as_ref() != Some(&decision.job) {
        return Ok(false);
    }
    for spared in &plan.spared {
        let spared = app.catalog.job(*spared).await?;
        if !spared.is_some_and(|job| job.status == Status::Succeeded) {
            return Ok(false);
        }
    }
    job.delete()?;
    let marked = match app.catalog.update_job(&job).await {
        Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => return Ok(false),
        marked => marked?,
    };
    let retired = Event::BackupRetired { job: Box::new(marked.clone()), reason: decision.reason };
    let told = app.events.publish(retired).await;
    sweep::finish_deletion(app, &marked).await?;
    told.map(|()| true)
}
