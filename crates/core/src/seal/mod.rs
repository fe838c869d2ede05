//! Sealing: the bytes of a dump become the bytes that are stored, and back.
//!
//! ```text
//! SealWriter -> compress (worker threads) -> order, encrypt -> digest -> SealReader
//! ```
//!
//! Everything that comes out opens with stock tools alone: `age -d`, then `gunzip` or `zstd -d`.
//! Inside those formats this module keeps one rule of its own: **a sealed artifact ends with an empty
//! gzip member or an empty zstd frame**. Compressed blocks are independent members, so a file cut
//! between two of them is still well formed to `gunzip`; the end mark is what lets [`open`] refuse it.
//! Without compression and encryption nothing inside the bytes can be checked; there, as for a flipped
//! bit that happens to mean the same bytes (gzip and zstd have a few unused bits), the [`Digests`] in
//! the manifest are what catches it.
//!
//! A dump that was aborted can never be finished: [`Piece::End`] is the only source of a [`Sealed`],
//! and it comes only after [`SealWriter::finish`], which the caller calls when the dump is proven whole.

mod armour;
mod budget;
mod codec;
mod digest;
mod gunzip;
mod keys;
mod open;
mod output;
mod pipeline;
mod unzstd;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use armour::{armoured, dearmoured};
pub use digest::{DigestReader, Digester, Digests};
pub use keys::{Identity, Recipient};
pub use open::{Envelope, Origin, open, read_error};
pub use pipeline::{Piece, SealReader, SealWriter, seal};

use crate::error::{Error, Result};

/// How the bytes of a dump are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Gzip members of up to 1 MiB of content each (RFC 1952), closed by an empty member.
    #[default]
    Gzip,
    /// Zstandard frames of up to 2 MiB of content each, with content checksums, closed by an empty frame.
    Zstd,
    /// The bytes as they are.
    None,
}

impl Compression {
    /// The word that stands for it in settings and manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::None => "none",
        }
    }

    /// What an artifact's name ends with, without the dot.
    pub fn extension(self) -> Option<&'static str> {
        match self {
            Self::Gzip => Some("gz"),
            Self::Zstd => Some("zst"),
            Self::None => None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            "none" => Ok(Self::None),
            other => Err(Error::invalid("compression", format!("{other:?} is not a compression"))
                .with_mend("use gzip, zstd or none")),
        }
    }
}

/// How the compressed bytes are encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// Not at all.
    #[default]
    None,
    /// The binary age v1 format, to X25519 recipients.
    Age,
}

impl Encryption {
    /// The word that stands for it in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Age => "age",
        }
    }

    /// What an artifact's name ends with, last of all and without the dot.
    pub fn extension(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Age => Some("age"),
        }
    }
}

/// What to make of a dump's bytes, and with how much.
#[derive(Debug, Clone)]
pub struct SealPlan {
    /// How to compress.
    pub compression: Compression,
    /// Who can open the artifact; nobody named means that it is not encrypted. At most 100.
    pub recipients: Vec<Recipient>,
    /// Worker threads that compress, 1 to 64. Two more threads order, encrypt and digest.
    pub threads: usize,
    /// Bytes that the stage may hold at most; [`SealPlan::LEAST_MEMORY`] for two threads. The blocks
    /// shrink to fit.
    pub memory: usize,
}

impl SealPlan {
    /// What two threads need in order to work at all, in bytes: 5 MiB.
    pub const LEAST_MEMORY: usize = 5 << 20;

    /// How the artifact will be encrypted.
    pub fn encryption(&self) -> Encryption {
        if self.recipients.is_empty() { Encryption::None } else { Encryption::Age }
    }
}

/// What was sealed: proof that every byte of a whole dump went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Bytes of the dump before compression.
    pub raw_bytes: u64,
    /// Length and digests of the stored bytes.
    pub stored: Digests,
}
