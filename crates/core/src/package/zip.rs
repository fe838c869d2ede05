//! Zip files, stored: the entry's bytes as they are, its CRC and lengths behind them, and zip64 throughout, so
//! that neither length nor number has a limit that a backup could meet.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use zip::CompressionMethod;
use zip::write::{FullFileOptions, StreamWriter, ZipWriter};

use super::archive::{Entry, MODE};
use crate::{Error, Result};

/// The extra field that tells when a file was changed in seconds since 1970; the format's own time has no zone.
const EXTENDED_TIMESTAMP: u16 = 0x5455;
/// Of that field: the time of the last change follows.
const MODIFIED: u8 = 1;

/// A zip file that is being written.
pub(super) struct Zip {
    writer: Option<ZipWriter<StreamWriter<Outlet>>>,
    outlet: Outlet,
}

/// Where the writer puts what is to be stored.
#[derive(Clone, Default)]
struct Outlet(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Of all that was ever written.
    length: u64,
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.bytes.extend_from_slice(bytes);
        waiting.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Zip {
    pub(super) fn new() -> Self {
        let outlet = Outlet::default();
        Self { writer: Some(ZipWriter::new_stream(outlet.clone())), outlet }
    }

    pub(super) fn begin(&mut self, entry: &Entry<'_>) -> Result<u64> {
        let mut options = FullFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .unix_permissions(MODE)
            .last_modified_time(dos_time(entry.at))
            .large_file(true);
        let mut modified = vec![MODIFIED];
        // The field ends in 2106 with its 32 bits; then the format's own time, in UTC, is all there is.
        modified.extend(u32::try_from(entry.at.as_second()).unwrap_or(u32::MAX).to_le_bytes());
        options.add_extra_field(EXTENDED_TIMESTAMP, modified, false).map_err(|e| refused(&e))?;
        self.writer()?.start_file(entry.name, options).map_err(|e| refused(&e))?;
        Ok(self.outlet.0.lock().unwrap_or_else(PoisonError::into_inner).length)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer()?.write_all(bytes).map_err(|e| refused(&e))
    }

    pub(super) fn finish(&mut self) -> Result<()> {
        match self.writer.take() {
            Some(writer) => writer.finish().map(drop).map_err(|e| refused(&e)),
            None => Ok(()),
        }
    }

    pub(super) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.outlet.0.lock().unwrap_or_else(PoisonError::into_inner).bytes).into()
    }

    fn writer(&mut self) -> Result<&mut ZipWriter<StreamWriter<Outlet>>> {
        self.writer.as_mut().ok_or_else(|| refused(&"it is finished"))
    }
}

fn refused(why: &impl std::fmt::Display) -> Error {
    Error::internal("write a zip file", why)
}

/// The time in UTC; before 1980 and after 2107 the format has none, and the default stands.
fn dos_time(at: Timestamp) -> zip::DateTime {
    let civil = TimeZone::UTC.to_datetime(at);
    let part = |part: i8| u8::try_from(part).unwrap_or(0);
    let year = u16::try_from(civil.year()).unwrap_or(0);
    let time = zip::DateTime::from_date_and_time(
        year,
        part(civil.month()),
        part(civil.day()),
        part(civil.hour()),
        part(civil.minute()),
        part(civil.second()),
    );
    time.unwrap_or_default()
}
