//! Lists of jobs, outlines and sums: walks along an index, and then what the records themselves say.

use std::collections::{BTreeMap, HashSet};

use respaldo_core::Result;
use respaldo_core::model::{DatabaseId, Job, Outline, Status};
use respaldo_core::ports::{Cursor, JobFilter, Totals};

use super::Dynamo;
use super::attributes::{
    BACKUP_KIND, DATABASE, FAMILY, Item, Key, OUTLINE, PK, PLACE, SIZE, STATUS, number_in, text, text_in,
    text_of,
};
use super::jobs::NO_DATABASE;
use super::keys::{self, JOBS, millis_from, millis_of, place, sortable};
use super::packing::{read, unpack};
use super::read::{Range, Walk};

/// The indexes of jobs, each by one hash key, sorted by [`PLACE`].
pub(super) const BY_AGE: &str = "by_age";
pub(super) const BY_DATABASE: &str = "by_database";
pub(super) const BY_STATUS: &str = "by_status";
/// What those indexes hold besides keys. A heartbeat changes none of it, and so costs none of them a write.
pub(super) const PROJECTED: [&str; 4] = [DATABASE, STATUS, BACKUP_KIND, SIZE];
/// So many records are read at once.
const MOST_OF_A_PAGE: usize = 100;
/// So many entries are looked at for a page where a filter passes some over.
const MOST_FILTERED: usize = 1_000;

/// The walk that a list takes: the one place that decides which index serves which filter.
fn walk(filter: &JobFilter, after: Option<Cursor>, limit: usize) -> Option<Walk> {
    let (index, partition) = match (filter.database_id, filter.without_database, filter.status) {
        (Some(_), true, _) => return None,
        (Some(id), false, _) => (BY_DATABASE, (DATABASE, id.to_string())),
        (None, true, _) => (BY_DATABASE, (DATABASE, NO_DATABASE.to_owned())),
        (None, false, Some(status)) => (BY_STATUS, (STATUS, status.as_str().to_owned())),
        (None, false, None) => (BY_AGE, (FAMILY, JOBS.to_owned())),
    };
    let low = filter.since.map_or_else(|| "0".to_owned(), |since| sortable(millis_from(since)));
    let high = after.map_or_else(|| "~".to_owned(), |after| place(after.created_at, after.id));
    if low > high {
        return None;
    }
    let mut with = Vec::new();
    with.extend(filter.status.filter(|_| index != BY_STATUS).map(|one| (STATUS, vec![text(one.as_str())])));
    with.extend(filter.kind.map(|kind| (BACKUP_KIND, vec![text(kind.as_str())])));
    with.extend((filter.backups_only && filter.kind.is_none()).then(|| (BACKUP_KIND, Vec::new())));
    // One more than asked for: the cursor's own entry is the upper end.
    let page = if with.is_empty() { limit.saturating_add(1).min(MOST_OF_A_PAGE) } else { MOST_FILTERED };
    Some(Walk {
        index: Some(index),
        partition,
        sort: PLACE,
        descending: true,
        page: Some(page),
        only: &[PLACE],
        with,
        ..Walk::table(String::new(), Range::Between(low, high))
    })
}

/// The walks along which every job that has not ended is met, also one whose entry still tells of another status
/// than its record.
fn unended_walks(database: Option<DatabaseId>) -> Vec<Walk> {
    const WAITS_OR_RUNS: [Status; 2] = [Status::Queued, Status::Running];
    let of_all = |status| JobFilter { status: Some(status), ..JobFilter::default() };
    let (filters, with) = match database {
        // A database's entry stays in its place when the status changes.
        Some(id) => {
            let statuses = WAITS_OR_RUNS.iter().map(|status| text(status.as_str())).collect();
            (vec![JobFilter { database_id: Some(id), ..JobFilter::default() }], vec![(STATUS, statuses)])
        }
        // Here it may move back while the running ones are read: the queue is read again.
        None => ([Status::Queued, Status::Running, Status::Queued].map(of_all).to_vec(), Vec::new()),
    };
    let walks = filters.iter().filter_map(|filter| walk(filter, None, 0));
    walks.map(|walk| Walk { page: None, with: with.clone(), ..walk }).collect()
}

/// Whether a job is one to list: the same as the walk asks for, of the record itself.
fn matches(job: &Job, filter: &JobFilter, after: Option<Cursor>) -> bool {
    filter.database_id.is_none_or(|id| job.database_id() == Some(id))
        && (!filter.without_database || job.database.is_none())
        && filter.status.is_none_or(|status| job.status == status)
        && filter.kind.is_none_or(|kind| job.backup().is_ok_and(|backup| backup.kind == kind))
        && (!filter.backups_only || job.backup().is_ok())
        && filter.since.is_none_or(|since| job.created_at >= since)
        && after.is_none_or(|cursor| (job.created_at, job.id) < (cursor.created_at, cursor.id))
}

