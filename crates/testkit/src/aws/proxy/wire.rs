//! One request on its way, as bytes: one connection each, closed behind the answer.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Call;

/// A request that was read to its end.
pub(super) struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    /// None when the connection ends before the request does.
    pub(super) async fn read(client: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            read_more(client, &mut bytes).await?;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut request = Self { head, body: bytes.split_off(end + 4) };
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while request.body.len() < length {
            read_more(client, &mut request.body).await?;
        }
        Some(request)
    }

    /// What it asks for.
    pub(super) fn call(&self) -> Call {
        let scope = self.header("authorization").and_then(|text| text.split("Credential=").nth(1));
        let service = scope.and_then(|scope| scope.split('/').nth(3)).unwrap_or("s3").to_owned();
        let target = self.header("x-amz-target").and_then(|target| target.rsplit('.').next());
        let operation = target.map_or_else(|| self.s3_operation().to_owned(), str::to_owned);
        let tries = self.header("amz-sdk-request").and_then(|tries| tries.strip_prefix("attempt="));
        let attempt = tries.and_then(|tries| tries.split(';').next()?.parse().ok()).unwrap_or(1);
        Call { service, operation, attempt }
    }

    /// Has it done; the whole answer.
    pub(super) async fn forward(&self, upstream: &str) -> Option<Vec<u8>> {
        let mut server = TcpStream::connect(upstream).await.ok()?;
        server.write_all(format!("{}\r\nconnection: close\r\n\r\n", self.head).as_bytes()).await.ok()?;
        server.write_all(&self.body).await.ok()?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).await.ok()?;
        Some(answer)
    }

    /// Answers it with an error of the service's.
    pub(super) async fn refuse(&self, client: &mut TcpStream, code: &str) -> Option<()> {
        let call = self.call();
        let (status, kind, body) = if call.service == "s3" {
            let body = format!(
                "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>simulated</Message></Error>"
            );
            (s3_status(code), "application/xml", body)
        } else {
            let status = if code == "InternalServerError" { 500 } else { 400 };
            let namespace = format!("com.amazonaws.{}", call.service);
            let body = format!(r#"{{"__type":"{namespace}#{code}","message":"simulated"}}"#);
            (status, "application/x-amz-json-1.0", body)
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} Simulated\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n"
        );
        // The head alone says of which length the body would be.
        let body = if self.method() == "HEAD" { "" } else { &body };
        answer(client, format!("{head}{body}").as_bytes()).await
    }

    fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    fn s3_operation(&self) -> &'static str {
        let address = self.head.split(' ').nth(1).unwrap_or_default();
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let of_a_key = path.trim_matches('/').contains('/');
        let asks = |name: &str| query.split('&').any(|part| part.split('=').next() == Some(name));
        match (self.method(), of_a_key) {
            ("GET", false) if asks("uploads") => "ListMultipartUploads",
            ("GET", false) => "ListObjectsV2",
            ("GET", true) => "GetObject",
            ("HEAD", true) => "HeadObject",
            ("PUT", true) if asks("partNumber") => "UploadPart",
            ("PUT", true) => "PutObject",
            ("POST", true) if asks("uploads") => "CreateMultipartUpload",
            ("POST", true) => "CompleteMultipartUpload",
            ("DELETE", true) if asks("uploadId") => "AbortMultipartUpload",
            ("DELETE", true) => "DeleteObject",
            ("POST", false) => "DeleteObjects",
            _ => "another",
        }
    }
}

/// The status that S3 gives with an error.
fn s3_status(code: &str) -> u16 {
    match code {
        "AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" => 403,
        "NoSuchBucket" => 404,
        "SlowDown" | "ServiceUnavailable" => 503,
        "InternalServerError" => 500,
        _ => 400,
    }
}

/// Sends a whole answer and closes the connection.
pub(super) async fn answer(client: &mut TcpStream, bytes: &[u8]) -> Option<()> {
    client.write_all(bytes).await.ok()?;
    client.shutdown().await.ok()
}

async fn read_more(client: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let read = client.read_buf(bytes).await.ok()?;
    (read > 0).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(first: &str, headers: &str) -> Call {
        Request { head: format!("{first} HTTP/1.1\r\nHost: h\r\n{headers}"), body: Vec::new() }.call()
    }

    #[test]
    fn a_request_is_known_by_what_it_is_signed_for_and_asks() {
        for (first, operation) in [
            ("PUT /b/r/k", "PutObject"),
            ("PUT /b/r/k?partNumber=1&uploadId=u", "UploadPart"),
            ("POST /b/r/k?uploads", "CreateMultipartUpload"),
            ("POST /b/r/k?uploadId=u", "CompleteMultipartUpload"),
            ("DELETE /b/r/k?uploadId=u", "AbortMultipartUpload"),
            ("DELETE /b/r/k", "DeleteObject"),
            ("GET /b/?uploads=&prefix=r%2F", "ListMultipartUploads"),
            ("GET /b?list-type=2", "ListObjectsV2"),
            ("HEAD /b/r/k", "HeadObject"),
        ] {
            let signed =
                "Authorization: AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/s3/aws4_request, S=0";
            assert_eq!(
                call(first, signed),
                Call { service: "s3".into(), operation: operation.into(), attempt: 1 }
            );
        }
        let headers = "authorization: A Credential=AK/20260101/us-east-1/sqs/aws4_request\r\n\
                       X-Amz-Target: AmazonSQS.SendMessage\r\namz-sdk-request: attempt=2; max=3";
        let sent = Call { service: "sqs".into(), operation: "SendMessage".into(), attempt: 2 };
        assert_eq!(call("POST /", headers), sent);
    }
}
