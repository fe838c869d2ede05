//! Documents: a text under a name, replaced by whoever read its last revision.

use respaldo_core::ports::Document;
use respaldo_core::{Error, Result};

use super::Dynamo;
use super::attributes::{Key, NAME, text};
use super::keys::{DOCUMENTS, named};
use super::records::Address;

fn address(name: &str) -> Address {
    Address { key: Key::new(DOCUMENTS, named(name)), parts: format!("{DOCUMENTS}#{}", named(name)) }
}

impl Dynamo {
    pub(super) async fn one_document(&self, name: &str) -> Result<Option<Document>> {
        let record = self.record("read a document", &address(name)).await?;
        Ok(record.map(|record| Document { text: record.document, revision: record.revision }))
    }

    pub(super) async fn write_document(&self, name: &str, written: &str, revision: u64) -> Result<u64> {
        const OPERATION: &str = "write a document";
        let stale = || Error::conflict(OPERATION, format!("{name:?} was written since it was read"));
        let next = revision.checked_add(1).ok_or_else(stale)?;
        let (at, document) = (address(name), (next, written.to_owned()));
        let columns = vec![(NAME, Some(text(name)))];
        let done = if revision == 0 {
            self.create_record(OPERATION, &at, document, columns).await?.is_done()
        } else {
            self.change_record(OPERATION, &at, document, columns, |change| change).await?
        };
        done.then_some(next).ok_or_else(stale)
    }
}
