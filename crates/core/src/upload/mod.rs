//! Uploads: a user's own file becomes a backup of kind `uploaded`.
//!
//! The file passes through as it comes: `intake` takes it from whoever sends it, `unpack` unpacks it within
//! bounds, `recognise` says what it is, and from there it goes the way of every dump: past an observer into
//! sealing, storage, manifest and catalog. The sender is held back by whatever is slowest.
//!
//! A file may also be sent to storage, and become a backup there: `incoming`.
//!
//! The request that brings a file does the job itself, in a task of its own, so that it ends cleanly when
//! the sender goes away. Nobody can take the job over: its bytes would be missing. A worker that finds its
//! lease expired adopts what was finished, and else ends it.

pub(crate) mod incoming;
mod intake;
mod recognise;
mod refusal;
mod unpack;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

pub use self::incoming::{Ticket, complete, hand_out};
use self::intake::{AHEAD, Arrived, Intake, Piece};
pub use self::recognise::{HEAD, Recognised, recognise};
use self::unpack::Opened;
use crate::app::App;
use crate::backup::attempt::Supply;
use crate::backup::{queued, take_in, tombstone};
use crate::databases;
use crate::engine::observe::Observer;
use crate::engine::pump::{CHUNK, Chunks, pump_from};
use crate::engine::{self, JobLog, Observed, RawSink, ResolvedLogin};
use crate::jobs::place::Place;
use crate::jobs::{self, Held, Ran, Worker};
use crate::model::{BackupKind, Database, DatabaseId, Job, JobId, Status};
use crate::{Error, ErrorKind, Result};

const OPERATION: &str = "receive a file";
/// What the log shows of a file's name.
const LONGEST_NAME: usize = 200;

/// What is sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// The id of the backup, when the caller has already chosen it.
    pub id: Option<JobId>,
    /// The database that it is a backup of.
    pub database: DatabaseId,
    /// What its sender calls it. It is shown, and decides nothing.
    pub filename: Option<String>,
    /// How many bytes will come, where the sender says so.
    pub length: Option<u64>,
}

/// A file that has become a backup.
#[derive(Debug)]
pub struct Received {
    /// The backup.
    pub job: Job,
    /// What whoever sent it should know.
    pub warnings: Vec<String>,
}

/// Makes a backup of a file as it comes.
///
/// # Errors
/// `NotFound` without the database; `Unavailable` while all places are taken; `Unsupported` for a file that is
/// no dump, or none of such a database; `TooLarge`; `Invalid` for one that is cut off or damaged. A file that
/// is refused by its beginning leaves no record, every other a failed backup.
pub async fn receive(
    app: &App,
    request: Request,
    body: impl Stream<Item = Result<Bytes>> + Send,
) -> Result<Received> {
    let database = databases::get(app, request.database).await?;
    let most = app.limits.uploads.most_sent;
    if request.length.is_some_and(|length| length > most) {
        return Err(refusal::sent_too_much(most));
    }
    if let Some(id) = request.id {
        tombstone::refuse_used(app, id, OPERATION).await?;
    }
    let length = request.length;
    let (sender, pieces) = mpsc::channel(AHEAD);
    let work = tokio::spawn(work(app.clone(), database, request, pieces));
    carry(body, length, sender, work).await
}

/// Carries what is sent to the task that works on it, until either ends.
async fn carry(
    body: impl Stream<Item = Result<Bytes>> + Send,
    length: Option<u64>,
    sender: mpsc::Sender<Piece>,
    mut work: JoinHandle<Result<Received>>,
) -> Result<Received> {
    let mut body = pin!(body);
    let mut sent = 0;
    loop {
        let next = tokio::select! {
            biased;
            done = &mut work => return done.map_err(unpack::lost)?,
            next = body.next() => next,
        };
        let piece = match next {
            Some(Ok(bytes)) => {
                sent += bytes.len() as u64;
                Piece::Data(bytes)
            }
            Some(Err(e)) => Piece::Failed(e),
            None if length.is_some_and(|length| length != sent) => {
                Piece::Failed(refusal::broke_off(sent, length))
            }
            None => Piece::End,
        };
        let goes_on = matches!(piece, Piece::Data(_));
        if sender.send(piece).await.is_err() || !goes_on {
            drop(sender);
            return work.await.map_err(unpack::lost)?;
        }
    }
}

async fn work(
    app: App,
    database: Database,
    request: Request,
    pieces: mpsc::Receiver<Piece>,
) -> Result<Received> {
    let id = request.id.unwrap_or_else(|| JobId(app.ids.ulid(app.now())));
    let Some(place) = Place::take(&app, id).await? else { return Err(no_place(&app)) };
    let received = Receiving { app: &app, place: &place, id }.work(&database, &request, pieces).await;
    // One that cannot be given back now expires; what became of the file is what its sender must hear.
    let _expires = place.release(&app).await;
    received
}

struct Receiving<'a> {
    app: &'a App,
    place: &'a Place,
    id: JobId,
}

