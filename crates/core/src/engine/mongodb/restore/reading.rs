//! From an opened dump, past the observer, into commands that insert its documents.
//!
//! A thread of its own reads and watches. It tells the prelude first and waits to hear what shall be done with
//! each namespace; then it makes commands whose documents are the dump's bytes, and a command is sent while the
//! next is made.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bson::Timestamp;
use bson::raw::{RawBsonRef, RawDocument, RawDocumentBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::engine::mongodb::archive::{Declared, Entry, Header, Reader};
use crate::engine::observe::{Observed, Observer};
use crate::engine::restore::Dump;
use crate::engine::sink::Meter;
use crate::{Error, ErrorKind, Result};

const OPERATION: &str = "load the dump";
/// A command has about this many bytes of documents; a single document may have 16 MiB.
const BYTES: usize = 2 << 20;
/// And this many documents at most.
const DOCUMENTS: usize = 1_000;
/// What waits to be sent, of all collections of a dump that mixes them.
const WAITING: usize = 8 << 20;
/// What servers put the time in the place of.
const EMPTY: Timestamp = Timestamp { time: 0, increment: 0 };
/// The type of an element that is a document, and of one that is an array.
const DOCUMENT: u8 = 3;
const ARRAY: u8 = 4;

/// What stands in front of a dump's documents.
pub(super) struct Prelude {
    pub(super) header: Header,
    pub(super) declared: Vec<Declared>,
}

/// What shall be done with a namespace: the beginning of its commands; none: its documents are left out.
pub(super) type Heads = Vec<Option<RawDocumentBuf>>;

/// A command that inserts documents, ready to be sent.
pub(super) struct Insert {
    pub(super) at: usize,
    pub(super) documents: usize,
    pub(super) command: RawDocumentBuf,
}

/// A dump that is being read.
pub(super) struct Reading {
    prelude: oneshot::Receiver<Prelude>,
    heads: Option<oneshot::Sender<Heads>>,
    inserts: mpsc::Receiver<Insert>,
    stamped: Arc<AtomicU64>,
    thread: JoinHandle<Result<Observed>>,
}

impl Reading {
    /// Begins to read. It may have `most` bytes; one that has more is refused.
    pub(super) fn begin(dump: Dump, observer: Box<dyn Observer>, most: u64, meter: Arc<Meter>) -> Self {
        let (prelude_in, prelude) = oneshot::channel();
        let (heads, heads_out) = oneshot::channel();
        let (inserts_in, inserts) = mpsc::channel(1);
        let stamped = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&stamped);
        let thread = tokio::task::spawn_blocking(move || {
            let mut watched = Watched { dump, observer, most, passed: 0, meter };
            read(&mut watched, prelude_in, heads_out, &inserts_in, &counter)?;
            watched.observer.finish()
        });
        Self { prelude, heads: Some(heads), inserts, stamped, thread }
    }

    /// What the dump declares.
    pub(super) async fn prelude(&mut self) -> Result<Prelude> {
        match (&mut self.prelude).await {
            Ok(prelude) => Ok(prelude),
            Err(_) => Err(match self.ended().await {
                Err(e) => e,
                Ok(_) => Error::internal(OPERATION, "it was read without a prelude"),
            }),
        }
    }

    /// Says what shall be done with it. Without this, nothing more is read.
    pub(super) fn go_on(&mut self, heads: Heads) {
        if let Some(sender) = self.heads.take() {
            // A reader that has gone says why at its end.
            let _gone = sender.send(heads);
        }
    }

    /// The next command; none at the dump's end, or where it broke off.
    pub(super) async fn next(&mut self) -> Option<Insert> {
        self.inserts.recv().await
    }

    /// Counts documents so far in which a field of their own is a timestamp of zeros: most servers put the time in its
    /// place.
    pub(super) fn stamped(&self) -> u64 {
        self.stamped.load(Ordering::Relaxed)
    }

    /// What the observer saw of a whole dump, or what is wrong with it.
    pub(super) async fn end(mut self) -> Result<Observed> {
        self.ended().await
    }

    async fn ended(&mut self) -> Result<Observed> {
        (&mut self.thread).await.map_err(|e| Error::internal(OPERATION, e))?
    }
}

fn read(
    watched: &mut Watched,
    prelude: oneshot::Sender<Prelude>,
    heads: oneshot::Receiver<Heads>,
    out: &mpsc::Sender<Insert>,
    stamped: &AtomicU64,
) -> Result<()> {
    let mut reader = Reader::new(watched)?;
    let declared = reader.declared().to_vec();
    if prelude.send(Prelude { header: reader.header().clone(), declared }).is_err() {
        return Err(left());
    }
    let mut commands = Commands { heads: heads.blocking_recv().map_err(|_| left())?, ..Commands::default() };
    while let Some(entry) = reader.next()? {
        match entry {
            Entry::Document { at, bytes } => {
                if commands.takes(at) && is_stamped(bytes) {
                    stamped.fetch_add(1, Ordering::Relaxed);
                }
                commands.document(at, bytes, out)?;
            }
            Entry::End { at, .. } => commands.send(at, out)?,
        }
    }
    Ok(())
}

/// Whether the server could change the document: a timestamp of zeros, not in `_id` and not deeper.
fn is_stamped(bytes: &[u8]) -> bool {
    let Ok(document) = RawDocument::from_bytes(bytes) else { return false };
    let empty = |value: RawBsonRef<'_>| matches!(value, RawBsonRef::Timestamp(time) if time == EMPTY);
    document.iter().flatten().any(|(key, value)| key.as_str() != "_id" && empty(value))
}

