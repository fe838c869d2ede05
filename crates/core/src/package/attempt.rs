//! One attempt: artifacts as they are stored → archive → storage → manifest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use sha2::{Digest as _, Sha256};

use super::archive::{Archive, Entry};
use super::contents;
use super::gather::{Broken, Gathered, gather};
use super::manifest::{self, folder};
use super::plan::Chosen;
use crate::backup::sweep;
use crate::engine::Meter;
use crate::jobs::Held;
use crate::jobs::keeper::Stop;
use crate::keys;
use crate::model::{Artifact, Job, LeftOut, PackageManifest, Volume};
use crate::seal::Digester;
use crate::storage::Upload;
use crate::{Error, ErrorKind, Result};

/// What is packed in one go. Stores give pieces of any length.
const LONGEST_PIECE: usize = 512 * 1024;
/// What the archive's own words may take for each member, for the question whether there is room.
const WORDS_OF_A_MEMBER: u64 = 8 * 1024;
const OPERATION: &str = "make a package";

/// Why an attempt ended.
pub(super) enum Trouble {
    /// This member is not what it should be.
    Member(Broken),
    /// Anything else.
    Stopped(Stop),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Stopped(match error.kind() {
            ErrorKind::Fenced => Stop::Lost(error),
            _ => Stop::Failed(error),
        })
    }
}

/// What an attempt works with. It outlives the attempt's future, which may be dropped at any point.
pub(super) struct Attempt<'a> {
    pub(super) held: Held<'a>,
    pub(super) job: &'a Job,
    pub(super) name: &'a str,
    pub(super) meter: Arc<Meter>,
    /// Set before the manifest is written: from then on another worker may adopt the attempt, so only
    /// whoever holds the job may remove it.
    pub(super) published: AtomicBool,
}

impl Attempt<'_> {
    /// Where the attempt's bytes go.
    pub(super) fn upload(&self) -> Upload {
        let (folder, name) = (folder(self.job, self.job.attempts.current), self.name.to_owned());
        let app = self.held.app;
        app.storage.upload(app.limits.memory_budget, move |number| keys::volume_below(&folder, &name, number))
    }

    /// Packs. `Ok` means that the manifest stands beside a whole archive. `broken` are members that an earlier
    /// attempt found so.
    pub(super) async fn run(
        &self,
        upload: &mut Upload,
        broken: &[LeftOut],
    ) -> Result<PackageManifest, Trouble> {
        // Whatever is silent from here on, it is storage.
        self.meter.reading_back();
        let gathered = gather(self.held.app, self.job.package()?, broken).await?;
        self.tell(&gathered).await?;
        self.check_room(&gathered).await?;
        let mut packing = Packing { attempt: self, upload, press: Some(Press::new(self.job)?) };
        let offsets = packing.pack(&gathered).await?;
        let written = packing.finish().await?;
        // To complete a large object takes a store minutes, in which no byte moves.
        let completing = self.meter.hold();
        let volumes = upload.finish().await?;
        let artifact = self.artifact(&gathered, volumes, &written)?;
        drop(completing);
        let storage = &self.held.app.storage;
        storage.read_back(&artifact.volumes, |bytes| self.meter.read_back(bytes)).await?;
        let _publishing = self.meter.hold();
        Ok(self.publish(&gathered, &offsets, artifact).await?)
    }

    /// Writes into the record what is being packed: from now on these backups are not deleted.
    async fn tell(&self, gathered: &Gathered) -> Result<()> {
        let told = self.held.change(|job, fence, _| {
            job.check_fence(fence)?;
            let package = job.package_mut()?;
            package.members = gathered.members.iter().map(|member| member.chosen.member.clone()).collect();
            package.left_out.clone_from(&gathered.left_out);
            Ok(())
        });
        told.await.map(drop)
    }

    async fn check_room(&self, gathered: &Gathered) -> Result<()> {
        let Some(space) = self.held.app.storage.space().await? else { return Ok(()) };
        let members = gathered.members.iter().map(|member| member.chosen.member.size_bytes);
        let needed = members.map(|size| size.saturating_add(WORDS_OF_A_MEMBER)).fold(0, u64::saturating_add);
        if needed <= space.free_bytes {
            return Ok(());
        }
        let message = format!("it needs {needed} bytes, and storage has {} left", space.free_bytes);
        Err(Error::new(ErrorKind::Storage, OPERATION, message)
            .with_mend("make room, package fewer databases, or shorten the retention of packages"))
    }

    fn artifact(&self, gathered: &Gathered, volumes: Vec<Volume>, written: &Written) -> Result<Artifact> {
        let digests = written.digester.clone().finish();
        let artifact = Artifact {
            attempt: self.job.attempts.current,
            size_bytes: volumes.iter().map(|volume| volume.size_bytes).sum(),
            raw_bytes: gathered.members.iter().map(|member| member.chosen.member.size_bytes).sum(),
            md5: digests.md5_hex(),
            sha256: digests.sha256_hex(),
            volumes,
        };
        let one = artifact.volumes.len() == 1;
        let same = !one || artifact.volumes.iter().all(|volume| volume.sha256 == artifact.sha256);
        if artifact.size_bytes == digests.length && same {
            return Ok(artifact);
        }
        Err(Error::new(ErrorKind::Corrupt, "confirm a package", "what was stored is not what was packed"))
    }

    async fn publish(
        &self,
        gathered: &Gathered,
        offsets: &[u64],
        artifact: Artifact,
    ) -> Result<PackageManifest> {
        let app = self.held.app;
        let keys: Vec<String> = artifact.volumes.iter().map(|volume| volume.key.clone()).collect();
        let manifest = manifest::describe(self.job, self.name, gathered, offsets, artifact, app.now())?;
        let bytes = manifest.encode(&app.key)?;
        // It spares a worker that was stopped for a while from publishing what others have given up.
        self.held.change(|job, fence, _| job.check_fence(fence)).await?;
        app.storage.show(&keys).await?;
        sweep::complain(app).await?;
        self.published.store(true, Ordering::SeqCst);
        let folder = folder(self.job, self.job.attempts.current);
        app.storage.put(&keys::manifest_below(&folder), bytes).await?;
        Ok(manifest)
    }
}

