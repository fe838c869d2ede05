//! Pages of lists: `limit`, an opaque `cursor`, and the `Link` to the next page.

use axum::Json;
use axum::http::HeaderValue;
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use respaldo_core::Error;
use respaldo_core::model::{DatabaseId, JobId};
use respaldo_core::ports::Cursor;
use serde::Serialize;

use crate::Problem;
use crate::extract::Params;

/// How many items a page has when nobody says.
pub const DEFAULT_LIMIT: usize = 100;
/// How many items a page has at most.
pub const LARGEST_LIMIT: usize = 1000;

/// The place in a list where a page begins.
pub trait Place: Sized {
    /// As text; it need not be readable.
    fn encode(&self) -> String;
    /// Reads it back; none when it is not one of ours.
    fn decode(text: &str) -> Option<Self>;
}

impl Place for DatabaseId {
    fn encode(&self) -> String {
        format!("d{}", self.0)
    }

    fn decode(text: &str) -> Option<Self> {
        text.strip_prefix('d')?.parse().ok().map(Self)
    }
}

impl Place for Cursor {
    fn encode(&self) -> String {
        format!("j{}.{}", self.created_at.as_millisecond(), self.id)
    }

    fn decode(text: &str) -> Option<Self> {
        let (millis, id) = text.strip_prefix('j')?.split_once('.')?;
        let created_at = Timestamp::from_millisecond(millis.parse().ok()?).ok()?;
        Some(Self { created_at, id: id.parse::<JobId>().ok()? })
    }
}

/// A request for a page.
#[derive(Debug)]
pub struct Page<P> {
    /// How many items at most.
    pub limit: usize,
    /// After which item.
    pub after: Option<P>,
}

impl<P: Place> Page<P> {
    /// Takes `limit` and `cursor`.
    pub fn take(params: &mut Params) -> Result<Self, Problem> {
        let what = format!("a whole number from 1 to {LARGEST_LIMIT}");
        let limit: usize = params.value("limit", &what)?.unwrap_or(DEFAULT_LIMIT);
        if !(1..=LARGEST_LIMIT).contains(&limit) {
            return Err(Error::invalid("limit", format!("it must be {what}")).into());
        }
        let after = params.text("cursor")?.map(|text| decode(&text)).transpose()?;
        Ok(Self { limit, after })
    }

    /// One more than the limit: the item that tells whether there is a next page.
    pub fn probe(&self) -> usize {
        self.limit + 1
    }

    /// The answer to `path?params`: the page as a bare array, and the link to the next one. `items`
    /// holds up to [`Self::probe`] items.
    pub fn answer<T, V: Serialize>(
        &self,
        path: &str,
        params: &Params,
        mut items: Vec<T>,
        place: impl Fn(&T) -> P,
        view: impl FnMut(T) -> V,
    ) -> Response {
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let next = items.last().filter(|_| more).map(|item| link(path, params, &place(item)));
        let mut response = Json(items.into_iter().map(view).collect::<Vec<_>>()).into_response();
        if let Some(next) = next.and_then(|link| HeaderValue::from_str(&link).ok()) {
            response.headers_mut().insert(LINK, next);
        }
        response
    }
}

fn decode<P: Place>(text: &str) -> Result<P, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let place = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| P::decode(&text));
    place.ok_or_else(|| {
        Error::invalid("cursor", "it is not the cursor of a page of this list")
            .with_mend("take it from the Link header of the page before")
            .into()
    })
}

fn link(path: &str, params: &Params, place: &impl Place) -> String {
    let cursor = URL_SAFE_NO_PAD.encode(place.encode());
    let kept = params.pairs().iter().filter(|(key, _)| key != "cursor");
    let kept = kept.map(|(key, value)| format!("{}={}", percent(key), percent(value)));
    let query: Vec<String> = kept.chain([format!("cursor={cursor}")]).collect();
    format!("<{path}?{}>; rel=\"next\"", query.join("&"))
}

/// Percent-encodes all but unreserved characters.
pub(crate) fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => {
                encoded.push('%');
                encoded.push_str(&hex::encode_upper([byte]));
            }
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(query: &str) -> Result<Page<DatabaseId>, Problem> {
        Page::take(&mut Params::parse(query).unwrap())
    }

    #[test]
    fn a_limit_is_from_1_to_1000_and_100_by_default() {
        assert_eq!(page("").unwrap().limit, 100);
        assert_eq!(page("limit=1").unwrap().limit, 1);
        assert_eq!(page("limit=1000").unwrap().limit, 1000);
        for junk in ["0", "1001", "-1", "x", "", "1.5", "99999999999999999999"] {
            let problem = page(&format!("limit={junk}")).unwrap_err();
            assert_eq!(
                (problem.status().as_u16(), problem.body().field.as_deref()),
                (422, Some("limit")),
                "{junk}"
            );
        }
    }

    #[test]
    fn a_full_page_links_to_the_next_and_keeps_its_filters() {
        let params = Params::parse("status=failed&since=2026-01-01T00:00:00%2B01:00&cursor=ZDE").unwrap();
        let page = Page { limit: 2, after: None };
        let answer = page.answer("/backups", &params, vec![1, 2, 3], |id| DatabaseId(*id), |id| id);
        let cursor = URL_SAFE_NO_PAD.encode("d2");
        assert_eq!(
            answer.headers()[LINK],
            format!(
                "</backups?status=failed&since=2026-01-01T00%3A00%3A00%2B01%3A00&cursor={cursor}>; rel=\"next\""
            )
        );
        let last = page.answer("/backups", &params, vec![1, 2], |id| DatabaseId(*id), |id| id);
        assert!(!last.headers().contains_key(LINK));
    }

    proptest! {
        #[test]
        fn a_job_cursor_is_read_back_as_written(millis in 0i64..4_000_000_000_000, random: u128) {
            let cursor = Cursor {
                created_at: Timestamp::from_millisecond(millis).unwrap(),
                id: JobId(ulid::Ulid(random)),
            };
            let text = URL_SAFE_NO_PAD.encode(cursor.encode());
            prop_assert_eq!(decode::<Cursor>(&text).unwrap(), cursor);
        }

        #[test]
        fn any_other_text_is_refused_and_harms_nothing(text in "\\PC{0,60}") {
            if let Ok(id) = decode::<DatabaseId>(&text) {
                prop_assert!(URL_SAFE_NO_PAD.decode(&text).unwrap().starts_with(b"d"), "{}", id);
            }
        }
    }
}
