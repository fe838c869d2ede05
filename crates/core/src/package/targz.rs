//! Tar files in gzip, the entries' bytes stored in it.
//!
//! gzip allows a file to be several members end to end; `gunzip`, and with it `tar`, reads them as one. Each
//! entry's bytes are a gzip member of their own, and what tar puts between entries are others. Inside, deflate's
//! stored blocks of one fixed length are used. So the place of every byte of an entry follows from where the
//! entry begins, and a part of it is read without the rest.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use flate2::Crc;
use tar::{EntryType, Header};

use super::archive::{Entry, MODE};
use crate::{Error, Result};

/// Bytes in a stored block, but for an entry's last: as many as the format allows.
const BLOCK: u64 = 0xffff;
/// What stands before each block: a byte of flags, its length, and that inverted.
const BLOCK_HEADER: u64 = 5;
/// RFC 1952: deflate, no flags, no time, no hints, unknown system.
const MEMBER_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// Tar's unit.
const UNIT: u64 = 512;
/// A name that is longer does not fit into tar's header.
const LONGEST_NAME: usize = 100;

/// A tar file in gzip that is being written.
pub(super) struct TarGz {
    out: Vec<u8>,
    /// Bytes that were taken out of `out`.
    taken: u64,
    /// What stands between two entries: padding, and the next entry's header.
    between: Vec<u8>,
    entry: Option<GzipMember>,
}

impl TarGz {
    pub(super) fn new() -> Self {
        Self { out: Vec::new(), taken: 0, between: Vec::new(), entry: None }
    }

    pub(super) fn begin(&mut self, entry: &Entry<'_>) -> Result<u64> {
        self.end();
        if entry.name.len() > LONGEST_NAME {
            // GNU's way: an entry of its own whose content is the name.
            let mut long = header(EntryType::GNULongName, entry.name.len() as u64 + 1);
            long.set_cksum();
            self.between.extend_from_slice(long.as_bytes());
            self.between.extend_from_slice(entry.name.as_bytes());
            self.between.push(0);
            pad(&mut self.between, entry.name.len() as u64 + 1);
        }
        let mut head = header(EntryType::Regular, entry.size);
        let mut short = entry.name.len().min(LONGEST_NAME);
        while !entry.name.is_char_boundary(short) {
            short -= 1;
        }
        head.set_path(&entry.name[..short]).map_err(|e| Error::internal("write a tar file", e))?;
        head.set_mtime(u64::try_from(entry.at.as_second()).unwrap_or(0));
        head.set_cksum();
        self.between.extend_from_slice(head.as_bytes());
        self.flush_between();
        self.entry = Some(GzipMember::begin(&mut self.out));
        Ok(self.taken + self.out.len() as u64)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        if let Some(entry) = &mut self.entry {
            entry.write(&mut self.out, bytes);
        }
    }

    pub(super) fn end(&mut self) {
        if let Some(entry) = self.entry.take() {
            let length = entry.end(&mut self.out);
            pad(&mut self.between, length);
        }
    }

    pub(super) fn finish(&mut self) {
        self.end();
        // Two empty units end a tar file.
        self.between.resize(self.between.len() + 1024, 0);
        self.flush_between();
    }

    pub(super) fn take(&mut self) -> Bytes {
        self.taken += self.out.len() as u64;
        std::mem::take(&mut self.out).into()
    }

    fn flush_between(&mut self) {
        let mut member = GzipMember::begin(&mut self.out);
        member.write(&mut self.out, &self.between);
        member.end(&mut self.out);
        self.between.clear();
    }
}

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    // Beyond 8 GiB it is written in binary, as GNU's and BSD's tar read it.
    header.set_size(size);
    header.set_mode(MODE);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Fills up tar's unit after so many bytes.
fn pad(out: &mut Vec<u8>, length: u64) {
    let rest = usize::try_from(length.next_multiple_of(UNIT) - length).unwrap_or(0);
    out.resize(out.len() + rest, 0);
}

/// One gzip member, stored.
struct GzipMember {
    block: Vec<u8>,
    crc: Crc,
    length: u64,
}

impl GzipMember {
    fn begin(out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(&MEMBER_HEADER);
        Self { block: Vec::new(), crc: Crc::new(), length: 0 }
    }

    fn write(&mut self, out: &mut Vec<u8>, mut bytes: &[u8]) {
        self.crc.update(bytes);
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            // A full block is written when more comes: the last one says that it is the last.
            if self.block.len() as u64 == BLOCK {
                self.flush(out, false);
            }
            let room = usize::try_from(BLOCK).unwrap_or(usize::MAX) - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            bytes = later;
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>, last: bool) {
        // No block is longer than what 16 bits tell.
        let length = u16::try_from(self.block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(last));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(&self.block);
        self.block.clear();
    }

