//! What the beginning of a dump tells of its database's encoding and locale.
//!
//! Every dump says in which encoding it speaks, which is the database's. An archive of the custom format holds
//! the statement that makes the database besides, with its locale; a plain dump does not tell it.

use memchr::memmem;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Clues {
    pub(super) encoding: Option<String>,
    /// `LC_COLLATE` (and, where it differs, the character types of the system go with it).
    pub(super) locale: Option<String>,
    pub(super) ctype: Option<String>,
    /// `libc`, `icu` or `builtin`.
    pub(super) provider: Option<String>,
    pub(super) icu: Option<String>,
}

impl Clues {
    /// Reads the beginning of a dump of either format.
    pub(super) fn of(head: &[u8]) -> Self {
        let made = statement(head).unwrap_or_default();
        let after = |name: &str| value(made, name);
        Self {
            encoding: value(head, "SET client_encoding = "),
            locale: after(" LC_COLLATE = ").or_else(|| after(" LOCALE = ")),
            ctype: after(" LC_CTYPE = "),
            provider: word(made, " LOCALE_PROVIDER = "),
            icu: after(" ICU_LOCALE = "),
        }
    }

    /// The statement that makes such a database.
    pub(super) fn create(&self, database: &str, locale: Option<&str>) -> String {
        let mut sql = format!("CREATE DATABASE \"{}\" TEMPLATE template0", database.replace('"', "\"\""));
        let mut set = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                sql.push_str(&format!(" {name} '{}'", value.replace('\'', "''")));
            }
        };
        set("ENCODING", Some(self.encoding.as_deref().unwrap_or("UTF8")));
        set("LC_COLLATE", locale);
        set("LC_CTYPE", self.ctype.as_deref().filter(|_| locale == self.locale.as_deref()).or(locale));
        if let Some(icu) = self.icu.as_deref().filter(|_| self.provider.as_deref() == Some("icu")) {
            set("LOCALE_PROVIDER", Some("icu"));
            set("ICU_LOCALE", Some(icu));
        }
        sql
    }
}

/// The statement `CREATE DATABASE … ;` of an archive's table of contents.
fn statement(head: &[u8]) -> Option<&[u8]> {
    let from = memmem::find(head, b"CREATE DATABASE ")?;
    let length = memchr::memchr(b';', &head[from..])?;
    head.starts_with(b"PGDMP").then(|| &head[from..from + length])
}

/// The quoted text after `name`. Names of encodings and locales hold no quotes.
fn value(text: &[u8], name: &str) -> Option<String> {
    let rest = &text[memmem::find(text, name.as_bytes())? + name.len()..];
    let rest = rest.strip_prefix(b"'")?;
    let found = std::str::from_utf8(&rest[..memchr::memchr(b'\'', rest)?]).ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@ ".contains(c);
    (!found.is_empty() && found.chars().all(plain)).then(|| found.to_owned())
}

fn word(text: &[u8], name: &str) -> Option<String> {
    let rest = &text[memmem::find(text, name.as_bytes())? + name.len()..];
    let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    std::str::from_utf8(&rest[..length]).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_tells_encoding_and_locale_and_a_plain_dump_the_encoding() {
        let plain = b"--\n-- PostgreSQL database dump\n--\nSET client_encoding = 'LATIN1';\nCREATE DATABASE x LOCALE = 'y';";
        let clues = Clues::of(plain);
        assert_eq!(clues, Clues { encoding: Some("LATIN1".to_owned()), ..Clues::default() });
        let archive =
            b"PGDMP\x01\x0eSET client_encoding = 'UTF8';\n\0CREATE DATABASE \"a\" WITH TEMPLATE = template0 \
            ENCODING = 'UTF8' LOCALE_PROVIDER = icu LOCALE = 'en_US.UTF-8' ICU_LOCALE = 'de-DE';\n";
        let clues = Clues::of(archive);
        assert_eq!(clues.locale.as_deref(), Some("en_US.UTF-8"));
        assert_eq!((clues.provider.as_deref(), clues.icu.as_deref()), (Some("icu"), Some("de-DE")));
        let sql = clues.create("scratch", clues.locale.as_deref());
        assert!(sql.ends_with("LC_CTYPE 'en_US.UTF-8' LOCALE_PROVIDER 'icu' ICU_LOCALE 'de-DE'"), "{sql}");
    }

    #[test]
    fn what_is_no_name_of_an_encoding_reaches_no_statement() {
        for junk in
            ["SET client_encoding = 'x; DROP'';", "SET client_encoding = x", "SET client_encoding = '"]
        {
            assert_eq!(Clues::of(junk.as_bytes()).encoding, None, "{junk}");
        }
    }
}
