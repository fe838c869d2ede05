//! Storage in our words: a struct around OpenDAL, never a second trait.
//!
//! Artifacts go up as an [`Upload`]: a stream cut into parts of bounded size and, before a store's
//! limit of parts is reached, into further volumes. Nothing counts as stored until the store has
//! confirmed every part and the length that it reports is the length that was sent; a store that
//! confirms no checksum is read back ([`Confirmation`]). On local disk every file and every folder on
//! its way is fsynced, so that what was confirmed survives a power cut.

mod confirm;
mod error;
mod listing;
mod local;
mod locks;
mod presign;
mod refusal;
mod space;
mod unfinished;
mod upload;
mod writeback;

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use opendal::Operator;

pub use self::confirm::Confirmation;
use self::local::LocalDisk;
pub use self::local::MakeLink;
pub use self::locks::{Bucket, Locks, Version};
pub use self::presign::Presigned;
pub use self::space::Space;
use self::unfinished::Unfinished;
pub use self::unfinished::UnfinishedUploads;
pub use self::upload::Upload;
use crate::model::Artifact;
use crate::{Error, ErrorKind, Result};

const MIB: usize = 1024 * 1024;
/// S3 and its likes refuse smaller parts, but for the last.
const SMALLEST_PART: usize = 5 * MIB;
/// S3 takes 10,000 parts; some stores of its kind take 1,000.
const MOST_PARTS: u64 = 9_900;

/// How an artifact is cut, derived from a job's memory budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Length of a part in bytes: at most a quarter of the budget.
    pub part_bytes: usize,
    /// Parts under way at once.
    pub parts_at_once: usize,
    /// A volume never grows beyond this many bytes.
    pub volume_bytes: u64,
}

impl Cut {
    /// The cut for a job that may hold `budget` bytes: parts of an eighth of it, of which at most
    /// four exist at a time (two under way, one that waits for them, one filling), so half of it.
    pub fn for_budget(budget: usize) -> Self {
        let part_bytes = (budget / 8).max(SMALLEST_PART);
        let parts_at_once = if budget >= 64 * MIB { 2 } else { 1 };
        Self { part_bytes, parts_at_once, volume_bytes: part_bytes as u64 * MOST_PARTS }
    }

    /// The same for a store that takes fewer parts.
    pub fn with_most_parts(mut self, parts: u64) -> Self {
        self.volume_bytes = self.part_bytes as u64 * parts;
        self
    }
}

/// The stored artifacts, manifests and definitions of one installation.
#[derive(Clone, Debug)]
pub struct Storage {
    operator: Operator,
    local: Option<LocalDisk>,
    unfinished: Option<Unfinished>,
    locks: Option<Arc<dyn Locks>>,
    signing: Option<Operator>,
    most_parts: u64,
    confirmation: Confirmation,
    location: String,
}

impl Storage {
    /// Storage on any service of OpenDAL. `location` is what people are shown (a URL without
    /// secrets).
    pub fn new(operator: Operator, location: impl Into<String>) -> Self {
        let location = location.into();
        let confirmation = Confirmation::Checksums;
        Self {
            operator,
            local: None,
            unfinished: None,
            locks: None,
            signing: None,
            most_parts: MOST_PARTS,
            confirmation,
            location,
        }
    }

    /// Storage on local disk: the operator's root must be `root`.
    pub fn on_local_disk(operator: Operator, root: PathBuf) -> Self {
        let location = format!("file://{}", root.display());
        Self {
            local: Some(LocalDisk::new(root)),
            most_parts: u64::from(u32::MAX),
            ..Self::new(operator, location)
        }
    }

    /// For a local disk on which files get their second names in another way than by `link(2)`: a test's
    /// file system that makes none. Elsewhere it changes nothing.
    pub fn with_links_by(mut self, make_link: MakeLink) -> Self {
        self.local = self.local.map(|local| local.with_links_by(make_link));
        self
    }

