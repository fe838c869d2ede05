//! Records: a document under a revision, with the attributes that indexes need beside it.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use respaldo_core::{Error, ErrorKind, Result};

use super::Dynamo;
use super::attributes::{
    DOCUMENT, DUE_PK, DUE_SK, GONE, Item, Key, PART_COUNT, PARTS, PK, REVISION, is_gone, number, number_of,
    text, text_in,
};
use super::keys::sortable;
use super::packing::{Packed, inflate, unpack};
use super::parts;
use super::write::{Change, Written};

/// How often a record is read whose parts another is just replacing.
const MOST_READS: u32 = 6;

/// Where a record is, and where its parts are.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) key: Key,
    pub(super) parts: String,
}

/// The attributes beside a document; those without a value are not to be there.
pub(super) type Columns = Vec<(&'static str, Option<AttributeValue>)>;

/// A record that was read.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) revision: u64,
    pub(super) document: String,
}

/// A document in its place: in the record's item, or in parts that are written already.
struct Placed {
    attributes: Columns,
    parts: Option<String>,
}

impl Dynamo {
    /// Stores a new record under this revision, where none is.
    pub(super) async fn create_record(
        &self,
        operation: &str,
        at: &Address,
        (revision, document): (u64, String),
        columns: Columns,
    ) -> Result<Written> {
        let placed = self.place(operation, at, revision, document).await?;
        let all = columns.into_iter().chain(placed.attributes);
        let mut item: Item = all.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        item.insert(REVISION.to_owned(), number(revision));
        let written = self.put_new(operation, &at.key, item).await;
        self.unless_refused(operation, at, placed.parts.as_deref(), written).await
    }

    /// Replaces a record that was read at the revision before this one; false when it was changed or deleted since.
    pub(super) async fn change_record(
        &self,
        operation: &str,
        at: &Address,
        (revision, document): (u64, String),
        columns: Columns,
        more: impl FnOnce(Change) -> Change,
    ) -> Result<bool> {
        let placed = self.place(operation, at, revision, document).await?;
        let mut change = Change::default()
            .when_equal(REVISION, number(revision - 1))
            .when_absent(GONE)
            .set(REVISION, number(revision));
        for (name, value) in columns.into_iter().chain(placed.attributes) {
            change = change.put(name, value);
        }
        let written = self.update(operation, &at.key, more(change), ReturnValue::UpdatedOld).await;
        let written = self.unless_refused(operation, at, placed.parts.as_deref(), written).await?;
        let had_parts = match &written {
            Written::Done(old) => old.contains_key(PARTS),
            Written::DoneBefore(_) => true,
            Written::Refused(_) => return Ok(false),
        };
        if had_parts || placed.parts.is_some() {
            self.sweep_parts(operation, &at.parts, revision, placed.parts.as_deref()).await?;
        }
        Ok(true)
    }

    /// Parts that a refused write has left are of no use.
    async fn unless_refused(
        &self,
        operation: &str,
        at: &Address,
        parts: Option<&str>,
        written: Result<Written>,
    ) -> Result<Written> {
        let written = written?;
        if let (Written::Refused(_), Some(name)) = (&written, parts) {
            self.drop_parts(operation, &at.parts, name).await?;
        }
        Ok(written)
    }

    async fn place(&self, operation: &str, at: &Address, revision: u64, document: String) -> Result<Placed> {
        let packed = Packed::of(document)?;
        if packed.fits() {
            let attributes =
                vec![(DOCUMENT, Some(packed.into_attribute())), (PARTS, None), (PART_COUNT, None)];
            return Ok(Placed { attributes, parts: None });
        }
        let Packed::Bytes(bytes) = packed else {
            return Err(Error::internal(operation, "a long text was not compressed"));
        };
        let name = parts::name(revision);
        let count = self.write_parts(operation, &at.parts, &name, &bytes).await?;
        let attributes =
            vec![(DOCUMENT, None), (PARTS, Some(text(&name))), (PART_COUNT, Some(number(count)))];
        Ok(Placed { attributes, parts: Some(name) })
    }

    /// A record as the last confirmed write left it; none where it is not there, or deleted.
    pub(super) async fn record(&self, operation: &str, at: &Address) -> Result<Option<Record>> {
        for _read in 0..MOST_READS {
            let item = self.get(operation, &at.key).await?.filter(|item| !is_gone(item));
            let Some(item) = item else { return Ok(None) };
            if let Some(record) = self.assemble(operation, at, &item).await? {
                return Ok(Some(record));
            }
        }
        let why = format!("the parts of {} are not all there", at.key.pk);
        Err(Error::new(ErrorKind::Corrupt, operation, why)
            .with_mend("did anything but Respaldo write into the table? Restore it to an earlier time"))
    }

    /// The record of an item that was read in passing.
    pub(super) async fn record_of(
        &self,
        operation: &str,
        at: &Address,
        item: &Item,
    ) -> Result<Option<Record>> {
        if is_gone(item) {
            return Ok(None);
        }
        match self.assemble(operation, at, item).await? {
            Some(record) => Ok(Some(record)),
            None => self.record(operation, at).await,
        }
    }

    /// None when parts are missing: somebody has just replaced the record.
    async fn assemble(&self, operation: &str, at: &Address, item: &Item) -> Result<Option<Record>> {
        let revision = number_of(item, REVISION)?;
        if let Some(document) = item.get(DOCUMENT) {
            return Ok(Some(Record { revision, document: unpack(document)? }));
        }
        let (name, count) = (text_in(item, PARTS).unwrap_or_default(), number_of(item, PART_COUNT)?);
        let bytes = self.read_parts(operation, &at.parts, name, count).await?;
        bytes.map(|bytes| Ok(Record { revision, document: inflate(&bytes)? })).transpose()
    }

    /// Marks a record that was read at this revision as deleted; answers what it was, or none when it was changed or
    /// deleted since. Nobody sees it from now on but the due index, which brings it to whoever finishes.
    pub(super) async fn bury(
        &self,
        operation: &str,
        at: &Address,
        revision: u64,
        due: (String, String),
        columns: &[&'static str],
    ) -> Result<bool> {
        let (shard, id) = due;
        let mut change = Change::default()
            .when_equal(REVISION, number(revision))
            .when_absent(GONE)
            .set(GONE, AttributeValue::Bool(true))
            .set(DUE_PK, text(shard))
            .set(DUE_SK, text(format!("{}#{id}", sortable(i64::MIN))));
        for column in columns.iter().chain(&[DOCUMENT]) {
            change = change.remove(column);
        }
        Ok(self.update(operation, &at.key, change, ReturnValue::None).await?.is_done())
    }

    /// The last step of a deletion. That somebody else has done it is as good.
    pub(super) async fn remove_buried(&self, operation: &str, at: &Address) -> Result<()> {
        let change = Change::default().when_present(PK).when_present(GONE);
        self.remove(operation, &at.key, change).await.map(|_removed| ())
    }
}
