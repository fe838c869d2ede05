//! A uid is registered once, although it stands in an item of its own and no write takes two items.
//!
//! Who creates a database writes first the uid's item, which names the number, then the record under that number, where
//! none is. The uid is *taken* when both are there. Who finds a uid's item without its record does not know whether the
//! other has died or is about to write the record, and makes sure of it: it writes a tombstone under that number, so that the
//! other's record is refused, and then takes the item over. So a crash between the two writes blocks nobody, and of any
//! number who race, each either finds the record of a winner or is the one who goes on.
//!
//! A deletion marks the record, removes the uid's item if it still names that number, and then the record. A uid's item that
//! names a marked record, a tombstone or another database's record is free to be taken over.

use respaldo_core::model::{DatabaseId, DatabaseUid};
use respaldo_core::{Error, Result};

use aws_sdk_dynamodb::types::ReturnValue;

use super::Dynamo;
use super::attributes::{
    Item, Key, NUMBER, UID, WRITE, is_gone, number, number_in, number_of, text, text_in, text_of,
};
use super::keys;
use super::write::{Change, Written};

/// The partition of the uids' items.
const UIDS: &str = "uid";
/// More than this many others do not come between.
const MOST_ROUNDS: u32 = 16;

impl Dynamo {
    /// Writes the uid's item for this number; a uid whose database is there: `Conflict`.
    pub(super) async fn take_uid(&self, operation: &str, uid: DatabaseUid, id: DatabaseId) -> Result<()> {
        let key = Key::new(UIDS, uid.to_string());
        for _round in 0..MOST_ROUNDS {
            let item = Item::from([(NUMBER.to_owned(), number(id))]);
            let held = match self.put_new(operation, &key, item).await? {
                Written::Done(_) | Written::DoneBefore(_) => None,
                Written::Refused(Some(held)) => Some(held),
                Written::Refused(None) => continue,
            };
            let ours = match held {
                None => true,
                Some(held) => {
                    self.make_free(operation, uid, id, &held).await?;
                    self.take_over(operation, &key, id, &held).await?
                }
            };
            if ours {
                return Ok(());
            }
        }
        Err(Self::crowded(operation))
    }

    /// Makes sure that the uid's item belongs to no database; else: `Conflict`.
    async fn make_free(&self, operation: &str, uid: DatabaseUid, id: DatabaseId, held: &Item) -> Result<()> {
        let taken = || Error::conflict(operation, format!("a database with the uid {uid} is there already"));
        let holder = DatabaseId(number_of(held, NUMBER)?);
        let Some(key) = keys::database(holder) else { return Ok(()) };
        let record = self.get(operation, &key).await?;
        match record {
            Some(record) if is_gone(&record) => Ok(()),
            // Another database's record: it came under this number in the holder's place.
            Some(record) if text_in(&record, UID) != Some(&*uid.to_string()) => Ok(()),
            // It was to come under our own number: whoever writes there first wins.
            None if holder == id => Ok(()),
            None if self.burn(operation, holder).await? => Ok(()),
            Some(_) | None => Err(taken()),
        }
    }

    /// False when it changed since it was read.
    async fn take_over(&self, operation: &str, key: &Key, id: DatabaseId, held: &Item) -> Result<bool> {
        let change = Change::default().when_equal(WRITE, text(text_of(held, WRITE)?)).set(NUMBER, number(id));
        Ok(self.update(operation, key, change, ReturnValue::None).await?.is_done())
    }

    /// Removes the item of the uid of a database whose record is marked as deleted, if it still names that one.
    pub(super) async fn free_uid(&self, operation: &str, uid: &str, id: DatabaseId) -> Result<()> {
        let key = Key::new(UIDS, uid);
        let Some(held) = self.get(operation, &key).await? else { return Ok(()) };
        if number_in(&held, NUMBER) != Some(id.0) {
            return Ok(());
        }
        // Asked after the uid's item was read: if it is that of a database that was restored under this number since, the
        // marked record is no longer there.
        let Some(record) = keys::database(id) else { return Ok(()) };
        if !self.get(operation, &record).await?.is_some_and(|record| is_gone(&record)) {
            return Ok(());
        }
        let change = Change::default().when_equal(WRITE, text(text_of(&held, WRITE)?));
        self.remove(operation, &key, change).await.map(|_removed| ())
    }
}
