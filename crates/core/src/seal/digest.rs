//! MD5, SHA-256 and length of a stream of bytes.

use std::io::{self, Read, Write};

use md5::Md5;
use sha2::{Digest as _, Sha256};

/// Length and digests of a run of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// How many bytes.
    pub length: u64,
    /// Their MD5, for people and tools that compare with `md5sum`; it proves nothing against malice.
    pub md5: [u8; 16],
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

impl Digests {
    /// The MD5 as `md5sum` prints it.
    pub fn md5_hex(&self) -> String {
        hex::encode(self.md5)
    }

    /// The SHA-256 as `sha256sum` prints it.
    pub fn sha256_hex(&self) -> String {
        hex::encode(self.sha256)
    }
}

/// Takes the digests of what is written to it.
#[derive(Default, Clone)]
pub struct Digester {
    length: u64,
    md5: Md5,
    sha256: Sha256,
}

impl Digester {
    /// Starts with no bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.md5.update(bytes);
        self.sha256.update(bytes);
    }

    /// The digests of everything added.
    pub fn finish(self) -> Digests {
        Digests {
            length: self.length,
            md5: self.md5.finalize().into(),
            sha256: self.sha256.finalize().into(),
        }
    }
}

impl Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader that takes the digests of what passes through it, so that one pass can open an artifact
/// and compare it with its manifest.
pub struct DigestReader<R> {
    inner: R,
    digester: Digester,
}

impl<R: Read> DigestReader<R> {
    /// Starts in front of `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, digester: Digester::new() }
    }

    /// The digests of what was read so far. Read to the end first for those of the whole.
    pub fn digests(&self) -> Digests {
        self.digester.clone().finish()
    }
}

impl<R: Read> Read for DigestReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digester.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_are_those_that_md5sum_and_sha256sum_print() {
        let mut reader = DigestReader::new(&b"abc"[..]);
        io::copy(&mut reader, &mut io::sink()).unwrap();
        let digests = reader.digests();
        assert_eq!(digests.length, 3);
        assert_eq!(digests.md5_hex(), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(digests.sha256_hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
