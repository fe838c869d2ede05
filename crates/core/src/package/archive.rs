//! Writers of archives: each takes entries whose length is known and gives back the bytes to store.
//!
//! Nothing is compressed anew: artifacts are compressed and mostly encrypted already. So every entry lies in
//! the archive as it is, at a place that is known, and can be read without the rest.

use bytes::Bytes;
use jiff::Timestamp;

use super::targz::TarGz;
use super::zip::Zip;
use crate::Result;
use crate::model::PackageFormat;

/// Files in a package are their owner's alone.
pub(super) const MODE: u32 = 0o600;

/// What an archive says of an entry before its bytes.
pub(super) struct Entry<'a> {
    /// A plain file name.
    pub(super) name: &'a str,
    /// Length of its bytes.
    pub(super) size: u64,
    /// When it was made.
    pub(super) at: Timestamp,
}

/// An archive that is being written, without input or output of its own: what it has to say is taken by
/// [`Archive::take`] after each step.
pub(super) enum Archive {
    Zip(Box<Zip>),
    TarGz(Box<TarGz>),
}

impl Archive {
    pub(super) fn new(format: PackageFormat) -> Self {
        match format {
            PackageFormat::Zip => Self::Zip(Box::new(Zip::new())),
            PackageFormat::TarGz => Self::TarGz(Box::new(TarGz::new())),
        }
    }

    /// Begins an entry; answers where its bytes begin.
    pub(super) fn begin(&mut self, entry: &Entry<'_>) -> Result<u64> {
        match self {
            Self::Zip(zip) => zip.begin(entry),
            Self::TarGz(tar) => tar.begin(entry),
        }
    }

    /// Takes the entry's next bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Zip(zip) => zip.write(bytes),
            Self::TarGz(tar) => {
                tar.write(bytes);
                Ok(())
            }
        }
    }

    /// Ends the entry.
    pub(super) fn end(&mut self) {
        match self {
            // The next entry, or the end of the archive, ends it.
            Self::Zip(_) => {}
            Self::TarGz(tar) => tar.end(),
        }
    }

    /// Ends the archive.
    pub(super) fn finish(&mut self) -> Result<()> {
        match self {
            Self::Zip(zip) => zip.finish(),
            Self::TarGz(tar) => {
                tar.finish();
                Ok(())
            }
        }
    }

    /// The bytes that wait to be stored.
    pub(super) fn take(&mut self) -> Bytes {
        match self {
            Self::Zip(zip) => zip.take(),
            Self::TarGz(tar) => tar.take(),
        }
    }
}
