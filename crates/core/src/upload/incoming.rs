//! Files that are sent to storage and not to a host: where to, and how they become backups.
//!
//! ```text
//!  hand_out ──▶ claim `upload/{id}`, address ──▶ (the sender stores `incoming/{id}`) ──▶ complete ──▶ job
//! ```
//! A worker reads the file like any that is sent, as often as it takes: the bytes stay until the job has ended. What
//! nobody completes goes after a day, if this catalog handed it out; whatever else lies there is left alone.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use ulid::Ulid;

use super::intake::{AHEAD, Arrived, Intake, Piece};
use super::unpack::{self, Opened};
use super::{Request, refusal, warnings};
use crate::app::App;
use crate::backup::attempt::Supply;
use crate::backup::{queued, tombstone};
use crate::databases;
use crate::engine::pump::pump_from;
use crate::engine::{self, JobLog, Observed, RawSink};
use crate::keys;
use crate::limits::Limits;
use crate::model::{BackupKind, DatabaseId, EngineKind, Incoming, Job, JobId, Status};
use crate::ports::Event;
use crate::storage::{Presigned, Storage};
use crate::{Error, ErrorKind, Result};

/// How long sending may begin.
const ADDRESS: SignedDuration = SignedDuration::from_hours(1);
/// How long a file that was sent waits to be completed.
const COMPLETED_WITHIN: SignedDuration = SignedDuration::from_hours(24);
/// What nobody completed is removed after this: an hour later than it could be.
const REMOVED_AFTER: SignedDuration = SignedDuration::from_hours(25);
/// Until then the sweep knows what was handed out. Longer ago, only the bucket's own rule removes it.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(8 * 24);
/// S3 stores no more by one request.
const MOST_AT_ONCE: u64 = 5 << 30;
const OPERATION: &str = "receive a file";

/// Where to send a file.
#[derive(Debug)]
pub struct Ticket {
    /// The upload, and the backup that it becomes.
    pub id: JobId,
    /// The request that stores it; its body is the file.
    pub request: Presigned,
    /// Until then it may begin.
    pub expires_at: Timestamp,
    /// So many bytes it may have.
    pub most_bytes: u64,
}

/// What the catalog remembers of a file that was not completed yet.
#[derive(Serialize, Deserialize)]
struct Note {
    database: DatabaseId,
    #[serde(default)]
    filename: Option<String>,
    #[serde(default)]
    size_bytes: Option<u64>,
    at: Timestamp,
}

/// Says where to send a file.
///
/// # Errors
/// `Invalid` where storage gives out no addresses; `NotFound` without the database; `TooLarge` for a file that
/// would be refused by its length.
pub async fn hand_out(app: &App, request: Request) -> Result<Ticket> {
    if !app.storage.can_presign() {
        let what = format!("{} gives out no addresses to send files to", app.storage.location());
        return Err(Error::invalid("body", what).with_mend(
            "send the file itself as the body: POST /uploads?database_id=N, --data-binary @FILE",
        ));
    }
    databases::get(app, request.database).await?;
    let most_bytes = most(&app.limits);
    if request.length.is_some_and(|length| length > most_bytes) {
        return Err(too_much(&app.limits));
    }
    let now = app.now();
    let id = request.id.unwrap_or_else(|| JobId(app.ids.ulid(now)));
    tombstone::refuse_used(app, id, OPERATION).await?;
    if app.catalog.job(id).await?.is_some() {
        return Err(Error::conflict(OPERATION, format!("upload {id} was completed before")));
    }
    let note = Note {
        database: request.database,
        filename: request.filename.map(|name| name.chars().take(super::LONGEST_NAME).collect()),
        size_bytes: request.length,
        at: now,
    };
    let note = serde_json::to_string(&note).map_err(|e| Error::internal(OPERATION, e))?;
    app.catalog.claim(&claim_key(id), &note, now, now.checked_add(REMEMBERED).ok()).await?;
    let ttl = Duration::try_from(ADDRESS).unwrap_or_default();
    let request = app.storage.presign_write(&keys::incoming(id), ttl).await?;
    Ok(Ticket { id, request, expires_at: now + ADDRESS, most_bytes })
}

