//! How S3 is asked to keep what it is given.

use respaldo_core::ErrorKind;
use respaldo_testkit::s3::{Operation, S3Server};

use super::support::{MIB, SMALL, noise, read, s3, upload};

const ENCRYPTION: &str = "x-amz-server-side-encryption";
const KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CLASS: &str = "x-amz-storage-class";

/// What each request that makes an object asked for, and that no other asked for anything.
fn asked(server: &S3Server) -> Vec<Vec<(String, String)>> {
    let (making, other): (Vec<_>, Vec<_>) = server
        .requests()
        .into_iter()
        .partition(|seen| matches!(seen.operation, Operation::PutObject | Operation::CreateUpload));
    for seen in other {
        // S3 refuses these on a part, a completion or a read.
        assert!(seen.kept.is_empty(), "{seen:?}");
    }
    making.into_iter().map(|seen| seen.kept).collect()
}

#[tokio::test]
async fn every_object_asks_for_the_encryption_and_the_class_of_the_url() {
    let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let cases = [
        (String::new(), vec![]),
        ("&sse=AES256".to_owned(), vec![(ENCRYPTION, "AES256")]),
        ("&sse=aws:kms".to_owned(), vec![(ENCRYPTION, "aws:kms")]),
        (format!("&sse=aws:kms&sse_kms_key_id={key}"), vec![(ENCRYPTION, "aws:kms"), (KEY, key)]),
        (
            "&sse=aws:kms:dsse&sse_kms_key_id=alias%2Fbackups".to_owned(),
            vec![(ENCRYPTION, "aws:kms:dsse"), (KEY, "alias/backups")],
        ),
        ("&storage_class=STANDARD".to_owned(), vec![(CLASS, "STANDARD")]),
        ("&storage_class=STANDARD&sse=AES256".to_owned(), vec![(ENCRYPTION, "AES256"), (CLASS, "STANDARD")]),
    ];
    for (parameters, expected) in cases {
        let server = S3Server::start();
        let storage = s3(&server, &parameters);
        storage.put("databases/a.json", "{}").await.unwrap();
        for length in [MIB, 11 * MIB] {
            let bytes = noise(length);
            let artifact =
                upload(&storage, &format!("a/ñ é&<>'+%41/{length}/"), &bytes, SMALL).await.unwrap();
            assert!(read(&storage, &artifact, 0..length as u64).await == bytes);
        }
        let expected: Vec<(String, String)> =
            expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(server.count(Operation::CreateUpload), 1);
        assert_eq!(asked(&server), vec![expected; 3], "{parameters}");
    }
}

/// The tests' server has `STANDARD` alone.
#[tokio::test]
async fn a_class_that_the_store_does_not_have_is_asked_for_and_its_refusal_names_the_mend() {
    for class in ["STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"] {
        let server = S3Server::start();
        let storage = s3(&server, &format!("&storage_class={class}"));
        let error = storage.put("databases/a.json", "{}").await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Config, false), "{error}");
        assert!(error.mend().is_some_and(|mend| mend.contains("storage_class")), "{error}");
        // It takes any class at the beginning of an upload.
        upload(&storage, "a/", &noise(11 * MIB), SMALL).await.unwrap();
        let wish = vec![(CLASS.to_owned(), class.to_owned())];
        assert_eq!(asked(&server), [wish.clone(), wish], "an object, and the beginning of an upload");
    }
}
