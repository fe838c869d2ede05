//! A fingerprint: per table (collection, label) its rows and an order-independent hash.
//!
//! It is taken from the dump's own bytes as they stream, so it costs the source nothing, and it is
//! compared with the fingerprint of a dump of the restored copy. Rows may come back in any order,
//! therefore a table's hash is the sum, modulo 2^128, of its rows' hashes: unlike exclusive or, a sum
//! notices a row that appears twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The hash of one row's bytes. SHA-256, because processors have it built in and rows are short: there
/// it is twice as fast as the hashes that are quicker on long data.
pub type RowDigest = [u8; 32];

/// Hashes a row that comes in pieces.
pub type RowHasher = Sha256;

/// Rows and hash of one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableFingerprint {
    /// How many rows the table holds.
    pub rows: u64,
    /// Sum modulo 2^128 of the first 16 bytes, little-endian, of the rows' hashes.
    pub hash: u128,
}

impl TableFingerprint {
    /// Adds one row, given as the bytes that stand for it in the dump.
    pub fn add_row(&mut self, row: &[u8]) {
        self.add_digest(Sha256::digest(row).into());
    }

    /// Adds one row by the hash of its bytes, for a row that came in pieces.
    pub fn add_digest(&mut self, digest: RowDigest) {
        let mut low = [0u8; 16];
        low.copy_from_slice(&digest[..16]);
        self.rows += 1;
        self.hash = self.hash.wrapping_add(u128::from_le_bytes(low));
    }
}

/// Takes in what another part of the same table held.
impl std::ops::AddAssign for TableFingerprint {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.hash = self.hash.wrapping_add(other.hash);
    }
}

#[derive(Serialize, Deserialize)]
struct Shown {
    rows: u64,
    hash: String,
}

impl Serialize for TableFingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Shown { rows: self.rows, hash: format!("{:032x}", self.hash) }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TableFingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let shown = Shown::deserialize(deserializer)?;
        let hash = u128::from_str_radix(&shown.hash, 16).map_err(serde::de::Error::custom)?;
        Ok(Self { rows: shown.rows, hash })
    }
}

/// The fingerprint of a whole database: every table by its qualified name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub BTreeMap<String, TableFingerprint>);

impl Fingerprint {
    /// The entry of a table, made empty when it is new.
    pub fn table(&mut self, name: &str) -> &mut TableFingerprint {
        self.0.entry(name.to_owned()).or_default()
    }

    /// The tables of which `other` holds something else, one line each that names the table.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, table) in &self.0 {
            match other.0.get(name) {
                None => lines.push(format!("{name}: missing, {} rows were backed up", table.rows)),
                Some(found) if found.rows != table.rows => {
                    lines.push(format!("{name}: {} rows, {} were backed up", found.rows, table.rows));
                }
                Some(found) if found.hash != table.hash => {
                    lines.push(format!("{name}: {} rows as backed up, but other contents", table.rows));
                }
                Some(_) => {}
            }
        }
        let extra = other.0.iter().filter(|(name, _)| !self.0.contains_key(*name));
        lines.extend(
            extra.map(|(name, table)| format!("{name}: {} rows, and it was not backed up", table.rows)),
        );
        lines
    }

    /// Rows of all tables together.
    pub fn rows(&self) -> u64 {
        self.0.values().map(|table| table.rows).sum()
    }
}