/// Makes the archive's bytes and takes their digests, off the threads that serve requests.
struct Press {
    archive: Archive,
    whole: Digester,
    member: Sha256,
}

impl Press {
    fn new(job: &Job) -> Result<Self> {
        let archive = Archive::new(job.package()?.format);
        Ok(Self { archive, whole: Digester::new(), member: Sha256::new() })
    }

    fn press(&mut self, piece: &[u8]) -> Result<Bytes> {
        self.member.update(piece);
        self.archive.write(piece)?;
        Ok(self.take())
    }

    fn take(&mut self) -> Bytes {
        let bytes = self.archive.take();
        self.whole.update(&bytes);
        bytes
    }
}

/// Length and digests of the archive.
struct Written {
    digester: Digester,
}

/// An archive on its way into storage.
struct Packing<'a, 'b> {
    attempt: &'a Attempt<'b>,
    upload: &'a mut Upload,
    /// Gone only while it is pressed on another thread.
    press: Option<Press>,
}

impl Packing<'_, '_> {
    /// Answers where each member's bytes begin.
    async fn pack(&mut self, gathered: &Gathered) -> Result<Vec<u64>, Trouble> {
        let job = self.attempt.job;
        for (name, text) in contents::files(job, self.attempt.name, gathered)? {
            self.begin(&Entry { name, size: text.len() as u64, at: job.created_at }).await?;
            self.feed(Bytes::from(text)).await?;
            self.end().await?;
        }
        let mut offsets = Vec::with_capacity(gathered.members.len());
        for member in &gathered.members {
            offsets.push(self.member(&member.chosen).await?);
        }
        Ok(offsets)
    }

    async fn member(&mut self, chosen: &Chosen) -> Result<u64, Trouble> {
        let member = &chosen.member;
        let entry = Entry { name: &member.file, size: member.size_bytes, at: member.backup_created_at };
        let offset = self.begin(&entry).await?;
        self.press()?.member = Sha256::new();
        let mut length = 0;
        let mut stream = self.attempt.held.app.storage.read(&chosen.artifact, 0..member.size_bytes);
        while let Some(piece) = stream.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(e) => return Err(self.unreadable(chosen, e).await),
            };
            length += piece.len() as u64;
            self.attempt.meter.loaded(piece.len());
            self.feed(piece).await?;
        }
        let sha256 = hex::encode(std::mem::take(&mut self.press()?.member).finalize());
        if length != member.size_bytes || sha256 != member.sha256 {
            let why = "its bytes are not those that were stored: the digest is another";
            return Err(Trouble::Member(Broken::of(chosen, ErrorKind::Corrupt, why)));
        }
        self.end().await?;
        Ok(offset)
    }

    /// Tells an artifact that is not there, or is cut, from a store that does not answer now.
    async fn unreadable(&self, chosen: &Chosen, error: Error) -> Trouble {
        for volume in &chosen.artifact.volumes {
            match self.attempt.held.app.storage.length(&volume.key).await {
                Ok(Some(length)) if length == volume.size_bytes => {}
                Ok(found) => {
                    let found =
                        found.map_or("is not there".to_owned(), |length| format!("has {length} bytes"));
                    let why = format!("{} {found}, and had {}", volume.key, volume.size_bytes);
                    return Trouble::Member(Broken::of(chosen, ErrorKind::Corrupt, &why));
                }
                Err(_) => break,
            }
        }
        let of = format!("backup {} of database {}", chosen.member.backup_id, chosen.member.database_id);
        let error = error.within(&of);
        match error.kind() {
            // The job itself is still there.
            ErrorKind::NotFound => {
                Error::new(ErrorKind::Unavailable, error.operation(), error.message()).into()
            }
            _ => error.into(),
        }
    }

    async fn begin(&mut self, entry: &Entry<'_>) -> Result<u64> {
        let offset = self.press()?.archive.begin(entry)?;
        self.store_waiting().await?;
        Ok(offset)
    }

    async fn end(&mut self) -> Result<()> {
        self.press()?.archive.end();
        self.store_waiting().await
    }

    async fn feed(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(LONGEST_PIECE));
            let mut press = self.press.take().ok_or_else(gone)?;
            let pressed = tokio::task::spawn_blocking(move || {
                let pressed = press.press(&piece);
                (press, pressed)
            });
            let (press, pressed) = pressed.await.map_err(|e| Error::internal(OPERATION, e))?;
            self.press = Some(press);
            self.store(pressed?).await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Written> {
        self.press()?.archive.finish()?;
        self.store_waiting().await?;
        let press = self.press.take().ok_or_else(gone)?;
        Ok(Written { digester: press.whole })
    }

    async fn store_waiting(&mut self) -> Result<()> {
        let waiting = self.press()?.take();
        self.store(waiting).await
    }

    async fn store(&mut self, bytes: Bytes) -> Result<()> {
        let length = bytes.len();
        if length == 0 {
            return Ok(());
        }
        self.attempt.meter.storing();
        self.upload.write(bytes).await?;
        self.attempt.meter.stored(length);
        Ok(())
    }

    fn press(&mut self) -> Result<&mut Press> {
        self.press.as_mut().ok_or_else(gone)
    }
}

fn gone() -> Error {
    Error::internal(OPERATION, "the archive's writer is gone")
}
