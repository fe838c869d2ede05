//! The names of the table's attributes, and how values are read from items.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use respaldo_core::{Error, ErrorKind, Result};

/// The table's key.
pub(super) const PK: &str = "pk";
pub(super) const SK: &str = "sk";
/// The key of index `due`; only what asks for attention has it.
pub(super) const DUE_PK: &str = "due_pk";
pub(super) const DUE_SK: &str = "due_sk";
/// The sort key of the three lists of jobs: `created_at`, then the id.
pub(super) const PLACE: &str = "place";
/// The hash key of index `by_age`, the same for all jobs.
pub(super) const FAMILY: &str = "family";
/// The hash key of index `by_database`: the number, or `none`.
pub(super) const DATABASE: &str = "database";
/// The hash key of index `by_status`.
pub(super) const STATUS: &str = "status";
/// How a backup came to be; only backups have it.
pub(super) const BACKUP_KIND: &str = "backup_kind";
/// The stored bytes of a backup that succeeded.
pub(super) const SIZE: &str = "size";
/// A database's name in storage.
pub(super) const UID: &str = "uid";
/// The number of a database that a uid belongs to; the counter's last one.
pub(super) const NUMBER: &str = "number";
/// A record's revision.
pub(super) const REVISION: &str = "revision";
/// The record itself: JSON as text, or compressed as bytes.
pub(super) const DOCUMENT: &str = "document";
/// Where the record is spread over parts: their name, and how many they are.
pub(super) const PARTS: &str = "parts";
pub(super) const PART_COUNT: &str = "part_count";
/// The bytes of a part.
pub(super) const BYTES: &str = "bytes";
/// What a list of outlines needs of a job.
pub(super) const OUTLINE: &str = "outline";
/// The random name of the last write, by which whoever wrote it knows it again.
pub(super) const WRITE: &str = "write";
/// The same of the write that made the item.
pub(super) const BORN: &str = "born";
/// The record is deleted; what belongs to it is being removed.
pub(super) const GONE: &str = "gone";
/// A claim's or a lease's key as it was given.
pub(super) const NAME: &str = "name";
pub(super) const VALUE: &str = "value";
pub(super) const OWNER: &str = "owner";
pub(super) const FENCE: &str = "fence";
/// Milliseconds since 1970.
pub(super) const EXPIRES_AT: &str = "expires_at";
/// The table's time to live: seconds since 1970, a day after the expiry.
pub(super) const EXPIRES: &str = "expires";
/// The lines of a piece of a log, and the place of its last one.
pub(super) const LINES: &str = "lines";
pub(super) const LAST: &str = "last";

/// An item, by attribute.
pub(super) type Item = HashMap<String, AttributeValue>;

/// An item's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) pk: String,
    pub(super) sk: String,
}

impl Key {
    pub(super) fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    /// The key of an item that was read.
    pub(super) fn of(item: &Item) -> Result<Self> {
        Ok(Self::new(text_of(item, PK)?, text_of(item, SK)?))
    }

    pub(super) fn into_item(self) -> Item {
        HashMap::from([(PK.to_owned(), text(self.pk)), (SK.to_owned(), text(self.sk))])
    }
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// An attribute that is text, where it is there.
pub(super) fn text_in<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// An attribute that is a number, where it is there.
pub(super) fn number_in<T: FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// An attribute that every such item has.
pub(super) fn text_of<'a>(item: &'a Item, name: &str) -> Result<&'a str> {
    text_in(item, name).ok_or_else(|| missing(name))
}

/// An attribute that every such item has.
pub(super) fn number_of<T: FromStr>(item: &Item, name: &str) -> Result<T> {
    number_in(item, name).ok_or_else(|| missing(name))
}

pub(super) fn is_gone(item: &Item) -> bool {
    item.contains_key(GONE)
}

fn missing(name: &str) -> Error {
    let why = format!("an item of the table has no {name} that this version can read");
    Error::new(ErrorKind::Corrupt, "read the catalog", why)
        .with_mend("did anything but Respaldo write into the table? Restore it to an earlier time")
}
