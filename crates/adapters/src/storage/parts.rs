//! Parts without a word about encryption, which Amazon refuses at all but the beginning of an upload.
//!
//! OpenDAL 0.59 asks for it at every part and at the completion too, so that each upload in parts would be
//! answered "x-amz-server-side-encryption header is not supported for this operation". A request cannot
//! lose a header that was signed, so it is signed anew.

use http::header::HOST;
use http::{HeaderMap, HeaderName, Request, Response};
use opendal::{Buffer, HttpBody, HttpTransport, HttpTransporter};
use reqsign_aws_v4::Credential;
use reqsign_core::Signer;

const ENCRYPTION: &str = "x-amz-server-side-encryption";
/// What a signature consists of.
const SIGNATURE: [&str; 4] = ["authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"];

/// Carries requests as the transport of the process does, after that.
#[derive(Debug)]
pub(super) struct PlainParts {
    signer: Signer<Credential>,
}

impl PlainParts {
    pub(super) fn new(signer: Signer<Credential>) -> Self {
        Self { signer }
    }
}

impl HttpTransport for PlainParts {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        let (mut head, body) = request.into_parts();
        let query = head.uri.query().unwrap_or_default();
        if query.split('&').any(|pair| pair.starts_with("uploadId=")) && strip(&mut head.headers) {
            self.signer.sign(&mut head, None).await.map_err(|e| {
                let temporary = e.is_retryable();
                opendal::Error::new(opendal::ErrorKind::Unexpected, "signing http request")
                    .with_temporary(temporary)
                    .set_source(e)
            })?;
            // The client sets its own.
            head.headers.remove(HOST);
        }
        HttpTransporter::default().fetch(Request::from_parts(head, body)).await
    }
}

/// Whether the headers asked for encryption. Then they do no longer, and their signature is gone too.
fn strip(headers: &mut HeaderMap) -> bool {
    let asking = |name: &&HeaderName| name.as_str().starts_with(ENCRYPTION);
    let asking: Vec<HeaderName> = headers.keys().filter(asking).cloned().collect();
    if asking.is_empty() {
        return false;
    }
    for name in &asking {
        headers.remove(name);
    }
    for name in SIGNATURE {
        headers.remove(name);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_asks_for_encryption_is_stripped_of_it_and_of_its_signature() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "AWS4-HMAC-SHA256 …".parse().unwrap());
        headers.insert("x-amz-checksum-crc32c", "AAAAAA==".parse().unwrap());
        let plain = headers.clone();
        assert!(!strip(&mut headers));
        assert_eq!(headers, plain);
        headers.insert("x-amz-server-side-encryption", "aws:kms".parse().unwrap());
        headers.insert("x-amz-server-side-encryption-aws-kms-key-id", "k".parse().unwrap());
        assert!(strip(&mut headers));
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-amz-checksum-crc32c"]);
    }
}
