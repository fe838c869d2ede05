//! Where the rows of a `COPY` end, found without looking at what they hold.

use super::super::name::invalid;
use crate::Result;

/// Finds the line that ends the rows of a `COPY`.
#[derive(Debug)]
pub(super) struct RowsEnd {
    /// How much of the end line stood at the line's beginning; none: we are inside a row.
    matched: Option<usize>,
}

impl Default for RowsEnd {
    fn default() -> Self {
        Self { matched: Some(0) }
    }
}

impl RowsEnd {
    /// Where the end line ends.
    ///
    /// A row never begins with `\.`, because `COPY` doubles a backslash in data: such a line is made by
    /// somebody who hopes that the loader ends the rows where we do not.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        const END: &[u8] = b"\\.\n";
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.matched {
                None => match memchr::memchr(b'\n', &bytes[at..]) {
                    None => return Ok(None),
                    Some(newline) => {
                        at += newline + 1;
                        self.matched = Some(0);
                    }
                },
                Some(matched) if END[matched] == byte => {
                    at += 1;
                    if matched + 1 == END.len() {
                        return Ok(Some(at));
                    }
                    self.matched = Some(matched + 1);
                }
                Some(2) => return Err(invalid("a row that begins like the end of rows")),
                Some(_) => self.matched = None,
            }
        }
        Ok(None)
    }
}
