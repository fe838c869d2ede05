//! What the server was asked.

use hyper::{Method, Request, header};

/// What a request wants, as far as backups care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A whole object in one request.
    PutObject,
    /// The start of a multipart upload.
    CreateUpload,
    /// One part.
    UploadPart,
    /// The end of a multipart upload.
    CompleteUpload,
    /// Giving a multipart upload up.
    AbortUpload,
    /// The uploads that are under way.
    ListUploads,
    /// An object's bytes, or a range of them.
    GetObject,
    /// An object's metadata.
    HeadObject,
    /// Removing one object.
    DeleteObject,
    /// Removing several objects in one request.
    DeleteObjects,
    /// A page of keys.
    List,
    /// Anything else.
    Other,
}

/// One request, after it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it wanted.
    pub operation: Operation,
    /// The HTTP method.
    pub method: String,
    /// The path, percent-encoded as it came.
    pub path: String,
    /// The query, as it came; empty when there was none.
    pub query: String,
    /// The body's length in bytes, as the request declared it.
    pub content_length: u64,
    /// The checksum headers that it carried (`content-md5`, `x-amz-checksum-…`), by name.
    pub checksums: Vec<String>,
    /// What it asked of the way the object is kept (`x-amz-server-side-encryption…`, `x-amz-storage-class`),
    /// by name.
    pub kept: Vec<(String, String)>,
    /// The status it was answered with; none when the connection was dropped instead.
    pub status: Option<u16>,
}

impl Seen {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let number = |name: &str| -> Option<u64> { request.headers().get(name)?.to_str().ok()?.parse().ok() };
        // A body signed piece by piece declares its own length aside.
        let length =
            number("x-amz-decoded-content-length").or_else(|| number(header::CONTENT_LENGTH.as_str()));
        let is_checksum = |name: &str| {
            name == "content-md5" || (name.starts_with("x-amz-checksum-") && name != "x-amz-checksum-mode")
        };
        let is_kept =
            |name: &str| name.starts_with("x-amz-server-side-encryption") || name == "x-amz-storage-class";
        let kept = request.headers().iter().filter(|(name, _)| is_kept(name.as_str()));
        let text = |value: &header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let mut kept: Vec<_> = kept.map(|(name, value)| (name.to_string(), text(value))).collect();
        kept.sort();
        let names = request.headers().keys().map(header::HeaderName::as_str);
        Self {
            operation: Operation::of(request),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            content_length: length.unwrap_or(0),
            checksums: names.filter(|name| is_checksum(name)).map(str::to_owned).collect(),
            kept,
            status: None,
        }
    }

    /// The value of one query parameter, percent-encoded as it came.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| match pair.split_once('=') {
            Some((key, value)) => (key == name).then_some(value),
            None => (pair == name).then_some(""),
        })
    }
}

impl Operation {
    /// Whether Amazon refuses it when it says how an object is to be kept.
    pub(super) fn takes_no_wishes(self) -> bool {
        matches!(self, Self::UploadPart | Self::GetObject | Self::HeadObject)
    }

    fn of<B>(request: &Request<B>) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let names_object = request.uri().path().trim_matches('/').contains('/');
        match (request.method(), names_object) {
            (&Method::PUT, true) if has("partNumber") => Self::UploadPart,
            (&Method::PUT, true) => Self::PutObject,
            (&Method::POST, true) if has("uploads") => Self::CreateUpload,
            (&Method::POST, true) if has("uploadId") => Self::CompleteUpload,
            (&Method::DELETE, true) if has("uploadId") => Self::AbortUpload,
            (&Method::DELETE, true) => Self::DeleteObject,
            (&Method::GET, true) if !has("uploadId") => Self::GetObject,
            (&Method::HEAD, true) => Self::HeadObject,
            (&Method::GET, false) if has("uploads") => Self::ListUploads,
            (&Method::GET, false) if !has("location") => Self::List,
            (&Method::POST, false) if has("delete") => Self::DeleteObjects,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(method: Method, uri: &str) -> Operation {
        let request = Request::builder().method(method).uri(uri).body(()).expect("a valid request");
        Seen::of(&request).operation
    }

    #[test]
    fn requests_are_told_apart_by_method_and_query() {
        assert_eq!(operation(Method::POST, "/b/k?uploads="), Operation::CreateUpload);
        assert_eq!(operation(Method::POST, "/b/k?uploads"), Operation::CreateUpload);
        assert_eq!(operation(Method::PUT, "/b/k/l?partNumber=1&uploadId=x"), Operation::UploadPart);
        assert_eq!(operation(Method::POST, "/b/k?uploadId=x"), Operation::CompleteUpload);
        assert_eq!(operation(Method::DELETE, "/b/k?uploadId=x"), Operation::AbortUpload);
        assert_eq!(operation(Method::GET, "/b?list-type=2&prefix=uploads"), Operation::List);
        assert_eq!(operation(Method::GET, "/b/k"), Operation::GetObject);
        assert_eq!(operation(Method::DELETE, "/b/k"), Operation::DeleteObject);
        assert_eq!(operation(Method::POST, "/b?delete"), Operation::DeleteObjects);
    }
}
