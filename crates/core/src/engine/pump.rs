//! From a tool's output, past an observer, into a sink.
//!
//! A thread of its own reads the pipe and lets the observer see the bytes while they are in the processor's
//! cache; the job's task gives the same buffers to sealing, and the buffers go round. Tools write a few KiB at
//! a time, and a reader that is woken for each of them costs both sides more than the bytes do: so the pipe
//! is made larger, and once there is something in it, the thread lets it fill for a moment.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio, read};
use tokio::sync::mpsc;

use super::observe::{Observed, Observer};
use super::sink::RawSink;
use crate::{Error, Result};

/// How much is read at once.
pub(crate) const CHUNK: usize = 256 * 1024;
/// How many chunks there are: one being read, one being sealed, two on their way.
const CHUNKS: usize = 4;
/// What a pipe is asked to hold. It is the most that Linux gives to everybody.
const PIPE: usize = 1 << 20;
/// A pipe that stays as it is holds this much.
const SMALL_PIPE: usize = 64 * 1024;
/// Bytes that a quick tool writes in a microsecond: the pipe is looked at before it fills.
const QUICKEST: usize = 1_000;
/// How often a silent pipe's reader looks whether the dump is still wanted.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Streams all that comes out of a pipe, and answers what the observer says of the whole.
///
/// May be dropped at any time: the reading thread ends within a tenth of a second, even if somebody still
/// holds the pipe's other end.
pub(super) async fn pump(pipe: OwnedFd, observer: Box<dyn Observer>, sink: &mut RawSink) -> Result<Observed> {
    let source = Source::new(pipe).map_err(|e| Error::internal("read a dump", e))?;
    pump_from(source, observer, sink).await
}

/// What a dump's bytes are read from, on a thread that may wait.
pub(crate) trait Chunks: Send + 'static {
    /// Fills a chunk with what there is, and answers whether more may come; `wanted` says whether anybody still
    /// asks.
    fn fill(&mut self, chunk: &mut Vec<u8>, wanted: &dyn Fn() -> bool) -> Result<bool>;
}

/// The same from anywhere.
pub(crate) async fn pump_from(
    source: impl Chunks,
    observer: Box<dyn Observer>,
    sink: &mut RawSink,
) -> Result<Observed> {
    let (full_in, full_out) = mpsc::channel(CHUNKS);
    let (free_in, free_out) = mpsc::channel(CHUNKS);
    for _ in 0..CHUNKS {
        // The places were just made: one for each chunk.
        let _ = free_in.try_send(Vec::new());
    }
    let watching = tokio::task::spawn_blocking(move || watch(source, observer, free_out, &full_in));
    let copied = copy(full_out, free_in, sink).await;
    let watched = watching.await.map_err(|e| Error::internal("watch a dump", e))?;
    // The observer's refusal comes first: the copy may have ended because of it.
    let observer = watched?;
    copied?;
    observer.finish()
}

async fn copy(
    mut full: mpsc::Receiver<Vec<u8>>,
    free: mpsc::Sender<Vec<u8>>,
    sink: &mut RawSink,
) -> Result<()> {
    while let Some(chunk) = full.recv().await {
        sink.write(&chunk).await?;
        // Never full: as many places as there are chunks. Closed: the thread has read the last one.
        let _ = free.try_send(chunk);
    }
    Ok(())
}

/// Reads to the end, or until nobody takes the chunks any more.
fn watch(
    mut source: impl Chunks,
    mut observer: Box<dyn Observer>,
    mut free: mpsc::Receiver<Vec<u8>>,
    full: &mpsc::Sender<Vec<u8>>,
) -> Result<Box<dyn Observer>> {
    while let Some(mut chunk) = free.blocking_recv() {
        let more = source.fill(&mut chunk, &|| !full.is_closed())?;
        if !chunk.is_empty() {
            observer.feed(&chunk)?;
            if full.blocking_send(chunk).is_err() {
                break;
            }
        }
        if !more {
            break;
        }
    }
    Ok(observer)
}

/// The reading end of a pipe.
struct Source {
    pipe: OwnedFd,
    /// How long a pipe with something in it is left to fill.
    pause: Duration,
}

impl Source {
    fn new(pipe: OwnedFd) -> io::Result<Self> {
        ioctl_fionbio(&pipe, true)?;
        let micros = capacity(&pipe) / QUICKEST;
        Ok(Self { pipe, pause: Duration::from_micros(micros as u64) })
    }

