//! How quick the catalog is when it is large: 100,000 databases and 1,000,000 jobs, or as many as
//! `BENCH_DATABASES` and `BENCH_BACKUPS` say.
//!
//! `cargo run --release -p respaldo-sqlite --example catalog_speed [FOLDER]`. The folder keeps the
//! file, one for each size, so that a second run measures at once; without one a temporary folder is used.
//! With `--retention` instead, only the plan of a database with 10,000 backups is measured.
#![expect(clippy::disallowed_methods, reason = "a measurement reads a clock")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use respaldo_core::fingerprint::Fingerprint;
use respaldo_core::model::{BackupKind, DatabaseId, Job, Outline, Status};
use respaldo_core::ports::{Catalog, Clock, Cursor, JobFilter, NewDatabase};
use respaldo_core::retention::{Policy, plan};
use respaldo_core::tick;
use respaldo_sqlite::SqliteCatalog;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::catalog::sample::{artifact, at, database, job_of};

const RETAINED: u32 = 10_000;
const DUE: u32 = 10;
const ROUNDS: usize = 200;
/// Of what takes longer than all else here.
const FEW_ROUNDS: usize = 20;
/// Milliseconds after `at(0)` at which the databases that are not due will be: a month.
const NOT_SOON: i64 = 30 * 86_400_000;
/// The samples' schedule is due at three in Madrid, which is two hours after `at(0)`.
const SLOT: i64 = 7_200_000;

/// How much the catalog holds.
#[derive(Clone, Copy)]
struct Size {
    databases: u32,
    jobs: u32,
}

impl Size {
    fn from_environment() -> Result<Self, Box<dyn std::error::Error>> {
        // Each round of ticks takes databases that no other has had.
        let databases = number("BENCH_DATABASES", 100_000, DUE * (u32::try_from(ROUNDS)? + 1))?;
        // A page in the middle of all, and one of those of them that failed, are to be full.
        let jobs = number("BENCH_BACKUPS", 1_000_000, 40_000)?;
        Ok(Self { databases, jobs })
    }

    /// The age that a part of all jobs has reached: they are a second apart.
    fn age(self, percent: u32) -> i64 {
        i64::from(self.jobs / 100 * percent) * 1_000
    }
}

