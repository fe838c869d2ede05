//! Laying a backup of MongoDB out as the folder that `mongorestore DIR` reads.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::backup::open;
use crate::engine::mongodb::archive::{LaidOut, Reader, lay_out};
use crate::engine::{Dump, Meter};
use crate::model::{EngineKind, Manifest};
use crate::seal::Identity;
use crate::storage::Storage;
use crate::{Error, ErrorKind, Result};

const OPERATION: &str = "fetch a dump directory";
const ANOTHER: &str = "name another folder with --directory, one that is not there yet or is empty";

/// Fetches a backup of MongoDB into a folder: decrypted, decompressed, and laid out as `mongodump --out` does. The
/// artifact's digests are compared first, then the archive's own checksums. The folder appears when it is whole,
/// or not at all: it is written beside its place and renamed.
///
/// # Errors
/// `Unsupported` for a backup of another kind of database; `Conflict` when the folder is there and not empty, before
/// storage is read; `Corrupt`, `Invalid` or `Incomplete` when the artifact is not what was written.
pub async fn fetch_directory(
    storage: &Storage,
    manifest: &Manifest,
    identities: &[Identity],
    folder: &Path,
) -> Result<LaidOut> {
    refuse_other_engines(manifest)?;
    refuse_present(folder)?;
    open::prove(storage, &manifest.artifact, &Arc::<Meter>::default()).await?;
    let dump = open::source(storage, manifest, identities).open().await?;
    let (folder, length) = (folder.to_owned(), manifest.artifact.raw_bytes);
    let written = tokio::task::spawn_blocking(move || write(dump, length, &folder));
    written.await.map_err(|e| Error::internal(OPERATION, e))?
}

fn refuse_other_engines(manifest: &Manifest) -> Result<()> {
    if manifest.engine == EngineKind::Mongodb {
        return Ok(());
    }
    let message = format!("it is a backup of {}, and only MongoDB's tools read a folder", manifest.engine);
    Err(Error::new(ErrorKind::Unsupported, OPERATION, message)
        .with_field("directory")
        .with_mend("fetch its dump into a file: --dump in place of --directory"))
}

/// Refuses whatever is not an empty folder, links included: they may lead anywhere.
fn refuse_present(folder: &Path) -> Result<()> {
    if folder.file_name().is_none() {
        let message = format!("{} names no folder that could be made", folder.display());
        return Err(Error::new(ErrorKind::Invalid, OPERATION, message)
            .with_field("directory")
            .with_mend(ANOTHER));
    }
    let there = match fs::symlink_metadata(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        there => there.map_err(|e| unwritable(folder, &e))?,
    };
    let is_empty =
        there.is_dir() && fs::read_dir(folder).map_err(|e| unwritable(folder, &e))?.next().is_none();
    if is_empty { Ok(()) } else { Err(present(folder)) }
}

fn write(dump: Dump, length: u64, folder: &Path) -> Result<LaidOut> {
    let failed = |e: &io::Error| unwritable(folder, e);
    let beside = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let partial = tempfile::Builder::new()
        .prefix(".respaldo-")
        .suffix(".partial")
        .tempdir_in(beside)
        .map_err(|e| failed(&e))?;
    let mut reader = Reader::new(Counted { dump, read: 0 })?;
    let laid_out = lay_out(&mut reader, partial.path()).map_err(|e| e.within(OPERATION))?;
    let read = reader.into_inner().read;
    if read != length {
        let message = format!("it opens to {read} bytes, and the manifest tells of {length}");
        return Err(Error::new(ErrorKind::Corrupt, OPERATION, message)
            .with_mend("nothing was kept; take another backup"));
    }
    put_in_place(partial, beside, folder)?;
    Ok(laid_out)
}

/// Gives the folder its name once all of it is on disk. An empty folder of that name gives way; any other does not.
fn put_in_place(partial: tempfile::TempDir, beside: &Path, folder: &Path) -> Result<()> {
    let failed = |e: &io::Error| unwritable(folder, e);
    let opened = File::open(partial.path()).map_err(|e| failed(&e))?;
    // One call for what may be many thousand files.
    rustix::fs::syncfs(&opened).map_err(|e| failed(&e.into()))?;
    match fs::rename(partial.path(), folder) {
        Err(e) if matches!(e.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory) => {
            return Err(present(folder));
        }
        renamed => renamed.map_err(|e| failed(&e))?,
    }
    let _: PathBuf = partial.keep();
    File::open(beside).and_then(|parent| parent.sync_all()).map_err(|e| failed(&e))
}

/// A dump, and how much of it was read.
struct Counted {
    dump: Dump,
    read: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.dump.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

fn present(folder: &Path) -> Error {
    let message = format!("{} is there already and is not an empty folder", folder.display());
    Error::conflict(OPERATION, message).with_mend(ANOTHER)
}

fn unwritable(folder: &Path, e: &io::Error) -> Error {
    Error::new(ErrorKind::Storage, OPERATION, format!("{}: {e}", folder.display()))
}
