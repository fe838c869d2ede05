//! Checking what a request says of its body, as S3 does before it stores anything. (The store behind
//! this server ignores the checksums of parts, and keeps a whole object although its checksum is wrong.)

use hyper::HeaderMap;
use s3s::checksum::ChecksumHasher;

/// Whether a checksum header is there for [`is_true`] to hold against the body.
pub(super) fn is_claimed(headers: &HeaderMap) -> bool {
    ["x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-sha256"]
        .iter()
        .any(|name| headers.contains_key(*name))
}

/// Whether every checksum that the headers claim is that of `body`.
pub(super) fn is_true(headers: &HeaderMap, body: &[u8]) -> bool {
    let claimed = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let crc32 = claimed("x-amz-checksum-crc32");
    let crc32c = claimed("x-amz-checksum-crc32c");
    let sha256 = claimed("x-amz-checksum-sha256");
    let mut hasher = ChecksumHasher {
        crc32: crc32.is_some().then(Default::default),
        crc32c: crc32c.is_some().then(Default::default),
        sha256: sha256.is_some().then(<s3s::crypto::Sha256 as s3s::crypto::Checksum>::new),
        ..ChecksumHasher::default()
    };
    hasher.update(body);
    let sums = hasher.finalize();
    (sums.checksum_crc32, sums.checksum_crc32c, sums.checksum_sha256) == (crc32, crc32c, sha256)
}