fn number(variable: &str, default: u32, least: u32) -> Result<u32, String> {
    let Ok(text) = std::env::var(variable) else { return Ok(default) };
    let number = text.parse().ok().filter(|number| *number >= least);
    number.ok_or_else(|| format!("{variable}: {text:?} is no whole number of at least {least}"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args_os().nth(1).is_some_and(|arg| arg == "--retention") {
        return measure_retention().await;
    }
    let temporary = tempfile::tempdir()?;
    let folder = std::env::args_os().nth(1).map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let size = Size::from_environment()?;
    let path = folder.join(format!("catalog-speed-{}-{}.db", size.databases, size.jobs));
    println!("{} databases, {} backups", size.databases, size.jobs);
    if !path.exists() {
        let start = Instant::now();
        fill(&path, size)?;
        println!("filled in {:.0?}", start.elapsed());
    }
    let catalog = SqliteCatalog::open(&path)?;
    println!("{} MB", std::fs::metadata(&path)?.len() / 1_000_000);
    measure_reads(&catalog, size).await?;
    measure_retention().await?;
    measure_writes(&catalog, size).await?;
    measure_tick(&path, catalog).await
}

/// Writes what the port would, in one transaction, because a million confirmed writes take an hour.
fn fill(path: &Path, size: Size) -> Result<(), Box<dyn std::error::Error>> {
    drop(SqliteCatalog::open(path)?);
    let mut file = rusqlite::Connection::open(path)?;
    let transaction = file.transaction()?;
    {
        let mut insert = transaction.prepare(
            "INSERT INTO databases (uid, revision, attention_at, document) VALUES (?1, 1, ?2, ?3)",
        )?;
        for n in 1..=size.databases {
            let mut new = database(n.into());
            new.next_due_at = Some(if n <= DUE { at(0) } else { at(NOT_SOON + i64::from(n)) });
            let due = new.attention_at().map(Timestamp::as_millisecond);
            insert.execute((new.uid.to_string(), due, serde_json::to_string(&new)?))?;
        }
        let mut insert = transaction.prepare(
            "INSERT INTO jobs (id, revision, database_id, status, backup_kind, created_at, attention_at, \
             size_bytes, document) VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for n in 1..=size.jobs {
            let new = past_job(size, n);
            let size = new.backup()?.artifact.as_ref().map_or(0, |artifact| artifact.size_bytes);
            insert.execute((
                new.id.to_string(),
                new.owner()?.id.0,
                new.status.as_str(),
                new.backup()?.kind.as_str(),
                new.created_at.as_millisecond(),
                new.attention_at().map(Timestamp::as_millisecond),
                i64::try_from(size)?,
                serde_json::to_string(&new)?,
            ))?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Nearly all succeeded, one in a hundred failed, ten wait.
fn past_job(size: Size, n: u32) -> Job {
    let kind = if n.is_multiple_of(50) { BackupKind::Manual } else { BackupKind::Scheduled };
    let owner = DatabaseId(i64::from(1 + n % size.databases));
    let mut job = job_of(n.into(), owner, kind, at(-i64::from(size.jobs - n) * 1_000));
    if n > size.jobs - DUE {
        return job;
    }
    job.status = if n.is_multiple_of(100) { Status::Failed } else { Status::Succeeded };
    if job.status == Status::Succeeded {
        let Ok(backup) = job.backup_mut() else { unreachable!("it is a dump job") };
        backup.artifact = Some(artifact(1, 1_000_000));
    }
    job
}

async fn measure_reads(catalog: &SqliteCatalog, size: Size) -> Result<(), Box<dyn std::error::Error>> {
    let until = at(120_000);
    report("due databases, 10 of all", async || Ok(catalog.due_databases(until, 100).await?.len())).await?;
    report("due jobs, 10 of all", async || Ok(catalog.due_jobs(until, 100).await?.len())).await?;
    let middle = Cursor { created_at: at(-size.age(50)), id: past_job(size, size.jobs / 2).id };
    let all = JobFilter::default();
    report("page of 100 jobs, first", async || Ok(catalog.jobs(&all, None, 100).await?.len())).await?;
    report("page of 100 jobs, in the middle", async || {
        Ok(catalog.jobs(&all, Some(middle), 100).await?.len())
    })
    .await?;
    let failed = JobFilter { status: Some(Status::Failed), ..JobFilter::default() };
    report("page of 100 failed jobs, in the middle", async || {
        Ok(catalog.jobs(&failed, Some(middle), 100).await?.len())
    })
    .await?;
    let rare = JobFilter {
        status: Some(Status::Failed),
        kind: Some(BackupKind::Manual),
        database_id: Some(DatabaseId(1)),
        since: Some(at(-size.age(90))),
        ..JobFilter::default()
    };
    report("one database's failed manual jobs since", async || {
        Ok(catalog.jobs(&rare, None, 100).await?.len())
    })
    .await?;
    let middle = DatabaseId(i64::from(size.databases / 2));
    report("page of 100 databases", async || Ok(catalog.databases(Some(middle), 100).await?.len())).await?;
    report("totals of all", async || Ok(catalog.totals(None).await?.by_status.len())).await?;
    report("totals of one", async || Ok(catalog.totals(Some(DatabaseId(7))).await?.by_status.len())).await
}

/// A database with many backups, each with a fingerprint of forty tables, in a catalog of its own.
async fn measure_retention() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("retention.db");
    let catalog = SqliteCatalog::open(&path)?;
    let owner = catalog.create_database(NewDatabase(database(1))).await?;
    let mut fingerprint = Fingerprint::default();
    for n in 0..40 {
        fingerprint.table(&format!("public.table_{n}")).rows = 1_000;
    }
    let mut file = rusqlite::Connection::open(&path)?;
    let transaction = file.transaction()?;
    for n in 1..=RETAINED {
        let created_at = at(-i64::from(n) * 3_600_000);
        let mut job = job_of(n.into(), owner.id, BackupKind::Scheduled, created_at);
        job.status = Status::Succeeded;
        job.backup_mut()?.artifact = Some(artifact(1, 1_000_000));
        job.backup_mut()?.fingerprint = Some(fingerprint.clone());
        transaction.execute(
            "INSERT INTO jobs (id, revision, database_id, status, backup_kind, created_at, size_bytes, document) \
             VALUES (?1, 0, ?2, 'succeeded', 'scheduled', ?3, 1000000, ?4)",
            (job.id.to_string(), owner.id.0, created_at.as_millisecond(), serde_json::to_string(&job)?),
        )?;
    }
    transaction.commit()?;
    let policy = Policy { retention_days: Some(15), max_backups: Some(1_000), safety_days: 7, enabled: true };
    report_of(FEW_ROUNDS, "retention plan of a database with 10,000 backups", async || {
        let (mut all, mut after) = (Vec::<Outline>::new(), None);
        loop {
            let page = catalog.outlines(owner.id, after, 1_000).await?;
            let Some(last) = page.last() else { break };
            after = Some(Cursor { created_at: last.created_at, id: last.id });
            all.extend(page);
        }
        Ok(plan(&policy, all, at(0)).removals().count())
    })
    .await?;
    let filter = JobFilter { database_id: Some(owner.id), ..JobFilter::default() };
    report_of(FEW_ROUNDS, "the same backups as whole records", async || {
        Ok(catalog.jobs(&filter, None, RETAINED as usize).await?.len())
    })
    .await
}

async fn measure_writes(catalog: &SqliteCatalog, size: Size) -> Result<(), Box<dyn std::error::Error>> {
    let now = at(0);
    let mut id = u128::from(size.jobs) * 1_000;
    while catalog.job(job_of(id, DatabaseId(1), BackupKind::Manual, now).id).await?.is_some() {
        id += 1_000;
    }
    let mut newest = None;
    report("create a job, confirmed on disk", async || {
        id += 1;
        let new = job_of(id, DatabaseId(1), BackupKind::Manual, now);
        let created = catalog.create_job(&new).await?;
        newest = Some(new);
        Ok(usize::from(created))
    })
    .await?;
    let mut job = newest.ok_or("nothing was created")?;
    let ttl = SignedDuration::from_secs(30);
    let fence = job.lease("speed", now, ttl)?;
    report("heartbeat of a job, confirmed on disk", async || {
        job.heartbeat(fence, now, ttl, job.progress)?;
        job = catalog.update_job(&job).await?;
        Ok(1)
    })
    .await?;
    let stored = catalog.create_database(NewDatabase(database(u128::from(size.databases) + id))).await?;
    Ok(catalog.delete_database(&stored).await?)
}

/// Whole ticks, each with other databases that are due: jobs queued, schedules advanced, on disk.
async fn measure_tick(path: &Path, catalog: SqliteCatalog) -> Result<(), Box<dyn std::error::Error>> {
    let mut test = TestApp::new();
    test.app.catalog = Arc::new(catalog);
    test.app.clock = Arc::new(FixedClock(at(SLOT + 30_000)));
    // What the fill left due is done with first.
    tick::tick(&test.app).await?;
    let mut times = Vec::new();
    let mut found = 0;
    for round in 1..=ROUNDS {
        make_due(path, i64::try_from(round)? * i64::from(DUE))?;
        let start = Instant::now();
        found = tick::tick(&test.app).await?.due;
        times.push(start.elapsed());
    }
    print_times("tick with 10 databases due", found, times[0], times);
    Ok(())
}

/// Makes the databases that follow number `after` due at the slot.
fn make_due(path: &Path, after: i64) -> Result<(), Box<dyn std::error::Error>> {
    let file = rusqlite::Connection::open(path)?;
    file.busy_timeout(Duration::from_secs(10))?;
    let due = at(SLOT);
    let changed = file.execute(
        "UPDATE databases SET attention_at = ?1, document = json_set(document, '$.next_due_at', ?2) \
         WHERE id > ?3 AND id <= ?4",
        (due.as_millisecond(), due.to_string(), after, after + i64::from(DUE)),
    )?;
    if changed == usize::try_from(DUE)? { Ok(()) } else { Err(format!("{changed} became due").into()) }
}

/// It stands still, so that nothing else becomes due.
#[derive(Debug)]
struct FixedClock(Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// Median and slowest of many rounds after a first one.
async fn report(
    what: &str,
    work: impl AsyncFnMut() -> respaldo_core::Result<usize>,
) -> Result<(), Box<dyn std::error::Error>> {
    report_of(ROUNDS, what, work).await
}

async fn report_of(
    rounds: usize,
    what: &str,
    mut work: impl AsyncFnMut() -> respaldo_core::Result<usize>,
) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let found = work().await?;
    let first = start.elapsed();
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        work().await?;
        times.push(start.elapsed());
    }
    print_times(what, found, first, times);
    Ok(())
}

fn print_times(what: &str, found: usize, first: Duration, mut times: Vec<Duration>) {
    times.sort_unstable();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{what}: {found} found; first {first:.1?}, median {median:.1?}, slowest {slowest:.1?}");
}
