//! What tools and servers say, made fit for errors and logs.
//!
//! Three things happen to such text before anybody reads it: secrets are replaced, control characters
//! are escaped (a hostile server's message must not write terminal codes into a log), and it is cut to
//! a bearable length. Always in that order: a cut through the middle of a secret would leave half of
//! it unrecognised.

mod shapes;
mod tail;

use std::ops::Range;

use memchr::memmem;

pub use tail::LogTail;

const MASK: &str = "***";
const DROPPED: &str = "[…]\n";

/// Knows the secrets of one job and takes them, and whatever is shaped like a secret, out of text.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Every form in which a secret may be printed, longest first.
    forms: Vec<String>,
}

impl Redactor {
    /// Knows these secrets, as they are and as they appear in URLs, SQL strings and escaped text. Empty
    /// ones are ignored; a very short one makes text hard to read, and is replaced all the same.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms: Vec<String> = secrets.into_iter().flat_map(forms_of).collect();
        forms.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self { forms }
    }

    /// Replaces every secret by `***`, then what stands where a secret would: after `password=` and its
    /// kin (`PGPASSWORD=`, `"token": "`, `PASSWORD '`), and in `scheme://user:here@host`.
    pub fn redact(&self, text: &str) -> String {
        self.redact_from(text, 0)
    }

    /// The same, with the first `doubtful` bytes hidden whatever they are.
    fn redact_from(&self, text: &str, doubtful: usize) -> String {
        let mut hidden = Vec::new();
        if doubtful > 0 {
            hidden.push(0..text.ceil_char_boundary(doubtful));
        }
        for form in &self.forms {
            let mut from = 0;
            // Occurrences may overlap: the search goes on one character after the last beginning.
            while let Some(at) = memmem::find(&text.as_bytes()[from..], form.as_bytes()) {
                hidden.push(from + at..from + at + form.len());
                from += at + first_char_len(form);
            }
        }
        let known = mask(text, hidden);
        let mut shaped = shapes::assigned(&known);
        shaped.extend(shapes::userinfo(&known));
        mask(&known, shaped)
    }

    /// A tool's output as several readable lines: UTF-8 as far as it goes, redacted, control characters
    /// escaped, and of that the last whole lines within `max_bytes`.
    pub fn clean(&self, output: &[u8], max_bytes: usize) -> String {
        let text = escape_controls(&self.redact(&String::from_utf8_lossy(output)));
        last_bytes(text.trim_end(), max_bytes)
    }

    /// The same in one line, for an error's message: lines are joined by `; `.
    pub fn message(&self, output: &[u8], max_bytes: usize) -> String {
        let text = self.clean(output, usize::MAX);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        last_bytes(&lines.join("; "), max_bytes)
    }

    /// Bytes of the longest form of a secret.
    fn longest(&self) -> usize {
        self.forms.first().map_or(0, String::len)
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor(***)")
    }
}

/// Makes control characters, terminal codes and direction marks visible. Line ends and tabs stay.
pub fn escape_controls(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\r' if rest.peek() == Some(&'\n') => {}
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || reorders(c) => escaped.extend(c.escape_default()),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Characters that are not controls and yet change the order or the lines of what is shown.
fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The last bytes of a text, from a line's beginning where there is one, else from a character's.
fn last_bytes(text: &str, max_bytes: usize) -> String {
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let room = max_bytes.saturating_sub(DROPPED.len());
    let mut start = text.len() - room;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let tail = &text[start..];
    let whole_lines = tail.split_once('\n').map_or(tail, |(_, lines)| lines);
    if text.contains('\n') { format!("{DROPPED}{whole_lines}") } else { format!("[…] {tail}") }
}

fn first_char_len(text: &str) -> usize {
    text.chars().next().map_or(1, char::len_utf8)
}

fn forms_of(secret: &str) -> Vec<String> {
    if secret.is_empty() {
        return Vec::new();
    }
    vec![
        secret.to_owned(),
        percent_encode(secret, true),
        percent_encode(secret, false),
        percent_encode(secret, true).replace("%20", "+"),
        secret.replace('\'', "''"),
        secret.replace('\\', "\\\\").replace('\'', "\\'"),
        secret.replace('\\', "\\\\").replace('"', "\\\""),
    ]
}

fn percent_encode(secret: &str, upper: bool) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::new();
    for byte in secret.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        // Writing to a string cannot fail.
        let _ = match (plain, upper) {
            (true, _) => write!(encoded, "{}", char::from(byte)),
            (false, true) => write!(encoded, "%{byte:02X}"),
            (false, false) => write!(encoded, "%{byte:02x}"),
        };
    }
    encoded
}

