//! Reads the gzip that this module writes, stricter than gzip itself: fixed headers, and an end mark.

use std::io::{self, BufRead, Read};

use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::Crc;

use super::open::{corrupt, truncated};

/// Every member begins with these bytes: deflate, no flags, no time, no hints, unknown system. Gzip's
/// checksum does not cover them, so they are compared.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

enum At {
    Header,
    Body,
    End,
}

/// The content of a sealed gzip artifact.
pub(super) struct SealedGzip<R> {
    input: R,
    inflate: Decompress,
    crc: Crc,
    length: u64,
    at: At,
}

impl<R: BufRead> SealedGzip<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, inflate: Decompress::new(false), crc: Crc::new(), length: 0, at: At::Header }
    }

    fn read_header(&mut self) -> io::Result<()> {
        let mut header = [0; HEADER.len()];
        read_exactly(&mut self.input, &mut header)?;
        if header != HEADER {
            return Err(corrupt("a gzip member's header is damaged"));
        }
        self.inflate.reset(false);
        self.crc = Crc::new();
        self.length = 0;
        self.at = At::Body;
        Ok(())
    }

    /// Inflates once; `None` when that gave nothing and there is more to do.
    fn read_body(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let available = self.input.fill_buf()?;
        if available.is_empty() {
            return Err(truncated());
        }
        let (input_before, output_before) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(available, buffer, FlushDecompress::None)
            .map_err(|_| corrupt("a gzip member's content is damaged"))?;
        let consumed = moved(input_before, self.inflate.total_in());
        let produced = moved(output_before, self.inflate.total_out());
        self.input.consume(consumed);
        self.crc.update(&buffer[..produced]);
        self.length += produced as u64;
        if matches!(status, Status::StreamEnd) {
            self.read_trailer()?;
        } else if consumed == 0 && produced == 0 {
            return Err(corrupt("a gzip member's content is damaged"));
        }
        Ok((produced > 0).then_some(produced))
    }

    fn read_trailer(&mut self) -> io::Result<()> {
        let mut trailer = [0; 8];
        read_exactly(&mut self.input, &mut trailer)?;
        let mut expected = [0; 8];
        expected[..4].copy_from_slice(&self.crc.sum().to_le_bytes());
        expected[4..].copy_from_slice(&self.length.to_le_bytes()[..4]);
        if trailer != expected {
            return Err(corrupt("a gzip member's checksum or length is wrong"));
        }
        self.at = At::Header;
        if self.length == 0 {
            if !self.input.fill_buf()?.is_empty() {
                return Err(corrupt("bytes follow the end mark"));
            }
            self.at = At::End;
        }
        Ok(())
    }
}

/// How far a counter of a buffer's bytes moved.
fn moved(before: u64, after: u64) -> usize {
    usize::try_from(after - before).unwrap_or(usize::MAX)
}

fn read_exactly(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<()> {
    input
        .read_exact(buffer)
        .map_err(|e| if e.kind() == io::ErrorKind::UnexpectedEof { truncated() } else { e })
}

impl<R: BufRead> Read for SealedGzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.at {
                At::Header => self.read_header()?,
                At::Body => {
                    if let Some(produced) = self.read_body(buffer)? {
                        return Ok(produced);
                    }
                }
                At::End => return Ok(0),
            }
        }
    }
}
