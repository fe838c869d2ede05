//! The due index: what asks for attention, earliest first, and nothing else is read.

use std::collections::{HashSet, VecDeque};

use async_trait::async_trait;
use futures::future::try_join_all;
use jiff::Timestamp;
use respaldo_core::Result;

use super::Dynamo;
use super::attributes::{DUE_PK, DUE_SK, Item, Key, is_gone, text_of};
use super::keys::{SHARDS, shard, sortable};
use super::read::{Range, Walk};

/// The index's name.
pub(super) const INDEX: &str = "due";
/// So many entries of a shard are read at once.
const MOST_OF_A_SHARD: usize = 250;
/// So many records are read at once.
const MOST_RECORDS: usize = 100;

/// What is due: how it is read, and how its deletion is finished.
#[async_trait]
pub(super) trait Due: Send + Sized {
    /// The first half of the index's partitions.
    const FAMILY: &'static str;

    /// The record of an item that was read, unless it is deleted.
    async fn read(dynamo: &Dynamo, operation: &str, item: &Item) -> Result<Option<Self>>;

    /// Finishes the deletion of one whose deleter died.
    async fn finish(dynamo: &Dynamo, operation: &str, item: &Item) -> Result<()>;

    /// Since when it asks for attention, and what orders those of one instant.
    fn due(&self) -> Option<(Timestamp, u128)>;
}

/// One shard's entries, as far as they are read.
struct Shard {
    walk: Walk,
    entries: VecDeque<(String, Key)>,
    next: Option<Item>,
    begun: bool,
}

impl Shard {
    fn new(family: &str, number: u64, until: Timestamp, limit: usize) -> Self {
        let before = sortable(until.as_millisecond().saturating_add(1));
        let walk = Walk {
            index: Some(INDEX),
            partition: (DUE_PK, shard(family, number)),
            sort: DUE_SK,
            page: Some(limit.min(MOST_OF_A_SHARD)),
            ..Walk::table(String::new(), Range::Before(before))
        };
        Self { walk, entries: VecDeque::new(), next: None, begun: false }
    }

    fn is_dry(&self) -> bool {
        self.entries.is_empty() && (!self.begun || self.next.is_some())
    }

    async fn fill(&mut self, dynamo: &Dynamo, operation: &str) -> Result<()> {
        while self.is_dry() {
            let page = dynamo.page(operation, &self.walk, self.next.take()).await?;
            (self.begun, self.next) = (true, page.next);
            for item in &page.items {
                self.entries.push_back((text_of(item, DUE_SK)?.to_owned(), Key::of(item)?));
            }
        }
        Ok(())
    }
}

/// The next entries of all shards, earliest first, up to where some shard has to be read on.
fn merge(shards: &mut [Shard], most: usize) -> Vec<Key> {
    let mut merged = Vec::new();
    while merged.len() < most && !shards.iter().any(Shard::is_dry) {
        let earliest = shards.iter_mut().filter(|shard| !shard.entries.is_empty());
        let Some(shard) = earliest.min_by(|a, b| a.entries[0].0.cmp(&b.entries[0].0)) else { break };
        merged.extend(shard.entries.pop_front().map(|(_due, key)| key));
    }
    merged
}

impl Dynamo {
    /// What asks for attention at `until`, earliest first. An entry may be older than its record: each record is read, and
    /// asked itself.
    pub(super) async fn due<T: Due>(
        &self,
        operation: &str,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<T>> {
        let mut shards: Vec<_> =
            (0..SHARDS).map(|number| Shard::new(T::FAMILY, number, until, limit)).collect();
        let mut seen = HashSet::new();
        let mut found: Vec<T> = Vec::new();
        while found.len() < limit {
            try_join_all(shards.iter_mut().map(|shard| shard.fill(self, operation))).await?;
            let mut keys = merge(&mut shards, (limit - found.len()).min(MOST_RECORDS));
            if keys.is_empty() {
                break;
            }
            keys.retain(|key| seen.insert(key.clone()));
            let mut items = self.get_many(operation, &keys, &[]).await?;
            for item in keys.iter().filter_map(|key| items.remove(key)) {
                if is_gone(&item) {
                    T::finish(self, operation, &item).await?;
                } else if let Some(record) = T::read(self, operation, &item).await? {
                    found.extend(Some(record).filter(|one| one.due().is_some_and(|(at, _)| at <= until)));
                }
            }
        }
        found.sort_by_key(Due::due);
        Ok(found)
    }
}
