//! Large objects: one hash over the object's number and bytes, however the dump cut them.

use sha2::Digest;

use super::name::{incomplete, invalid};
use crate::error::{Error, Result};
use crate::fingerprint::{RowDigest, RowHasher};

/// A large object whose bytes are passing.
#[derive(Debug, Clone)]
pub(super) struct LargeObject {
    oid: u32,
    hasher: Box<RowHasher>,
}

impl LargeObject {
    pub(super) fn new(oid: u32) -> Self {
        Self { oid, hasher: Box::default() }
    }

    pub(super) fn take(&mut self, data: &[u8]) {
        self.hasher.update(data);
    }

    /// The object's hash. Its number comes last, because the hasher is fastest on aligned data.
    pub(super) fn digest(mut self) -> RowDigest {
        self.hasher.update(self.oid.to_le_bytes());
        self.hasher.finalize().into()
    }

    /// What to say of a dump that ends here.
    pub(super) fn cut_off(&self) -> Error {
        incomplete(format!("the dump ends inside large object {}", self.oid))
    }
}

/// The text of one `lowrite` after its opening quote: `\x`, hexadecimal digits, the closing quote.
#[derive(Debug, Clone, Default)]
pub(super) struct HexText {
    marked: bool,
    high: Option<u8>,
    ended: bool,
}

impl HexText {
    /// Decodes the next bytes into `object`.
    pub(super) fn feed(&mut self, text: &[u8], object: &mut LargeObject) -> Result<()> {
        let mut decoded = [0u8; 8192];
        for piece in text.chunks(decoded.len()) {
            let (mut filled, mut at) = (0, 0);
            while let Some(&byte) = piece.get(at) {
                if self.marked && self.high.is_none() && !self.ended {
                    let pairs = decode(&piece[at..], &mut decoded[filled..]);
                    (at, filled) = (at + 2 * pairs, filled + pairs);
                    if pairs > 0 {
                        continue;
                    }
                }
                at += 1;
                let Some(nibble) = self.nibble(byte)? else { continue };
                match self.high.take() {
                    None => self.high = Some(nibble),
                    Some(high) => {
                        decoded[filled] = high << 4 | nibble;
                        filled += 1;
                    }
                }
            }
            object.take(&decoded[..filled]);
        }
        Ok(())
    }

    /// Whether the text came to its closing quote with whole bytes.
    pub(super) fn is_whole(&self) -> bool {
        self.ended && self.high.is_none()
    }

    fn nibble(&mut self, byte: u8) -> Result<Option<u8>> {
        if self.ended {
            return Ok(None);
        }
        let nibble = NIBBLES[usize::from(byte)];
        if self.marked && nibble < 16 {
            return Ok(Some(nibble));
        }
        match byte {
            b'\'' if self.marked => self.ended = true,
            b'x' if !self.marked => self.marked = true,
            // Doubled where the server reads backslash escapes.
            b'\\' if !self.marked => {}
            _ => return Err(invalid("a large object's data is not in hexadecimal form")),
        }
        Ok(None)
    }
}

/// Decodes pairs of digits up to the first that is none, and answers how many.
fn decode(text: &[u8], decoded: &mut [u8]) -> usize {
    let mut pairs = 0;
    for (pair, place) in text.as_chunks::<2>().0.iter().zip(decoded) {
        let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
        if high | low > 15 {
            break;
        }
        *place = high << 4 | low;
        pairs += 1;
    }
    pairs
}

/// The value of each hexadecimal digit; 255 for every other byte.
static NIBBLES: [u8; 256] = nibbles();

const fn nibbles() -> [u8; 256] {
    let mut table = [255; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        table[b"0123456789ABCDEF"[value as usize] as usize] = value;
        value += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_text_hashes_as_the_bytes_it_stands_for() {
        let mut written = LargeObject::new(7);
        let mut hex = HexText::default();
        for piece in [r"\x0", "0fF5", "c27');"] {
            hex.feed(piece.as_bytes(), &mut written).unwrap();
        }
        assert!(hex.is_whole());
        let mut stored = LargeObject::new(7);
        stored.take(b"\x00\xff\\'");
        assert_eq!(written.digest(), stored.digest());
        assert_ne!(LargeObject::new(8).digest(), LargeObject::new(7).digest());
    }

    #[test]
    fn text_that_is_not_hexadecimal_is_refused() {
        for text in ["abc'", r"\xg'", r"\x0-'"] {
            assert!(HexText::default().feed(text.as_bytes(), &mut LargeObject::new(1)).is_err(), "{text}");
        }
        let mut odd = HexText::default();
        odd.feed(br"\x0'", &mut LargeObject::new(1)).unwrap();
        assert!(!odd.is_whole());
    }
}