impl Receiving<'_> {
    async fn work(
        &self,
        database: &Database,
        request: &Request,
        pieces: mpsc::Receiver<Piece>,
    ) -> Result<Received> {
        let kind = database.settings.engine;
        let engine = engine::engine(kind).ok_or_else(|| databases::not_built(kind))?;
        let opened = self.open(pieces).await?;
        let (found, format) = (opened.found, opened.found.shape_for(kind)?);
        let supply = Upload { opened: Some((opened, engine.upload_observer(format))) };

        let mut job = queued(self.app, database, BackupKind::Uploaded, self.id, self.app.now());
        job.attempts.most = 1;
        job.backup_mut()?.format = format;
        let worker = Worker::new("upload");
        let fence = job.lease(worker.owner(), self.app.now(), self.app.limits.lease)?;
        if !self.app.catalog.create_job(&job).await? {
            return Err(Error::conflict(OPERATION, format!("backup {} is being received already", self.id)));
        }
        let job = jobs::get(self.app, self.id).await?;
        let log = JobLog::new(&self.app.clock, job.attempts.current, ResolvedLogin::default().redactor());
        let shown: String =
            request.filename.iter().flat_map(|name| name.chars()).take(LONGEST_NAME).collect();
        log.info(format!(
            "a file was sent{}{shown}: {}",
            if shown.is_empty() { "" } else { " as " },
            found.as_str()
        ));
        let warnings = warnings(found);
        for warning in &warnings {
            log.warn(warning);
        }
        let runner = database.settings.runner;
        let held = Held { app: self.app, worker: &worker, place: self.place, id: self.id, fence, runner };
        let ran = take_in(held, job, Box::new(supply), log).await?;
        let job = jobs::get(self.app, self.id).await?;
        match (job.status, ran) {
            (Status::Succeeded, _) => Ok(Received { job, warnings }),
            (_, Ran::Ended) => Err(job.error.unwrap_or_else(|| taken(self.id))),
            _ => Err(taken(self.id)),
        }
    }

    /// Waits for the file's beginning, and keeps the place meanwhile.
    async fn open(&self, pieces: mpsc::Receiver<Piece>) -> Result<Opened> {
        let limits = &self.app.limits;
        let arrived = Arc::<Arrived>::default();
        let intake = Intake::new(pieces, limits.uploads.most_sent, Arc::clone(&arrived));
        let (bounds, counted) = (Arc::clone(limits), Arc::clone(&arrived));
        let mut opening = tokio::task::spawn_blocking(move || Opened::read(intake, &bounds, counted));
        let lease = Duration::try_from(limits.lease).unwrap_or_default();
        let stall = Duration::try_from(limits.stall).unwrap_or_default();
        let mut beat = tokio::time::interval((lease / 4).max(Duration::from_millis(50)));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut seen, mut moved) = (0, Instant::now());
        loop {
            tokio::select! {
                opened = &mut opening => return opened.map_err(unpack::lost)?,
                _ = beat.tick() => {}
                () = tokio::time::sleep_until(moved + stall) => {}
            }
            if arrived.bytes() != seen {
                (seen, moved) = (arrived.bytes(), Instant::now());
            } else if moved.elapsed() >= stall {
                let message = format!("no byte came for {} s", stall.as_secs());
                return Err(Error::new(ErrorKind::Timeout, OPERATION, message)
                    .with_mend("send the file again, over a connection that does not stand still"));
            }
            if !self.place.renew(self.app, self.app.now() + limits.lease).await? {
                return Err(no_place(self.app));
            }
        }
    }
}

/// The file's bytes, unpacked.
struct Upload {
    /// None once it was streamed.
    opened: Option<(Opened, Box<dyn Observer>)>,
}

#[async_trait]
impl Supply for Upload {
    async fn stream(&mut self, sink: &mut RawSink) -> Result<Observed> {
        let (opened, observer) = self.opened.take().ok_or_else(|| unpack::lost("it was streamed before"))?;
        opened.arrived.tell(sink.meter());
        pump_from(opened, observer, sink).await.map_err(refusal::of_the_file)
    }
}

impl Chunks for Opened {
    fn fill(&mut self, chunk: &mut Vec<u8>, _wanted: &dyn Fn() -> bool) -> Result<bool> {
        chunk.resize(CHUNK, 0);
        let read = self.next(chunk)?;
        chunk.truncate(read);
        Ok(read > 0)
    }
}

fn warnings(found: Recognised) -> Vec<String> {
    let unsigned = "no dump tool signed this SQL, so nothing proves that it is whole";
    if found == Recognised::Sql { vec![unsigned.to_owned()] } else { Vec::new() }
}

fn no_place(app: &App) -> Error {
    let all = app.limits.max_parallel_jobs;
    Error::new(ErrorKind::Unavailable, OPERATION, format!("all {all} places for jobs are taken"))
        .with_mend("send the file again later, or raise global.max_parallel_jobs in config.yaml")
}

fn taken(id: JobId) -> Error {
    Error::conflict(OPERATION, format!("backup {id} was deleted, or counted as dead, while it was received"))
        .with_mend("send the file again")
}
