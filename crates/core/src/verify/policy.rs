//! Test restores that nobody has to ask for: after each backup, once a day, once a week.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::request;
use crate::app::App;
use crate::model::{BackupKind, Database, Job, JobId, Status, VerifyPolicy};
use crate::ports::{Event, JobFilter};
use crate::schedule::{Schedule, Turns};
use crate::tick::Ticked;
use crate::{ErrorKind, Result};

/// How many databases are read at once.
const PAGE: usize = 1_000;

/// When databases whose policy is `daily` or `weekly` have their turn.
///
/// A day and a week are those of the schedule's zone; a week begins on Monday. The first slot of a day, or of a
/// week, that finds a good backup has it tested; later ones of the same day or week find that done.
#[derive(Debug, Clone)]
pub struct Cron {
    turns: Turns,
}

impl Cron {
    /// Runs by this schedule.
    pub fn new(schedule: Schedule) -> Self {
        Self { turns: Turns::of(schedule) }
    }
}

/// A day or a week, in which each database has one test restore at most.
struct Period {
    name: String,
    begins: Timestamp,
}

impl Period {
    fn of(policy: VerifyPolicy, slot: Timestamp, zone: &TimeZone) -> Option<Self> {
        let day = zone.to_datetime(slot).date();
        let (word, first) = match policy {
            VerifyPolicy::Daily => ("day", day),
            VerifyPolicy::Weekly => ("week", monday(day)?),
            VerifyPolicy::AfterEach | VerifyPolicy::Off => return None,
        };
        let begins = first.to_zoned(zone.clone()).ok()?.timestamp();
        Some(Self { name: format!("{word} {first}"), begins })
    }
}

fn monday(day: Date) -> Option<Date> {
    let since = i64::from(day.weekday().to_monday_zero_offset());
    day.checked_sub(jiff::Span::new().days(since)).ok()
}

/// Queues the test restores of the newest slot that has come, one for each database whose policy asks for it
/// and whose newest good backup has no verdict of this day or week. After downtime only the newest slot is made
/// up for. Two schedulers at once make one job: its id follows from database and period. A failure at one
/// database is told, and keeps no other from its turn.
pub async fn tick(app: &App) -> Result<Ticked> {
    let mut ticked = Ticked::default();
    let Some(cron) = &app.limits.verify else { return Ok(ticked) };
    let Some(slot) = cron.turns.due(app.now()) else { return Ok(ticked) };
    let mut after = None;
    loop {
        let page = app.catalog.databases(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for database in page.iter().filter(|database| database.settings.enabled) {
            match turn(app, cron, database, slot).await {
                Ok(queued) => ticked.tested += usize::from(queued),
                Err(e) => {
                    let told = e.within(&format!("test restore of database {}", database.id));
                    app.events.publish(Event::TickFailed(told)).await?;
                }
            }
        }
    }
    // Only now: who dies in the middle begins anew, and finds done what is done.
    cron.turns.passed(slot);
    Ok(ticked)
}

/// Whether a test restore was queued.
async fn turn(app: &App, cron: &Cron, database: &Database, slot: Timestamp) -> Result<bool> {
    let period = Period::of(database.settings.verify, slot, cron.turns.schedule().zone());
    let Some(period) = period else { return Ok(false) };
    let id = JobId::for_period(database.uid, &period.name, period.begins);
    if app.catalog.job(id).await?.is_some() {
        return Ok(false);
    }
    let Some(newest) = newest_good(app, database).await? else { return Ok(false) };
    let verdict = newest.backup()?.verification.as_ref().and_then(|verification| verification.at);
    if verdict.is_some_and(|at| at >= period.begins) {
        return Ok(false);
    }
    match request(app, newest.id, true, id).await {
        // Removed since it was read.
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => Ok(false),
        asked => asked.map(|job| job.id == id),
    }
}

async fn newest_good(app: &App, database: &Database) -> Result<Option<Job>> {
    let filter = JobFilter {
        database_id: Some(database.id),
        status: Some(Status::Succeeded),
        backups_only: true,
        ..JobFilter::default()
    };
    Ok(app.catalog.jobs(&filter, None, 1).await?.pop())
}

/// Queues the test restore of a backup that has just succeeded, where its database's policy asks for one after
/// each. Called again for the same backup, it is the same test restore.
pub(crate) async fn after_backup(app: &App, job: &Job) -> Result<()> {
    let Ok(kind) = job.backup().map(|backup| backup.kind) else { return Ok(()) };
    if job.status != Status::Succeeded || !matches!(kind, BackupKind::Scheduled | BackupKind::Manual) {
        return Ok(());
    }
    let Some(database) = app.catalog.database(job.owner()?.id).await? else { return Ok(()) };
    if database.settings.verify != VerifyPolicy::AfterEach {
        return Ok(());
    }
    match request(app, job.id, true, JobId::for_verification(job.id)).await {
        // Removed since it ended.
        Err(e)
            if e.kind() == ErrorKind::NotFound || (e.kind() == ErrorKind::Conflict && !e.is_retryable()) =>
        {
            Ok(())
        }
        asked => asked.map(drop),
    }
}
