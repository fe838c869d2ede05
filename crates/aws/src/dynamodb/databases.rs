//! Databases: numbered records in one partition, with a due index.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::Timestamp;
use respaldo_core::model::{Database, DatabaseId};
use respaldo_core::{Error, Result};

use super::Dynamo;
use super::attributes::{
    DUE_PK, DUE_SK, GONE, Item, Key, NUMBER, UID, is_gone, number, number_of, text, text_of,
};
use super::due::Due;
use super::keys::{self, DATABASES, padded, sortable};
use super::packing::{read, write};
use super::read::{Range, Walk};
use super::records::{Address, Columns, Record};
use super::write::{Change, Written};

/// The revision of a record that was never changed.
const FIRST_REVISION: u64 = 1;
/// The item that counts the numbers given out.
const COUNTER: &str = "counter";
/// A page of the list looks at no more than this.
const MOST_OF_A_PAGE: usize = 200;

fn address(id: DatabaseId) -> Option<Address> {
    keys::database(id).map(|key| Address { key, parts: keys::database_parts(id) })
}

/// The attributes beside a database's document.
fn columns(database: &Database) -> Columns {
    let attention = database.attention_at();
    let due = |at: Timestamp| text(due_key(at.as_millisecond(), database.id));
    vec![
        (UID, Some(text(database.uid.to_string()))),
        (DUE_PK, attention.map(|_| text(shard(database.id)))),
        (DUE_SK, attention.map(due)),
    ]
}

fn shard(id: DatabaseId) -> String {
    keys::shard(DATABASES, id.0.unsigned_abs())
}

fn due_key(millis: i64, id: DatabaseId) -> String {
    format!("{}#{}", sortable(millis), padded(id.0.unsigned_abs()))
}

fn id_of(key: &Key) -> Result<DatabaseId> {
    let number = key.sk.parse().map_err(|error| Error::internal("read the catalog", error))?;
    Ok(DatabaseId(number))
}

impl Dynamo {
    pub(super) async fn create_a_database(&self, mut database: Database) -> Result<Database> {
        const OPERATION: &str = "create a database";
        database.id = self.next_number(OPERATION).await?;
        self.settle(OPERATION, database).await
    }

    pub(super) async fn restore_a_database(&self, database: &Database) -> Result<Database> {
        const OPERATION: &str = "restore a database";
        let Some(key) = keys::database(database.id) else {
            let why = format!("{} is no number of a database; they begin at 1", database.id);
            return Err(Error::conflict(OPERATION, why));
        };
        match self.get(OPERATION, &key).await? {
            Some(item) if is_gone(&item) && item.contains_key(UID) => {
                self.finish_a_database(OPERATION, &item).await?;
            }
            Some(_) => return Err(number_taken(OPERATION, database)),
            None => {}
        }
        // First of all, so that whatever happens afterwards, nobody is given a number that is not greater.
        self.count_from(OPERATION, database.id).await?;
        self.settle(OPERATION, database.clone()).await
    }

    /// The uid first, then the record: `uids` tells why.
    async fn settle(&self, operation: &str, mut database: Database) -> Result<Database> {
        database.revision = FIRST_REVISION;
        self.take_uid(operation, database.uid, database.id).await?;
        if self.put_database(operation, &database).await?.is_done() {
            return Ok(database);
        }
        // Another is there, or took the uid because it saw no record of ours yet. What is left of the uid blocks nobody.
        Err(number_taken(operation, &database))
    }

    async fn put_database(&self, operation: &str, database: &Database) -> Result<Written> {
        let at = address_of(operation, database.id)?;
        let document = (database.revision, write(database)?);
        self.create_record(operation, &at, document, columns(database)).await
    }

    async fn next_number(&self, operation: &str) -> Result<DatabaseId> {
        let mut change = Change::default();
        let (name, zero, one) = (change.name(NUMBER), change.value(number(0)), change.value(number(1)));
        let change = change.set_to(NUMBER, &format!("if_not_exists({name}, {zero}) + {one}"));
        let counter = Key::new(COUNTER, DATABASES);
        match self.update(operation, &counter, change, ReturnValue::UpdatedNew).await? {
            Written::Done(item) | Written::DoneBefore(item) => Ok(DatabaseId(number_of(&item, NUMBER)?)),
            Written::Refused(_) => Err(Error::internal(operation, "a write without a condition was refused")),
        }
    }

    pub(super) async fn last_number_given(&self) -> Result<DatabaseId> {
        let item = self.get("read the last number of a database", &Key::new(COUNTER, DATABASES)).await?;
        item.map_or(Ok(0), |item| number_of(&item, NUMBER)).map(DatabaseId)
    }

    /// Numbers that are given out from now on are greater than this one.
    async fn count_from(&self, operation: &str, id: DatabaseId) -> Result<()> {
        let mut change = Change::default();
        let (name, least) = (change.name(NUMBER), change.value(number(id)));
        let change = change.set_to(NUMBER, &least);
        let change = change.when(format!("(attribute_not_exists({name}) OR {name} < {least})"));
        let counter = Key::new(COUNTER, DATABASES);
        self.update(operation, &counter, change, ReturnValue::None).await.map(|_written| ())
    }

