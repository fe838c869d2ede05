//! Reads the Zstandard frames that this module writes, and insists on their end mark.

use std::io::{self, BufRead, Read};

use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::open::{corrupt, truncated};

/// Frames hold 2 MiB at most, so their window needs no more; 8 MiB leave a later writer some freedom.
/// Without a limit a forged frame could ask for 128 MiB.
const WINDOW_LOG_MAX: u32 = 23;

enum At {
    /// Between two frames.
    Start,
    Frame {
        produced: u64,
    },
    End,
}

/// The content of a sealed zstd artifact.
pub(super) struct SealedZstd<R> {
    input: R,
    decoder: Decoder<'static>,
    at: At,
}

impl<R: BufRead> SealedZstd<R> {
    pub(super) fn new(input: R) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
        Ok(Self { input, decoder, at: At::Start })
    }

    /// Decodes once; `None` when that gave nothing and there is more to do.
    fn read_frame(&mut self, buffer: &mut [u8], produced: u64) -> io::Result<Option<usize>> {
        let available = self.input.fill_buf()?;
        let ended = available.is_empty();
        let status = self
            .decoder
            .run_on_buffers(available, buffer)
            .map_err(|e| corrupt(&format!("a zstd frame is damaged: {e}")))?;
        self.input.consume(status.bytes_read);
        let produced = produced + status.bytes_written as u64;
        self.at = match (status.remaining, produced) {
            (0, 0) => self.end()?,
            (0, _) => At::Start,
            _ if ended && status.bytes_written == 0 => return Err(truncated()),
            _ => At::Frame { produced },
        };
        Ok((status.bytes_written > 0).then_some(status.bytes_written))
    }

    fn end(&mut self) -> io::Result<At> {
        if self.input.fill_buf()?.is_empty() {
            Ok(At::End)
        } else {
            Err(corrupt("bytes follow the end mark"))
        }
    }
}

impl<R: BufRead> Read for SealedZstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.at {
                At::Start if self.input.fill_buf()?.is_empty() => return Err(truncated()),
                At::Start => self.at = At::Frame { produced: 0 },
                At::Frame { produced } => {
                    if let Some(written) = self.read_frame(buffer, produced)? {
                        return Ok(written);
                    }
                }
                At::End => return Ok(0),
            }
        }
    }
}