    /// Answers how many bytes it holds.
    fn end(mut self, out: &mut Vec<u8>) -> u64 {
        self.flush(out, true);
        out.extend_from_slice(&self.crc.sum().to_le_bytes());
        // RFC 1952 counts modulo 2^32.
        out.extend_from_slice(&self.crc.amount().to_le_bytes());
        self.length
    }
}

/// Where a part of an entry lies, counted from where its first block begins. `range` is not empty.
pub(super) fn stored_range(range: &Range<u64>) -> Range<u64> {
    let place = |offset: u64| offset / BLOCK * (BLOCK + BLOCK_HEADER) + BLOCK_HEADER + offset % BLOCK;
    place(range.start)..place(range.end - 1) + 1
}

/// Takes the blocks' headers out of stored bytes, which come in pieces of any length.
pub(super) struct Unblock {
    /// The place of the next byte, counted from where the entry's first block begins.
    at: u64,
}

impl Unblock {
    /// Begins at this place.
    pub(super) fn at(at: u64) -> Self {
        Self { at }
    }

    pub(super) fn take(&mut self, mut piece: Bytes) -> Bytes {
        let mut out = BytesMut::with_capacity(piece.len());
        while !piece.is_empty() {
            let within = self.at % (BLOCK + BLOCK_HEADER);
            let is_header = within < BLOCK_HEADER;
            let until = if is_header { BLOCK_HEADER } else { BLOCK + BLOCK_HEADER };
            let length = usize::try_from(until - within).unwrap_or(usize::MAX).min(piece.len());
            let run = piece.split_to(length);
            self.at += run.len() as u64;
            if !is_header {
                out.extend_from_slice(&run);
            }
        }
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_part_of_an_entry_is_read_from_its_place_alone(
            length in prop_oneof![1..200usize, 65_530..65_545usize, 131_060..131_080usize],
            from in 0.0..1.0f64, to in 0.0..1.0f64, cut in 1..70_000usize,
        ) {
            let content = content(length);
            let mut tar = TarGz::new();
            let entry = Entry { name: "a", size: length as u64, at: Timestamp::UNIX_EPOCH };
            tar.begin(&Entry { name: "before", size: 3, at: Timestamp::UNIX_EPOCH }).unwrap();
            tar.write(b"abc");
            let mut all = tar.take().to_vec();
            let offset = usize::try_from(tar.begin(&entry).unwrap()).unwrap();
            for piece in content.chunks(cut) {
                tar.write(piece);
                all.extend(tar.take());
            }
            tar.finish();
            all.extend(tar.take());

            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place")]
            let place = |at: f64| ((at * length as f64) as usize).min(length - 1);
            let range = place(from.min(to))..place(from.max(to)) + 1;
            let stored = stored_range(&(range.start as u64..range.end as u64));
            let (start, end) = (usize::try_from(stored.start).unwrap(), usize::try_from(stored.end).unwrap());
            let mut unblock = Unblock::at(stored.start);
            let mut read = Vec::new();
            for piece in all[offset + start..offset + end].chunks(cut) {
                read.extend(unblock.take(Bytes::copy_from_slice(piece)));
            }
            prop_assert!(read == content[range]);

            let mut tar = tar::Archive::new(flate2::read::MultiGzDecoder::new(all.as_slice()));
            let mut entries = tar.entries().unwrap();
            prop_assert_eq!(entries.next().unwrap().unwrap().size(), 3);
            let mut unpacked = Vec::new();
            entries.next().unwrap().unwrap().read_to_end(&mut unpacked).unwrap();
            prop_assert!(unpacked == content);
            prop_assert!(entries.next().is_none());
        }
    }

    #[test]
    fn a_long_name_and_a_length_beyond_8_gib_are_told_as_gnu_tar_does() {
        let name = format!("{}ñ{}", "n".repeat(99), "m".repeat(100));
        let mut tar = TarGz::new();
        let size = 9 << 30;
        tar.begin(&Entry { name: &name, size, at: Timestamp::UNIX_EPOCH }).unwrap();
        let bytes = tar.take();
        let mut tar = tar::Archive::new(flate2::read::MultiGzDecoder::new(&bytes[..]));
        let entry = tar.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str().unwrap(), name);
        assert_eq!(entry.size(), size);
        assert_eq!(entry.header().mode().unwrap(), MODE);
    }
}
