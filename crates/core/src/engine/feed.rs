//! From an opened dump, past an observer and a filter, into a loader's standard input.
//!
//! One thread reads, watches and writes: the loader is what everybody waits for, and its pipe is large
//! enough that it never waits for us.

use std::fs::File;
use std::io::{ErrorKind as Io, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::observe::{Observed, Observer};
use super::process::{Child, Ended};
use super::pump;
use super::restore::Dump;
use super::sink::Meter;
use crate::seal::read_error;
use crate::{Error, ErrorKind, Result};

const CHUNK: usize = 256 * 1024;

/// Changes a dump on its way into a loader.
///
/// The bytes may be cut anywhere; what is passed on is appended to `out`. A filter's memory is bounded.
pub trait Filter: Send {
    /// Takes the next bytes. Err: they must not reach a loader.
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()>;

    /// The end of the dump, found whole: what is still held back, and what comes after it.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<()>;
}

/// What is fed to a loader.
pub struct Feed {
    /// The dump.
    pub dump: Dump,
    /// It may have so many bytes; one that has more is refused.
    pub most: u64,
    /// What watches it.
    pub observer: Box<dyn Observer>,
    /// What changes it, if anything does.
    pub filter: Option<Box<dyn Filter>>,
    /// Counts what passes.
    pub meter: Arc<Meter>,
}

/// Feeds a loader. `Ok` means that it exited 0 *and* that the observer found the dump whole. A dump that
/// ends too early, or is refused on its way, never comes to an end for the loader, which is killed.
pub async fn feed(mut child: Child, feed: Feed, explain: impl FnOnce(Ended) -> Error) -> Result<Observed> {
    let mut pipe = Pipe::new(child.take_stdin()?);
    let feeding = tokio::task::spawn_blocking(move || {
        let fed = feed.into(&mut pipe);
        (fed, pipe)
    });
    let (fed, pipe) = feeding.await.map_err(|e| Error::internal("feed a loader", e))?;
    match fed {
        Ok(observed) => {
            drop(pipe);
            let ended = child.wait().await?;
            match observed {
                Some(observed) if ended.status.success() => Ok(observed),
                // It stopped reading; its last words say why.
                _ => Err(explain(ended)),
            }
        }
        Err(e) => {
            // Killed while its input is still open: at its end it would take what came so far for
            // everything, and commit it.
            drop(child);
            drop(pipe);
            Err(e)
        }
    }
}

impl Feed {
    /// What the observer saw of a whole dump; none when the loader stopped reading.
    fn into(mut self, pipe: &mut Pipe) -> Result<Option<Observed>> {
        let (mut chunk, mut out, mut passed) = (vec![0; CHUNK], Vec::new(), 0_u64);
        loop {
            let read = match self.dump.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == Io::Interrupted => continue,
                Err(e) => return Err(read_error(&e)),
            };
            let bytes = &chunk[..read];
            passed += read as u64;
            if passed > self.most {
                let message = format!("it opens to more than the {} bytes that it should have", self.most);
                return Err(Error::new(ErrorKind::Corrupt, "open the artifact", message));
            }
            self.observer.feed(bytes)?;
            let taken = match &mut self.filter {
                None => pipe.write(bytes)?,
                Some(filter) => {
                    out.clear();
                    filter.pass(bytes, &mut out)?;
                    pipe.write(&out)?
                }
            };
            self.meter.loaded(read);
            if !taken {
                return Ok(None);
            }
        }
        let observed = self.observer.finish()?;
        out.clear();
        if let Some(filter) = &mut self.filter {
            filter.end(&mut out)?;
        }
        Ok(pipe.write(&out)?.then_some(observed))
    }
}

/// A loader's standard input.
struct Pipe(File);

impl Pipe {
    fn new(pipe: OwnedFd) -> Self {
        // A system may refuse a larger one; then there are more switches between the two.
        let _holds = pump::capacity(&pipe);
        Self(File::from(pipe))
    }

    /// False when nobody reads any more.
    fn write(&mut self, bytes: &[u8]) -> Result<bool> {
        match self.0.write_all(bytes) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == Io::BrokenPipe => Ok(false),
            Err(e) => Err(Error::internal("feed a loader", e)),
        }
    }
}
