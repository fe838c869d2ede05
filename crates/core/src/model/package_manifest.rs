//! The manifest of a package: the JSON beside the archive that says what it is, signed as a backup's is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::backup::Artifact;
use super::id::JobId;
use super::package::{LeftOut, Member, PackageFormat, PackageKind};
use super::signed;
use crate::Result;
use crate::keyring::MasterKey;

/// What an archive is. It is written after the archive's last byte was confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageManifest {
    /// The version of this format.
    pub format: u32,
    /// The version of Respaldo that wrote it.
    pub respaldo_version: String,
    /// The package's id.
    pub package_id: JobId,
    /// The archive's name.
    pub name: String,
    /// The kind of archive.
    pub archive: PackageFormat,
    /// How the package came to be.
    pub kind: PackageKind,
    /// The due time, for a scheduled one.
    pub slot: Option<Timestamp>,
    /// When it was asked for or due.
    pub created_at: Timestamp,
    /// When the attempt began.
    pub started_at: Timestamp,
    /// When the last byte was confirmed.
    pub finished_at: Timestamp,
    /// The backups in it.
    pub members: Vec<Member>,
    /// The databases that it does without.
    pub left_out: Vec<LeftOut>,
    /// Its bytes.
    pub artifact: Artifact,
}

const STORED: signed::Kind = signed::Kind("manifest of a package");

impl PackageManifest {
    /// The version of the format that this code writes, and the newest that it reads.
    pub const FORMAT: u32 = 1;

    /// The bytes to store.
    pub fn encode(&self, key: &MasterKey) -> Result<Vec<u8>> {
        STORED.encode(self, key)
    }

    /// Reads a stored manifest and says whether its HMAC is ours.
    ///
    /// # Errors
    /// `Corrupt` for what is no manifest of a package, or one of a newer format.
    pub fn decode(bytes: &[u8], key: &MasterKey) -> Result<(Self, bool)> {
        let (manifest, ours) = STORED.decode::<Self>(bytes, key)?;
        if manifest.format > Self::FORMAT {
            let newest = Self::FORMAT;
            let what = format!("it has format {}, newer than this version reads ({newest})", manifest.format);
            return Err(STORED.corrupt(&what));
        }
        Ok((manifest, ours))
    }
}
