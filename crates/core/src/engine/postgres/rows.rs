//! The rows of a `COPY` block, hashed as they stream.

use sha2::Digest;

use crate::fingerprint::{RowHasher, TableFingerprint};

/// Ends a block; no row can look like it, because `COPY` doubles a backslash in data.
const END: &[u8] = b"\\.";

/// Reads rows up to the block's end line.
///
/// A row is a line: newlines in values are escaped. This holds in every encoding that `pg_dump`
/// writes, because a newline byte is never part of a longer character.
#[derive(Debug, Clone, Default)]
pub(super) struct CopyRows {
    table: TableFingerprint,
    row: Option<Box<PartRow>>,
}

/// A row whose beginning came in earlier bytes.
#[derive(Debug, Clone, Default)]
struct PartRow {
    hasher: RowHasher,
    length: u64,
    start: [u8; END.len()],
}

impl CopyRows {
    /// Takes rows from the front of `input`, and answers whether the end line was met; what follows
    /// it is left in `input`.
    pub(super) fn feed(&mut self, input: &mut &[u8]) -> bool {
        let bytes = *input;
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', bytes) {
            let row = &bytes[start..newline];
            start = newline + 1;
            let ended = match &mut self.row {
                None if row == END => true,
                None => {
                    self.table.add_row(row);
                    false
                }
                Some(part) => {
                    part.take(row);
                    let ended = part.is_end();
                    if !ended {
                        self.table.add_digest(part.hasher.clone().finalize().into());
                    }
                    self.row = None;
                    ended
                }
            };
            if ended {
                *input = &bytes[start..];
                return true;
            }
        }
        if start < bytes.len() {
            self.row.get_or_insert_default().take(&bytes[start..]);
        }
        *input = &[];
        false
    }

    /// The rows so far.
    pub(super) fn table(&self) -> TableFingerprint {
        self.table
    }
}

impl PartRow {
    fn take(&mut self, bytes: &[u8]) {
        let known = usize::try_from(self.length).unwrap_or(usize::MAX).min(END.len());
        for (place, byte) in self.start[known..].iter_mut().zip(bytes) {
            *place = *byte;
        }
        self.length += bytes.len() as u64;
        self.hasher.update(bytes);
    }

    fn is_end(&self) -> bool {
        self.length == END.len() as u64 && self.start == END
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> (TableFingerprint, bool) {
        let mut rows = CopyRows::default();
        let mut ended = false;
        for piece in pieces {
            let mut input = *piece;
            ended = rows.feed(&mut input);
        }
        (rows.table(), ended)
    }

    #[test]
    fn rows_hash_the_same_however_they_are_cut() {
        let whole = read(&[b"1\tone\n\n\\.x\n\\.\n"]);
        assert_eq!(whole.0.rows, 3);
        assert!(whole.1);
        assert_eq!(read(&[b"1\to", b"", b"ne\n", b"\n\\", b".x", b"\n\\", b".", b"\n"]), whole);
    }

    #[test]
    fn the_end_line_is_the_whole_line() {
        assert_eq!(read(&[b"\\.\\.\n"]).0.rows, 1);
        assert!(!read(&[b"\\."]).1);
    }

    #[test]
    fn what_follows_the_end_line_is_left() {
        let mut input: &[u8] = b"1\n\\.\n\nSELECT";
        assert!(CopyRows::default().feed(&mut input));
        assert_eq!(input, b"\nSELECT");
    }
}
