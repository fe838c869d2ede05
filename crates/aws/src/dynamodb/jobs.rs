//! Jobs: a partition each, with the record, its parts and its log.

use async_trait::async_trait;
use jiff::Timestamp;
use respaldo_core::model::{Job, JobId, Status};
use respaldo_core::{Error, Result};

use super::Dynamo;
use super::attributes::{
    BACKUP_KIND, DATABASE, DUE_PK, DUE_SK, FAMILY, Item, Key, OUTLINE, PK, PLACE, SIZE, STATUS, number, text,
    text_of,
};
use super::due::Due;
use super::keys::{self, JOBS, RECORD, place, sortable};
use super::outline;
use super::packing::{Packed, read, write};
use super::read::Range;
use super::records::{Address, Columns};
use super::write::Written;

/// A job that was being deleted when another of its id came is made room for so often.
const MOST_BURIALS: u32 = 3;
/// What stands in [`DATABASE`] of a job that works on no single database.
pub(super) const NO_DATABASE: &str = "none";
/// What a deleted job's record loses at once, so that no list and no sum has it.
const LISTED: [&str; 7] = [FAMILY, PLACE, DATABASE, STATUS, BACKUP_KIND, SIZE, OUTLINE];

fn address(id: JobId) -> Address {
    Address { key: keys::job(id), parts: keys::job_partition(id) }
}

/// The attributes beside a job's document. What an index holds is derived here and nowhere else.
fn columns(job: &Job) -> Result<Columns> {
    let backup = job.backup().ok();
    let artifact = backup.and_then(|backup| backup.artifact.as_ref());
    let stored = artifact.filter(|_| job.status == Status::Succeeded);
    let attention = job.attention_at();
    let database = job.database_id().map_or_else(|| NO_DATABASE.to_owned(), |id| id.to_string());
    Ok(vec![
        (FAMILY, Some(text(JOBS))),
        (PLACE, Some(text(place(job.created_at, job.id)))),
        (DATABASE, Some(text(database))),
        (STATUS, Some(text(job.status.as_str()))),
        (BACKUP_KIND, backup.map(|backup| text(backup.kind.as_str()))),
        (SIZE, stored.map(|artifact| number(artifact.size_bytes))),
        (OUTLINE, outline::of(job)?.map(Packed::of).transpose()?.map(Packed::into_attribute)),
        (DUE_PK, attention.map(|_| text(shard(job.id)))),
        (DUE_SK, attention.map(|at| text(format!("{}#{}", sortable(at.as_millisecond()), job.id)))),
    ])
}

fn shard(id: JobId) -> String {
    keys::shard(JOBS, keys::spread(id))
}

/// The id of a job from its partition.
pub(super) fn id_of(key: &Key) -> Result<JobId> {
    let id = key.pk.strip_prefix(JOBS).and_then(|rest| rest.strip_prefix('#')).unwrap_or_default();
    id.parse()
}

impl Dynamo {
    pub(super) async fn create_a_job(&self, job: &Job) -> Result<bool> {
        const OPERATION: &str = "create a job";
        let at = address(job.id);
        for _burial in 0..MOST_BURIALS {
            let document = (job.revision, write(job)?);
            match self.create_record(OPERATION, &at, document, columns(job)?).await? {
                Written::Done(_) | Written::DoneBefore(_) => return Ok(true),
                Written::Refused(Some(item)) if super::attributes::is_gone(&item) => {
                    self.finish_a_job(OPERATION, job.id).await?;
                }
                Written::Refused(Some(_)) => return Ok(false),
                // Whoever was there has just been removed.
                Written::Refused(None) => {}
            }
        }
        Err(Self::crowded(OPERATION))
    }

    pub(super) async fn one_job(&self, id: JobId) -> Result<Option<Job>> {
        const OPERATION: &str = "read a job";
        let record = self.record(OPERATION, &address(id)).await?;
        record.map(|record| Ok(Job { revision: record.revision, ..read(&record.document)? })).transpose()
    }

    /// The job of an item that was read in passing.
    pub(super) async fn job_of(&self, operation: &str, item: &Item) -> Result<Option<Job>> {
        let at = address(id_of(&Key::of(item)?)?);
        let record = self.record_of(operation, &at, item).await?;
        record.map(|record| Ok(Job { revision: record.revision, ..read(&record.document)? })).transpose()
    }

    pub(super) async fn change_a_job(&self, job: &Job) -> Result<Job> {
        const OPERATION: &str = "change a job";
        let Some(revision) = job.revision.checked_add(1) else { return Err(stale(OPERATION, job.id)) };
        let document = (revision, write(job)?);
        if self.change_record(OPERATION, &address(job.id), document, columns(job)?, |change| change).await? {
            return Ok(Job { revision, ..job.clone() });
        }
        Err(stale(OPERATION, job.id))
    }

    pub(super) async fn delete_a_job(&self, job: &Job) -> Result<()> {
        const OPERATION: &str = "delete a job";
        let due = (shard(job.id), job.id.to_string());
        if !self.bury(OPERATION, &address(job.id), job.revision, due, &LISTED).await? {
            return Err(stale(OPERATION, job.id));
        }
        self.finish_a_job(OPERATION, job.id).await
    }

    /// Removes what belongs to a job whose record is marked, and the record last: as long as it is there, the due index brings
    /// it to the next tick.
    async fn finish_a_job(&self, operation: &str, id: JobId) -> Result<()> {
        let everything = Range::After(String::from(" "));
        self.sweep(operation, &keys::job_partition(id), everything, |sk| sk != RECORD).await?;
        self.remove_buried(operation, &address(id)).await
    }
}

#[async_trait]
impl Due for Job {
    const FAMILY: &'static str = JOBS;

    async fn read(dynamo: &Dynamo, operation: &str, item: &Item) -> Result<Option<Self>> {
        dynamo.job_of(operation, item).await
    }

    async fn finish(dynamo: &Dynamo, operation: &str, item: &Item) -> Result<()> {
        let key = Key::new(text_of(item, PK)?, RECORD);
        dynamo.finish_a_job(operation, id_of(&key)?).await
    }

    fn due(&self) -> Option<(Timestamp, u128)> {
        self.attention_at().map(|at| (at, self.id.0.0))
    }
}

fn stale(operation: &str, id: JobId) -> Error {
    Error::conflict(operation, format!("job {id} was changed or deleted since it was read"))
        .with_mend("read it again")
}