/// Queues the backup of a file that was sent, and answers it with what its sender should know. Asked again, it is
/// the same backup.
///
/// # Errors
/// `NotFound` for an upload that was not handed out within the last day, or whose backup was deleted since;
/// `Conflict` before the file is there;
/// `TooLarge`, `Unsupported` and `Invalid` for one that is refused by its beginning, which is then removed.
pub async fn complete(app: &App, id: JobId) -> Result<(Job, Vec<String>)> {
    if let Some(job) = app.catalog.job(id).await? {
        let ours = job.backup().is_ok_and(|backup| backup.kind == BackupKind::Uploaded);
        return if ours { Ok((job, Vec::new())) } else { Err(unknown(id)) };
    }
    let now = app.now();
    let note = note(app, id).await?.filter(|note| now.duration_since(note.at) <= COMPLETED_WITHIN);
    let note = note.ok_or_else(|| unknown(id))?;
    // Its backup was made and deleted, and another file has been sent to the same address since.
    if tombstone::is_used(app, id).await? {
        return Err(unknown(id));
    }
    let database = databases::get(app, note.database).await?;
    let (size_bytes, etag) = arrived(app, id, &note).await?;
    let kind = database.settings.engine;
    let format = match recognised(app, id, size_bytes, kind).await {
        Err(e) if condemns_the_file(&e) => {
            app.storage.remove_for_good(&app.limits, &keys::incoming(id)).await?;
            return Err(e);
        }
        format => format?,
    };
    let mut job = queued(app, &database, BackupKind::Uploaded, id, now);
    let backup = job.backup_mut()?;
    backup.format = format.shape_for(kind)?;
    backup.incoming = Some(Incoming { size_bytes, etag, filename: note.filename });
    if !app.catalog.create_job(&job).await? {
        return Ok((crate::jobs::get(app, id).await?, warnings(format)));
    }
    // The backup is queued, whoever hears of it; a tick rings again.
    if let Err(e) = app.doorbell.ring(&job).await {
        app.events.publish(Event::TickFailed(e.within("wake a worker"))).await?;
    }
    Ok((job, warnings(format)))
}

/// The length and the entity tag of the file that has arrived, if it may have that length.
async fn arrived(app: &App, id: JobId, note: &Note) -> Result<(u64, Option<String>)> {
    let key = keys::incoming(id);
    let (length, etag) = app.storage.tag(&key).await?.ok_or_else(|| {
        let what = format!("the file of upload {id} has not arrived");
        Error::conflict(OPERATION, what).with_mend("send it to the upload's url first, with PUT")
    })?;
    if length > most(&app.limits) {
        app.storage.remove_for_good(&app.limits, &key).await?;
        return Err(too_much(&app.limits));
    }
    match note.size_bytes.filter(|announced| *announced != length) {
        Some(announced) => Err(refusal::broke_off(length, Some(announced))),
        None => Ok((length, etag)),
    }
}

/// What the file is, by its beginning, if a database of this kind has such backups.
async fn recognised(app: &App, id: JobId, size_bytes: u64, kind: EngineKind) -> Result<super::Recognised> {
    let opened = open(&app.storage, &app.limits, id, size_bytes).await?;
    opened.found.shape_for(kind).map(|_| opened.found)
}

/// Whether an error says what the file is, and not that it could not be read.
fn condemns_the_file(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::TooLarge | ErrorKind::Invalid)
}

/// Begins to read a file that was sent.
async fn open(storage: &Storage, limits: &Arc<Limits>, id: JobId, size_bytes: u64) -> Result<Opened> {
    let (sender, pieces) = mpsc::channel(AHEAD);
    let mut stored = storage.stream(&keys::incoming(id), size_bytes);
    // It ends when nobody reads any more.
    tokio::spawn(async move {
        let mut sent = 0;
        while let Some(piece) = stored.next().await {
            let failed = piece.is_err();
            sent += piece.as_ref().map_or(0, |bytes| bytes.len() as u64);
            if sender.send(piece.map_or_else(Piece::Failed, Piece::Data)).await.is_err() || failed {
                return;
            }
        }
        let end = if sent == size_bytes { Piece::End } else { Piece::Failed(changed()) };
        let _heard = sender.send(end).await;
    });
    let arrived = Arc::<Arrived>::default();
    let intake = Intake::new(pieces, limits.uploads.most_sent, Arc::clone(&arrived));
    let bounds = Arc::clone(limits);
    tokio::task::spawn_blocking(move || Opened::read(intake, &bounds, arrived)).await.map_err(unpack::lost)?
}

/// The bytes of a job whose file lies in storage.
pub(crate) struct Sent {
    storage: Storage,
    limits: Arc<Limits>,
    id: JobId,
    kind: EngineKind,
    format: crate::model::DumpFormat,
    incoming: Incoming,
    log: JobLog,
}

impl Sent {
    /// Of this job; none where its bytes came with a request, and are gone.
    pub(crate) fn of(app: &App, job: &Job, log: JobLog) -> Option<Self> {
        let backup = job.backup().ok()?;
        Some(Self {
            storage: app.storage.clone(),
            limits: Arc::clone(&app.limits),
            id: job.id,
            kind: backup.engine,
            format: backup.format,
            incoming: backup.incoming.clone()?,
            log,
        })
    }

