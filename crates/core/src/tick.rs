//! The tick: a trigger without input. It reads what is due and starts it.
//!
//! A tick may come late, twice, or from two hosts at once. Everything it does is idempotent: a slot's
//! job has an id that follows from its database and its due time, and every other step is conditional.

use jiff::{SignedDuration, Timestamp};

use crate::app::App;
use crate::backup::{lock, queued, staging, sweep, tombstone};
use crate::databases::{self, definition};
use crate::jobs::{self, aftermath};
use crate::model::{BackupKind, Database, Job, JobId, Status, WorkKind};
use crate::ports::Event;
use crate::schedule::Timing;
use crate::upload::incoming;
use crate::{Error, ErrorKind, Result};

/// How much a tick looks at; what is left over is due at the next one.
const MOST: usize = 1_000;
/// Slots of one database that one tick gives their outcome; after a long downtime the next tick goes on.
const MOST_SLOTS: usize = 1_000;
/// What could not be done because storage refuses it (a removal, a definition) waits this long for the next
/// try. Without a wait, [`MOST`] of them would be all that ticks ever look at.
const TRY_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// What a tick did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Backups queued or recorded as skipped for due slots.
    pub due: usize,
    /// Doorbells rung for queued jobs and expired leases.
    pub rung: usize,
    /// Deletions finished.
    pub deleted: usize,
    /// Attempts and staging folders whose leftovers were removed.
    pub swept: usize,
    /// Ended jobs whose end was told late, because whoever ended them could not.
    pub told: usize,
    /// Backups and records that retention removed.
    pub retired: usize,
    /// Definitions written to storage.
    pub defined: usize,
    /// Test restores queued.
    pub tested: usize,
}

/// Looks at everything that is due, once. A failure at one database or job is told as an event and
/// keeps nothing else from its turn.
pub async fn tick(app: &App) -> Result<Ticked> {
    let mut ticked = Ticked::default();
    let now = app.now();
    for database in app.catalog.due_databases(now, MOST).await? {
        let id = database.id;
        if let Err(e) = attend_database(app, database, now, &mut ticked).await {
            tell(app, e.within(&format!("database {id}"))).await?;
        }
    }
    for job in app.catalog.due_jobs(now, MOST).await? {
        let id = job.id;
        if let Err(e) = attend_job(app, job, now, &mut ticked).await {
            put_off(app, id, now, &e).await?;
            tell(app, e.within(&format!("job {id}"))).await?;
        }
    }
    ticked.swept += staging::sweep(app).await?;
    match incoming::sweep(app).await {
        Ok(swept) => ticked.swept += swept,
        Err(e) => tell(app, e.within("look for files that nobody completed")).await?,
    }
    Ok(ticked)
}

async fn tell(app: &App, error: Error) -> Result<()> {
    // Somebody else was faster: that is how two ticks at once are meant to end.
    if error.kind() == ErrorKind::Conflict {
        return Ok(());
    }
    app.events.publish(Event::TickFailed(error)).await
}

/// Makes room at the head of the due index.
async fn put_off(app: &App, id: JobId, now: Timestamp, error: &Error) -> Result<()> {
    if error.kind() == ErrorKind::Conflict {
        return Ok(());
    }
    let until = now.checked_add(TRY_AGAIN_AFTER).unwrap_or(now);
    let put_off = jobs::update(app, id, |job| {
        job.put_off(until);
        Ok(())
    });
    match put_off.await {
        Err(e) if e.kind() != ErrorKind::NotFound => tell(app, e.within(&format!("job {id}"))).await,
        _ => Ok(()),
    }
}

async fn attend_job(app: &App, job: Job, now: Timestamp, ticked: &mut Ticked) -> Result<()> {
    match job.status {
        Status::Deleting => ticked.deleted += usize::from(sweep::finish_deletion(app, &job).await?),
        Status::Queued | Status::Running => {
            if job.may_be_leased(now) {
                app.doorbell.ring(&job).await?;
                ticked.rung += 1;
            }
        }
        _ => {
            if job.tell_at().is_some_and(|at| at <= now) {
                aftermath::see_to(app, &job).await?;
                ticked.told += 1;
            } else if job.lock_at().is_some_and(|at| at <= now) {
                lock::see_to(app, &job).await?;
            }
            ticked.swept += sweep::sweep(app, &job).await?;
        }
    }
    Ok(())
}

