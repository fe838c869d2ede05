//! What is shaped like a secret, without being known as one.

use std::ops::Range;

use memchr::memmem;

/// Words that a secret follows, in lower case.
const KEYS: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "private_key",
    "master_key",
    "identified by",
];

/// Where values stand that are assigned to a word like `password`.
pub(super) fn assigned(text: &str) -> Vec<Range<usize>> {
    let lower = text.to_ascii_lowercase();
    let mut found = Vec::new();
    for key in KEYS {
        found.extend(
            memmem::find_iter(lower.as_bytes(), key).filter_map(|at| value_after(text, at + key.len())),
        );
    }
    found
}

/// The value after a key that ends at `end`: anything after `=`, else only what is quoted, so that
/// "password authentication failed" stays readable.
fn value_after(text: &str, end: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let skip_spaces = |mut at: usize| {
        while bytes.get(at) == Some(&b' ') {
            at += 1;
        }
        at
    };
    let mut at = end;
    if matches!(bytes.get(at), Some(b'"' | b'\''))
        && matches!(bytes.get(skip_spaces(at + 1)), Some(b':' | b'='))
    {
        at += 1;
    }
    at = skip_spaces(at);
    let sign = bytes.get(at).copied();
    if matches!(sign, Some(b'=' | b':')) {
        at = skip_spaces(at + 1);
    }
    match bytes.get(at) {
        Some(&quote @ (b'"' | b'\'')) => Some(at + 1..quoted_end(bytes, at + 1, quote)),
        Some(_) if sign == Some(b'=') => {
            let length = text[at..]
                .find(|c: char| c.is_whitespace() || matches!(c, '&' | ';' | ',' | '"' | '\'' | ')' | '}'))
                .unwrap_or(text.len() - at);
            (length > 0).then_some(at..at + length)
        }
        _ => None,
    }
}

/// Where a quoted value ends; a quote that is doubled or after a backslash belongs to it.
fn quoted_end(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b if b == quote && bytes.get(at + 1) == Some(&quote) => at += 1,
            b if b == quote => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Where passwords stand in `scheme://user:password@host`. A password with an unescaped `@` or `/` is
/// covered too, at the price of hiding more than needed of an odd URL.
pub(super) fn userinfo(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for at in memmem::find_iter(text.as_bytes(), "://") {
        let start = at + 3;
        let url = &text[start..];
        let url = &url
            [..url.find(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>')).unwrap_or(url.len())];
        let before_query = &url[..url.find(['?', '#']).unwrap_or(url.len())];
        let Some(host) = before_query.rfind('@').or_else(|| url.rfind('@')) else { continue };
        if let Some(colon) = url[..host].find(':') {
            found.push(start + colon + 1..start + host);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::Redactor;

    fn redact(text: &str) -> String {
        Redactor::default().redact(text)
    }

    #[test]
    fn what_is_shaped_like_a_secret_is_hidden_without_being_known() {
        for (text, expected) in [
            ("host=db password=hunter2 port=1", "host=db password=*** port=1"),
            ("password = 'a b\\'c' sslmode=x", "password = '***' sslmode=x"),
            ("PGPASSWORD=hunter2 pg_dump", "PGPASSWORD=*** pg_dump"),
            ("MYSQL_PWD=x;y", "MYSQL_PWD=***;y"),
            ("--password=hunter2", "--password=***"),
            ("?user=a&password=b&x=c", "?user=a&password=***&x=c"),
            (r#"{"password": "a\"b", "n": 1}"#, r#"{"password": "***", "n": 1}"#),
            ("ALTER ROLE x PASSWORD 'it''s' LOGIN", "ALTER ROLE x PASSWORD '***' LOGIN"),
            ("IDENTIFIED BY 'x'", "IDENTIFIED BY '***'"),
            ("postgres://me:hunter2@db:5432/x", "postgres://me:***@db:5432/x"),
            ("mongodb://me:p@ss/w@db/x", "mongodb://me:***@db/x"),
            ("postgres://me@db/x", "postgres://me@db/x"),
            ("postgres://me:p?w@db/x", "postgres://me:***@db/x"),
            ("postgres://me:pw@db/x?n=a@b", "postgres://me:***@db/x?n=a@b"),
            ("https://db:5432/path", "https://db:5432/path"),
        ] {
            assert_eq!(redact(text), expected);
        }
    }

    #[test]
    fn a_servers_complaint_about_a_password_stays_readable() {
        let text = "FATAL: password authentication failed for user \"me\"";
        assert_eq!(redact(text), text);
    }
}
