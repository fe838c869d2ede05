//! Addresses of objects: what they open, to whom, and for how long.

use std::time::Duration;

use respaldo_adapters::storage::open;
use respaldo_core::ErrorKind;
use respaldo_core::storage::Presigned;
use respaldo_testkit::s3::S3Server;

use super::support::{ROOT, noise, s3};

const TTL: Duration = Duration::from_mins(5);
const DISPOSITION: &str = "attachment; filename=\"a_o.gz\"; filename*=UTF-8''a%C3%B1o.gz";

async fn get(url: &str, range: Option<&str>) -> reqwest::Response {
    let request = reqwest::Client::new().get(url);
    let request = range.into_iter().fold(request, |request, range| request.header("range", range));
    request.send().await.unwrap()
}

async fn put(request: &Presigned, url: &str, body: Vec<u8>) -> u16 {
    let mut put = reqwest::Client::new().put(url).body(body);
    for (name, value) in &request.headers {
        put = put.header(name, value);
    }
    put.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn an_address_reads_one_object_whole_or_in_part_without_a_key() {
    let server = S3Server::start();
    let storage = s3(&server, "");
    let bytes = noise(10_000);
    storage.put("backups/a/b c/ñ+1.gz", bytes.clone()).await.unwrap();
    assert!(storage.can_presign());
    let request = storage.presign_read("backups/a/b c/ñ+1.gz", TTL, DISPOSITION).await.unwrap();
    assert_eq!((request.method.as_str(), request.headers.len()), ("GET", 0), "a browser can follow it");
    let whole = get(&request.url, None).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(whole.headers()["content-disposition"], DISPOSITION);
    assert_eq!(whole.headers()["content-type"], "application/octet-stream");
    assert_eq!(whole.bytes().await.unwrap(), bytes);
    let part = get(&request.url, Some("bytes=10-19")).await;
    assert_eq!(
        (part.status().as_u16(), &part.headers()["content-range"]),
        (206, &"bytes 10-19/10000".parse().unwrap())
    );
    assert_eq!(part.bytes().await.unwrap(), bytes[10..20]);
}

#[tokio::test]
async fn an_address_that_was_changed_opens_nothing() {
    let server = S3Server::start();
    let storage = s3(&server, "");
    storage.put("a", "mine").await.unwrap();
    storage.put("b", "another's").await.unwrap();
    let url = storage.presign_read("a", TTL, "attachment; filename=\"a\"").await.unwrap().url;
    assert_eq!(get(&url, None).await.status(), 200);
    let other_key = url.replacen(&format!("{ROOT}a"), &format!("{ROOT}b"), 1);
    let longer = url.replace("X-Amz-Expires=300", "X-Amz-Expires=30000");
    let renamed = url.replace("filename", "filenome");
    let unsigned = url.split('?').next().unwrap().to_owned();
    for changed in [other_key, longer, renamed, unsigned] {
        assert_ne!(changed, url);
        assert_eq!(get(&changed, None).await.status(), 403, "{changed}");
    }
    let written = reqwest::Client::new().put(&url).body("x").send().await.unwrap();
    assert_eq!(written.status(), 403, "what reads does not write");
}

#[tokio::test]
async fn an_address_expires() {
    let server = S3Server::start();
    let storage = s3(&server, "");
    storage.put("a", "mine").await.unwrap();
    let url = storage.presign_read("a", Duration::from_secs(1), "attachment").await.unwrap().url;
    let mut tries = 0;
    while get(&url, None).await.status() != 403 {
        tries += 1;
        assert!(tries < 200, "it goes on opening");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_address_stores_one_object_of_whatever_length_and_nothing_else() {
    let server = S3Server::start();
    for parameters in ["", "&sse=AES256", "&confirm=read_back"] {
        let storage = s3(&server, parameters);
        let request = storage.presign_write("incoming/1", TTL).await.unwrap();
        assert_eq!(request.method, "PUT");
        for length in [0, 1, 3_000_000] {
            let bytes = noise(length);
            assert_eq!(put(&request, &request.url, bytes.to_vec()).await, 200, "{parameters}");
            assert_eq!(storage.get("incoming/1", 4_000_000).await.unwrap().unwrap(), bytes);
        }
        let other = request.url.replacen("incoming/1", "incoming/2", 1);
        assert_eq!(put(&request, &other, vec![1]).await, 403);
        assert_eq!(get(&request.url, None).await.status(), 403, "what writes does not read");
        assert_eq!(storage.length("incoming/2").await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_told_by_the_store_and_no_secret_stands_in_an_address() {
    let server = S3Server::start();
    let storage = s3(&server, "");
    let request = storage.presign_read("a", TTL, "attachment").await.unwrap();
    assert!(!request.url.contains(S3Server::SECRET_KEY));
    assert!(!format!("{request:?}").contains("Signature"), "{request:?}");
    assert_eq!(get(&request.url, None).await.status(), 404);
}

#[tokio::test]
async fn storage_that_gives_out_no_addresses_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for storage in [open("memory://").unwrap(), open(&format!("file://{}", folder.path().display())).unwrap()]
    {
        assert!(!storage.can_presign());
        let error = storage.presign_read("a", TTL, "attachment").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert_eq!(storage.presign_write("a", TTL).await.unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
