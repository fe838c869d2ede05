//! Downloads: gone on with where they broke off, compared with their digest, and only then put under
//! their name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use respaldo_core::seal::Digester;
use rustix::fs::OFlags;
use serde_json::Value;
use tempfile::TempPath;

use crate::exit::Exit;
use crate::failure::{Answer, Failure};
use crate::show::text;

mod transfer;

pub(crate) use self::transfer::download;

/// What the server has stored.
pub(crate) struct Stored {
    /// The path of its bytes.
    pub(crate) path: String,
    /// Its file's name, in the server's words.
    pub(crate) name: String,
    pub(crate) size_bytes: u64,
    /// In hexadecimal.
    pub(crate) sha256: String,
}

impl Stored {
    /// Reads `name`, `size_bytes` and `sha256` of an object of the API.
    ///
    /// # Errors
    /// `Conflict` when it has none of them: there is nothing to download.
    pub(crate) fn of(what: &str, object: &Value, name_field: &str, path: String) -> Answer<Self> {
        let sha256 = object["sha256"].as_str().filter(|hex| is_digest(hex));
        let told = (object[name_field].as_str(), object["size_bytes"].as_u64(), sha256);
        if let (Some(name), Some(size_bytes), Some(sha256)) = told {
            return Ok(Self { path, name: name.to_owned(), size_bytes, sha256: sha256.to_owned() });
        }
        let detail = format!("{what} is {} and has nothing to download", text(object, "status"));
        Err(Failure::new(Exit::Conflict, "conflict", "Its state forbids it", detail))
    }
}

