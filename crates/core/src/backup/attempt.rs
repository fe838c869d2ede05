//! One attempt: a dump's raw bytes → sealing → storage → manifest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::{manifest, sweep};
use crate::app::App;
use crate::engine::{Engine, Meter, Observed, RawSink, Source};
use crate::jobs;
use crate::keys;
use crate::model::{Artifact, Job, Manifest};
use crate::seal::{Piece, SealPlan, SealReader, Sealed, seal};
use crate::storage::Upload;
use crate::{Error, ErrorKind, Result};

/// Of a job's memory, this part is for sealing; uploads take half at most, the rest is for pipes,
/// the observer and the allocator.
const SEALING_SHARE: usize = 4;

/// Where an attempt's raw bytes come from.
#[async_trait]
pub(crate) trait Supply: Send {
    /// Streams a whole dump. `Ok` means that its completeness rule held.
    async fn stream(&mut self, sink: &mut RawSink) -> Result<Observed>;
}

/// From a database, by its engine.
pub(super) struct Dumped {
    pub(super) engine: &'static dyn Engine,
    pub(super) source: Source,
}

#[async_trait]
impl Supply for Dumped {
    async fn stream(&mut self, sink: &mut RawSink) -> Result<Observed> {
        self.engine.dump(&self.source, sink).await
    }
}

/// What an attempt works with. It outlives the attempt's future, which may be dropped at any point:
/// then it says what has to be undone.
pub(super) struct Attempt<'a> {
    pub(super) app: &'a App,
    pub(super) job: &'a Job,
    pub(super) name: &'a str,
    pub(super) meter: Arc<Meter>,
    /// Set before the manifest is written: from then on another worker may adopt the attempt, so only
    /// whoever holds the job may remove it.
    pub(super) published: AtomicBool,
}

impl Attempt<'_> {
    /// Where the attempt's bytes go.
    pub(super) fn upload(&self) -> Result<Upload> {
        let (database, id, attempt) = (self.job.owner()?.uid, self.job.id, self.job.attempts.current);
        let name = self.name.to_owned();
        let key = move |number| keys::volume(database, id, attempt, &name, number);
        Ok(self.app.storage.upload(self.app.limits.memory_budget, key))
    }

    /// Stores what is supplied, and describes it. `Ok` means that the manifest stands beside a whole artifact.
    pub(super) async fn run(&self, supply: &mut dyn Supply, upload: &mut Upload) -> Result<Manifest> {
        let (writer, reader) = seal(self.plan()?)?;
        let sink = RawSink::new(writer, Arc::clone(&self.meter));
        let (sealed, observed) = tokio::try_join!(self.store(reader, upload), fill(supply, sink))?;
        // To complete a large object takes a store minutes, in which no byte moves.
        let completing = self.meter.hold();
        let volumes = upload.finish().await?;
        let artifact = Artifact {
            attempt: self.job.attempts.current,
            size_bytes: volumes.iter().map(|volume| volume.size_bytes).sum(),
            volumes,
            raw_bytes: sealed.raw_bytes,
            md5: sealed.stored.md5_hex(),
            sha256: sealed.stored.sha256_hex(),
        };
        check(&artifact, &sealed)?;
        drop(completing);
        self.read_back(&artifact).await?;
        let _publishing = self.meter.hold();
        self.publish(artifact, &observed).await
    }

    fn plan(&self) -> Result<SealPlan> {
        let backup = self.job.backup()?;
        let limits = &self.app.limits;
        Ok(SealPlan {
            compression: backup.compression,
            recipients: backup.encryption.iter().map(|text| text.parse()).collect::<Result<_>>()?,
            threads: limits.threads,
            memory: (limits.memory_budget / SEALING_SHARE).max(SealPlan::LEAST_MEMORY),
        })
    }

    async fn store(&self, mut sealed: SealReader, upload: &mut Upload) -> Result<Sealed> {
        loop {
            match sealed.next().await? {
                Piece::Data(bytes) => {
                    let length = bytes.len();
                    self.meter.storing();
                    upload.write(bytes).await?;
                    self.meter.stored(length);
                }
                Piece::End(whole) => return Ok(whole),
            }
        }
    }

    /// Of a store that confirms no checksum, only the lengths are known to be right so far.
    async fn read_back(&self, artifact: &Artifact) -> Result<()> {
        self.meter.reading_back();
        self.app.storage.read_back(&artifact.volumes, |bytes| self.meter.read_back(bytes)).await
    }

    async fn publish(&self, artifact: Artifact, observed: &Observed) -> Result<Manifest> {
        let keys: Vec<String> = artifact.volumes.iter().map(|volume| volume.key.clone()).collect();
        let manifest = manifest::describe(self.job, self.name, artifact, observed, self.app.now())?;
        let bytes = manifest.encode(&self.app.key)?;
        self.check_still_ours().await?;
        self.app.storage.show(&keys).await?;
        sweep::complain(self.app).await?;
        let key = keys::manifest(self.job.owner()?.uid, self.job.id, self.job.attempts.current);
        self.published.store(true, Ordering::SeqCst);
        self.app.storage.put(&key, bytes).await?;
        Ok(manifest)
    }

    /// Spares a worker that was stopped for a while from publishing what others have given up. It only
    /// makes that rarer: the fence at the commit decides.
    async fn check_still_ours(&self) -> Result<()> {
        match jobs::get(self.app, self.job.id).await {
            Ok(job) => job.check_fence(self.job.fence),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                Err(Error::new(ErrorKind::Fenced, "hold a job", e.message()))
            }
            // A catalog that cannot answer now is no reason to throw a whole dump away.
            Err(_) => Ok(()),
        }
    }
}

async fn fill(supply: &mut dyn Supply, mut sink: RawSink) -> Result<Observed> {
    let outcome = async {
        let observed = supply.stream(&mut sink).await?;
        sink.finish().await?;
        Ok::<_, Error>(observed)
    };
    match outcome.await {
        // The stages behind have stopped, and have the reason to tell: let it be told.
        Err(e) if e.kind() == ErrorKind::Cancelled => std::future::pending().await,
        done => done,
    }
}

/// What storage confirmed must be what was sealed.
fn check(artifact: &Artifact, sealed: &Sealed) -> Result<()> {
    let whole = artifact.size_bytes == sealed.stored.length;
    let same =
        artifact.volumes.len() > 1 || artifact.volumes.iter().all(|volume| volume.sha256 == artifact.sha256);
    if whole && same {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Corrupt, "confirm an artifact", "what was stored is not what was sealed"))
}
