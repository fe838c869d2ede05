//! Reads requests: JSON objects, queries and ids, each refused with a [`Problem`] that says what was
//! wrong and never repeats a value that could be a secret.

use std::str::FromStr;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Path, RawQuery, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use bytes::Bytes;
use respaldo_core::Error;
use respaldo_core::model::{DatabaseId, JobId};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Problem;

/// No body is longer, in bytes.
pub const LONGEST_BODY: usize = 1024 * 1024;
/// What a refusal repeats of a path, at most.
const LONGEST_ECHO: usize = 40;

/// A body that is one JSON object, read field by field so that each refusal names its field.
#[derive(Debug, Default)]
pub struct JsonObject {
    /// The fields that nobody has taken yet.
    pub fields: Map<String, Value>,
    /// The body as it came, for [`crate::idempotency`].
    pub bytes: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for JsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        if !is_json(&request) {
            return Err(Problem::unsupported_media_type());
        }
        let bytes = body(request).await?;
        let fields = parse(&bytes)?;
        Ok(Self { fields, bytes })
    }
}

/// None when there is no body at all.
impl<S: Send + Sync> OptionalFromRequest<S> for JsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Option<Self>, Problem> {
        let json = is_json(&request);
        let bytes = body(request).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if !json {
            return Err(Problem::unsupported_media_type());
        }
        let fields = parse(&bytes)?;
        Ok(Some(Self { fields, bytes }))
    }
}

async fn body(request: Request) -> Result<Bytes, Problem> {
    to_bytes(request.into_body(), LONGEST_BODY).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        if source.is_some_and(|source| source.to_string().contains("length limit")) {
            Problem::too_large(LONGEST_BODY)
        } else {
            Problem::malformed("the body ended before its end")
        }
    })
}

/// Whether a request's body is JSON, by what its headers say.
pub fn is_json(request: &Request) -> bool {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn parse(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Problem::malformed("the body must be a JSON object")),
        Err(error) => {
            let place = format!("line {}, column {}", error.line(), error.column());
            Err(Problem::malformed(format!(
                "the body is not JSON: {}",
                place_once(&error.to_string(), &place)
            )))
        }
    }
}

/// The parser's own words already end with the place; if ever they do not, it is added.
fn place_once(message: &str, place: &str) -> String {
    let told = message.replace(" column ", ", column ");
    if told.contains(place) { told } else { format!("{message} at {place}") }
}

impl JsonObject {
    /// Takes a field that must be there.
    pub fn required<T: DeserializeOwned>(&mut self, field: &str, what: &str) -> Result<T, Problem> {
        let value = self.optional(field, what)?;
        value.ok_or_else(|| Error::invalid(field, format!("it is missing; it must be {what}")).into())
    }

    /// Takes a field that may be missing or null. `what` says what it must be otherwise.
    pub fn optional<T: DeserializeOwned>(&mut self, field: &str, what: &str) -> Result<Option<T>, Problem> {
        take(&mut self.fields, field, field, what)
    }

    /// Refuses whatever was not taken.
    pub fn finish(self, allowed: &str) -> Result<(), Problem> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(field) => Err(unknown(field, allowed)),
        }
    }
}

/// Takes a field of an object; `shown` is its name in a refusal.
pub fn take<T: DeserializeOwned>(
    fields: &mut Map<String, Value>,
    field: &str,
    shown: &str,
    what: &str,
) -> Result<Option<T>, Problem> {
    match fields.remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value)
            .map(Some)
            .map_err(|_| Error::invalid(shown, format!("it must be {what}")).into()),
    }
}

/// The refusal of a field that does not exist.
pub fn unknown(field: &str, allowed: &str) -> Problem {
    Error::invalid(field, format!("there is no such field; the fields are {allowed}")).into()
}

/// The parameters of a query, each at most once, none unknown.
#[derive(Debug, Default)]
pub struct Params {
    pairs: Vec<(String, String)>,
    taken: Vec<&'static str>,
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(RawQuery(query)) = RawQuery::from_request_parts(parts, state).await;
        Self::parse(query.as_deref().unwrap_or_default())
    }
}

impl Params {
    /// Reads the text behind the question mark.
    pub fn parse(query: &str) -> Result<Self, Problem> {
        let uri = format!("/?{query}").parse().map_err(|_| Problem::malformed("the query cannot be read"))?;
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri)
            .map_err(|_| Problem::malformed("the query cannot be read"))?
            .0;
        Ok(Self { pairs, taken: Vec::new() })
    }

    /// All parameters, as they came.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// A parameter's text.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        self.taken.push(name);
        let mut values = self.pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
        let value = values.next().cloned();
        match values.next() {
            None => Ok(value),
            Some(_) => Err(Error::invalid(name, "it is given more than once").into()),
        }
    }

    /// A parameter's value; `what` says what it must be.
    pub fn value<T: FromStr>(&mut self, name: &'static str, what: &str) -> Result<Option<T>, Problem> {
        let text = self.text(name)?;
        text.map(|text| text.parse().map_err(|_| Error::invalid(name, format!("it must be {what}")).into()))
            .transpose()
    }

    /// A parameter that is one of several words.
    pub fn word<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
        words: &[&str],
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let known = words.contains(&text.as_str()).then(|| serde_json::from_value(Value::String(text)));
        match known {
            Some(Ok(value)) => Ok(Some(value)),
            _ => Err(Error::invalid(name, format!("it must be one of {}", words.join(", "))).into()),
        }
    }

    /// The number of a database.
    pub fn database_id(&mut self) -> Result<Option<DatabaseId>, Problem> {
        Ok(self.value("database_id", "a database's number")?.map(DatabaseId))
    }

    /// Refuses whatever was not asked for.
    pub fn finish(&self) -> Result<(), Problem> {
        match self.pairs.iter().find(|(key, _)| !self.taken.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, _)) if self.taken.is_empty() => {
                Err(Error::invalid(key, "this path takes no parameters").into())
            }
            Some((key, _)) => {
                let allowed = self.taken.join(", ");
                Err(Error::invalid(key, format!("there is no such parameter; there are {allowed}")).into())
            }
        }
    }
}

