//! Copying an artifact out of storage, checked: as it is stored, or opened.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt as _;
use tokio::runtime::Handle;

use super::shelf::last_component;
use crate::backup::open;
use crate::engine::{Dump, Meter};
use crate::model::{Artifact, Manifest};
use crate::seal::{Digester, Identity, read_error};
use crate::storage::Storage;
use crate::{Error, ErrorKind, Result};

const OPERATION: &str = "fetch an artifact";
const CHUNK: usize = 256 * 1024;
const DAMAGED: &str = "damaged";

/// What is fetched.
#[derive(Debug, Clone)]
pub enum Form {
    /// The stored bytes, volumes joined.
    Stored,
    /// The dump: decrypted by one of these, and decompressed.
    Dump(Vec<Identity>),
}

/// Where it goes.
pub enum Output {
    /// Into a file, which appears when it is whole.
    File {
        /// Its path.
        path: PathBuf,
        /// Whether it may replace what is there.
        force: bool,
    },
    /// Into a stream. What was written before damage was found stays written: `Err` says so.
    Stream(Box<dyn Write + Send>),
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The file; none for a stream.
    pub path: Option<PathBuf>,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// What is damaged, a line each: only where damage was to be kept, and then the file's name ends with
    /// `.damaged`.
    pub damage: Vec<String>,
}

/// What the file is called that an artifact is fetched into.
pub fn file_name(manifest: &Manifest, form: &Form) -> String {
    let name = manifest.name.as_str();
    if matches!(form, Form::Stored) {
        return name.to_owned();
    }
    let name = name.strip_suffix(".age").unwrap_or(name);
    let extension = manifest.compression.extension();
    let bare = extension.and_then(|extension| name.strip_suffix(extension)?.strip_suffix('.'));
    bare.unwrap_or(name).to_owned()
}

/// Fetches an artifact. Length, MD5 and SHA-256 are compared, volume by volume, before a file appears under
/// its name. With `keep_damaged` what does not hold is kept beside that name, and told.
pub async fn fetch(
    storage: &Storage,
    manifest: &Manifest,
    form: Form,
    output: Output,
    keep_damaged: bool,
) -> Result<Fetched> {
    if let Output::File { path, force: false } = &output {
        refuse_present(path)?;
    }
    let source = match form {
        Form::Stored => Source::Stored(Box::new((storage.clone(), manifest.artifact.clone()))),
        Form::Dump(identities) => {
            let proven = open::prove(storage, &manifest.artifact, &Arc::<Meter>::default()).await;
            let damage = match proven {
                Err(e) if keep_damaged && e.kind() == ErrorKind::Corrupt => vec![e.message().to_owned()],
                proven => proven.map(|()| Vec::new())?,
            };
            let dump = open::source(storage, manifest, &identities).open().await?;
            Source::Dump { dump, length: manifest.artifact.raw_bytes, damage }
        }
    };
    let handle = Handle::current();
    let written = tokio::task::spawn_blocking(move || write(source, output, keep_damaged, &handle));
    written.await.map_err(|e| Error::internal(OPERATION, e))?
}

enum Source {
    Stored(Box<(Storage, Artifact)>),
    Dump { dump: Dump, length: u64, damage: Vec<String> },
}

/// How much came out, and what is wrong with it.
type Poured = (u64, Vec<String>);

impl Source {
    fn pour(self, out: &mut dyn Write, handle: &Handle) -> Result<Poured> {
        match self {
            Self::Stored(stored) => pour_stored(&stored.0, &stored.1, out, handle),
            Self::Dump { dump, length, damage } => pour_dump(dump, length, damage, out),
        }
    }
}

