//! The values that a custom-format archive is made of, read from pieces of input.

use super::name::invalid;
use crate::error::Result;

/// Reads one value after the other; each read answers `None` until the value's last byte has come,
/// and is then asked again with more input.
///
/// Nothing is allocated for a length that the archive only claims.
#[derive(Debug, Clone)]
pub(super) struct Scanner {
    int_size: usize,
    offset_size: usize,
    seen: usize,
    negative: bool,
    value: u64,
    left: Option<u64>,
    kept: Vec<u8>,
}

/// A string of the archive; `None` where it is null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text(pub(super) Option<Vec<u8>>);

impl Text {
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

/// Where an entry's data stands in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offset {
    /// There are data, somewhere behind the table of contents.
    Unknown,
    /// There are data, beginning at this byte.
    At(u64),
    /// There are none.
    NoData,
}

impl Scanner {
    /// A scanner for integers and offsets of 1 to 8 bytes.
    pub(super) fn new(int_size: u8, offset_size: u8) -> Result<Self> {
        if !(1..=8).contains(&int_size) || !(1..=8).contains(&offset_size) {
            return Err(invalid(format!(
                "an archive with integers of {int_size} and offsets of {offset_size} bytes"
            )));
        }
        Ok(Self {
            int_size: int_size.into(),
            offset_size: offset_size.into(),
            seen: 0,
            negative: false,
            value: 0,
            left: None,
            kept: Vec::new(),
        })
    }

    pub(super) fn byte(input: &mut &[u8]) -> Option<u8> {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        Some(byte)
    }

    /// An integer: a sign byte, then its magnitude, lowest byte first.
    pub(super) fn int(&mut self, input: &mut &[u8]) -> Result<Option<i64>> {
        while let Some(byte) = Self::byte(input) {
            match (self.seen, byte) {
                (0, 0) => self.negative = false,
                (0, 1) => self.negative = true,
                (0, _) => return Err(invalid("an integer of the archive has no sign")),
                (seen, _) => self.value |= u64::from(byte) << (8 * (seen - 1)),
            }
            self.seen += 1;
            if self.seen > self.int_size {
                let magnitude = i64::try_from(std::mem::take(&mut self.value));
                self.seen = 0;
                let magnitude =
                    magnitude.map_err(|_| invalid("an integer of the archive is out of range"))?;
                return Ok(Some(if self.negative { -magnitude } else { magnitude }));
            }
        }
        Ok(None)
    }

    /// A string, of which no more than the first `keep` bytes are kept.
    pub(super) fn text(&mut self, input: &mut &[u8], keep: usize) -> Result<Option<Text>> {
        let left = match self.left {
            Some(left) => left,
            None => match self.int(input)? {
                None => return Ok(None),
                Some(-1) => return Ok(Some(Text(None))),
                Some(length) => length_of(length)?,
            },
        };
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (bytes, rest) = input.split_at(here);
        *input = rest;
        let kept = here.min(keep.saturating_sub(self.kept.len()));
        self.kept.extend_from_slice(&bytes[..kept]);
        let left = left - here as u64;
        self.left = (left > 0).then_some(left);
        Ok((left == 0).then(|| Text(Some(std::mem::take(&mut self.kept)))))
    }

    /// Where data stand: a state byte, then a position, lowest byte first.
    pub(super) fn offset(&mut self, input: &mut &[u8]) -> Result<Option<Offset>> {
        while let Some(byte) = Self::byte(input) {
            if self.seen == 0 {
                self.kept.push(byte);
            } else {
                self.value |= u64::from(byte) << (8 * (self.seen - 1));
            }
            self.seen += 1;
            if self.seen > self.offset_size {
                self.seen = 0;
                let position = std::mem::take(&mut self.value);
                return match self.kept.pop() {
                    Some(1) => Ok(Some(Offset::Unknown)),
                    Some(2) => Ok(Some(Offset::At(position))),
                    Some(3) => Ok(Some(Offset::NoData)),
                    _ => Err(invalid("an entry of the archive does not say whether it has data")),
                };
            }
        }
        Ok(None)
    }
}

/// A length that the archive tells.
pub(super) fn length_of(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| invalid(format!("the archive tells a length of {value} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanner() -> Scanner {
        Scanner::new(4, 8).unwrap()
    }

    #[test]
    fn values_come_together_from_single_bytes() {
        let mut scanner = scanner();
        for mut byte in [0u8, 2, 0, 0].chunks(1) {
            assert_eq!(scanner.text(&mut byte, 10).unwrap(), None);
        }
        assert_eq!(scanner.text(&mut &[0, b'a'][..], 10).unwrap(), None);
        assert_eq!(scanner.text(&mut &b"b"[..], 10).unwrap(), Some(Text(Some(b"ab".to_vec()))));
    }

    #[test]
    fn an_integer_may_be_negative_and_a_string_null() {
        assert_eq!(scanner().int(&mut &[1, 0, 1, 0, 0][..]).unwrap(), Some(-256));
        assert_eq!(scanner().text(&mut &[1, 1, 0, 0, 0][..], 10).unwrap(), Some(Text(None)));
        assert!(scanner().text(&mut &[1, 2, 0, 0, 0][..], 10).is_err());
        assert!(scanner().int(&mut &[2, 0, 0, 0, 0][..]).is_err());
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        let mut scanner = scanner();
        assert_eq!(scanner.text(&mut &[0, 0xff, 0xff, 0xff, 0x7f, b'x'][..], 10).unwrap(), None);
        assert!(scanner.kept.capacity() <= 64);
    }

    #[test]
    fn an_offset_says_whether_there_are_data() {
        let read = |state: u8| scanner().offset(&mut &[state, 5, 1, 0, 0, 0, 0, 0, 0][..]);
        assert_eq!(read(2).unwrap(), Some(Offset::At(261)));
        assert_eq!(read(3).unwrap(), Some(Offset::NoData));
        assert!(read(4).is_err());
    }
}
