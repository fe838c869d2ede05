//! The uploads that were begun and never finished: the one thing of S3 that OpenDAL has no call for.

use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, Request, StatusCode};
use opendal::{Buffer, HttpTransporter};
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::{Context, OsEnv, ProvideCredentialChain, Signer};
use reqsign_file_read_tokio::TokioFileRead;
use respaldo_core::storage::UnfinishedUploads;
use respaldo_core::{Error, ErrorKind, Result};
use serde::Deserialize;

use super::Tuning;
use super::s3::Place;

const LIST: &str = "list unfinished uploads";
const ABORT: &str = "abort an unfinished upload";
const MEND: &str = "allow s3:ListBucketMultipartUploads and s3:AbortMultipartUpload, and add a lifecycle \
                    rule to the bucket that aborts incomplete multipart uploads";

/// Sends the requests by itself, signed and carried as OpenDAL's are.
#[derive(Debug)]
pub(super) struct Uploads {
    place: Place,
    signer: Signer<Credential>,
    tuning: Tuning,
}

/// A page of `ListMultipartUploads`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    // Without a default: every page says it, and an error document that came with 200 does not.
    is_truncated: bool,
    #[serde(default)]
    next_key_marker: String,
    #[serde(default)]
    next_upload_id_marker: String,
    #[serde(default)]
    upload: Vec<Open>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Open {
    key: String,
    upload_id: String,
}

/// Signs as OpenDAL does.
pub(super) fn signer(region: &str, credentials: ProvideCredentialChain<Credential>) -> Signer<Credential> {
    let context = Context::new()
        .with_file_read(TokioFileRead)
        .with_http_send(HttpTransporter::default())
        .with_env(OsEnv);
    Signer::new(context, credentials, RequestSigner::new("s3", region))
}

impl Uploads {
    pub(super) fn new(place: Place, credentials: ProvideCredentialChain<Credential>, tuning: Tuning) -> Self {
        let signer = signer(&place.region, credentials);
        Self { place, signer, tuning }
    }

    async fn open_below(&self, prefix: &str) -> Result<Vec<Open>> {
        let base = format!("{}?uploads=&prefix={}", self.place.url(), encode(prefix, false));
        let (mut uri, mut open) = (base.clone(), Vec::new());
        loop {
            let page = self.retried(LIST, || self.page(&uri)).await?;
            // A store that ignores the prefix must not lose what is somebody else's.
            open.extend(page.upload.into_iter().filter(|upload| upload.key.starts_with(prefix)));
            let next = format!(
                "{base}&key-marker={}&upload-id-marker={}",
                encode(&page.next_key_marker, false),
                encode(&page.next_upload_id_marker, false)
            );
            // One that says there is more and not where would be asked for ever.
            if !page.is_truncated || page.next_key_marker.is_empty() || next == uri {
                return Ok(open);
            }
            uri = next;
        }
    }

    async fn page(&self, uri: &str) -> Result<Page> {
        let (status, body) = self.send(LIST, Method::GET, uri).await?;
        if status != StatusCode::OK {
            return Err(refused(LIST, status, &body));
        }
        quick_xml::de::from_str(&body)
            .map_err(|_| unavailable(LIST, format!("the answer is no list of uploads: {}", code(&body))))
    }

    async fn abort(&self, upload: &Open) -> Result<()> {
        let uri = format!(
            "{}/{}?uploadId={}",
            self.place.url(),
            encode(&upload.key, true),
            encode(&upload.upload_id, false)
        );
        let (status, body) = self.send(ABORT, Method::DELETE, &uri).await?;
        // Not found: completed or aborted meanwhile.
        if status.is_success() || status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        Err(refused(ABORT, status, &body))
    }

    /// Tries again as OpenDAL's retry layer does.
    async fn retried<T, F: Future<Output = Result<T>>>(
        &self,
        operation: &str,
        mut deed: impl FnMut() -> F,
    ) -> Result<T> {
        let mut delay = self.tuning.first_delay;
        for _ in 0..self.tuning.retries {
            match timed(operation, self.tuning.timeout, deed()).await {
                Err(e) if e.is_retryable() => tokio::time::sleep(delay).await,
                done => return done,
            }
            delay *= 2;
        }
        timed(operation, self.tuning.timeout, deed()).await
    }

