//! Stored bytes become a dump again, and everything that can be checked on the way is.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use age::{DecryptError, Decryptor};

use super::gunzip::SealedGzip;
use super::unzstd::SealedZstd;
use super::{Compression, Encryption, Identity};
use crate::error::{Error, ErrorKind, Result};

const OPERATION: &str = "open the artifact";
const BUFFER: usize = 128 * 1024;
/// Some 600 recipients' worth. Without a limit a forged header could be as long as it likes.
const LONGEST_AGE_HEADER: usize = 64 * 1024;

/// Who made the bytes, and so what can be asked of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// This product: the end mark is required, and nothing may follow it.
    #[default]
    Sealed,
    /// Somebody's `gzip`, `zstd` or `age`: whatever those tools accept. A file that was cut between
    /// two gzip members or zstd frames looks whole.
    Foreign,
}

/// How an artifact was sealed, as its manifest tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Envelope {
    /// How it was compressed.
    pub compression: Compression,
    /// How it was encrypted.
    pub encryption: Encryption,
    /// Who made it.
    pub origin: Origin,
}

/// Opens an artifact: gives a reader of the dump's bytes.
///
/// Every checksum, and the end of the artifact, is checked before the reader says that it is at its
/// end: bytes that were read before an error are not to be trusted as a whole. The reader holds less
/// than 10 MiB (`Foreign` zstd: up to 128 MiB, as its frames ask for) however much comes out of it;
/// how much may come out is for the caller to limit. Where compression and encryption are both `None`
/// there is nothing to check: compare the [`Digests`](super::Digests).
///
/// Turn the reader's errors into the product's with [`read_error`].
///
/// # Errors
/// [`ErrorKind::Denied`] when no identity opens it, [`ErrorKind::Corrupt`] when its beginning is
/// damaged, and what `reader` itself reports.
pub fn open<'a>(
    envelope: Envelope,
    identities: &[Identity],
    reader: impl Read + Send + 'a,
) -> Result<Box<dyn Read + Send + 'a>> {
    match envelope.encryption {
        Encryption::None => decompress(envelope, reader),
        Encryption::Age => decompress(envelope, decrypt(identities, reader)?),
    }
}

fn decompress<'a>(envelope: Envelope, reader: impl Read + Send + 'a) -> Result<Box<dyn Read + Send + 'a>> {
    let reader = BufReader::with_capacity(BUFFER, reader);
    Ok(match (envelope.compression, envelope.origin) {
        (Compression::None, _) => Box::new(reader),
        (Compression::Gzip, Origin::Sealed) => Box::new(SealedGzip::new(reader)),
        (Compression::Gzip, Origin::Foreign) => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
        (Compression::Zstd, Origin::Sealed) => Box::new(SealedZstd::new(reader).map_err(|e| read_error(&e))?),
        (Compression::Zstd, Origin::Foreign) => {
            Box::new(zstd::stream::read::Decoder::with_buffer(reader).map_err(|e| read_error(&e))?)
        }
    })
}

fn decrypt<'a>(identities: &[Identity], mut reader: impl Read + Send + 'a) -> Result<impl Read + Send + 'a> {
    if identities.is_empty() {
        return Err(Error::new(
            ErrorKind::Denied,
            OPERATION,
            "it is encrypted, and no age identity was given",
        )
        .with_field("encryption.identity_file")
        .with_mend("give the identity of one of its recipients"));
    }
    let mut start = Vec::new();
    let limit = LONGEST_AGE_HEADER as u64;
    reader.by_ref().take(limit).read_to_end(&mut start).map_err(|e| read_error(&e))?;
    if memchr::memmem::find(&start, b"\n--- ").is_none() {
        return Err(Error::new(ErrorKind::Corrupt, OPERATION, "it does not begin with a binary age header"));
    }
    let whole = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(reader));
    Decryptor::new_buffered(whole).and_then(|decryptor| keyed(decryptor, identities)).map_err(refused)
}

fn keyed<R: BufRead>(
    decryptor: Decryptor<R>,
    identities: &[Identity],
) -> Result<impl Read + use<R>, DecryptError> {
    decryptor.decrypt(identities.iter().map(|identity| &identity.0 as &dyn age::Identity))
}

fn refused(error: DecryptError) -> Error {
    match error {
        DecryptError::NoMatchingKeys => {
            Error::new(ErrorKind::Denied, OPERATION, "none of the age identities is among its recipients")
                .with_field("encryption.identity_file")
                .with_mend("give the identity of one of its recipients")
        }
        DecryptError::Io(error) => read_error(&error),
        other => Error::new(ErrorKind::Corrupt, OPERATION, format!("its age header is damaged: {other}")),
    }
}

pub(super) fn corrupt(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

pub(super) fn truncated() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it ends before its end mark")
}

/// What a reader's error means: damage is [`ErrorKind::Corrupt`], an [`Error`] that a storage reader
/// had wrapped comes out again, and all else is [`ErrorKind::Unavailable`].
pub fn read_error(error: &io::Error) -> Error {
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return inner.clone();
    }
    let kind = match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            ErrorKind::Corrupt
        }
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, OPERATION, error.to_string())
}
