//! Records that are larger than an item: their compressed text in parts, items of their own.
//!
//! Parts are written before the record points to them, under a name that holds the revision that it will have. A crash
//! leaves at most parts that nothing points to. Whoever has stored revision `r` may remove all parts up to `r` but its own:
//! any other writer of those revisions is refused. Parts of later revisions are another's who is about to write.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use respaldo_core::Result;

use super::Dynamo;
use super::attributes::{BYTES, Item, Key, SK, text_of};
use super::keys::{PART, padded};
use super::packing::LARGEST_BYTES;
use super::read::{Range, Walk};

/// The name of the parts of a record's revision.
pub(super) fn name(revision: u64) -> String {
    format!("{}{}", prefix(revision), ulid::Ulid::generate())
}

fn prefix(revision: u64) -> String {
    format!("{PART}{}#", padded(revision))
}

impl Dynamo {
    /// Writes the parts; answers how many they are.
    pub(super) async fn write_parts(
        &self,
        operation: &str,
        partition: &str,
        name: &str,
        bytes: &[u8],
    ) -> Result<usize> {
        let items = bytes.chunks(LARGEST_BYTES).enumerate().map(|(nth, piece)| {
            let mut item: Item = Key::new(partition, format!("{name}#{nth:06}")).into_item();
            item.insert(BYTES.to_owned(), AttributeValue::B(Blob::new(piece)));
            item
        });
        let items: Vec<_> = items.collect();
        let count = items.len();
        self.put_many(operation, items).await?;
        Ok(count)
    }

    /// The bytes of the parts of this name; none when some are not there.
    pub(super) async fn read_parts(
        &self,
        operation: &str,
        partition: &str,
        name: &str,
        count: usize,
    ) -> Result<Option<Vec<u8>>> {
        let items = self.all(operation, &Walk::table(partition, Range::Prefix(format!("{name}#")))).await?;
        if items.len() != count {
            return Ok(None);
        }
        let pieces = items.iter().map(|item| item.get(BYTES)?.as_b().ok().map(Blob::as_ref));
        Ok(pieces.collect::<Option<Vec<&[u8]>>>().map(|pieces| pieces.concat()))
    }

    /// Removes the parts of all revisions up to this one, but those of the name to keep.
    pub(super) async fn sweep_parts(
        &self,
        operation: &str,
        partition: &str,
        up_to: u64,
        keep: Option<&str>,
    ) -> Result<()> {
        // Every part's name goes on after the prefix of its revision with letters and digits, all before "~".
        let range = Range::Between(PART.to_owned(), format!("{}~", prefix(up_to)));
        self.sweep(operation, partition, range, |sk| keep.is_none_or(|keep| !sk.starts_with(keep))).await
    }

    /// Removes the parts of this name, which were never pointed to.
    pub(super) async fn drop_parts(&self, operation: &str, partition: &str, name: &str) -> Result<()> {
        self.sweep(operation, partition, Range::Prefix(format!("{name}#")), |_sk| true).await
    }

    /// Removes the items of a partition within a range whose sort key is one to remove.
    pub(super) async fn sweep(
        &self,
        operation: &str,
        partition: &str,
        range: Range,
        remove: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let walk = Walk { only: &[SK], ..Walk::table(partition, range) };
        let mut from = None;
        loop {
            let page = self.page(operation, &walk, from).await?;
            let mut keys = Vec::new();
            for item in &page.items {
                if remove(text_of(item, SK)?) {
                    keys.push(Key::of(item)?);
                }
            }
            self.remove_many(operation, keys).await?;
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }
}