    /// Fills a chunk with what there is, and answers whether more may come. An empty pipe is waited for, as
    /// long as somebody wants the bytes.
    fn read(&self, chunk: &mut Vec<u8>, wanted: &dyn Fn() -> bool) -> io::Result<bool> {
        chunk.clear();
        chunk.reserve_exact(CHUNK);
        while chunk.len() < CHUNK {
            match read(&self.pipe, rustix::buffer::spare_capacity(chunk)) {
                Ok(0) => return Ok(false),
                Err(Errno::AGAIN) if !chunk.is_empty() => break,
                Err(Errno::AGAIN) => {
                    if !self.wait(wanted)? {
                        return Ok(false);
                    }
                    std::thread::sleep(self.pause);
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(true)
    }

    /// Waits for bytes or for the end; false when the bytes are not wanted any more.
    fn wait(&self, wanted: &dyn Fn() -> bool) -> io::Result<bool> {
        while wanted() {
            match poll(&mut [PollFd::new(&self.pipe, PollFlags::IN)], Some(&LOOK)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(e) => return Err(e.into()),
            }
        }
        Ok(false)
    }
}

impl Chunks for Source {
    fn fill(&mut self, chunk: &mut Vec<u8>, wanted: &dyn Fn() -> bool) -> Result<bool> {
        self.read(chunk, wanted).map_err(|e| Error::internal("read a dump", e))
    }
}

/// Makes a pipe large, and answers how many bytes it holds. A system may refuse (a user's pipes may together
/// hold so much only); then the dump passes through the pipe as it is, with more switches between processes.
#[cfg(target_os = "linux")]
pub(super) fn capacity(pipe: &OwnedFd) -> usize {
    rustix::pipe::fcntl_setpipe_size(pipe, PIPE).unwrap_or(SMALL_PIPE)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn capacity(_pipe: &OwnedFd) -> usize {
    SMALL_PIPE.min(PIPE)
}

#[cfg(test)]
mod tests {
    use std::io::{PipeWriter, Write};
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::ErrorKind;
    use crate::engine::Meter;
    use crate::seal::{Compression, Digester, Piece, SealPlan, SealReader, seal};

    /// Takes a digest of what it sees, or refuses everything.
    struct Watcher {
        digester: Digester,
        refuses: bool,
    }

    impl Observer for Watcher {
        fn feed(&mut self, bytes: &[u8]) -> Result<()> {
            self.digester.update(bytes);
            if self.refuses { Err(Error::new(ErrorKind::Corrupt, "watch", "refused")) } else { Ok(()) }
        }

        fn finish(self: Box<Self>) -> Result<Observed> {
            let seen = Some(self.digester.finish().sha256_hex());
            Ok(Observed { tool_version: seen, ..Observed::default() })
        }
    }

    fn watcher(refuses: bool) -> Box<Watcher> {
        Box::new(Watcher { digester: Digester::new(), refuses })
    }

    fn sink() -> (RawSink, SealReader, Arc<Meter>) {
        let memory = SealPlan::LEAST_MEMORY;
        let plan = SealPlan { compression: Compression::None, recipients: Vec::new(), threads: 1, memory };
        let (writer, reader) = seal(plan).unwrap();
        let meter = Arc::new(Meter::default());
        (RawSink::new(writer, Arc::clone(&meter)), reader, meter)
    }

    fn pipe() -> (OwnedFd, PipeWriter) {
        let (reader, writer) = io::pipe().unwrap();
        (reader.into(), writer)
    }

    /// Whether the pipe's reader goes away, without anything being written.
    fn is_left(writer: &PipeWriter) -> bool {
        let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
        let mut watched = [PollFd::new(writer, PollFlags::empty())];
        poll(&mut watched, Some(&limit)).unwrap() == 1 && watched[0].revents().contains(PollFlags::ERR)
    }

    #[tokio::test]
    async fn every_byte_arrives_once_and_in_order_however_it_is_written() {
        let bytes: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut digester = Digester::new();
        digester.update(&bytes);
        let expected = digester.finish();
        let (reader, mut writer) = pipe();
        let writing = thread::spawn(move || {
            let mut rest = &bytes[..];
            for length in [1, 4096, 100_000, 7, 262_144].into_iter().cycle() {
                let (now, later) = rest.split_at(rest.len().min(length));
                writer.write_all(now).unwrap();
                rest = later;
                if rest.is_empty() {
                    return;
                }
            }
        });
        let (mut sink, mut sealed, meter) = sink();
        let pumping = async {
            let observed = pump(reader, watcher(false), &mut sink).await.unwrap();
            sink.finish().await.unwrap();
            observed
        };
        let storing = async {
            loop {
                if let Piece::End(sealed) = sealed.next().await.unwrap() {
                    return sealed;
                }
            }
        };
        let (observed, sealed) = tokio::join!(pumping, storing);
        writing.join().unwrap();
        assert_eq!(observed.tool_version, Some(expected.sha256_hex()));
        assert_eq!(sealed.stored, expected);
        assert_eq!(meter.progress().raw_bytes, expected.length);
    }

    #[tokio::test]
    async fn a_few_bytes_do_not_wait_for_more() {
        let (reader, mut writer) = pipe();
        let (mut sink, _sealed, meter) = sink();
        writer.write_all(b"a few").unwrap();
        let arrived = async {
            while meter.progress().raw_bytes < 5 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            _ = pump(reader, watcher(false), &mut sink) => panic!("the pipe is still open"),
            arrived = tokio::time::timeout(Duration::from_secs(10), arrived) => arrived.unwrap(),
        }
    }

    #[tokio::test]
    async fn a_silent_pipe_is_left_when_the_dump_is_not_wanted_any_more() {
        let (reader, writer) = pipe();
        let (mut sink, _sealed, _) = sink();
        let dropped =
            tokio::time::timeout(Duration::from_millis(20), pump(reader, watcher(false), &mut sink));
        assert!(dropped.await.is_err(), "the pipe is still open");
        assert!(is_left(&writer));
    }

    #[tokio::test]
    async fn what_the_observer_refuses_ends_the_dump_although_the_tool_goes_on() {
        let (reader, mut writer) = pipe();
        let (mut sink, _sealed, _) = sink();
        writer.write_all(b"not a dump").unwrap();
        let error = pump(reader, watcher(true), &mut sink).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(is_left(&writer));
    }

    #[tokio::test]
    async fn a_sink_that_fails_ends_the_dump_although_the_tool_goes_on() {
        let (reader, mut writer) = pipe();
        let (mut sink, sealed, _) = sink();
        drop(sealed);
        let writing = thread::spawn(move || while writer.write_all(&[7; 4096]).is_ok() {});
        let error = pump(reader, watcher(false), &mut sink).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        writing.join().unwrap();
    }
}
