//! Reads: one item, many items, and walks along the table or an index.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use respaldo_core::{Error, Result};

use super::Dynamo;
use super::attributes::{Item, Key, PK, SK, text};

/// DynamoDB takes so many keys in one read.
const MOST_KEYS: usize = 100;
/// DynamoDB takes so many items in one write.
const MOST_WRITES: usize = 25;
/// So many batches are under way at once.
const AT_ONCE: usize = 4;
/// What is left over of a batch is asked for again so often while nothing of it is taken.
const MOST_IDLE_ROUNDS: u32 = 8;
/// The first wait for what is left over; each further one is twice as long, until something of it is taken.
const FIRST_WAIT: Duration = Duration::from_millis(25);

/// Which sort keys are walked.
#[derive(Debug, Clone)]
pub(super) enum Range {
    /// Those that begin with it.
    Prefix(String),
    /// Both included.
    Between(String, String),
    /// After it.
    After(String),
    /// Before it.
    Before(String),
}

/// A walk along the table or one of its indexes.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    /// The index; the table itself where there is none, and then consistently.
    pub(super) index: Option<&'static str>,
    /// The hash key and its value.
    pub(super) partition: (&'static str, String),
    /// The sort key.
    pub(super) sort: &'static str,
    pub(super) range: Range,
    pub(super) descending: bool,
    /// How many items to look at for a page; as many as fit where there is none.
    pub(super) page: Option<usize>,
    /// The attributes to answer; all where there are none.
    pub(super) only: &'static [&'static str],
    /// Attributes that an item must have, each with one of these values; with any where there are none.
    pub(super) with: Vec<(&'static str, Vec<AttributeValue>)>,
}

impl Walk {
    /// Along the table.
    pub(super) fn table(partition: impl Into<String>, range: Range) -> Self {
        Self {
            index: None,
            partition: (PK, partition.into()),
            sort: SK,
            range,
            descending: false,
            page: None,
            only: &[],
            with: Vec::new(),
        }
    }
}

/// Some items, and where the next page begins.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    pub(super) next: Option<Item>,
}

