//! The uploads in parts that are under way, which the store behind this server does not list.

use std::collections::BTreeMap;

use hyper::Response;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use s3s::Body;

use super::Seen;

/// How uploads are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadListing {
    /// Uploads on a page.
    pub page: usize,
    /// Whether a prefix finds only the uploads of exactly that key, as on `MinIO`.
    pub exact_key: bool,
}

impl Default for UploadListing {
    fn default() -> Self {
        Self { page: 1_000, exact_key: false }
    }
}

/// Keys of the uploads under way, by upload id.
#[derive(Debug, Default)]
pub(super) struct OpenUploads {
    pub(super) keys: BTreeMap<String, String>,
    pub(super) listing: UploadListing,
}

impl OpenUploads {
    /// Takes note of what an answered request did.
    pub(super) fn note(&mut self, seen: &Seen, status: StatusCode, body: &str) {
        use super::Operation::{AbortUpload, CompleteUpload, CreateUpload};
        let id = seen.parameter("uploadId").unwrap_or_default();
        match seen.operation {
            CreateUpload => {
                if let Some(id) = element(body, "UploadId") {
                    self.keys.insert(id, key_of(&seen.path));
                }
            }
            CompleteUpload if body.contains("<CompleteMultipartUploadResult") => {
                self.keys.remove(id);
            }
            AbortUpload if status.is_success() => {
                self.keys.remove(id);
            }
            _ => {}
        }
    }

    /// Whether the upload that a part is sent for is under way: the store beneath would take it all the same.
    pub(super) fn is_open(&self, seen: &Seen) -> bool {
        seen.parameter("uploadId").is_some_and(|id| self.keys.contains_key(id))
    }

    /// The page that a request asks for: in the order of key, then upload id, after its markers.
    pub(super) fn page(&self, seen: &Seen) -> Response<Body> {
        let asked = |name: &str| decoded(seen.parameter(name).unwrap_or_default());
        let (prefix, after) = (asked("prefix"), (asked("key-marker"), asked("upload-id-marker")));
        let wanted =
            |key: &str| if self.listing.exact_key { key == prefix } else { key.starts_with(&prefix) };
        let mut found: Vec<(String, String)> = self
            .keys
            .iter()
            .map(|(id, key)| (key.clone(), id.clone()))
            .filter(|(key, _)| wanted(key))
            .collect();
        found.sort();
        found.retain(|upload| *upload > after);
        let more = found.len() > self.listing.page;
        found.truncate(self.listing.page);
        let next = found.last().filter(|_| more).map_or_else(String::new, |(key, id)| {
            let key = escaped(key);
            format!("<NextKeyMarker>{key}</NextKeyMarker><NextUploadIdMarker>{id}</NextUploadIdMarker>")
        });
        let shown = |(key, id): &(String, String)| {
            format!("<Upload><Key>{}</Key><UploadId>{id}</UploadId></Upload>", escaped(key))
        };
        let uploads: String = found.iter().map(shown).collect();
        let document = format!(
            "<ListMultipartUploadsResult><IsTruncated>{more}</IsTruncated>{next}{uploads}\
             </ListMultipartUploadsResult>"
        );
        let mut response = Response::new(Body::from(document));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        response
    }
}

fn element(document: &str, name: &str) -> Option<String> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
}

/// The key in a path-style path.
fn key_of(path: &str) -> String {
    decoded(path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key))
}

pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit =
            || rest.next().and_then(|digit| char::from(digit).to_digit(16)).expect("it is encoded");
        bytes.push(if byte == b'%' {
            u8::try_from(digit() * 16 + digit()).expect("two digits")
        } else {
            byte
        });
    }
    String::from_utf8(bytes).expect("it is UTF-8")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