/// The number of a database in a path. One that is no number names no database.
#[derive(Debug, Clone, Copy)]
pub struct DatabaseIdPath(pub DatabaseId);

impl<S: Send + Sync> FromRequestParts<S> for DatabaseIdPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let text = path_id(parts).await?;
        let id = text.parse().ok().filter(|id: &i64| id.to_string() == text);
        id.map(|id| Self(DatabaseId(id))).ok_or_else(|| Error::not_found("database", echo(&text)).into())
    }
}

/// The id of a job or backup in a path. One that is no id names nothing.
#[derive(Debug, Clone, Copy)]
pub struct JobIdPath(pub JobId);

impl<S: Send + Sync> FromRequestParts<S> for JobIdPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let text = path_id(parts).await?;
        let path = parts.uri.path();
        let kinds = [("/backups", "backup"), ("/packages", "package")];
        let what =
            kinds.iter().find(|(beginning, _)| path.starts_with(beginning)).map_or("job", |(_, what)| what);
        text.parse().map(Self).map_err(|_| Error::not_found(what, echo(&text)).into())
    }
}

async fn path_id(parts: &mut Parts) -> Result<String, Problem> {
    let path = Path::<String>::from_request_parts(parts, &()).await;
    path.map(|Path(id)| id).map_err(|_| Problem::malformed("the path cannot be read"))
}

fn echo(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(LONGEST_ECHO).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_json_is_told_with_its_line_and_column_and_nothing_of_its_values() {
        let problem = parse(b"{\n  \"password\": \"hunter2\",\n}").unwrap_err();
        assert_eq!(problem.status(), 400);
        assert_eq!(problem.body().detail, "the body is not JSON: trailing comma at line 3, column 1");
        assert!(!problem.body().detail.contains("hunter2"));
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_413_and_one_that_is_not_json_415() {
        let send = async |media_type: &str, length: usize| {
            let request = Request::builder().header(CONTENT_TYPE, media_type);
            let request = request.body(axum::body::Body::from(vec![b' '; length])).unwrap();
            <JsonObject as FromRequest<()>>::from_request(request, &()).await.unwrap_err().status().as_u16()
        };
        assert_eq!(send("application/json", LONGEST_BODY + 1).await, 413);
        assert_eq!(send("application/json; charset=utf-8", LONGEST_BODY).await, 400);
        assert_eq!(send("application/merge-patch+json", 1).await, 400);
        assert_eq!(send("text/plain", 1).await, 415);
    }

    #[tokio::test]
    async fn a_body_that_may_be_missing_is_still_checked_when_it_is_there() {
        let send = async |media_type: Option<&str>, body: &'static str| {
            let mut request = Request::builder();
            if let Some(media_type) = media_type {
                request = request.header(CONTENT_TYPE, media_type);
            }
            let request = request.body(axum::body::Body::from(body)).unwrap();
            let read = <JsonObject as OptionalFromRequest<()>>::from_request(request, &()).await;
            read.map(|object| object.map(|object| object.fields.len())).map_err(|e| e.status().as_u16())
        };
        assert_eq!(send(None, "").await, Ok(None));
        assert_eq!(send(Some("application/json"), "").await, Ok(None));
        assert_eq!(send(Some("application/json"), "{}").await, Ok(Some(0)));
        assert_eq!(send(None, "{}").await, Err(415));
        assert_eq!(send(Some("application/json"), "[]").await, Err(400));
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for body in ["[]", "1", "null", "\"x\"", ""] {
            assert_eq!(parse(body.as_bytes()).unwrap_err().status(), 400, "{body}");
        }
    }

    #[test]
    fn a_wrong_type_names_its_field_and_not_its_value() {
        let mut fields = parse(br#"{"database_id": "hunter2"}"#).unwrap();
        let problem =
            take::<i64>(&mut fields, "database_id", "database_id", "a database's number").unwrap_err();
        assert_eq!(problem.status(), 422);
        assert_eq!(problem.body().field.as_deref(), Some("database_id"));
        assert_eq!(problem.body().detail, "it must be a database's number");
    }

    #[test]
    fn an_unknown_or_repeated_parameter_is_refused_by_name() {
        let mut params = Params::parse("limit=3&colour=red").unwrap();
        assert_eq!(params.text("limit").unwrap().as_deref(), Some("3"));
        assert_eq!(params.finish().unwrap_err().body().field.as_deref(), Some("colour"));
        let mut params = Params::parse("limit=3&limit=4").unwrap();
        assert_eq!(params.text("limit").unwrap_err().status(), 422);
    }
}