fn write(source: Source, output: Output, keep_damaged: bool, handle: &Handle) -> Result<Fetched> {
    let (path, force) = match output {
        Output::File { path, force } => (path, force),
        Output::Stream(mut out) => {
            let (size_bytes, damage) = source.pour(&mut out, handle)?;
            out.flush().map_err(|e| unwritable("the output", &e))?;
            refuse_damage(&damage, keep_damaged)?;
            return Ok(Fetched { path: None, size_bytes, damage });
        }
    };
    let failed = |e: &io::Error| unwritable(&path.display().to_string(), e);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut partial = tempfile::Builder::new()
        .prefix(".respaldo-")
        .suffix(".partial")
        .tempfile_in(folder)
        .map_err(|e| failed(&e))?;
    let (size_bytes, damage) = source.pour(&mut partial, handle)?;
    refuse_damage(&damage, keep_damaged)?;
    partial.as_file().sync_all().map_err(|e| failed(&e))?;
    let path = if damage.is_empty() { path.clone() } else { beside(&path) };
    let kept = if force { partial.persist(&path) } else { partial.persist_noclobber(&path) };
    match kept {
        Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => refuse_present(&path)?,
        kept => drop(kept.map_err(|e| failed(&e.error))?),
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| failed(&e))?;
    Ok(Fetched { path: Some(path), size_bytes, damage })
}

fn pour_stored(
    storage: &Storage,
    artifact: &Artifact,
    out: &mut dyn Write,
    handle: &Handle,
) -> Result<Poured> {
    let (mut offset, mut written, mut damage) = (0, 0, Vec::new());
    let mut whole = Digester::new();
    for volume in &artifact.volumes {
        let (name, expected) = (last_component(&volume.key), volume.size_bytes);
        let there = handle.block_on(storage.length(&volume.key))?;
        let mut digester = Digester::new();
        let mut bytes = storage.read(artifact, offset..offset + expected.min(there.unwrap_or(0)));
        offset += expected;
        while let Some(piece) = handle.block_on(bytes.next()).transpose()? {
            digester.update(&piece);
            whole.update(&piece);
            out.write_all(&piece).map_err(|e| unwritable("the output", &e))?;
        }
        let digests = digester.finish();
        written += digests.length;
        match there {
            None => damage.push(format!("the volume {name} is missing")),
            Some(length) if length != expected => {
                damage.push(format!("the volume {name} has {length} bytes instead of {expected}"));
            }
            Some(_) if digests.sha256_hex() != volume.sha256 => {
                damage.push(format!("the SHA-256 of the volume {name} is not the manifest's"));
            }
            Some(_) => {}
        }
    }
    let whole = whole.finish();
    let agree = whole.sha256_hex() == artifact.sha256 && whole.md5_hex() == artifact.md5;
    if damage.is_empty() && !(agree && whole.length == artifact.size_bytes) {
        damage.push("length, MD5 or SHA-256 of the whole is not the manifest's".to_owned());
    }
    Ok((written, damage))
}

fn pour_dump(mut dump: Dump, length: u64, mut damage: Vec<String>, out: &mut dyn Write) -> Result<Poured> {
    let (mut chunk, mut written) = (vec![0; CHUNK], 0_u64);
    loop {
        let read = match dump.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => {
                let e = read_error(&e);
                if e.kind() != ErrorKind::Corrupt {
                    return Err(e);
                }
                damage.push(e.message().to_owned());
                break;
            }
        };
        out.write_all(&chunk[..read]).map_err(|e| unwritable("the output", &e))?;
        written += read as u64;
        if written > length {
            break;
        }
    }
    if damage.is_empty() && written != length {
        let how = if written > length { "more than" } else { "fewer than" };
        damage.push(format!("it opens to {how} the {length} bytes that the manifest tells"));
    }
    Ok((written, damage))
}

fn refuse_damage(damage: &[String], keep: bool) -> Result<()> {
    if damage.is_empty() || keep {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Corrupt, OPERATION, damage.join("; "))
        .with_mend("nothing was kept; take another backup, or keep what there is with --keep-damaged"))
}

fn refuse_present(path: &Path) -> Result<()> {
    if !path.try_exists().unwrap_or(false) {
        return Ok(());
    }
    Err(Error::conflict(OPERATION, format!("{} is there already", path.display()))
        .with_mend("name another with --output, or replace it with --force"))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{DAMAGED}"));
    PathBuf::from(name)
}

fn unwritable(what: &str, e: &io::Error) -> Error {
    Error::new(ErrorKind::Storage, OPERATION, format!("{what}: {e}"))
}
