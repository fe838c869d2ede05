//! From cursors, past the archive's writer and the observer, into a sink.
//!
//! Documents are fetched by the job's task, made into an archive and hashed by a thread of their own, and given to
//! sealing by the job's task again. Between the three, two batches and a few pieces are in memory.

use std::io::{self, Write};

use mongodb::raw_batch_cursor::RawBatch;
use tokio::sync::mpsc;

use super::fetch::{self, Message};
use super::{OPERATION, Plan, consistency};
use crate::engine::mongodb::archive::{ArchiveObserver, Declared, Header, Writer};
use crate::engine::mongodb::connect::{self, Session};
use crate::engine::observe::{Observed, Observer};
use crate::engine::pump::CHUNK;
use crate::engine::sink::RawSink;
use crate::{Error, ErrorKind, Result};

/// One being made, one being sealed, two on their way.
const PIECES: usize = 2;

pub(super) async fn stream(session: &Session<'_>, plan: Plan, sink: &mut RawSink) -> Result<Observed> {
    let Plan { header, parts, mut snapshot } = plan;
    let declared: Vec<Declared> = parts.iter().map(|part| part.declared.clone()).collect();
    let (batches_in, batches_out) = mpsc::channel(1);
    let (pieces_in, pieces_out) = mpsc::channel(PIECES);
    let encoding = tokio::task::spawn_blocking(move || encode(&header, &declared, batches_out, pieces_in));
    let (fetched, copied) =
        tokio::join!(fetch::all(session, &parts, &mut snapshot, batches_in), copy(pieces_out, sink));
    let encoded = encoding.await.map_err(|e| Error::internal(OPERATION, e))?;
    // Whoever stopped first has the reason; the others only found the way closed.
    copied?;
    let whole = fetched?;
    let observed = encoded?;
    if !whole {
        return Err(Error::internal(OPERATION, "the dump was left before its end"));
    }
    Ok(Observed { consistency: Some(consistency(snapshot.as_ref())), ..observed })
}

async fn copy(mut pieces: mpsc::Receiver<Vec<u8>>, sink: &mut RawSink) -> Result<()> {
    while let Some(piece) = pieces.recv().await {
        sink.write(&piece).await?;
    }
    Ok(())
}

/// Makes the archive. `Ok` means that all of it was passed on and that the observer found it whole.
fn encode(
    header: &Header,
    declared: &[Declared],
    mut batches: mpsc::Receiver<Message>,
    pieces: mpsc::Sender<Vec<u8>>,
) -> Result<Observed> {
    let mut writer = Writer::new(Out::new(pieces), header, declared)?;
    loop {
        match batches.blocking_recv() {
            Some(Message::Batch(at, batch)) => documents(&mut writer, at, &batch)?,
            Some(Message::End(at)) => writer.end(at)?,
            Some(Message::Finish) => break,
            None => return Err(Error::new(ErrorKind::Incomplete, OPERATION, "not all documents were read")),
        }
    }
    let out = writer.finish()?;
    Box::new(out.observer).finish()
}

fn documents(writer: &mut Writer<Out>, at: usize, batch: &RawBatch) -> Result<()> {
    let told = |e: mongodb::error::Error| {
        Error::new(ErrorKind::Unavailable, OPERATION, format!("the server's answer cannot be read: {e}"))
    };
    for element in batch.doc_slices().map_err(told)? {
        writer.document(at, connect::document(OPERATION, element)?.as_bytes())?;
    }
    Ok(())
}

/// Cuts what is written into pieces, which the observer sees on their way.
struct Out {
    piece: Vec<u8>,
    observer: ArchiveObserver,
    pieces: mpsc::Sender<Vec<u8>>,
}

impl Out {
    fn new(pieces: mpsc::Sender<Vec<u8>>) -> Self {
        Self { piece: Vec::with_capacity(CHUNK), observer: ArchiveObserver::new(), pieces }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        self.observer.feed(&self.piece).map_err(io::Error::other)?;
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(CHUNK));
        let left = || Error::new(ErrorKind::Cancelled, OPERATION, "nobody takes the dump any more");
        self.pieces.blocking_send(piece).map_err(|_| io::Error::other(left()))
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() == CHUNK {
            self.pass_on()?;
        }
        let taken = bytes.len().min(CHUNK - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()
    }
}
