//! Stored bytes as HTTP sends them: ranges, validators, digests and file names (RFC 9110, 9530, 6266).

use std::ops::Range;

use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use respaldo_core::{Error, Result};

use crate::Problem;
use crate::page::percent;

const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// A file to send.
#[derive(Debug, Clone)]
pub struct File<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of its bytes, in hex.
    pub sha256: &'a str,
}

/// What to send of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of it.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Nothing: the caller has it.
    NotModified,
}

impl Selection {
    /// The bytes to send.
    pub fn range(&self, length: u64) -> Range<u64> {
        match self {
            Self::Whole => 0..length,
            Self::Part(range) => range.clone(),
            Self::NotModified => 0..0,
        }
    }

    /// The same; none where no byte is to be sent because the caller has them.
    pub fn wanted(&self, length: u64) -> Option<Range<u64>> {
        (*self != Self::NotModified).then(|| self.range(length))
    }
}

impl File<'_> {
    fn etag(&self) -> String {
        format!("\"{}\"", self.sha256)
    }

    /// Decides what a request's headers ask for.
    ///
    /// # Errors
    /// 412 when `If-Match` names other bytes, 416 when the range lies outside.
    pub fn select(&self, request: &HeaderMap) -> Result<Selection, Problem> {
        let etag = self.etag();
        if let Some(wanted) = text(request, &IF_MATCH)
            && !lists(wanted, &etag, false)
        {
            let title = "It is not what was expected";
            let detail = "these are not the bytes that If-Match names";
            return Err(Problem::new(StatusCode::PRECONDITION_FAILED, "precondition", title, detail));
        }
        if text(request, &IF_NONE_MATCH).is_some_and(|had| lists(had, &etag, true)) {
            return Ok(Selection::NotModified);
        }
        if text(request, &IF_RANGE).is_some_and(|had| had.trim() != etag) {
            return Ok(Selection::Whole);
        }
        match text(request, &RANGE).map_or(Asked::Whole, |range| asked(range, self.length)) {
            Asked::Whole => Ok(Selection::Whole),
            Asked::Part(range) => Ok(Selection::Part(range)),
            Asked::Outside => Err(self.outside()),
        }
    }

    fn outside(&self) -> Problem {
        let detail = format!("the range lies outside of the {} bytes", self.length);
        let problem =
            Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", "The range is outside", detail);
        match HeaderValue::try_from(format!("bytes */{}", self.length)) {
            Ok(value) => problem.with_header(CONTENT_RANGE, value),
            Err(_) => problem,
        }
    }

    /// The status and the headers of the answer.
    pub fn head(&self, selection: &Selection) -> Result<(StatusCode, HeaderMap)> {
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: String| {
            let value =
                HeaderValue::try_from(value).map_err(|error| Error::internal("send a file", error))?;
            headers.insert(name, value);
            Ok::<_, Error>(())
        };
        set(ETAG, self.etag())?;
        set(ACCEPT_RANGES, "bytes".to_owned())?;
        // Private and revalidated: an artifact must not outlive its deletion in a shared cache.
        set(CACHE_CONTROL, "private, no-cache".to_owned())?;
        if *selection == Selection::NotModified {
            return Ok((StatusCode::NOT_MODIFIED, headers));
        }
        let digest = hex::decode(self.sha256).map_err(|error| Error::internal("send a file", error))?;
        let range = selection.range(self.length);
        set(REPR_DIGEST, format!("sha-256=:{}:", STANDARD.encode(digest)))?;
        set(CONTENT_TYPE, "application/octet-stream".to_owned())?;
        set(X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned())?;
        set(CONTENT_DISPOSITION, disposition(self.name))?;
        set(CONTENT_LENGTH, (range.end - range.start).to_string())?;
        if let Selection::Part(range) = selection {
            set(CONTENT_RANGE, format!("bytes {}-{}/{}", range.start, range.end - 1, self.length))?;
            return Ok((StatusCode::PARTIAL_CONTENT, headers));
        }
        Ok((StatusCode::OK, headers))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether a list of entity tags holds this one. A weak comparison looks past `W/`.
fn lists(list: &str, etag: &str, weak: bool) -> bool {
    list.split(',').map(str::trim).any(|item| {
        let item = if weak { item.strip_prefix("W/").unwrap_or(item) } else { item };
        item == "*" || item == etag
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part(Range<u64>),
    Outside,
}

/// Reads a `Range`. One that is malformed, of another unit, or of several ranges counts as absent,
/// which the RFC allows.
fn asked(header: &str, length: u64) -> Asked {
    let Some((unit, range)) = header.split_once('=') else { return Asked::Whole };
    let Some((first, last)) = range.trim().split_once('-') else { return Asked::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    let (start, end) = match (position(first), position(last)) {
        (Position::At(first), Position::At(last)) if first <= last => {
            (first, last.saturating_add(1).min(length))
        }
        (Position::At(first), Position::Absent) => (first, length),
        (Position::Absent, Position::At(0)) => return Asked::Outside,
        (Position::Absent, Position::At(suffix)) => (length.saturating_sub(suffix), length),
        _ => return Asked::Whole,
    };
    if start >= length { Asked::Outside } else { Asked::Part(start..end) }
}

enum Position {
    Absent,
    /// Too large numbers are the largest.
    At(u64),
    Unreadable,
}

fn position(text: &str) -> Position {
    match text {
        "" => Position::Absent,
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Position::At(text.parse().unwrap_or(u64::MAX))
        }
        _ => Position::Unreadable,
    }
}

/// `attachment` with the name in ASCII for old clients and in UTF-8 for the others.
pub(crate) fn disposition(name: &str) -> String {
    let plain =
        |character: char| character.is_ascii_graphic() && !matches!(character, '"' | '\\' | '%' | ';');
    let ascii: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    if ascii == name {
        return format!("attachment; filename=\"{ascii}\"");
    }
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{}", percent(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHA: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const FILE: File<'static> = File { name: "postgres_x_20260102_030405.sql.gz", length: 1000, sha256: SHA };

    fn request(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_range_is_read_as_the_rfc_says() {
        for (header, expected) in [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=0-499", Asked::Part(0..500)),
            ("bytes=500-", Asked::Part(500..1000)),
            ("bytes=-1", Asked::Part(999..1000)),
            ("bytes=-5000", Asked::Part(0..1000)),
            ("bytes=999-99999999999999999999999", Asked::Part(999..1000)),
            ("bytes=1000-", Asked::Outside),
            ("bytes=-0", Asked::Outside),
            ("bytes=5-4", Asked::Whole),
            ("bytes=0-1,5-6", Asked::Whole),
            ("lines=0-1", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes", Asked::Whole),
        ] {
            assert_eq!(asked(header, 1000), expected, "{header}");
        }
        assert_eq!(asked("bytes=0-", 0), Asked::Outside);
    }

    #[test]
    fn if_range_sends_the_part_only_of_the_same_bytes() {
        let same = request(&[(RANGE, "bytes=1-2"), (IF_RANGE, &format!("\"{SHA}\""))]);
        assert_eq!(FILE.select(&same).unwrap(), Selection::Part(1..3));
        for other in ["\"other\"", &format!("W/\"{SHA}\""), "Wed, 21 Oct 2026 07:28:00 GMT"] {
            let request = request(&[(RANGE, "bytes=1-2"), (IF_RANGE, other)]);
            assert_eq!(FILE.select(&request).unwrap(), Selection::Whole, "{other}");
        }
    }

    #[test]
    fn a_caller_who_has_the_bytes_gets_304() {
        for had in [format!("\"{SHA}\""), format!("\"x\", W/\"{SHA}\""), "*".to_owned()] {
            let selection = FILE.select(&request(&[(IF_NONE_MATCH, &had)])).unwrap();
            assert_eq!(FILE.head(&selection).unwrap().0, StatusCode::NOT_MODIFIED, "{had}");
        }
    }

    #[test]
    fn other_bytes_than_expected_are_412_and_a_range_outside_is_416() {
        let problem = FILE.select(&request(&[(IF_MATCH, "\"other\"")])).unwrap_err();
        assert_eq!(problem.status(), StatusCode::PRECONDITION_FAILED);
        let problem = FILE.select(&request(&[(RANGE, "bytes=1000-")])).unwrap_err();
        assert_eq!(problem.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    }

    #[test]
    fn a_part_tells_its_place_its_length_and_the_digest_of_the_whole() {
        let (status, headers) = FILE.head(&Selection::Part(10..20)).unwrap();
        assert_eq!(status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(headers[CONTENT_RANGE], "bytes 10-19/1000");
        assert_eq!(headers[CONTENT_LENGTH], "10");
        assert_eq!(headers[REPR_DIGEST], "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:");
        assert!(!headers.contains_key("content-encoding"));
    }

    #[test]
    fn a_file_name_survives_old_and_new_clients() {
        assert_eq!(disposition("a_1.sql.gz"), "attachment; filename=\"a_1.sql.gz\"");
        assert_eq!(
            disposition("año \"x\".db"),
            "attachment; filename=\"a_o__x_.db\"; filename*=UTF-8''a%C3%B1o%20%22x%22.db"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_asked_lies_within_the_file(header in "(bytes=)?[0-9,-]{0,30}", length in 0u64..2000) {
            if let Asked::Part(range) = asked(&header, length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }

        #[test]
        fn a_disposition_is_always_a_header(name in "\\PC{1,60}") {
            prop_assert!(HeaderValue::try_from(disposition(&name)).is_ok());
        }
    }
}