    /// The address opens for an hour, and whoever has it may send another file over the one that was completed.
    async fn check_unchanged(&self, key: &str) -> Result<()> {
        let (length, etag) = self.storage.tag(key).await?.ok_or_else(gone)?;
        let same = length == self.incoming.size_bytes && etag == self.incoming.etag;
        if same { Ok(()) } else { Err(changed()) }
    }
}

#[async_trait]
impl Supply for Sent {
    async fn stream(&mut self, sink: &mut RawSink) -> Result<Observed> {
        let key = keys::incoming(self.id);
        self.check_unchanged(&key).await?;
        let opened = open(&self.storage, &self.limits, self.id, self.incoming.size_bytes).await?;
        if opened.found.shape_for(self.kind)? != self.format {
            return Err(changed());
        }
        let name = self.incoming.filename.as_deref().map(|name| format!(" as {name}")).unwrap_or_default();
        self.log.info(format!("a file was sent to storage{name}: {}", opened.found.as_str()));
        for warning in warnings(opened.found) {
            self.log.warn(warning);
        }
        let engine = engine::engine(self.kind).ok_or_else(|| databases::not_built(self.kind))?;
        opened.arrived.tell(sink.meter());
        let observer = engine.upload_observer(self.format);
        let observed = pump_from(opened, observer, sink).await.map_err(refusal::of_the_file)?;
        self.check_unchanged(&key).await?;
        Ok(observed)
    }
}

/// Removes the file of a job that has ended. A store that refuses that holds nothing up: it is told, and the sweep
/// comes back to it.
pub(crate) async fn clear(app: &App, job: &Job) -> Result<()> {
    if job.backup().is_ok_and(|backup| backup.incoming.is_none()) || job.backup().is_err() {
        return Ok(());
    }
    match app.storage.remove_for_good(&app.limits, &keys::incoming(job.id)).await {
        Err(e) if !e.is_retryable() => {
            let told = e.within(&format!("remove the file of upload {}", job.id));
            app.events.publish(Event::StorageRefused(told)).await
        }
        removed => removed,
    }
}

/// Once an hour, removes what this catalog handed out and nobody completed within a day. Answers how many files.
pub(crate) async fn sweep(app: &App) -> Result<usize> {
    let now = app.now();
    if !app.storage.can_presign() || !app.limits.incoming_turn.takes_turn(now) {
        return Ok(0);
    }
    let mut removed = 0;
    for key in app.storage.list(keys::INCOMING).await? {
        let id = key.strip_prefix(keys::INCOMING).and_then(|id| Ulid::from_string(id).ok()).map(JobId);
        if let Some(id) = id
            && is_forgotten(app, id, now).await?
        {
            app.storage.remove_for_good(&app.limits, &key).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

async fn is_forgotten(app: &App, id: JobId, now: Timestamp) -> Result<bool> {
    let made = i64::try_from(id.0.timestamp_ms()).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    if made.is_none_or(|made| now.duration_since(made) <= REMOVED_AFTER) {
        return Ok(false);
    }
    if let Some(job) = app.catalog.job(id).await? {
        return Ok(job.status.is_terminal() && !job.untold || job.status == Status::Deleting);
    }
    Ok(note(app, id).await?.is_some())
}

/// What was handed out under this id.
async fn note(app: &App, id: JobId) -> Result<Option<Note>> {
    let held = app.catalog.claimed(&claim_key(id), app.now()).await?;
    Ok(held.and_then(|note| serde_json::from_str(&note).ok()))
}

fn claim_key(id: JobId) -> String {
    format!("upload/{id}")
}

fn most(limits: &Limits) -> u64 {
    limits.uploads.most_sent.min(MOST_AT_ONCE)
}

fn too_much(limits: &Limits) -> Error {
    if limits.uploads.most_sent <= MOST_AT_ONCE {
        return refusal::sent_too_much(limits.uploads.most_sent);
    }
    let what = format!("it is larger than the {MOST_AT_ONCE} bytes that the store takes by one request");
    Error::new(ErrorKind::TooLarge, OPERATION, what).with_field("file").with_mend(
        "pack it by zstd, or send it to a local server (respaldo serve) on the same catalog and storage",
    )
}

fn unknown(id: JobId) -> Error {
    Error::not_found("upload", id)
        .with_mend("ask for a new one: POST /uploads; one is completed within a day")
}

fn gone() -> Error {
    Error::new(ErrorKind::Incomplete, OPERATION, "the file that was sent is not in storage any more")
        .with_mend("send the file again")
}

fn changed() -> Error {
    Error::new(ErrorKind::Invalid, OPERATION, "another file was sent over it after it was completed")
        .with_field("file")
        .with_mend("send the file again, once")
}
