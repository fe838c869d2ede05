//! Values in words: text from elsewhere, sizes, times and durations.

use respaldo_core::redact::escape_controls;
use serde_json::Value;

/// A field's text as it may be shown in a terminal; empty where there is none.
pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().map(plain).unwrap_or_default()
}

/// Text from elsewhere in one line, without what would steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    escape_controls(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// A document for programs. Characters that would steer a terminal are escaped as JSON allows.
pub(crate) fn json_text(value: &Value) -> String {
    let printed = format!("{value:#}");
    printed.chars().fold(String::with_capacity(printed.len()), |mut safe, c| {
        // Line ends stand between the parts only: inside texts JSON has escaped them.
        if c == '\n' || escape_controls(c.encode_utf8(&mut [0; 4])).len() == c.len_utf8() {
            safe.push(c);
        } else {
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        }
        safe
    })
}

/// Bytes for people to read, in powers of 1,000.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    let Some(power) = bytes.checked_ilog10().map(|digits| digits / 3).filter(|power| *power > 0) else {
        return format!("{bytes} B");
    };
    let tenths = bytes / (1_000_u64.pow(power) / 10);
    let unit = usize::try_from(power - 1).ok().and_then(|n| units.get(n)).copied().unwrap_or_default();
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// An instant in UTC, to the second, said plainly; `-` where there is none.
pub(crate) fn time(value: &Value) -> String {
    let Some(text) = value.as_str() else { return "-".to_owned() };
    match text.parse::<jiff::Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Err(_) => plain(text),
    }
}

/// A span for people to read; empty for what is none.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return String::new();
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is finite and not negative"
    )]
    let whole = seconds.round() as u64;
    let (hours, minutes, rest) = (whole / 3_600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours} h {minutes} min") } else { format!("{minutes} min {rest} s") }
}

/// `1 backup`, `2 backups`.
pub(crate) fn count(number: u64, one: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {one}{s}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        for (bytes, told) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (1_550_000, "1.5 MB"),
            (999_999_999, "999.9 MB"),
            (7_000_000_000, "7.0 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), told);
        }
    }

    #[test]
    fn spans_are_told_in_the_unit_that_fits() {
        for (seconds, told) in [
            (0.04, "0.0 s"),
            (2.5, "2.5 s"),
            (59.99, "1 min 0 s"),
            (184.2, "3 min 4 s"),
            (7_500.0, "2 h 5 min"),
        ] {
            assert_eq!(duration(seconds), told);
        }
        assert_eq!(duration(f64::NAN), "");
    }

    #[test]
    fn instants_are_told_in_utc_and_say_so() {
        assert_eq!(time(&json!("2026-01-02T03:04:05.678+01:00")), "2026-01-02 02:04:05Z");
        assert_eq!(time(&json!(null)), "-");
        assert_eq!(time(&json!("\u{1b}[2J")), "\\u{1b}[2J");
    }

    #[test]
    fn a_document_is_the_same_json_without_a_character_that_steers_a_terminal() {
        let value = json!({"name": "a\u{9b}2Jb\u{202e}c\u{1b}\u{7f}", "list": [1, 2.5, "ä"]});
        let printed = json_text(&value);
        assert!(!printed.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{printed:?}");
        assert!(printed.contains('ä'), "{printed}");
        assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), value);
    }

    #[test]
    fn text_from_elsewhere_is_one_line() {
        assert_eq!(plain("a\nb\tc\r\nd\u{1b}[0m"), "a\\nb\\tc\\nd\\u{1b}[0m");
    }
}
