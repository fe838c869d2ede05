//! The manifest: the JSON beside an artifact that says what it is and proves that it is whole.
//!
//! It is written after the last byte of the artifact was confirmed, so its existence means that the
//! attempt is complete. `docs/format.md` specifies it for other readers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::backup::{Artifact, Backup, BackupKind, Consistency};
use super::database::{DumpFormat, EngineKind};
use super::id::{DatabaseUid, JobId};
use super::signed;
use crate::Result;
use crate::fingerprint::Fingerprint;
use crate::keyring::MasterKey;
use crate::seal::Compression;

/// What the artifact holds. It names tables, so it is sealed wherever the artifact is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Rows and hash of every table.
    pub fingerprint: Fingerprint,
    /// What the dump said of its server.
    #[serde(default)]
    pub server_version: Option<String>,
    /// What the dump said of the tool that made it.
    #[serde(default)]
    pub tool_version: Option<String>,
}

/// The content in clear, or sealed to the artifact's recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestContent {
    /// In clear.
    Clear(Content),
    /// The same JSON as an ASCII-armoured `age` file.
    Sealed(String),
}

/// What an artifact is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this format.
    pub format: u32,
    /// The version of Respaldo that wrote it.
    pub respaldo_version: String,
    /// The oldest version of Respaldo that restores it.
    pub restores_with: String,
    /// The backup's id.
    pub backup_id: JobId,
    /// The database's name in storage.
    pub database_uid: DatabaseUid,
    /// The database's entry in `config.yaml`, if it has one.
    pub config_id: Option<String>,
    /// The kind of database.
    pub engine: EngineKind,
    /// The shape of the dump.
    pub dump_format: DumpFormat,
    /// The database's name on its server.
    pub database_name: String,
    /// How the backup came to be.
    pub kind: BackupKind,
    /// The due time, for a scheduled one.
    pub slot: Option<Timestamp>,
    /// The artifact's name.
    pub name: String,
    /// When the backup was asked for or due: its age counts from here.
    pub created_at: Timestamp,
    /// When the attempt began.
    pub started_at: Timestamp,
    /// When the last byte was confirmed.
    pub finished_at: Timestamp,
    /// How it is compressed.
    pub compression: Compression,
    /// The recipients it is encrypted to.
    pub encryption: Vec<String>,
    /// Its bytes.
    pub artifact: Artifact,
    /// What the dump saw of its source while others wrote, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// What it holds.
    pub content: ManifestContent,
}

impl Manifest {
    /// The version of the format that this code writes, and the newest that it reads.
    pub const FORMAT: u32 = 1;

    /// Whether this manifest describes the given backup of the given job.
    pub fn describes(&self, id: JobId, database: DatabaseUid, backup: &Backup) -> bool {
        self.backup_id == id && self.database_uid == database && self.engine == backup.engine
    }
}

/// No manifest is longer; a database of 100,000 tables stays below half of it.
pub const LONGEST_MANIFEST: usize = 64 * 1024 * 1024;
const STORED: signed::Kind = signed::Kind("manifest");

impl Manifest {
    /// The bytes to store, signed.
    pub fn encode(&self, key: &MasterKey) -> Result<Vec<u8>> {
        STORED.encode(self, key)
    }

    /// Reads a stored manifest and says whether its signature is ours.
    pub fn decode(bytes: &[u8], key: &MasterKey) -> Result<(Self, bool)> {
        let (manifest, ours) = STORED.decode::<Self>(bytes, key)?;
        Ok((manifest.known()?, ours))
    }

    /// Reads a stored manifest without asking whose it is: for whoever has no key.
    pub fn decode_unchecked(bytes: &[u8]) -> Result<Self> {
        STORED.decode_unchecked::<Self>(bytes)?.known()
    }

    fn known(self) -> Result<Self> {
        if self.format <= Self::FORMAT {
            return Ok(self);
        }
        let message =
            format!("it has format {}, newer than this version reads ({})", self.format, Self::FORMAT);
        Err(STORED.corrupt(&message).with_mend(format!("use Respaldo {} or newer", self.restores_with)))
    }
}