impl Dynamo {
    pub(super) async fn list_jobs(
        &self,
        filter: &JobFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Job>> {
        const OPERATION: &str = "list jobs";
        let mut found = Vec::new();
        let mut entries = Entries::of(walk(filter, after, limit));
        while found.len() < limit {
            let keys = entries.next(self, OPERATION).await?;
            let Some(keys) = keys else { break };
            let mut items = self.get_many(OPERATION, &keys, &[]).await?;
            for item in keys.iter().filter_map(|key| items.remove(key)) {
                let job = self.job_of(OPERATION, &item).await?;
                found.extend(job.filter(|job| matches(job, filter, after)));
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// What an index tells of a status may be old, so each record that it names is asked whether it has ended, and not
    /// whether it is still what the index says: else one that has just begun would be in neither list.
    pub(super) async fn list_unended(&self, database: Option<DatabaseId>) -> Result<Vec<Job>> {
        const OPERATION: &str = "list jobs that have not ended";
        let mut found = BTreeMap::new();
        for walk in unended_walks(database) {
            let mut entries = Entries::of(Some(walk));
            while let Some(keys) = entries.next(self, OPERATION).await? {
                for item in self.get_many(OPERATION, &keys, &[]).await?.values() {
                    found.extend(self.job_of(OPERATION, item).await?.map(|job| (job.id, job)));
                }
            }
        }
        let mut jobs: Vec<Job> = found.into_values().collect();
        jobs.retain(|job| matches!(job.status, Status::Queued | Status::Running));
        jobs.retain(|job| database.is_none() || job.database_id() == database);
        Ok(jobs)
    }

    pub(super) async fn list_outlines(
        &self,
        database: DatabaseId,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Outline>> {
        const OPERATION: &str = "list jobs in outline";
        let filter = JobFilter { database_id: Some(database), backups_only: true, ..JobFilter::default() };
        let mut found: Vec<Outline> = Vec::new();
        let mut entries = Entries::of(walk(&filter, after, limit));
        let after = after.map(|after| (after.created_at, after.id));
        while found.len() < limit {
            let keys = entries.next(self, OPERATION).await?;
            let Some(keys) = keys else { break };
            let mut items = self.get_many(OPERATION, &keys, &[OUTLINE, DATABASE]).await?;
            for item in keys.iter().filter_map(|key| items.remove(key)) {
                if text_in(&item, DATABASE) != Some(&*database.to_string()) {
                    continue;
                }
                let Some(outline) = item.get(OUTLINE) else { continue };
                let outline: Outline = read(&unpack(outline)?)?;
                found.extend(Some(outline).filter(|one| after.is_none_or(|after| one.place() < after)));
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    pub(super) async fn sums(&self, database: Option<DatabaseId>) -> Result<Totals> {
        let filter = JobFilter { database_id: database, backups_only: true, ..JobFilter::default() };
        let Some(walk) = walk(&filter, None, 0) else { return Ok(Totals::default()) };
        let walk = Walk { page: None, only: &[PLACE, STATUS, SIZE], ..walk };
        let mut totals = Totals::default();
        let mut from = None;
        loop {
            let page = self.page("sum up backups", &walk, from).await?;
            for item in &page.items {
                count(&mut totals, item)?;
            }
            from = page.next;
            if from.is_none() {
                return Ok(totals);
            }
        }
    }
}

fn count(totals: &mut Totals, item: &Item) -> Result<()> {
    let status = text_of(item, STATUS)?;
    *totals.by_status.entry(status.to_owned()).or_default() += 1;
    if status == Status::Succeeded.as_str() {
        totals.size_bytes = totals.size_bytes.saturating_add(number_in(item, SIZE).unwrap_or(0));
        let millis = millis_of(text_of(item, PLACE)?);
        let at = millis.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
        totals.newest_success_at = totals.newest_success_at.max(at);
        totals.oldest_success_at = totals.oldest_success_at.into_iter().chain(at).min();
    }
    Ok(())
}

/// The keys that a walk meets, a batch at a time, each once: an entry that moves while it is walked may be met twice.
struct Entries {
    walk: Option<Walk>,
    from: Option<Item>,
    waiting: Vec<Key>,
    seen: HashSet<Key>,
}

impl Entries {
    fn of(walk: Option<Walk>) -> Self {
        Self { walk, from: None, waiting: Vec::new(), seen: HashSet::new() }
    }

    async fn next(&mut self, dynamo: &Dynamo, operation: &str) -> Result<Option<Vec<Key>>> {
        while self.waiting.is_empty() {
            let Some(walk) = &self.walk else { return Ok(None) };
            let page = dynamo.page(operation, walk, self.from.take()).await?;
            self.from = page.next;
            for item in &page.items {
                let key = Key::new(text_of(item, PK)?, keys::RECORD);
                if self.seen.insert(key.clone()) {
                    self.waiting.push(key);
                }
            }
            if self.from.is_none() {
                self.walk = None;
            }
        }
        let rest = self.waiting.split_off(self.waiting.len().min(MOST_OF_A_PAGE));
        Ok(Some(std::mem::replace(&mut self.waiting, rest)))
    }
}
