//! What holds on every store.

use futures::{StreamExt, TryStreamExt, stream};
use respaldo_core::ErrorKind;
use respaldo_testkit::s3::S3Server;

use super::support::{MIB, PATIENT, SMALL, artifact, noise, options, read, s3, stores, upload, url};

const PART: usize = 5 * MIB;

#[tokio::test]
async fn a_small_object_is_put_replaced_read_and_removed() {
    for store in stores() {
        let (storage, name) = (&store.storage, store.name);
        assert_eq!(storage.get("databases/a.json", 10).await.unwrap(), None, "{name}");
        for text in ["first", "", "second"] {
            storage.put("databases/a.json", text).await.unwrap();
            assert_eq!(storage.get("databases/a.json", 10).await.unwrap().unwrap(), text, "{name}");
            assert_eq!(storage.length("databases/a.json").await.unwrap(), Some(text.len() as u64), "{name}");
        }
        let error = storage.get("databases/a.json", 5).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: six bytes where five may be");
        storage.delete("databases/a.json").await.unwrap();
        storage.delete("databases/a.json").await.expect("gone already counts as removed");
        assert_eq!(storage.length("databases/a.json").await.unwrap(), None, "{name}");
        storage.check().await.unwrap();
    }
}

#[tokio::test]
async fn an_artifact_of_any_length_comes_back_as_it_went_up() {
    // Two parts make a volume here.
    let lengths = [0, 1, PART - 1, PART, PART + 1, 2 * PART - 1, 2 * PART, 2 * PART + 1, 5 * PART + 7];
    for store in stores() {
        for length in lengths {
            let (bytes, what) = (noise(length), format!("{} bytes on {}", length, store.name));
            let artifact = upload(&store.storage, "backups/d/b/1/", &bytes, SMALL).await.unwrap();
            let volumes = if store.has_volumes { length.div_ceil(2 * PART).max(1) } else { 1 };
            assert_eq!(artifact.volumes.len(), volumes, "{what}");
            for volume in &artifact.volumes {
                let stored = store.storage.length(&volume.key).await.unwrap();
                assert_eq!(stored, Some(volume.size_bytes), "{what}");
            }
            assert!(read(&store.storage, &artifact, 0..length as u64).await == bytes, "{what}");
            store.assert_no_parts();
            let removed = store.storage.delete_below("backups/d/b/1/").await.unwrap();
            assert_eq!(removed, volumes, "{what}");
        }
        assert!(store.storage.list("backups/").await.unwrap().is_empty(), "{}", store.name);
    }
}

