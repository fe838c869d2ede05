//! Table names as `pg_dump` writes them, and how messages show them.

pub(super) use crate::engine::wording::{cut_off, incomplete, invalid, one_line, readable};

/// The pseudo-table under which a fingerprint counts large objects, a row each.
pub const LARGE_OBJECTS: &str = "pg_catalog.pg_largeobject";

/// The table name that `text` starts with, quotes kept; put into `schema` when it names none itself,
/// as dumps made before 2018 do.
pub(super) fn qualified(text: &[u8], schema: Option<&str>) -> Option<String> {
    let first = identifier(text)?;
    let rest = &text[first.len()..];
    if let Some(after_dot) = rest.strip_prefix(b".") {
        let second = identifier(after_dot)?;
        return Some(readable(&text[..first.len() + 1 + second.len()]));
    }
    Some(match schema {
        Some(schema) => format!("{schema}.{}", readable(first)),
        None => readable(first),
    })
}

/// The identifier that `text` starts with, as it is written.
pub(super) fn identifier(text: &[u8]) -> Option<&[u8]> {
    let end = if text.first() == Some(&b'"') {
        let mut end = 1;
        loop {
            end += memchr::memchr(b'"', text.get(end..)?)? + 1;
            if text.get(end) != Some(&b'"') {
                break end;
            }
            end += 1;
        }
    } else {
        text.iter().position(|&byte| !is_word_byte(byte)).unwrap_or(text.len())
    };
    (end > 0).then(|| &text[..end])
}

/// Whether an unquoted identifier may hold the byte.
pub(super) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// A bare name in the spelling that `pg_dump` would use for it, keywords aside.
pub(super) fn quoted(name: &[u8]) -> String {
    let plain = name.first().is_some_and(|&byte| byte.is_ascii_lowercase() || byte == b'_')
        && name.iter().all(|&byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let name = readable(name);
    if plain { name } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_quotes_and_dots_inside_them() {
        let read = |text: &str| qualified(text.as_bytes(), None);
        assert_eq!(read("public.orders (id)").as_deref(), Some("public.orders"));
        assert_eq!(read(r#""a "".b"."c (d)" FROM"#).as_deref(), Some(r#""a "".b"."c (d)""#));
        assert_eq!(read(r#""never closed"#), None);
        assert_eq!(read("(SELECT 1)"), None);
    }

    #[test]
    fn a_name_without_schema_takes_the_search_path_s() {
        assert_eq!(qualified(b"orders (id)", Some("\"My\"")).as_deref(), Some("\"My\".orders"));
        assert_eq!(qualified(b"a.orders (id)", Some("\"My\"")).as_deref(), Some("a.orders"));
    }

    #[test]
    fn names_are_quoted_only_where_they_must_be() {
        assert_eq!(quoted(b"orders_2"), "orders_2");
        assert_eq!(quoted(b"a\"B"), "\"a\"\"B\"");
        assert_eq!(quoted(b"2nd"), "\"2nd\"");
    }
}