    pub(super) async fn one_database(&self, id: DatabaseId) -> Result<Option<Database>> {
        const OPERATION: &str = "read a database";
        let Some(at) = address(id) else { return Ok(None) };
        self.record(OPERATION, &at).await?.map(|record| decoded(id, &record)).transpose()
    }

    async fn database_of(&self, operation: &str, item: &Item) -> Result<Option<Database>> {
        let id = id_of(&Key::of(item)?)?;
        let at = address_of(operation, id)?;
        self.record_of(operation, &at, item).await?.map(|record| decoded(id, &record)).transpose()
    }

    pub(super) async fn list_databases(
        &self,
        after: Option<DatabaseId>,
        limit: usize,
    ) -> Result<Vec<Database>> {
        const OPERATION: &str = "list databases";
        let after = after.and_then(|id| u64::try_from(id.0).ok()).unwrap_or(0);
        let page = Some(limit.min(MOST_OF_A_PAGE));
        let walk = Walk { page, ..Walk::table(DATABASES, Range::After(padded(after))) };
        let (mut found, mut from) = (Vec::new(), None);
        while found.len() < limit {
            let page = self.page(OPERATION, &walk, from).await?;
            for item in page.items.iter().take(limit - found.len()) {
                found.extend(self.database_of(OPERATION, item).await?);
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        Ok(found)
    }

    pub(super) async fn change_a_database(&self, database: &Database) -> Result<Database> {
        const OPERATION: &str = "change a database";
        let id = database.id;
        let (Some(at), Some(revision)) = (address(id), database.revision.checked_add(1)) else {
            return Err(stale(OPERATION, id));
        };
        let same_uid = |change: Change| change.when_equal(UID, text(database.uid.to_string()));
        let document = (revision, write(database)?);
        if self.change_record(OPERATION, &at, document, columns(database), same_uid).await? {
            return Ok(Database { revision, ..database.clone() });
        }
        Err(stale(OPERATION, id))
    }

    pub(super) async fn delete_a_database(&self, database: &Database) -> Result<()> {
        const OPERATION: &str = "delete a database";
        let Some(at) = address(database.id) else { return Err(stale(OPERATION, database.id)) };
        let due = (shard(database.id), padded(database.id.0.unsigned_abs()));
        if !self.bury(OPERATION, &at, database.revision, due, &[]).await? {
            return Err(stale(OPERATION, database.id));
        }
        self.finish_deletion(OPERATION, database.id, &database.uid.to_string()).await
    }

    async fn finish_a_database(&self, operation: &str, item: &Item) -> Result<()> {
        let id = id_of(&Key::of(item)?)?;
        self.finish_deletion(operation, id, text_of(item, UID)?).await
    }

    /// Removes what belongs to a database whose record is marked, and the record last.
    async fn finish_deletion(&self, operation: &str, id: DatabaseId, uid: &str) -> Result<()> {
        let at = address_of(operation, id)?;
        self.sweep_parts(operation, &at.parts, u64::MAX, None).await?;
        self.free_uid(operation, uid, id).await?;
        self.remove_buried(operation, &at).await
    }

    /// Makes sure that no record will ever come under a number, unless one is there: whoever was about to write it is refused.
    /// Answers whether the number is free of a record for good.
    pub(super) async fn burn(&self, operation: &str, id: DatabaseId) -> Result<bool> {
        let at = address_of(operation, id)?;
        let tombstone = Item::from([(GONE.to_owned(), AttributeValue::Bool(true))]);
        Ok(match self.put_new(operation, &at.key, tombstone).await? {
            Written::Done(_) | Written::DoneBefore(_) => true,
            Written::Refused(item) => item.is_some_and(|item| is_gone(&item)),
        })
    }
}

#[async_trait]
impl Due for Database {
    const FAMILY: &'static str = DATABASES;

    async fn read(dynamo: &Dynamo, operation: &str, item: &Item) -> Result<Option<Self>> {
        dynamo.database_of(operation, item).await
    }

    async fn finish(dynamo: &Dynamo, operation: &str, item: &Item) -> Result<()> {
        dynamo.finish_a_database(operation, item).await
    }

    fn due(&self) -> Option<(Timestamp, u128)> {
        self.attention_at().map(|at| (at, u128::from(self.id.0.unsigned_abs())))
    }
}

fn decoded(id: DatabaseId, record: &Record) -> Result<Database> {
    Ok(Database { id, revision: record.revision, ..read(&record.document)? })
}

fn address_of(operation: &str, id: DatabaseId) -> Result<Address> {
    address(id).ok_or_else(|| Error::internal(operation, format!("{id} is no number of a database")))
}

fn number_taken(operation: &str, database: &Database) -> Error {
    let why = format!("the number {} or the uid {} is there already", database.id, database.uid);
    Error::conflict(operation, why)
}

fn stale(operation: &str, id: DatabaseId) -> Error {
    Error::conflict(operation, format!("database {id} was changed or deleted since it was read"))
        .with_mend("read it again")
}
