//! `Idempotency-Key`: the same request twice makes one thing.
//!
//! The first request claims its key in the catalog for the id that the new record will get. A repeat
//! finds that id. The claim also holds an HMAC of the request, under the instance's key because a
//! body may hold a password, so that the key cannot be used for another request.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use jiff::SignedDuration;
use respaldo_core::{App, Error, Result};
use ulid::Ulid;

use crate::Problem;

const HEADER: &str = "idempotency-key";
const FIELD: &str = "Idempotency-Key";
/// How long a key is remembered.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);
const LONGEST_KEY: usize = 255;
const LABEL: &[u8] = b"respaldo idempotency v1\0";

/// The key of a request, if it has one.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    key: Option<String>,
    method: Method,
    path: String,
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let key = read(&parts.headers)?;
        Ok(Self { key, method: parts.method.clone(), path: parts.uri.path().to_owned() })
    }
}

fn read(headers: &HeaderMap) -> Result<Option<String>> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim);
    let fits = |text: &&str| {
        (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    };
    if let (Some(text), None) = (text.filter(fits), values.next()) {
        return Ok(Some(text.to_owned()));
    }
    let what = format!("it must be given once, with 1 to {LONGEST_KEY} visible ASCII characters");
    Err(Error::invalid(FIELD, what).with_mend("use e.g. a UUID"))
}

/// The id for the record that a request makes, and whether an earlier request was given it already.
#[derive(Debug)]
pub struct Claim {
    /// The record's id.
    pub id: Ulid,
    /// Whether the request is a repeat: its record is there, or on its way.
    pub repeated: bool,
    held: Option<(String, String)>,
    earlier: Option<(String, String)>,
}

impl IdempotencyKey {
    /// Claims the key, if there is one, for a request with this body.
    ///
    /// # Errors
    /// `Invalid` when the key was used for another request.
    pub async fn claim(&self, app: &App, body: &[u8]) -> Result<Claim> {
        let now = app.now();
        let id = app.ids.ulid(now);
        let Some(key) = &self.key else { return Ok(Claim::of(id)) };
        let digest = self.digest(app, body);
        let (name, value) = (format!("idempotency/{key}"), format!("{digest}:{id}"));
        match app.catalog.claim(&name, &value, now, Some(now + REMEMBERED)).await? {
            None => Ok(Claim { held: Some((name, value)), ..Claim::of(id) }),
            Some(earlier) => {
                Ok(Claim { earlier: Some((name, earlier.clone())), ..repeat(&digest, &earlier)? })
            }
        }
    }

    fn digest(&self, app: &App, body: &[u8]) -> String {
        let (method, path) = (self.method.as_str().as_bytes(), self.path.as_bytes());
        hex::encode(app.key.sign(&[LABEL, method, b"\0", path, b"\0", body].concat()))
    }
}

fn repeat(digest: &str, earlier: &str) -> Result<Claim> {
    let (claimed_by, id) = earlier.split_once(':').unwrap_or_default();
    if claimed_by != digest {
        return Err(Error::invalid(FIELD, "it was used for another request in the last 24 hours")
            .with_mend("use a new key for a new request"));
    }
    let id = Ulid::from_string(id).map_err(|error| Error::internal("read an idempotency claim", error))?;
    Ok(Claim { repeated: true, ..Claim::of(id) })
}

impl Claim {
    fn of(id: Ulid) -> Self {
        Self { id, repeated: false, held: None, earlier: None }
    }

    /// Frees the key of an earlier request that made nothing, and could not give it back itself.
    pub async fn free(self, app: &App) -> Result<()> {
        match self.earlier.or(self.held) {
            Some((name, value)) => app.catalog.release_claim(&name, &value).await,
            None => Ok(()),
        }
    }

    /// Gives the key back after a failure, so that a mended request may use it.
    pub async fn settle<T>(self, app: &App, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            self.give_back(app).await?;
        }
        outcome
    }

    /// Gives the key back: the request made nothing.
    pub async fn give_back(self, app: &App) -> Result<()> {
        match self.held {
            Some((name, value)) => app.catalog.release_claim(&name, &value).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_repeat_gets_the_id_of_the_first_request() {
        let id = Ulid::from_parts(5, 6);
        let claim = repeat("ab12", &format!("ab12:{id}")).unwrap();
        assert_eq!((claim.id, claim.repeated), (id, true));
    }

    #[test]
    fn a_key_of_another_request_is_refused_as_422() {
        let problem = Problem::from(repeat("ab12", "ffff:01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap_err());
        assert_eq!(problem.status(), 422);
        assert_eq!(problem.body().field.as_deref(), Some("Idempotency-Key"));
    }

    #[test]
    fn a_key_is_1_to_255_visible_characters() {
        let one = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            read(&headers)
        };
        assert_eq!(one("8e03978e-40d5").unwrap().as_deref(), Some("8e03978e-40d5"));
        assert!(one("").is_err());
        assert!(one("clé").is_err());
        assert!(one(&"x".repeat(256)).is_err());
        assert!(read(&HeaderMap::new()).unwrap().is_none());
    }
}
