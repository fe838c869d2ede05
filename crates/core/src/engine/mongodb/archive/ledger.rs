//! What is known of each namespace of an archive, and the rules between them.

use std::collections::BTreeMap;

use crc64fast::Digest;

use super::MAX_NAMESPACES;
use super::namespace::Namespace;
use crate::engine::wording::{grouped, incomplete, invalid, one_line};
use crate::error::Result;

/// The namespaces in the order of their declarations.
#[derive(Clone, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    places: BTreeMap<Namespace, usize>,
    open: usize,
    ended: usize,
}

#[derive(Clone)]
struct Entry {
    /// Where its documents stand.
    namespace: Namespace,
    sum: Digest,
    documents: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Declared,
    Open,
    Ended,
}

impl Ledger {
    pub(super) fn declare(&mut self, namespace: Namespace) -> Result<usize> {
        if self.entries.len() == MAX_NAMESPACES {
            let most = grouped(MAX_NAMESPACES as u64);
            return Err(invalid(format!(
                "the archive declares more than {most} collections, which is not supported"
            )));
        }
        let at = self.entries.len();
        if self.places.insert(namespace.clone(), at).is_some() {
            return Err(invalid(format!("the archive declares {} twice", shown(&namespace))));
        }
        self.entries.push(Entry { namespace, sum: Digest::new(), documents: 0, state: State::Declared });
        Ok(at)
    }

    /// Documents of this namespace follow.
    pub(super) fn begin(&mut self, namespace: &Namespace) -> Result<usize> {
        let at = *self.places.get(namespace).ok_or_else(|| {
            invalid(format!("the archive holds {}, which it does not declare", shown(namespace)))
        })?;
        match self.entries[at].state {
            State::Declared => {
                self.entries[at].state = State::Open;
                self.open += 1;
            }
            State::Open => {}
            State::Ended => {
                return Err(invalid(format!("the archive goes on with {} after its end", shown(namespace))));
            }
        }
        Ok(at)
    }

    /// Takes a piece of a document of an open namespace.
    pub(super) fn take(&mut self, at: usize, bytes: &[u8]) {
        self.entries[at].sum.write(bytes);
    }

    /// A document of an open namespace was taken whole.
    pub(super) fn count(&mut self, at: usize) {
        self.entries[at].documents += 1;
    }

    pub(super) fn sum(&self, at: usize) -> u64 {
        self.entries[at].sum.sum64()
    }

    pub(super) fn documents(&self, at: usize) -> u64 {
        self.entries[at].documents
    }

    pub(super) fn namespace(&self, at: usize) -> &Namespace {
        &self.entries[at].namespace
    }

    /// The namespace at that place, if there is one.
    pub(super) fn get(&self, at: usize) -> Option<&Namespace> {
        self.entries.get(at).map(|entry| &entry.namespace)
    }

    /// Whether documents of that place may follow without there being more than `most` collections that have begun
    /// and not ended.
    pub(super) fn may_begin(&self, at: usize, most: usize) -> bool {
        self.open < most || self.entries.get(at).is_some_and(|entry| entry.state == State::Open)
    }

    /// No more documents of this namespace will come; `sum` is what the archive tells of those that came.
    pub(super) fn end(&mut self, namespace: &Namespace, sum: u64) -> Result<usize> {
        let at = self.begin(namespace)?;
        let entry = &mut self.entries[at];
        let found = entry.sum.sum64();
        if found != sum {
            return Err(invalid(format!(
                "the documents of {} are not those that were dumped: their checksum is {found:016x} instead of {sum:016x}",
                shown(namespace)
            ))
            .with_mend("the archive was changed or damaged: take another, or dump again"));
        }
        entry.state = State::Ended;
        self.open -= 1;
        self.ended += 1;
        Ok(at)
    }

    /// Whether every declared namespace has ended.
    ///
    /// # Errors
    /// `Incomplete` names one that has not.
    pub(super) fn finish(&self) -> Result<()> {
        let Some(entry) = self.entries.iter().find(|entry| entry.state != State::Ended) else {
            return Ok(());
        };
        let (name, missing) = (shown(&entry.namespace), self.entries.len() - self.ended);
        let others =
            if missing == 1 { String::new() } else { format!(", and {} others are missing", missing - 1) };
        Err(incomplete(match entry.state {
            State::Open => {
                format!(
                    "the archive ends before the end of {name}, after {}{others}",
                    counted(entry.documents)
                )
            }
            _ => format!("the archive ends without {name}, which it declares{others}"),
        }))
    }
}

pub(super) fn shown(namespace: &Namespace) -> String {
    one_line(&namespace.to_string())
}

/// `1 document`, `5,012 documents`.
pub(super) fn counted(documents: u64) -> String {
    format!("{} {}", grouped(documents), if documents == 1 { "document" } else { "documents" })
}
