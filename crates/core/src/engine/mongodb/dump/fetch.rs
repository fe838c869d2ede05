//! Reading documents by cursors, in batches whose bytes are passed on as the server sent them.

use bson::raw::{RawBsonRef, RawDocumentBuf, cstr};
use bson::{Bson, Document, Timestamp, doc};
use futures::StreamExt as _;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};
use tokio::sync::mpsc;

use super::{OPERATION, Part, Read};
use crate::engine::mongodb::connect::Session;
use crate::engine::mongodb::explain;
use crate::engine::wording::one_line;
use crate::{Error, Result};

/// What the encoder is told. `at` is the place among the declared namespaces.
pub(super) enum Message {
    /// Documents of a namespace.
    Batch(usize, RawBatch),
    /// All of a namespace's documents came.
    End(usize),
    /// All namespaces have ended.
    Finish,
}

/// One point in time at which all collections are read.
#[derive(Default)]
pub(super) struct Snapshot {
    time: Option<Timestamp>,
    lost: bool,
}

impl Snapshot {
    /// Whether everything was read at it.
    pub(super) fn held(&self) -> bool {
        self.time.is_some() && !self.lost
    }

    /// What a read has to ask for; none once the snapshot is given up.
    fn concern(&self) -> Option<Document> {
        match self.time {
            _ if self.lost => None,
            Some(time) => Some(doc! { "level": "snapshot", "atClusterTime": time }),
            None => Some(doc! { "level": "snapshot" }),
        }
    }
}

/// Reads all parts, one after the other. `Ok(false)`: nobody takes them any more.
pub(super) async fn all(
    session: &Session<'_>,
    parts: &[Part],
    snapshot: &mut Option<Snapshot>,
    out: mpsc::Sender<Message>,
) -> Result<bool> {
    for (at, part) in parts.iter().enumerate() {
        let taken = match &part.read {
            Some(read) => one(session, at, read, snapshot, &out).await?,
            None => true,
        };
        if !taken || out.send(Message::End(at)).await.is_err() {
            return Ok(false);
        }
    }
    Ok(out.send(Message::Finish).await.is_ok())
}

async fn one(
    session: &Session<'_>,
    at: usize,
    read: &Read,
    snapshot: &mut Option<Snapshot>,
    out: &mpsc::Sender<Message>,
) -> Result<bool> {
    let mut cursor = begin(session, read, snapshot).await?;
    loop {
        // A batch is fetched only when there is room for it: two of them are in memory at most.
        let Ok(room) = out.reserve().await else { return Ok(false) };
        let batch = match cursor.next().await {
            Some(Ok(batch)) => batch,
            Some(Err(e)) => return Err(broken(session, read, &e)),
            None => return Ok(true),
        };
        note_time(snapshot, &batch);
        room.send(Message::Batch(at, batch));
    }
}

/// Begins to read, at the snapshot if there is one; a server that cannot is read without.
async fn begin(
    session: &Session<'_>,
    read: &Read,
    snapshot: &mut Option<Snapshot>,
) -> Result<RawBatchCursor> {
    let concern = snapshot.as_ref().and_then(Snapshot::concern);
    let found = open(session, read, concern.as_ref()).await;
    let Err(e) = found else { return found.map_err(|e| broken(session, read, &e)) };
    let Some(kept) = snapshot.as_mut().filter(|_| concern.is_some() && refuses_snapshot(&e)) else {
        return Err(broken(session, read, &e));
    };
    kept.lost = true;
    let why = explain::failed(OPERATION, session.source, &e);
    session.source.log.warn(format!("no snapshot: {}; collections are read each by itself", why.message()));
    open(session, read, None).await.map_err(|e| broken(session, read, &e))
}

/// The codes by which servers say that they have no snapshot (of this, any more, or at all); 8000 is Atlas's for all that
/// its smaller tiers do not do.
fn refuses_snapshot(error: &mongodb::error::Error) -> bool {
    use mongodb::error::ErrorKind;
    matches!(error.kind.as_ref(), ErrorKind::Command(command) if matches!(command.code, 2 | 9 | 20 | 72 | 115 | 123 | 238 | 239 | 246 | 8000))
}

async fn open(
    session: &Session<'_>,
    read: &Read,
    concern: Option<&Document>,
) -> mongodb::error::Result<RawBatchCursor> {
    let mut command = doc! { "find": &read.collection };
    match &read.filter {
        Some(filter) => command.insert("filter", filter.clone()),
        // All is wanted, in the order in which it lies: a capped collection's order is part of it.
        None => command.insert("hint", doc! { "$natural": 1 }),
    };
    command.insert("batchSize", Bson::Int64(i64::from(read.batch)));
    if read.raw_data {
        command.insert("rawData", true);
    }
    let mut command = RawDocumentBuf::try_from(&command).map_err(mongodb::error::Error::custom)?;
    if let Some(concern) = concern {
        let concern = RawDocumentBuf::try_from(concern).map_err(mongodb::error::Error::custom)?;
        command.append(cstr!("readConcern"), RawBsonRef::Document(&concern));
    }
    let database = session.client.database(&read.database);
    database.run_raw_cursor_command(command).batch_size(read.batch).batch().await
}

/// The first read tells the time that the others ask for.
fn note_time(snapshot: &mut Option<Snapshot>, batch: &RawBatch) {
    let Some(snapshot) = snapshot.as_mut().filter(|snapshot| snapshot.time.is_none()) else { return };
    let cursor = batch.as_raw_document().get_document("cursor");
    match cursor.map(|cursor| cursor.get("atClusterTime")) {
        Ok(Ok(Some(RawBsonRef::Timestamp(time)))) => snapshot.time = Some(time),
        _ => snapshot.lost = true,
    }
}

/// What breaks a cursor breaks the dump: what it had not read yet would be missing.
fn broken(session: &Session<'_>, read: &Read, error: &mongodb::error::Error) -> Error {
    explain::failed(&format!("{OPERATION}: read {}", one_line(&read.collection)), session.source, error)
}
