//! What happened, as lines of the log.

use async_trait::async_trait;
use respaldo_core::Result;
use respaldo_core::model::{Database, Job, Status, VerificationStatus};
use respaldo_core::ports::{Event, Events};
use respaldo_core::retention::Reason;

/// Tells each event as one structured line: units in the fields' names, no secrets.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingEvents;

#[async_trait]
impl Events for TracingEvents {
    async fn publish(&self, event: Event) -> Result<()> {
        match event {
            Event::DatabaseRegistered(database) => of_database(&database, "database registered"),
            Event::DatabaseChanged(database) => of_database(&database, "database changed"),
            Event::DatabaseRemoved(database) => of_database(&database, "database removed"),
            Event::BackupRetired { job, reason } => of_removal(&job, reason),
            Event::JobEnded(job) => of_job(&job),
            Event::TickFailed(error) => tracing::error!(%error, "tick failed"),
            Event::StorageRefused(error) => tracing::error!(%error, "storage refused"),
            Event::MetricsNotPushed(error) => tracing::warn!(%error, "metrics not pushed"),
            _ => tracing::info!("something happened that this version has no words for"),
        }
        Ok(())
    }
}

fn of_database(database: &Database, what: &'static str) {
    let settings = &database.settings;
    tracing::info!(
        database_id = database.id.0,
        name = settings.name,
        engine = settings.engine.as_str(),
        schedule = settings.schedule,
        "{what}"
    );
}

fn of_removal(job: &Job, reason: Reason) {
    tracing::info!(
        job = %job.id,
        database_id = job.database_id().map(|id| id.0),
        name = job.file_name(),
        created_at = %job.created_at,
        size_bytes = job.artifact().map(|artifact| artifact.size_bytes),
        %reason,
        "retention removes a {}",
        if job.package().is_ok() { "package" } else { "backup" }
    );
}

fn of_job(job: &Job) {
    let backup = job.backup().ok();
    let artifact = job.artifact();
    let verdict = job.test_restore().ok().and_then(|test| test.verdict.as_ref());
    let duration_ms =
        job.started_at.zip(job.finished_at).map(|(from, to)| to.duration_since(from).as_millis());
    let duration_ms = duration_ms.and_then(|millis| i64::try_from(millis).ok());
    macro_rules! line {
        ($level:ident, $($error:tt)*) => {
            tracing::$level!(
                job = %job.id,
                database_id = job.database_id().map(|id| id.0),
                work = job.work.as_str(),
                kind = backup.map(|backup| backup.kind.as_str()),
                status = job.status.as_str(),
                name = job.file_name(),
                duration_ms,
                size_bytes = artifact.map(|artifact| artifact.size_bytes),
                raw_bytes = artifact.map(|artifact| artifact.raw_bytes),
                verdict = verdict.map(|verdict| verdict.status.as_str()),
                reason = verdict.and_then(|verdict| verdict.reason.as_deref()),
                $($error)*
                "job ended"
            )
        };
    }
    match (&job.error, job.status) {
        (Some(error), Status::Failed) => line!(error, %error,),
        (Some(error), _) => line!(warn, %error,),
        // A backup that does not restore asks a person to act, though the job did all that it should.
        (None, _) if verdict.is_some_and(|verdict| verdict.status == VerificationStatus::Failed) => {
            line!(error,);
        }
        (None, _) => line!(info,),
    }
}