impl Dynamo {
    /// One item, as the last confirmed write left it.
    pub(super) async fn get(&self, operation: &str, key: &Key) -> Result<Option<Item>> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.clone().into_item()))
            .consistent_read(true);
        let answer = get.send().await.map_err(|error| self.failure(operation, "GetItem", &error))?;
        Ok(answer.item)
    }

    /// Many items, consistently; those that are not there are left out. No key may come twice.
    pub(super) async fn get_many(
        &self,
        operation: &str,
        keys: &[Key],
        only: &'static [&'static str],
    ) -> Result<HashMap<Key, Item>> {
        // Owned, one by one: a stream of borrowed pieces is more than the compiler can follow.
        let mut batches = Vec::new();
        for keys in keys.chunks(MOST_KEYS) {
            batches.push(self.get_batch(operation, keys.to_vec(), only));
        }
        let found: Vec<Vec<Item>> = stream::iter(batches).buffer_unordered(AT_ONCE).try_collect().await?;
        found.into_iter().flatten().map(|item| Ok((Key::of(&item)?, item))).collect()
    }

    async fn get_batch(
        &self,
        operation: &str,
        keys: Vec<Key>,
        only: &'static [&'static str],
    ) -> Result<Vec<Item>> {
        let mut wanted = KeysAndAttributes::builder().consistent_read(true);
        if !only.is_empty() {
            let (expression, names) = projection(only);
            wanted = wanted.projection_expression(expression).set_expression_attribute_names(Some(names));
        }
        let keys = keys.into_iter().map(Key::into_item).collect();
        let wanted = wanted.set_keys(Some(keys)).build().map_err(|e| Error::internal(operation, e))?;
        let (mut left, mut found, mut idle) = (Some(wanted), Vec::new(), 0);
        while let Some(wanted) = left.take() {
            self.wait(operation, idle).await?;
            let get = self.client.batch_get_item().request_items(&self.table, wanted).send().await;
            let answer = get.map_err(|error| self.failure(operation, "BatchGetItem", &error))?;
            let before = found.len();
            found.extend(answer.responses.into_iter().flatten().flat_map(|(_table, items)| items));
            idle = if found.len() > before { 1 } else { idle + 1 };
            left = answer.unprocessed_keys.into_iter().flatten().map(|(_table, keys)| keys).next();
        }
        Ok(found)
    }

    /// One page of a walk.
    pub(super) async fn page(&self, operation: &str, walk: &Walk, from: Option<Item>) -> Result<Page> {
        let mut names = HashMap::from([
            ("#hash".to_owned(), walk.partition.0.to_owned()),
            ("#sort".to_owned(), walk.sort.to_owned()),
        ]);
        let mut values = HashMap::from([(":hash".to_owned(), text(&walk.partition.1))]);
        let mut value = |name: &str, value: &str| values.insert(name.to_owned(), text(value));
        let range = match &walk.range {
            Range::Prefix(prefix) => {
                value(":low", prefix);
                "begins_with(#sort, :low)"
            }
            Range::Between(low, high) => {
                value(":low", low);
                value(":high", high);
                "#sort BETWEEN :low AND :high"
            }
            Range::After(low) => {
                value(":low", low);
                "#sort > :low"
            }
            Range::Before(high) => {
                value(":high", high);
                "#sort < :high"
            }
        };
        let mut query = self
            .client
            .query()
            .table_name(&self.table)
            .set_index_name(walk.index.map(str::to_owned))
            .consistent_read(walk.index.is_none())
            .scan_index_forward(!walk.descending)
            .set_limit(walk.page.map(|page| i32::try_from(page.max(1)).unwrap_or(i32::MAX)))
            .key_condition_expression(format!("#hash = :hash AND {range}"))
            .set_exclusive_start_key(from);
        if !walk.only.is_empty() {
            let (expression, own) = projection(walk.only);
            names.extend(own);
            query = query.projection_expression(expression);
        }
        if !walk.with.is_empty() {
            query = query.filter_expression(filter(&walk.with, &mut names, &mut values));
        }
        let query =
            query.set_expression_attribute_names(Some(names)).set_expression_attribute_values(Some(values));
        let answer = query.send().await.map_err(|error| self.failure(operation, "Query", &error))?;
        let next = answer.last_evaluated_key.filter(|key| !key.is_empty());
        Ok(Page { items: answer.items.unwrap_or_default(), next })
    }

    /// A walk to its end.
    pub(super) async fn all(&self, operation: &str, walk: &Walk) -> Result<Vec<Item>> {
        let mut found = Vec::new();
        let mut from = None;
        loop {
            let page = self.page(operation, walk, from).await?;
            found.extend(page.items);
            from = page.next;
            if from.is_none() {
                return Ok(found);
            }
        }
    }

    /// Stores items without a condition.
    pub(super) async fn put_many(&self, operation: &str, items: Vec<Item>) -> Result<()> {
        let requests = items.into_iter().map(|item| {
            let put = PutRequest::builder().set_item(Some(item)).build();
            Ok(WriteRequest::builder().put_request(put.map_err(|e| Error::internal(operation, e))?).build())
        });
        self.write_many(operation, requests.collect::<Result<_>>()?).await
    }

    /// Removes items without a condition.
    pub(super) async fn remove_many(&self, operation: &str, keys: Vec<Key>) -> Result<()> {
        let requests = keys.into_iter().map(|key| {
            let delete = DeleteRequest::builder().set_key(Some(key.into_item())).build();
            Ok(WriteRequest::builder()
                .delete_request(delete.map_err(|e| Error::internal(operation, e))?)
                .build())
        });
        self.write_many(operation, requests.collect::<Result<_>>()?).await
    }

    async fn write_many(&self, operation: &str, requests: Vec<WriteRequest>) -> Result<()> {
        for batch in requests.chunks(MOST_WRITES) {
            let (mut left, mut idle) = (batch.to_vec(), 0);
            while !left.is_empty() {
                self.wait(operation, idle).await?;
                let asked = left.len();
                let write = self.client.batch_write_item().request_items(&self.table, left).send().await;
                let answer = write.map_err(|error| self.failure(operation, "BatchWriteItem", &error))?;
                left =
                    answer.unprocessed_items.into_iter().flatten().flat_map(|(_table, left)| left).collect();
                idle = if left.len() < asked { 1 } else { idle + 1 };
            }
        }
        Ok(())
    }

    /// Waits before what was left over of a batch is asked for again, after so many rounds since anything of it was
    /// taken: one partition takes a megabyte a second, and a large record has more.
    async fn wait(&self, operation: &str, idle: u32) -> Result<()> {
        if idle >= MOST_IDLE_ROUNDS {
            return Err(self.overloaded(operation));
        }
        if idle > 0 {
            tokio::time::sleep(FIRST_WAIT * 2_u32.pow(idle - 1)).await;
        }
        Ok(())
    }
}

/// The expression that chooses these attributes besides the key.
fn projection(only: &[&str]) -> (String, HashMap<String, String>) {
    let wanted = [PK, SK].iter().chain(only);
    let names: HashMap<_, _> = wanted.map(|name| (format!("#{name}"), (*name).to_owned())).collect();
    let expression: Vec<_> = names.keys().map(String::as_str).collect();
    (expression.join(", "), names)
}

fn filter(
    with: &[(&'static str, Vec<AttributeValue>)],
    names: &mut HashMap<String, String>,
    values: &mut HashMap<String, AttributeValue>,
) -> String {
    let conditions = with.iter().map(|(name, allowed)| {
        names.insert(format!("#{name}"), (*name).to_owned());
        if allowed.is_empty() {
            return format!("attribute_exists(#{name})");
        }
        let placeholders = allowed.iter().enumerate().map(|(nth, value)| {
            let placeholder = format!(":{name}{nth}");
            values.insert(placeholder.clone(), value.clone());
            placeholder
        });
        format!("#{name} IN ({})", placeholders.collect::<Vec<_>>().join(", "))
    });
    conditions.collect::<Vec<_>>().join(" AND ")
}
