//! What local disk needs beside OpenDAL: folders fsynced, and artifacts shown under their names.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::io::Errno;

use super::refusal::Refusal;
use super::writeback::WriteBack;
use crate::{Error, ErrorKind, Result};

/// A small object is written in far less time.
const OLD: Duration = Duration::from_hours(1);

/// Gives a file a second name, as [`fs::hard_link`] does.
pub type MakeLink = fn(&Path, &Path) -> io::Result<()>;

/// The root folder of storage on local disk.
#[derive(Clone, Debug)]
pub(super) struct LocalDisk {
    root: Arc<PathBuf>,
    make_link: MakeLink,
    no_links: Refusal,
}

impl LocalDisk {
    pub(super) fn new(root: PathBuf) -> Self {
        let make_link: MakeLink = |file, name| fs::hard_link(file, name);
        Self { root: Arc::new(root), make_link, no_links: Refusal::default() }
    }

    pub(super) fn with_links_by(mut self, make_link: MakeLink) -> Self {
        self.make_link = make_link;
        self
    }

    /// That the file system makes no links, when nobody was told of it yet.
    pub(super) fn complaint(&self) -> Option<Error> {
        self.no_links.untold()
    }

    /// What brings one object to disk while it is written.
    pub(super) fn write_back(&self, key: &str) -> WriteBack {
        WriteBack::new(self.root.join(key))
    }

    /// The folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a file can be made there.
    pub(super) async fn check(&self) -> Result<()> {
        self.run("write to storage", |root| tempfile::tempfile_in(root).map(drop)).await
    }

    /// Makes the names of a file and of every folder above it durable.
    pub(super) async fn sync_folders(&self, key: &str) -> Result<()> {
        let key = key.to_owned();
        self.run("make a file's name durable", move |root| {
            let mut folder = Path::new(&key).parent();
            while let Some(relative) = folder {
                File::open(root.join(relative))?.sync_all()?;
                folder = relative.parent();
            }
            Ok(())
        })
        .await
    }

    /// Makes a small object's name durable, and removes what died half-way to it long ago.
    pub(super) async fn finish_put(&self, key: &str) -> Result<()> {
        let owned = key.to_owned();
        let removed = self.run("remove a half-written object", move |root| remove_old_partials(root, &owned));
        removed.await?;
        self.sync_folders(key).await
    }

    /// Links an artifact's file into the root, under its own name. A file system that makes no links
    /// holds nothing up: the artifact is whole without that name (see [`Self::complaint`]). A copy in its
    /// place would take the room twice.
    pub(super) async fn link(&self, key: &str) -> Result<()> {
        let (key, make_link) = (key.to_owned(), self.make_link);
        let linked = self.run("show an artifact", move |root| {
            let (file, shown) = (root.join(&key), root.join(name_of(&key)));
            match make_link(&file, &shown) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && same_file(&file, &shown)? => {}
                Err(e) if makes_no_links(&e) => return Ok(Some(e)),
                other => other?,
            }
            File::open(root)?.sync_all().map(|()| None)
        });
        if let Some(e) = linked.await? {
            self.no_links.keep(self.without_links(&e));
        }
        Ok(())
    }

    fn without_links(&self, e: &io::Error) -> Error {
        let message = format!("{}: this file system makes no hard links: {e}", self.root.display());
        Error::new(ErrorKind::Storage, "show an artifact", message).with_mend(
            "nothing is lost: each backup's file is where its `location` says. To find the files under \
             their names in that folder, keep storage on a file system with hard links (not exFAT, not \
             every CIFS share)",
        )
    }

    /// Removes the link, if it is this artifact's.
    pub(super) async fn unlink(&self, key: &str) -> Result<()> {
        let key = key.to_owned();
        self.run("hide an artifact", move |root| {
            let (file, shown) = (root.join(&key), root.join(name_of(&key)));
            if same_file(&file, &shown)? {
                fs::remove_file(shown)?;
                File::open(root)?.sync_all()?;
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn exists(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.run("look for an artifact's name", move |root| fs::exists(root.join(name))).await
    }

    /// Removes a folder and the folders above it, as long as they are empty.
    pub(super) async fn remove_empty_folders(&self, folder: &str) -> Result<()> {
        let folder = folder.trim_end_matches('/').to_owned();
        self.run("remove empty folders", move |root| {
            let below = root.join(&folder);
            for attempt in subfolders(&below)? {
                remove_if_empty(&attempt)?;
            }
            let mut folder = Some(Path::new(&folder));
            while let Some(relative) = folder.filter(|path| path.components().count() > 1) {
                if !remove_if_empty(&root.join(relative))? {
                    break;
                }
                folder = relative.parent();
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let root = Arc::clone(&self.root);
        let done = tokio::task::spawn_blocking(move || work(&root)).await;
        done.map_err(|e| Error::internal(operation, e))?.map_err(|e| {
            Error::new(ErrorKind::Storage, operation, format!("{}: {e}", self.root.display()))
                .with_mend("check that the folder exists, has room and may be written")
        })
    }
}

/// A name beside `key` that nobody else uses.
pub(super) fn partial(key: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Process ids are alike in containers; the seeds of hash maps are not.
    let random = RandomState::new().hash_one(NEXT.fetch_add(1, Ordering::Relaxed));
    format!("{key}.{random:016x}.partial")
}

fn remove_old_partials(root: &Path, key: &str) -> io::Result<()> {
    let object = root.join(key);
    let (Some(folder), beginning) = (object.parent(), format!("{}.", name_of(key))) else { return Ok(()) };
    let written = object.metadata()?.modified()?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_partial =
            name.to_str().is_some_and(|name| name.starts_with(&beginning) && name.ends_with(".partial"));
        if !is_partial {
            continue;
        }
        // Whoever is still writing it finds it gone and tries again.
        match entry.metadata().and_then(|metadata| metadata.modified()) {
            Ok(modified) if written.duration_since(modified).is_ok_and(|age| age > OLD) => {
                fs::remove_file(entry.path())?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether it was the file system that refused a link, which it will do to every file: exFAT and FAT
/// answer EPERM, CIFS and FUSE EOPNOTSUPP or ENOSYS, one that counts no links EMLINK.
fn makes_no_links(e: &io::Error) -> bool {
    let refusals = [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::MLINK];
    Errno::from_io_error(e).is_some_and(|errno| refusals.contains(&errno))
}

fn name_of(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

fn same_file(one: &Path, other: &Path) -> io::Result<bool> {
    let identity = |path: &Path| match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    };
    Ok(identity(one)?.is_some_and(|one| identity(other).is_ok_and(|other| other == Some(one))))
}

fn subfolders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?
            .map(|entry| entry.map(|entry| entry.path()))
            .filter(|path| path.as_ref().map_or(true, |path| path.is_dir()))
            .collect(),
    }
}

fn remove_if_empty(folder: &Path) -> io::Result<bool> {
    match fs::remove_dir(folder) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(e) => Err(e),
    }
}
