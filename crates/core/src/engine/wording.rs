//! How errors and fingerprints show what a dump holds.

use std::fmt::Write as _;

use crate::error::{Error, ErrorKind};

/// What every error of the dump observers names as its operation.
const OPERATION: &str = "read the dump";

/// These bytes can no dump hold.
pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, OPERATION, message)
}

/// The dump ended too early.
pub(super) fn incomplete(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Incomplete, OPERATION, message)
        .with_mend("the dump was cut off: dump again, and look at what the dump tool or the network said")
}

/// A dump that ends among a table's rows.
pub(super) fn cut_off(table: &str, rows: u64) -> Error {
    let noun = if rows == 1 { "row" } else { "rows" };
    incomplete(format!("the dump ends inside table {} after {} {noun}", one_line(table), grouped(rows)))
}

/// Text for bytes of any encoding: what is not UTF-8 becomes `\xHH`, so that different names stay
/// different.
pub(super) fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
    text
}

/// A name for a one-line message: control characters escaped, and never long.
pub(super) fn one_line(name: &str) -> String {
    let mut line = String::new();
    for character in name.chars().take(150) {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// `5012` as `5,012`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_utf_8_stay_different() {
        assert_eq!(readable(b"caf\xe9"), "caf\\xE9");
        assert_eq!(one_line("a\nb"), "a\\nb");
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!([0, 999, 5012, 1_234_567].map(grouped), ["0", "999", "5,012", "1,234,567"]);
    }
}