fn is_digest(hex: &str) -> bool {
    hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Where a download goes.
pub(crate) enum Target {
    Stdout,
    File {
        path: PathBuf,
        /// Whether a file that is there is replaced.
        force: bool,
    },
}

impl Target {
    /// What `--output` says: nothing, `-`, a folder, or a file.
    ///
    /// # Errors
    /// `Usage` when the server's name for it is none that a file should have here; `Conflict` when the
    /// file is there already.
    pub(crate) fn of(output: Option<&Path>, stored: &Stored, force: bool) -> Answer<Self> {
        let path = match output {
            Some(path) if path == Path::new("-") => return Ok(Self::Stdout),
            Some(path) if !path.is_dir() => path.to_owned(),
            folder => {
                if !is_plain(&stored.name) {
                    let detail = "the server's name for it is none that a file should have here";
                    return Err(
                        Failure::usage("--output", detail).with_mend("name the file with --output FILE")
                    );
                }
                folder.unwrap_or(Path::new("")).join(&stored.name)
            }
        };
        if !force {
            refuse_present(&path)?;
        }
        Ok(Self::File { path, force })
    }
}

/// Whether a name from elsewhere stays in its folder and is no option and no hidden file.
fn is_plain(name: &str) -> bool {
    let odd = |c: char| c == '/' || c == '\\' || c.is_control();
    !name.is_empty() && !name.starts_with(['.', '-']) && !name.contains(odd)
}

fn refuse_present(path: &Path) -> Answer<()> {
    if !path.try_exists().unwrap_or(true) {
        return Ok(());
    }
    let detail = format!("{} is there already", path.display());
    Err(Failure::new(Exit::Conflict, "conflict", "Its state forbids it", detail)
        .with_mend("name another with --output, or replace it with --force"))
}

/// Where bytes arrive, and what they come to.
struct Sink {
    out: Out,
    digester: Digester,
    written: u64,
    /// How much an earlier run had written.
    resumed: u64,
}

enum Out {
    Stdout,
    /// A file of its own beside the target.
    Part {
        file: File,
        part: PathBuf,
        path: PathBuf,
        force: bool,
    },
}

impl Sink {
    fn open(target: Target, stored: &Stored) -> Answer<Self> {
        let mut sink = Self { out: Out::Stdout, digester: Digester::new(), written: 0, resumed: 0 };
        let Target::File { path, force } = target else { return Ok(sink) };
        // Named by what it will hold: whatever else lies there is left alone.
        let mut part = path.clone().into_os_string();
        part.push(format!(".{}.part", &stored.sha256[..12]));
        let part = PathBuf::from(part);
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.custom_flags(flags).open(&part).map_err(|error| unwritable(&part, &error))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let detail = format!("another download writes {}", part.display());
                return Err(Failure::new(Exit::Conflict, "conflict", "Its state forbids it", detail));
            }
            // Not every file system has locks; the digest is compared in any case.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        sink.read_back(&mut file).map_err(|error| unwritable(&part, &error))?;
        sink.out = Out::Part { file, part, path, force };
        if sink.written > stored.size_bytes {
            sink.start_over()?;
        }
        Ok(sink)
    }

    /// Takes what an earlier run has left.
    fn read_back(&mut self, file: &mut File) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => {
                    self.digester.update(&buffer[..read]);
                    self.written += read as u64;
                }
            }
        }
        self.resumed = self.written;
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Answer<()> {
        let (taken, what) = match &mut self.out {
            Out::Stdout => (io::stdout().lock().write_all(bytes), Path::new("standard output")),
            Out::Part { file, part, .. } => (file.write_all(bytes), part.as_path()),
        };
        taken.map_err(|error| unwritable(what, &error))?;
        self.digester.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Begins anew; of what went to standard output nothing can be taken back.
    fn start_over(&mut self) -> Answer<()> {
        match &mut self.out {
            Out::Stdout if self.written > 0 => {
                let detail = "it broke off, and the server does not go on in the middle";
                return Err(Failure::new(Exit::Unreachable, "unavailable", "The download broke off", detail));
            }
            Out::Stdout => {}
            Out::Part { file, part, .. } => {
                let emptied = file.set_len(0).and_then(|()| file.rewind());
                emptied.map_err(|error| unwritable(&*part, &error))?;
            }
        }
        (self.digester, self.written, self.resumed) = (Digester::new(), 0, 0);
        Ok(())
    }

    /// Whether these are the bytes that were stored.
    fn holds(&mut self, stored: &Stored) -> bool {
        let digests = std::mem::take(&mut self.digester).finish();
        digests.length == stored.size_bytes && digests.sha256_hex().eq_ignore_ascii_case(&stored.sha256)
    }

    /// Puts what has arrived under its name; answers where.
    fn finish(self) -> Answer<Option<PathBuf>> {
        let Out::Part { file, part, path, force } = self.out else {
            io::stdout().flush().map_err(|error| unwritable("standard output", &error))?;
            return Ok(None);
        };
        file.sync_all().map_err(|error| unwritable(&part, &error))?;
        let temporary = TempPath::try_from_path(&part).map_err(|error| unwritable(&part, &error))?;
        let kept = if force { temporary.persist(&path) } else { temporary.persist_noclobber(&path) };
        if let Err(error) = kept {
            let cause = unwritable(&path, &error.error);
            // What has been downloaded is good: another run need not begin anew.
            let _stays = error.path.keep();
            refuse_present(&path)?;
            return Err(cause);
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| unwritable(folder, &error))?;
        Ok(Some(path))
    }

    /// Removes what has arrived: it is worth nothing.
    fn discard(self) -> Answer<()> {
        match self.out {
            Out::Stdout => Ok(()),
            Out::Part { part, .. } => std::fs::remove_file(&part).map_err(|error| unwritable(&part, &error)),
        }
    }
}

fn unwritable(what: impl AsRef<Path>, error: &io::Error) -> Failure {
    let detail = format!("{}: {error}", what.as_ref().display());
    Failure::new(Exit::Failed, "storage", "It cannot be written here", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_elsewhere_stays_in_its_folder() {
        assert!(is_plain("sqlite_shop_20260102_030405.db.gz"));
        for bad in ["", ".", "..", "../x", "/etc/passwd", "a/b", "-rf", ".bashrc", "a\u{1b}b", "a\0b", "a\\b"]
        {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }
}
