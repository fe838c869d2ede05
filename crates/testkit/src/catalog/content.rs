//! What a catalog knows, to be compared with another's; and a catalog with a little of everything.

use jiff::Timestamp;
use respaldo_core::model::{BackupKind, Database, DatabaseId, Job, JobId, Status};
use respaldo_core::ports::{Catalog, Claim, Cursor, Document, JobFilter, LogEntry, NewDatabase};
use respaldo_core::transfer::DOCUMENTS;

use super::claims::walk;
use super::sample::{at, database, job_of, job_without_a_database, line, test_restore_of};

/// All that a catalog knows, but for revisions, which are each catalog's own.
#[derive(Debug, PartialEq)]
pub struct Content {
    /// By number.
    pub databases: Vec<Database>,
    /// Newest first.
    pub jobs: Vec<Job>,
    /// Of each of those jobs.
    pub logs: Vec<Vec<LogEntry>>,
    /// By key.
    pub claims: Vec<Claim>,
    /// Those that belong to the content.
    pub documents: Vec<Option<String>>,
    /// Over all backups.
    pub totals: String,
    /// The databases of the due index, earliest first, and how many jobs are in theirs.
    pub due: (Vec<DatabaseId>, usize),
}

/// Reads all of it.
pub async fn content(catalog: &dyn Catalog) -> Content {
    let mut databases: Vec<Database> = Vec::new();
    while let page = catalog.databases(databases.last().map(|last| last.id), 100).await.unwrap()
        && !page.is_empty()
    {
        databases.extend(page);
    }
    for database in &mut databases {
        database.revision = 0;
    }
    let mut jobs: Vec<Job> = Vec::new();
    while let page = catalog.jobs(&JobFilter::default(), jobs.last().map(Cursor::after), 100).await.unwrap()
        && !page.is_empty()
    {
        jobs.extend(page);
    }
    let mut logs = Vec::new();
    for job in &jobs {
        logs.push(whole_log(catalog, job.id).await);
    }
    let mut documents = Vec::new();
    for name in DOCUMENTS {
        documents.push(catalog.document(name).await.unwrap().map(|Document { text, .. }| text));
    }
    let due = catalog.due_databases(Timestamp::MAX, 1_000).await.unwrap();
    let due_jobs = catalog.due_jobs(Timestamp::MAX, 1_000).await.unwrap().len();
    Content {
        databases,
        jobs,
        logs,
        claims: walk(catalog, 100).await,
        documents,
        totals: format!("{:?}", catalog.totals(None).await.unwrap()),
        due: (due.iter().map(|database| database.id).collect(), due_jobs),
    }
}

async fn whole_log(catalog: &dyn Catalog, job: JobId) -> Vec<LogEntry> {
    let mut lines: Vec<LogEntry> = Vec::new();
    while let page = catalog.log(job, lines.last().map_or(0, |last| last.seq), 100).await.unwrap()
        && !page.is_empty()
    {
        lines.extend(page);
    }
    lines
}

/// A little of everything, for an empty catalog: every status, logs of more than a page, texts that are not
/// harmless, a number whose database is gone.
pub async fn fill(catalog: &dyn Catalog) {
    for n in 1..=7 {
        let mut new = database(n);
        new.settings.name = format!("ñ \" {n}\n");
        new.synced = (n == 2).then(|| [("port".to_owned(), 5.into())].into_iter().collect());
        catalog.create_database(NewDatabase(new)).await.unwrap();
    }
    let last = catalog.database(DatabaseId(7)).await.unwrap().unwrap();
    catalog.delete_database(&last).await.unwrap();
    let statuses = [
        Status::Queued,
        Status::Running,
        Status::Succeeded,
        Status::Failed,
        Status::Skipped,
        Status::Cancelled,
        Status::Deleting,
    ];
    for n in 0..40_u8 {
        let kind = BackupKind::Scheduled;
        let mut job = job_of(n.into(), DatabaseId(1 + i64::from(n % 6)), kind, at(i64::from(n)));
        job.status = statuses[usize::from(n) % statuses.len()];
        job.revision = 5;
        job.fence = u64::from(n);
        job.finished_at = job.status.is_terminal().then(|| at(500));
        job.untold = n % 3 == 0;
        assert!(catalog.create_job(&job).await.unwrap());
        let lines: Vec<_> = (0..usize::from(n) * 13).map(|place| line(&format!("{n} \"{place}\""))).collect();
        catalog.append_log(job.id, &lines).await.unwrap();
    }
    assert!(catalog.create_job(&job_without_a_database(900, at(3))).await.unwrap());
    assert!(catalog.create_job(&test_restore_of(901, DatabaseId(1), at(4))).await.unwrap());
    for n in 0..250 {
        let ends = (n % 2 == 0).then(|| at(3_600_000 + 60_000 * n));
        catalog.claim(&format!("key {n}"), &format!("ñ {n}"), at(0), ends).await.unwrap();
    }
    catalog.put_document(DOCUMENTS[0], "{\"sealed\": \"…\"}", 0).await.unwrap();
}