    async fn send(&self, operation: &str, method: Method, uri: &str) -> Result<(StatusCode, String)> {
        let request = Request::builder().method(method).uri(uri).body(Buffer::new());
        let request = request.map_err(|e| Error::internal(operation, e))?;
        let (mut head, body) = request.into_parts();
        self.signer.sign(&mut head, None).await.map_err(|e| {
            let error = Error::new(ErrorKind::Storage, operation, format!("cannot sign: {:?}", e.kind()));
            error.with_retryable(e.is_retryable()).with_mend("check the store's credentials")
        })?;
        // The client sets its own.
        head.headers.remove(http::header::HOST);
        let answer = HttpTransporter::default().send(Request::from_parts(head, body)).await;
        let answer = answer.map_err(|e| unavailable(operation, e.message()))?;
        let status = answer.status();
        let body = String::from_utf8_lossy(&answer.into_body().to_vec()).into_owned();
        let passing = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
        if passing || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) {
            return Err(unavailable(operation, format!("{} {}", status.as_u16(), code(&body))));
        }
        Ok((status, body))
    }
}

#[async_trait]
impl UnfinishedUploads for Uploads {
    async fn abort_below(&self, prefix: &str) -> Result<usize> {
        let open = self.open_below(&format!("{}{prefix}", self.place.root)).await?;
        for upload in &open {
            self.retried(ABORT, || self.abort(upload)).await?;
        }
        Ok(open.len())
    }
}

async fn timed<T>(operation: &str, timeout: Duration, deed: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Error::new(ErrorKind::Timeout, operation, format!("no answer within {timeout:?}"));
    tokio::time::timeout(timeout, deed).await.map_err(late)?
}

fn unavailable(operation: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unavailable, operation, message)
}

fn refused(operation: &str, status: StatusCode, body: &str) -> Error {
    let message = format!("the store refused: {} {}", status.as_u16(), code(body));
    Error::new(ErrorKind::Storage, operation, message).with_mend(MEND)
}

/// The error's name out of an error document.
fn code(body: &str) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Document {
        code: String,
    }
    let known = quick_xml::de::from_str::<Document>(body).ok().map(|document| document.code);
    known
        .filter(|code| code.len() < 64 && code.bytes().all(|b| b.is_ascii_alphanumeric()))
        .unwrap_or_default()
}

fn encode(text: &str, keep_slashes: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            b'/' if keep_slashes => encoded.push('/'),
            // Writing into a string cannot fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_whatever_else_stands_in_it() {
        let body = r#"<?xml version="1.0" encoding="UTF-8"?>
            <ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Bucket>b</Bucket><KeyMarker/><NextKeyMarker>a &amp; b</NextKeyMarker>
            <NextUploadIdMarker>2</NextUploadIdMarker><IsTruncated>true</IsTruncated>
            <Upload><Key>a &amp; b</Key><UploadId>1</UploadId><Initiator><ID>x</ID></Initiator></Upload>
            <Upload><Key>ñ</Key><UploadId>2</UploadId></Upload><CommonPrefixes/>
            </ListMultipartUploadsResult>"#;
        let page: Page = quick_xml::de::from_str(body).unwrap();
        let open = |key: &str, id: &str| Open { key: key.to_owned(), upload_id: id.to_owned() };
        assert_eq!(page.upload, [open("a & b", "1"), open("ñ", "2")]);
        assert_eq!((page.is_truncated, page.next_upload_id_marker.as_str()), (true, "2"));
        assert_eq!(page.next_key_marker, "a & b");
    }

    #[test]
    fn an_empty_page_is_a_page_and_an_error_document_is_none() {
        let empty =
            "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";
        assert!(quick_xml::de::from_str::<Page>(empty).unwrap().upload.is_empty());
        let error = "<Error><Code>InternalError</Code><Message>secret</Message></Error>";
        assert!(quick_xml::de::from_str::<Page>(error).is_err());
        assert_eq!(code(error), "InternalError");
        assert_eq!(code("<html>nothing of the kind"), "");
    }

    #[test]
    fn a_key_is_encoded_once_and_a_parameter_to_its_slashes() {
        assert_eq!(encode("a b/ñ+%", true), "a%20b/%C3%B1%2B%25");
        assert_eq!(encode("a/b", false), "a%2Fb");
    }
}
