//! The end of what a tool prints.

use std::collections::VecDeque;

use super::{DROPPED, Redactor, escape_controls, last_bytes};

/// Keeps the end of a tool's output, within bounded memory however much it prints.
#[derive(Debug)]
pub struct LogTail {
    redactor: Redactor,
    max_bytes: usize,
    max_lines: usize,
    kept: VecDeque<u8>,
    dropped: bool,
}

impl LogTail {
    /// Keeps the last `max_lines` lines, and of them the last `max_bytes` bytes.
    pub fn new(redactor: Redactor, max_lines: usize, max_bytes: usize) -> Self {
        Self { redactor, max_bytes, max_lines, kept: VecDeque::new(), dropped: false }
    }

    /// Adds output as it comes.
    pub fn push(&mut self, output: &[u8]) {
        // Room for a secret across the edge: it is recognised whole, and only then cut away.
        let room = self.max_bytes + self.redactor.longest();
        let output = if output.len() > room {
            self.dropped = true;
            &output[output.len() - room..]
        } else {
            output
        };
        let excess = (self.kept.len() + output.len()).saturating_sub(room);
        if excess > 0 {
            self.dropped = true;
            self.kept.drain(..excess);
        }
        self.kept.extend(output);
    }

    /// The tail, redacted and escaped; it begins with `[…]` when something is missing before it.
    pub fn text(&self) -> String {
        // The rest of a character that was cut would become longer when it is replaced.
        let kept: Vec<u8> = self.kept.iter().copied().skip_while(|byte| byte & 0xc0 == 0x80).collect();
        // Where output was dropped, what is left may begin inside a secret that is no longer recognised.
        let doubtful = if self.dropped { self.redactor.longest().saturating_sub(1) } else { 0 };
        let redacted = self.redactor.redact_from(&String::from_utf8_lossy(&kept), doubtful);
        let whole = if self.dropped { after_partial_line(&redacted) } else { &redacted };
        let text = last_bytes(escape_controls(whole).trim_end(), self.max_bytes);
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.len().saturating_sub(self.max_lines);
        let missing = (self.dropped || first > 0) && !text.starts_with(DROPPED);
        format!("{}{}", if missing { DROPPED } else { "" }, lines[first..].join("\n"))
    }
}

/// The text from its first whole line on; all of it when it has only one.
fn after_partial_line(text: &str) -> &str {
    text.trim_end().split_once('\n').map_or(text, |(_, lines)| lines)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tail_keeps_the_last_lines_and_says_what_is_missing() {
        let mut tail = LogTail::new(Redactor::new(["hunter2"]), 2, 1000);
        tail.push(b"one\ntwo hun");
        tail.push(b"ter2\nthree\n");
        assert_eq!(tail.text(), "[…]\ntwo ***\nthree");
        let mut all = LogTail::new(Redactor::default(), 10, 1000);
        all.push(b"one\ntwo\n");
        assert_eq!(all.text(), "one\ntwo");
    }

    #[test]
    fn a_tail_never_shows_the_rest_of_a_secret_that_was_cut() {
        let secret = "S3CRET€€€€S3CRET";
        for pad in 0..120 {
            let mut tail = LogTail::new(Redactor::new([secret]), 100, 64);
            tail.push(format!("{}{secret}{}", "x".repeat(40), "y".repeat(pad)).as_bytes());
            let text = tail.text();
            assert!(!text.contains('€') && !text.contains("CRET") && !text.contains("ET"), "{pad}: {text}");
            assert!(text.len() <= 64 + DROPPED.len(), "{pad}: {text}");
        }
    }

    proptest! {
        #[test]
        fn a_tail_is_bounded_whatever_comes(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
        ) {
            let mut tail = LogTail::new(Redactor::new(["ab", "password"]), 5, 100);
            for chunk in &chunks {
                tail.push(chunk);
            }
            prop_assert!(tail.kept.len() <= 108 * 3);
            let text = tail.text();
            prop_assert!(text.len() <= 100 + DROPPED.len() && text.lines().count() <= 6, "{text:?}");
        }
    }
}