#[tokio::test]
async fn any_range_is_read_across_the_edges_of_volumes() {
    for store in stores() {
        let length = 4 * PART + 3;
        let bytes = noise(length);
        let artifact = upload(&store.storage, "backups/d/b/1/", &bytes, SMALL).await.unwrap();
        let edge = 2 * PART;
        let ranges = [
            (0, 1),
            (edge - 1, edge),
            (edge, edge + 1),
            (edge - 1, edge + 1),
            (edge - 9, 2 * edge + 2),
            (2 * edge - 1, length),
            (length - 1, length),
            (7, 7),
            (0, length),
        ];
        for (start, end) in ranges {
            let read = read(&store.storage, &artifact, start as u64..end as u64).await;
            assert!(read == bytes[start..end], "{start}..{end} on {}", store.name);
        }
    }
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing_wherever_it_was() {
    let lengths = [0, 1, PART, PART + 1, 2 * PART, 2 * PART + 1, 3 * PART + 1];
    for store in stores() {
        for length in lengths {
            let mut upload = store.storage.upload(SMALL, |number| format!("backups/d/b/1/a.{number:03}"));
            upload.write(noise(length)).await.unwrap();
            upload.abort().await.unwrap();
            upload.abort().await.expect("twice is as good as once");
            let left = store.storage.list("backups/").await.unwrap();
            assert!(left.is_empty(), "{length} bytes on {}: {left:?}", store.name);
            store.assert_no_parts();
        }
    }
}

#[tokio::test]
async fn what_somebody_removed_is_not_found_by_whoever_reads_it_and_not_asked_for_again() {
    for store in stores() {
        let artifact = upload(&store.storage, "backups/d/b/1/", &noise(3 * PART), SMALL).await.unwrap();
        store.storage.delete(&artifact.volumes[0].key).await.unwrap();
        let read = store.storage.read(&artifact, 0..artifact.size_bytes).try_collect::<Vec<_>>().await;
        let error = read.expect_err("it is gone");
        assert_eq!(
            (error.kind(), error.is_retryable()),
            (ErrorKind::NotFound, false),
            "{}: {error}",
            store.name
        );
        assert!(!error.message().contains("127.0.0.1"), "{}: {error}", store.name);
    }
}

#[tokio::test]
async fn an_artifact_that_somebody_shortened_is_not_confirmed() {
    for store in stores().into_iter().filter(|store| store.has_volumes) {
        let mut upload = store.storage.upload(SMALL, |number| format!("backups/d/b/1/a.{number:03}"));
        upload.write(noise(2 * PART + 1)).await.unwrap();
        store.storage.put("backups/d/b/1/a.001", "short").await.unwrap();
        let error = upload.finish().await.unwrap_err();
        assert!(error.is_retryable() && error.message().contains("the store holds 5 bytes"), "{error}");
        upload.abort().await.unwrap();
        assert!(store.storage.list("backups/").await.unwrap().is_empty(), "{}", store.name);
    }
}

#[tokio::test]
async fn more_keys_than_a_page_holds_are_listed_and_removed_and_the_neighbours_stay() {
    for store in stores() {
        let storage = &store.storage;
        let neighbour = "backups/d/bb/1/artifact".to_owned();
        let keys = (0..1_005).map(|n| format!("backups/d/b/{n:04}/artifact"));
        let mut keys: Vec<String> = keys.chain(["backups/d/b/0001/manifest.json".to_owned()]).collect();
        let puts = keys.iter().chain([&neighbour]).map(|key| storage.put(key, "x"));
        let puts: Vec<_> = puts.collect();
        stream::iter(puts).buffer_unordered(16).try_collect::<Vec<()>>().await.unwrap();
        let mut listed = storage.list("backups/d/b/").await.unwrap();
        listed.sort();
        keys.sort();
        assert_eq!(listed, keys, "{}", store.name);
        assert_eq!(storage.delete_below("backups/d/b/").await.unwrap(), keys.len(), "{}", store.name);
        assert_eq!(
            storage.list("backups/").await.unwrap(),
            std::slice::from_ref(&neighbour),
            "{}",
            store.name
        );
        assert_eq!(storage.delete_below("backups/d/b/").await.unwrap(), 0, "{}", store.name);
    }
}

#[tokio::test]
async fn names_with_spaces_signs_and_letters_of_all_languages_are_names() {
    let names =
        ["a b", "ñandú ☃ 数据", "a+b", "100%", "%41", "a&b=c;d", "it's", "q?x#y", "(a)[b]{c}", "~$,@!*"];
    for store in stores() {
        let (storage, bytes) = (&store.storage, noise(PART + 1));
        let mut keys = Vec::new();
        for name in names {
            let key = format!("backups/d/b/1/{name}.sql");
            let mut upload = storage.upload(SMALL, {
                let key = key.clone();
                move |_| key.clone()
            });
            upload.write(bytes.clone()).await.unwrap();
            let artifact = artifact(upload.finish().await.unwrap());
            let back = read(storage, &artifact, 0..bytes.len() as u64).await;
            assert!(back == bytes, "{name:?} on {}", store.name);
            keys.push(key);
        }
        let mut listed = storage.list("backups/d/b/1/").await.unwrap();
        listed.sort();
        keys.sort();
        assert_eq!(listed, keys, "{}", store.name);
        assert_eq!(storage.delete_below("backups/d/b/1/").await.unwrap(), keys.len(), "{}", store.name);
        store.assert_no_parts();
    }
}

#[tokio::test]
async fn what_people_are_shown_holds_no_secret() {
    let server = S3Server::start();
    let storage = s3(&server, "");
    assert_eq!(storage.location(), "s3://backups/some/prefix");
    assert_eq!(storage.location_of("k/l"), "s3://backups/some/prefix/k/l");
    let wrong = respaldo_adapters::storage::Options {
        key: Some(respaldo_adapters::storage::AccessKey {
            id: S3Server::ACCESS_KEY.to_owned(),
            secret: "hunter2".into(),
        }),
        ..options(PATIENT)
    };
    let stranger = respaldo_adapters::storage::open_with(&url(&server, ""), &wrong).unwrap();
    let mut shown = format!("{storage:?} {stranger:?} {wrong:?} {:?}", options(PATIENT));
    for error in [
        stranger.put("a", "x").await.unwrap_err(),
        stranger.get("a", 10).await.unwrap_err(),
        stranger.list("a/").await.unwrap_err(),
        stranger.check().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
        assert!(error.mend().unwrap().contains("credentials"), "{error}");
        shown += &format!("{error} {error:?}");
    }
    stranger.abort_unfinished("a/").await.unwrap();
    shown += &format!("{:?}", stranger.complaint().expect("it is refused"));
    for secret in ["hunter2", S3Server::SECRET_KEY] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
