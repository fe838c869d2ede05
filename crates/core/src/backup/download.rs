//! Reading an artifact while deletion waits.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;

use crate::app::App;
use crate::model::{Artifact, Job, JobId, Status};
use crate::ports::{Catalog, Clock};
use crate::storage::{Presigned, Storage};
use crate::{Error, Result};

/// A reader that dies is forgotten after this long.
const HOLD: SignedDuration = SignedDuration::from_secs(60);
const RENEW_EVERY: Duration = Duration::from_secs(20);

/// How long addresses open what they stand for.
pub const HANDED_OUT: SignedDuration = SignedDuration::from_mins(5);

/// Addresses of a download's bytes, end to end.
#[derive(Debug)]
pub struct HandedOut {
    /// Until then they open it.
    pub expires_at: Timestamp,
    /// In the order of the bytes.
    pub pieces: Vec<Piece>,
}

/// Bytes of one object.
#[derive(Debug)]
pub struct Piece {
    /// What to ask the store.
    pub request: Presigned,
    /// Which bytes of the object.
    pub range: Range<u64>,
    /// The object's length.
    pub object_bytes: u64,
    /// SHA-256 of the whole object, in hex.
    pub object_sha256: String,
}

/// What the leases of a backup's readers begin with.
pub(crate) fn lease_prefix(id: JobId) -> String {
    format!("read/{id}/")
}

/// A succeeded backup, or package, that is being read: deletion waits for it.
pub struct Download {
    job: Job,
    artifact: Artifact,
    storage: Storage,
    hold: Hold,
}

impl Download {
    /// Holds a succeeded backup, or package, for reading; `Conflict` for one that has nothing stored.
    pub async fn open(app: &App, id: JobId) -> Result<Self> {
        let read = async || app.catalog.job(id).await?.ok_or_else(|| Error::not_found("backup", id));
        read().await?;
        let hold = Hold::take(app, id).await?;
        // Read again now that deletion would wait.
        let job = read().await?;
        let what = if job.package().is_ok() { "package" } else { "backup" };
        match job.artifact().cloned() {
            Some(artifact) if job.status == Status::Succeeded => {
                Ok(Self { job, artifact, storage: app.storage.clone(), hold })
            }
            _ => Err(Error::conflict(
                format!("download a {what}"),
                format!("{what} {id} is {}: it has nothing to download", job.status.as_str()),
            )),
        }
    }

    /// Its record.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Its artifact.
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// Gives out the addresses at which the store has a range of its bytes, for [`HANDED_OUT`]. Deletion waits as
    /// long as they open anything; what was begun by then is the store's to end.
    ///
    /// # Errors
    /// `Unsupported` where the store gives out none.
    pub async fn hand_out(self, app: &App, range: Range<u64>, disposition: &str) -> Result<HandedOut> {
        let ttl = Duration::try_from(HANDED_OUT).unwrap_or_default();
        let now = app.now();
        // A little longer: the addresses are made after it.
        let (name, expires_at) =
            (format!("{}{}", lease_prefix(self.job.id), app.ids.ulid(now)), now + HANDED_OUT);
        let until = expires_at.checked_add(HOLD).unwrap_or(expires_at);
        app.catalog.acquire_lease(&name, "address", now, until).await?;
        let mut pieces = Vec::new();
        let mut offset = 0;
        for volume in &self.artifact.volumes {
            let (start, end) = (range.start.max(offset), range.end.min(offset + volume.size_bytes));
            if start < end {
                pieces.push(Piece {
                    request: self.storage.presign_read(&volume.key, ttl, disposition).await?,
                    range: start - offset..end - offset,
                    object_bytes: volume.size_bytes,
                    object_sha256: volume.sha256.clone(),
                });
            }
            offset += volume.size_bytes;
        }
        Ok(HandedOut { expires_at, pieces })
    }

    /// Streams a range of its bytes; deletion waits until the stream is dropped.
    pub fn stream(self, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
        let hold = self.hold;
        let bytes = self.storage.read(&self.artifact, range);
        // The stream owns the hold, and with it gives it back.
        bytes.inspect(move |_| _ = &hold).boxed()
    }
}

/// A reader's lease, renewed beside it and given back when it is dropped.
pub(crate) struct Hold {
    catalog: Arc<dyn Catalog>,
    name: String,
    fence: u64,
    renewal: JoinHandle<()>,
}

impl Hold {
    pub(crate) async fn take(app: &App, id: JobId) -> Result<Self> {
        let now = app.now();
        let name = format!("{}{}", lease_prefix(id), app.ids.ulid(now));
        let taken = app.catalog.acquire_lease(&name, "reader", now, now + HOLD).await?;
        let fence = taken.ok_or_else(|| Error::internal("hold a backup", "a fresh lease was taken"))?;
        let renewal =
            tokio::spawn(renew(Arc::clone(&app.catalog), Arc::clone(&app.clock), name.clone(), fence));
        Ok(Self { catalog: Arc::clone(&app.catalog), name, fence, renewal })
    }
}

async fn renew(catalog: Arc<dyn Catalog>, clock: Arc<dyn Clock>, name: String, fence: u64) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        // A failure leaves two further tries before the hold ends; a reader whose hold ended reads on
        // until the object is gone, and then gets an error instead of its last bytes.
        if let Ok(false) = catalog.renew_lease(&name, fence, clock.now() + HOLD).await {
            return;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.renewal.abort();
        let (catalog, name, fence) = (Arc::clone(&self.catalog), std::mem::take(&mut self.name), self.fence);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // What cannot be given back ends by itself within a minute.
            runtime.spawn(async move { catalog.release_lease(&name, fence).await });
        }
    }
}