    /// For a store that keeps the parts of uploads that a crash left open.
    pub fn with_unfinished_uploads(mut self, uploads: Arc<dyn UnfinishedUploads>) -> Self {
        self.unfinished = Some(Unfinished::new(uploads));
        self
    }

    /// For a store that takes fewer parts than S3.
    pub fn with_most_parts(mut self, parts: u64) -> Self {
        self.most_parts = parts;
        self
    }

    /// Where it is, for people to read.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Where one object is, for people to read.
    pub fn location_of(&self, key: &str) -> String {
        format!("{}/{key}", self.location.trim_end_matches('/'))
    }

    /// Whether it can be reached, and on local disk written, now.
    pub async fn check(&self) -> Result<()> {
        if let Some(local) = &self.local {
            return local.check().await;
        }
        self.operator.check().await.map_err(|e| error::explain("reach storage", &e))
    }

    /// Begins an artifact. `key_of` gives the key of each volume, counted from 1.
    pub fn upload(&self, budget: usize, key_of: impl Fn(usize) -> String + Send + Sync + 'static) -> Upload {
        let mut cut = Cut::for_budget(budget);
        cut.volume_bytes = cut.volume_bytes.min(cut.part_bytes as u64 * self.most_parts);
        if self.local.is_some() {
            cut.volume_bytes = u64::MAX;
        }
        Upload::new(self.clone(), cut, Box::new(key_of))
    }

    /// Stores a small object whole or not at all, replacing an older one, and confirms it.
    pub async fn put(&self, key: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let explain = |e: opendal::Error| error::explain("write an object", &e);
        let bytes = bytes.into();
        let Some(local) = &self.local else {
            self.operator.write(key, bytes.clone()).await.map_err(explain)?;
            return self.confirm_put(key, &bytes).await;
        };
        // Two that write one key at once must not write into one file.
        let partial = local::partial(key);
        self.operator.write(&partial, bytes).await.map_err(explain)?;
        self.operator.rename(&partial, key).await.map_err(explain)?;
        local.finish_put(key).await
    }