async fn attend_database(app: &App, database: Database, now: Timestamp, ticked: &mut Ticked) -> Result<()> {
    let mut database = database;
    if database.write_definition_at().is_some_and(|at| at <= now) {
        match definition::write(app, database.clone()).await {
            Ok(written) => {
                database = written;
                ticked.defined += 1;
            }
            // Its schedule does not wait for that, nor do those whose turn comes later.
            Err(e) => {
                tell(app, e.within(&format!("database {}", database.id))).await?;
                database.definition_retry_at = now.checked_add(TRY_AGAIN_AFTER).ok();
                database = app.catalog.update_database(&database).await?;
            }
        }
    }
    if database.next_run_at().is_some_and(|start| start <= now) {
        ticked.due += start_due(app, database, now).await?;
    }
    Ok(())
}

/// Gives each slot that has come its outcome: the newest is backed up, unless the one before still
/// runs; the older ones were missed.
async fn start_due(app: &App, database: Database, now: Timestamp) -> Result<usize> {
    let Some(timing) = Timing::of(database.uid, &database.settings)? else { return Ok(0) };
    let mut slots = Vec::new();
    let mut next = database.next_due_at.map(|slot| timing.at(slot));
    while let Some(due) = next.filter(|due| due.start <= now && slots.len() < MOST_SLOTS) {
        slots.push(due.slot);
        next = Some(timing.after(due.slot));
    }
    // Only where no newer one has come is the last the newest.
    let newest = if next.is_some_and(|next| next.start <= now) { None } else { slots.last() };
    let mut skipped = Vec::new();
    for slot in slots.iter().filter(|slot| Some(*slot) != newest) {
        skipped.extend(skip(app, &database, *slot, "missed: nothing was running when it was due").await?);
    }
    if let Some(newest) = newest {
        skipped.extend(start(app, &database, *newest).await?);
    }
    let mut advanced = database;
    advanced.last_due_at = slots.last().copied().or(advanced.last_due_at);
    advanced.set_due(next);
    app.catalog.update_database(&advanced).await?;
    // Only now: it counts them in the record that was just written.
    aftermath::see_to_all(app, &skipped).await?;
    Ok(slots.len())
}

/// Gives the slots of a schedule that is about to be changed, or stopped, their outcome; answers the new
/// records, whose end is to be told when the change is stored.
pub(crate) async fn pass_over(app: &App, database: &Database) -> Result<Vec<Job>> {
    let now = app.now();
    let Some(timing) = Timing::of(database.uid, &database.settings)? else { return Ok(Vec::new()) };
    let mut skipped = Vec::new();
    let mut next = database.next_due_at.filter(|_| database.settings.enabled);
    while let Some(slot) = next.filter(|slot| *slot <= now) {
        skipped.extend(skip(app, database, slot, "the schedule was changed before it started").await?);
        next = Some(timing.after(slot).slot);
    }
    Ok(skipped)
}

/// Queues the backup of a slot; answers the record when it is skipped instead.
async fn start(app: &App, database: &Database, slot: Timestamp) -> Result<Option<Job>> {
    if let Some(reason) = databases::held_back(app, database).await? {
        return skip(app, database, slot, &format!("held back: {reason}")).await;
    }
    if let Some(active) = active_job(app, database, slot).await? {
        return skip(app, database, slot, &format!("{active} has not ended yet")).await;
    }
    let job = queued(app, database, BackupKind::Scheduled, JobId::for_slot(database.uid, slot), slot);
    if create(app, &job).await? {
        app.doorbell.ring(&job).await?;
    }
    Ok(None)
}

/// Stores the job of a slot. False when the slot has had its outcome, even one that was deleted since.
async fn create(app: &App, job: &Job) -> Result<bool> {
    Ok(app.catalog.create_job(job).await? && !tombstone::lay_to_rest(app, job).await?)
}

/// A backup of this database, or a restore into it, that waits or runs.
async fn active_job(app: &App, database: &Database, slot: Timestamp) -> Result<Option<String>> {
    let own = JobId::for_slot(database.uid, slot);
    for job in app.catalog.unended(Some(database.id)).await? {
        match job.work.kind() {
            // An upload does not read the database, and may take hours.
            WorkKind::Dump if is_uploaded(&job) => {}
            WorkKind::Dump if job.id != own => return Ok(Some(format!("backup {}", job.id))),
            WorkKind::Restore => return Ok(Some(format!("restore {}", job.id))),
            _ => {}
        }
    }
    Ok(None)
}

fn is_uploaded(job: &Job) -> bool {
    job.backup().is_ok_and(|backup| backup.kind == BackupKind::Uploaded)
}

/// Records that a slot gave no backup; none when it has its outcome already.
async fn skip(app: &App, database: &Database, slot: Timestamp, reason: &str) -> Result<Option<Job>> {
    let id = JobId::for_slot(database.uid, slot);
    let mut job = queued(app, database, BackupKind::Scheduled, id, slot);
    job.skip(reason, app.now());
    Ok(create(app, &job).await?.then_some(job))
}