fn left() -> Error {
    Error::new(ErrorKind::Cancelled, OPERATION, "nobody takes the dump any more")
}

/// Commands that are being made, one for each namespace whose documents have come.
#[derive(Default)]
struct Commands {
    heads: Heads,
    making: BTreeMap<usize, Making>,
    waiting: usize,
}

/// The elements of the array of documents.
#[derive(Default)]
struct Making {
    elements: Vec<u8>,
    documents: usize,
}

impl Commands {
    fn takes(&self, at: usize) -> bool {
        self.heads.get(at).is_some_and(Option::is_some)
    }

    fn document(&mut self, at: usize, bytes: &[u8], out: &mpsc::Sender<Insert>) -> Result<()> {
        if !self.takes(at) {
            return Ok(());
        }
        let full = self.making.get(&at).is_some_and(|making| making.elements.len() + bytes.len() > BYTES);
        if full {
            self.send(at, out)?;
        }
        let making = self.making.entry(at).or_default();
        making.elements.push(DOCUMENT);
        making.elements.extend_from_slice(making.documents.to_string().as_bytes());
        making.elements.push(0);
        making.elements.extend_from_slice(bytes);
        making.documents += 1;
        self.waiting += bytes.len();
        if making.documents == DOCUMENTS || making.elements.len() >= BYTES {
            return self.send(at, out);
        }
        let largest = self.making.iter().max_by_key(|(_, making)| making.elements.len()).map(|(at, _)| *at);
        match largest.filter(|_| self.waiting > WAITING) {
            Some(largest) => self.send(largest, out),
            None => Ok(()),
        }
    }

    fn send(&mut self, at: usize, out: &mpsc::Sender<Insert>) -> Result<()> {
        let Some(making) = self.making.remove(&at) else { return Ok(()) };
        let Some(head) = self.heads.get(at).and_then(Option::as_ref) else { return Ok(()) };
        self.waiting = self.making.values().map(|making| making.elements.len()).sum();
        let documents = making.documents;
        let command = command(head, &making.elements)?;
        drop(making);
        out.blocking_send(Insert { at, documents, command }).map_err(|_| left())
    }
}

/// The head with an array of these elements behind it.
fn command(head: &RawDocumentBuf, elements: &[u8]) -> Result<RawDocumentBuf> {
    let length = |bytes: usize| {
        let length = i32::try_from(bytes).map_err(|e| Error::internal(OPERATION, e))?;
        Ok::<_, Error>(length.to_le_bytes())
    };
    let head = head.as_bytes();
    let mut bytes = Vec::with_capacity(head.len() + elements.len() + 32);
    bytes.extend_from_slice(&head[..head.len() - 1]);
    bytes.push(ARRAY);
    bytes.extend_from_slice(b"documents\0");
    bytes.extend_from_slice(&length(4 + elements.len() + 1)?);
    bytes.extend_from_slice(elements);
    bytes.extend_from_slice(&[0, 0]);
    let whole = length(bytes.len())?;
    bytes[..4].copy_from_slice(&whole);
    RawDocumentBuf::from_bytes(bytes).map_err(|e| Error::internal(OPERATION, e))
}

/// A dump's bytes, seen by its observer and counted as they are read.
struct Watched {
    dump: Dump,
    observer: Box<dyn Observer>,
    most: u64,
    passed: u64,
    meter: Arc<Meter>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.dump.read(buffer)?;
        self.passed += read as u64;
        if self.passed > self.most {
            let message = format!("it opens to more than the {} bytes that it should have", self.most);
            return Err(io::Error::other(Error::new(ErrorKind::Corrupt, "open the artifact", message)));
        }
        self.observer.feed(&buffer[..read]).map_err(io::Error::other)?;
        self.meter.loaded(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn a_command_holds_the_documents_bytes_as_they_are() {
        let (first, second) = (rawdoc! { "_id": 1, "a": f64::NAN }, rawdoc! { "_id": 2 });
        let (out, mut commands) = mpsc::channel(4);
        let head = rawdoc! { "insert": "c" };
        let mut making = Commands { heads: vec![None, Some(head)], ..Commands::default() };
        for document in [&first, &second] {
            making.document(1, document.as_bytes(), &out).unwrap();
            making.document(0, document.as_bytes(), &out).unwrap();
        }
        making.send(1, &out).unwrap();
        making.send(0, &out).unwrap();
        let insert = commands.try_recv().unwrap();
        assert_eq!((insert.at, insert.documents), (1, 2));
        let documents = insert.command.get_array("documents").unwrap();
        let bytes: Vec<Vec<u8>> = documents
            .into_iter()
            .map(|element| element.unwrap().as_document().unwrap().as_bytes().to_vec())
            .collect();
        assert_eq!(bytes, [first.as_bytes().to_vec(), second.as_bytes().to_vec()]);
        assert!(commands.try_recv().is_err(), "what is left out makes no command");
    }

    #[test]
    fn collections_that_are_mixed_do_not_wait_without_bound() {
        let (out, mut commands) = mpsc::channel(100);
        let heads = (0..64).map(|_| Some(rawdoc! { "insert": "c" })).collect();
        let mut making = Commands { heads, ..Commands::default() };
        let document = rawdoc! { "_id": 1, "a": "x".repeat(500_000) };
        for at in 0..64 {
            making.document(at, document.as_bytes(), &out).unwrap();
            assert!(making.waiting <= WAITING + document.as_bytes().len(), "{}", making.waiting);
        }
        assert!(commands.try_recv().is_ok());
    }
}