    /// Reads a small object; none when it is not there. One longer than `most` bytes is refused.
    pub async fn get(&self, key: &str, most: usize) -> Result<Option<Bytes>> {
        let Some(length) = self.length(key).await? else { return Ok(None) };
        if length > most as u64 {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "read an object",
                format!("{key} has {length} bytes, more than the {most} that it may have"),
            ));
        }
        match self.operator.read(key).await {
            Ok(buffer) => Ok(Some(buffer.to_bytes())),
            Err(e) if e.kind() == opendal::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(error::explain("read an object", &e)),
        }
    }

    /// The length of an object; none when it is not there.
    pub async fn length(&self, key: &str) -> Result<Option<u64>> {
        match self.operator.stat(key).await {
            Ok(metadata) => Ok(Some(metadata.content_length())),
            Err(e) if e.kind() == opendal::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(error::explain("look at an object", &e)),
        }
    }

    /// What tells an object from another under its key: its length and its entity tag; none when it is not there.
    pub async fn tag(&self, key: &str) -> Result<Option<(u64, Option<String>)>> {
        match self.operator.stat(key).await {
            Ok(metadata) => Ok(Some((metadata.content_length(), metadata.etag().map(str::to_owned)))),
            Err(e) if e.kind() == opendal::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(error::explain("look at an object", &e)),
        }
    }

    /// Removes an object; one that is not there counts as removed.
    pub async fn delete(&self, key: &str) -> Result<()> {
        match self.operator.delete(key).await {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == opendal::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(error::explain("remove an object", &e)),
        }
    }

    /// Gives up the uploads of keys that begin with `prefix` and were never finished, whose parts no
    /// listing shows; answers how many. A store that refuses this holds nothing up: see
    /// [`Self::complaint`].
    ///
    /// Some stores (`MinIO` is one) find nothing below a folder, only the uploads of an exact key: who
    /// knows the keys should ask for each.
    pub async fn abort_unfinished(&self, prefix: &str) -> Result<usize> {
        match &self.unfinished {
            Some(unfinished) => unfinished.abort_below(prefix).await,
            None => Ok(0),
        }
    }

    /// What the store refuses although nothing stops for it, with the mend; each refusal once.
    pub fn complaint(&self) -> Option<Error> {
        let links = self.local.as_ref().and_then(LocalDisk::complaint);
        links.or_else(|| self.unfinished.as_ref()?.complaint())
    }

    /// Removes everything below a folder: uploads that were never finished, then objects, manifests
    /// first, so that at no instant a manifest stands without its artifact. Answers how many objects.
    pub async fn delete_below(&self, folder: &str) -> Result<usize> {
        // First, so that none of them is completed behind the listing.
        self.abort_unfinished(folder).await?;
        let mut keys = self.list(folder).await?;
        keys.sort_by_key(|key| !key.ends_with("/manifest.json"));
        for key in &keys {
            self.delete(key).await?;
        }
        if let Some(local) = &self.local {
            local.remove_empty_folders(folder).await?;
        }
        Ok(keys.len())
    }

    /// On local disk, shows the artifact under its name where people look for it. Elsewhere nothing, and
    /// nothing on a file system without hard links: see [`Self::complaint`].
    pub async fn show(&self, artifact_keys: &[String]) -> Result<()> {
        let Some(local) = &self.local else { return Ok(()) };
        for key in artifact_keys {
            local.link(key).await?;
        }
        Ok(())
    }

    /// Undoes [`Self::show`]; a file of that name that is not this artifact stays.
    pub async fn hide(&self, artifact_keys: &[String]) -> Result<()> {
        let Some(local) = &self.local else { return Ok(()) };
        for key in artifact_keys {
            local.unlink(key).await?;
        }
        Ok(())
    }

    /// Whether a file of that name stands where people look for artifacts.
    pub async fn name_is_taken(&self, name: &str) -> Result<bool> {
        match &self.local {
            Some(local) => local.exists(name).await,
            None => Ok(false),
        }
    }

    /// Streams an object of which the length is known.
    pub fn stream(&self, key: &str, length: u64) -> BoxStream<'static, Result<Bytes>> {
        self.read_pieces(vec![(key.to_owned(), 0..length)])
    }

    /// Streams bytes of an artifact across its volumes. `range` counts from the artifact's first byte
    /// and must lie within it.
    pub fn read(&self, artifact: &Artifact, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
        let mut pieces = Vec::new();
        let mut offset = 0;
        for volume in &artifact.volumes {
            let start = range.start.max(offset);
            let end = range.end.min(offset + volume.size_bytes);
            if start < end {
                pieces.push((volume.key.clone(), start - offset..end - offset));
            }
            offset += volume.size_bytes;
        }
        self.read_pieces(pieces)
    }

    fn read_pieces(&self, pieces: Vec<(String, Range<u64>)>) -> BoxStream<'static, Result<Bytes>> {
        let operator = self.operator.clone();
        stream::iter(pieces)
            .then(move |(key, range)| {
                let operator = operator.clone();
                async move {
                    let reader = operator.reader(&key).await.map_err(explain_read)?;
                    let stream = reader.into_bytes_stream(range).await.map_err(explain_read)?;
                    Ok::<_, Error>(stream.map_err(explain_streamed))
                }
            })
            .try_flatten()
            .boxed()
    }
}

/// OpenDAL wraps its own error in one of the standard library's while a body is streamed.
#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn explain_streamed(e: io::Error) -> Error {
    match e.get_ref().and_then(|inner| inner.downcast_ref::<opendal::Error>()) {
        Some(inner) => error::explain("read an artifact", inner),
        None => Error::new(ErrorKind::Unavailable, "read an artifact", e.to_string()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn explain_read(e: opendal::Error) -> Error {
    error::explain("read an artifact", &e)
}
