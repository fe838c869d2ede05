//! A job in outline as an attribute of its own, so that ten thousand are read without their documents.

use respaldo_core::Result;
use respaldo_core::model::Job;
use serde_json::json;

use super::packing::write;

/// What [`Outline`](respaldo_core::model::Outline) reads of a record of a dump job, in the record's own form; none of
/// another job.
pub(super) fn of(job: &Job) -> Result<Option<String>> {
    let Ok(backup) = job.backup() else { return Ok(None) };
    let verdict = backup.verification.as_ref().map(|verdict| json!({ "status": verdict.status }));
    let outline = json!({
        "id": job.id,
        "status": job.status,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "untold": job.untold,
        "work": { "dump": {
            "kind": backup.kind,
            "name": backup.name,
            "artifact": backup.artifact.as_ref().map(|_artifact| true),
            "verification": verdict,
            "pinned": backup.pinned,
        }},
    });
    write(&outline).map(Some)
}

#[cfg(test)]
mod tests {
    use respaldo_core::model::{BackupKind, DatabaseId, Outline, Status};
    use respaldo_testkit::catalog::sample::{artifact, at, job_of};

    use super::*;

    #[test]
    fn it_reads_as_the_outline_of_the_whole_record() {
        let mut job = job_of(1, DatabaseId(1), BackupKind::Safety, at(5));
        for (stored, pinned) in [(false, true), (true, false)] {
            let backup = job.backup_mut().unwrap();
            backup.artifact = stored.then(|| artifact(1, 7));
            (backup.pinned, backup.name) = (pinned, Some("a \"name\"".to_owned()));
            job.status = Status::Succeeded;
            job.finished_at = Some(at(9));
            let read: Outline = serde_json::from_str(&of(&job).unwrap().unwrap()).unwrap();
            assert_eq!(Some(read), Outline::of(&job));
        }
    }
}