/// Replaces ranges, joined where they overlap or touch.
fn mask(text: &str, mut hidden: Vec<Range<usize>>) -> String {
    hidden.sort_unstable_by_key(|range| range.start);
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    for range in hidden {
        if range.end <= at {
            continue;
        }
        if range.start > at || at == 0 {
            masked.push_str(&text[at..range.start]);
            masked.push_str(MASK);
        }
        at = range.end;
    }
    masked.push_str(&text[at..]);
    masked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redact(secrets: &[&str], text: &str) -> String {
        Redactor::new(secrets.iter().copied()).redact(text)
    }

    #[test]
    fn a_secret_is_hidden_as_it_is_and_as_urls_and_sql_write_it() {
        let secret = "p@ss w'rd/é";
        for shown in [
            "p@ss w'rd/é",
            "p%40ss%20w%27rd%2F%C3%A9",
            "p%40ss%20w%27rd%2f%c3%a9",
            "p%40ss+w%27rd%2F%C3%A9",
            "p@ss w''rd/é",
            "p@ss w\\'rd/é",
        ] {
            assert_eq!(redact(&[secret], &format!("cannot use {shown} here")), "cannot use *** here");
        }
    }

    #[test]
    fn overlapping_secrets_leave_nothing_of_either() {
        assert_eq!(redact(&["abc", "bcdef"], "x abcdef y"), "x *** y");
        assert_eq!(redact(&["aa"], "baaab"), "b***b");
        assert_eq!(redact(&["abc", "abcdef"], "abcdef abc"), "*** ***");
    }

    #[test]
    fn empty_secrets_are_ignored() {
        assert_eq!(redact(&["", ""], "as it was"), "as it was");
    }

    #[test]
    fn control_characters_become_visible() {
        let clean =
            Redactor::default().clean(b"a\x1b[31mred\x07\r\nb\tc\rd\xc2\x9be\xff\xe2\x80\xae\n", 1000);
        assert_eq!(clean, "a\\u{1b}[31mred\\u{7}\nb\tc\\rd\\u{9b}e\u{fffd}\\u{202e}");
    }

    #[test]
    fn a_message_is_one_line_and_not_too_long() {
        let redactor = Redactor::new(["hunter2"]);
        assert_eq!(redactor.message(b"\n first\n\n  second hunter2 \n", 100), "first; second ***");
        let long = redactor.message("é".repeat(1000).as_bytes(), 50);
        assert!(long.len() <= 50 && long.starts_with("[…] é"), "{long}");
    }

    proptest! {
        #[test]
        fn no_secret_survives_in_any_text(
            secret in "[ -~é]{3,12}",
            before in "\\PC{0,40}",
            after in "\\PC{0,40}",
        ) {
            // A mask is not a leak, though a secret could look like one.
            prop_assume!(!secret.contains('*'));
            let redacted = redact(&[&secret], &format!("{before}{secret}{after}"));
            prop_assert!(!redacted.contains(&secret), "{redacted}");
        }

        #[test]
        fn any_bytes_come_out_bounded_and_without_controls(bytes: Vec<u8>, max in 8_usize..200) {
            let text = Redactor::new(["ab"]).clean(&bytes, max);
            prop_assert!(text.len() <= max.max(DROPPED.len()));
            prop_assert!(text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
        }
    }
}
