//! What is in a package, and reading one member of it.

use bytes::BytesMut;
use futures::TryStreamExt as _;
use respaldo_core::metrics;
use respaldo_core::model::{DatabaseId, Job, PackageFormat, Status};
use respaldo_core::package::{self, MemberDownload};
use respaldo_testkit::app::TestApp;
use serde_json::{Value, json};

use crate::support::{FORMATS, archive, backed_up, good, new_id, of, packaged, request, sqlite};

async fn read(test: &TestApp, job: &Job, file: &str, range: std::ops::Range<u64>) -> Vec<u8> {
    let member = MemberDownload::open(&test.app, job.id, file).await.unwrap();
    member.stream(range).try_collect::<BytesMut>().await.unwrap().to_vec()
}

#[tokio::test]
async fn a_member_is_read_out_of_either_format_whole_and_in_part() {
    let test = TestApp::new();
    // Long enough for several blocks.
    let path = test.folder().join("large.db");
    respaldo_testkit::sqlite::open(&path)
        .execute_batch("CREATE TABLE t (b BLOB); INSERT INTO t VALUES (randomblob(300000))")
        .unwrap();
    let fields = json!({"name": "l", "engine": "sqlite", "database_name": path, "compression": "none", "package": true});
    let large = test.register(fields).await;
    let large = test.back_up(&large).await;
    let small = backed_up(&test, &["a"]).await.remove(0).1;
    for format in FORMATS {
        let job = good(&test, &request(format)).await;
        for backup in [&large, &small] {
            let (file, whole) = (backup.file_name().unwrap(), test.stored(backup));
            let length = whole.len() as u64;
            assert_eq!(read(&test, &job, file, 0..length).await, whole, "{format}");
            for range in [0..1, length - 1..length, 0..0, length / 3..length / 2, 5..length.min(70_000)] {
                let expected =
                    &whole[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
                assert!(read(&test, &job, file, range.clone()).await == expected, "{format} {range:?}");
            }
        }
        let missing = MemberDownload::open(&test.app, job.id, "../etc/passwd").await.err().unwrap();
        assert_eq!(missing.field(), Some("member"));
    }
}

#[tokio::test]
async fn the_manifest_in_a_package_tells_each_member_and_no_secret_nor_host() {
    let test = TestApp::new();
    let made = backed_up(&test, &["a", "b"]).await;
    let job = good(&test, &request(PackageFormat::Zip)).await;
    let stored = std::fs::read(archive(&test, &job)).unwrap();
    let text = String::from_utf8_lossy(&stored);
    let (start, end) = (text.find("{\n  \"format\": 1").unwrap(), text.find("\n}\n").unwrap());
    let manifest: Value = serde_json::from_str(&text[start..end + 3]).unwrap();
    assert_eq!(manifest["package_id"], job.id.to_string());
    assert_eq!(manifest["left_out"], json!([]));
    for ((database, backup), member) in made.iter().zip(manifest["members"].as_array().unwrap()) {
        let artifact = backup.artifact().unwrap();
        assert_eq!(member["file"], backup.file_name().unwrap());
        assert_eq!(member["database_id"], database.id.0);
        assert_eq!(member["backup_id"], backup.id.to_string());
        assert_eq!(member["engine"], "sqlite");
        assert_eq!(member["size_bytes"], artifact.size_bytes);
        assert_eq!(member["raw_bytes"], artifact.raw_bytes);
        assert_eq!((&member["sha256"], &member["md5"]), (&json!(artifact.sha256), &json!(artifact.md5)));
        assert!(member["server_version"].is_string(), "{member}");
        for field in ["host", "port", "username", "password", "offset"] {
            assert!(member.get(field).is_none(), "{field}");
        }
    }
}

#[tokio::test]
async fn the_newest_good_backup_is_taken_and_neither_a_failed_nor_an_uploaded_one() {
    let test = TestApp::new();
    let (database, first) = backed_up(&test, &["a"]).await.remove(0);
    let newest = test.back_up(&database).await;
    std::fs::rename(test.folder().join("a.db"), test.folder().join("gone.db")).unwrap();
    assert_eq!(test.back_up(&database).await.status, Status::Failed);
    let job = good(&test, &request(PackageFormat::Zip)).await;
    let members = &job.package().unwrap().members;
    assert_eq!((members.len(), members[0].backup_id), (1, newest.id));
    assert_ne!(first.id, newest.id);
}

#[tokio::test]
async fn named_databases_are_packed_whether_or_not_their_policy_says_so() {
    let test = TestApp::new();
    let made = backed_up(&test, &["a", "b"]).await;
    let loner = sqlite(&test, "c", json!({"package": false})).await;
    test.back_up(&loner).await;
    let job = good(&test, &of(&[loner.id, made[0].0.id, loner.id])).await;
    let packed: Vec<DatabaseId> =
        job.package().unwrap().members.iter().map(|member| member.database_id).collect();
    assert_eq!(packed, [made[0].0.id, loner.id]);
    let all = good(&test, &request(PackageFormat::Zip)).await;
    assert_eq!(all.package().unwrap().members.len(), 2, "those with package: true");
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_by_its_field_and_makes_no_record() {
    let test = TestApp::new();
    let error = package::request(&test.app, &request(PackageFormat::Zip), new_id(&test)).await.unwrap_err();
    assert!(error.message().contains("no database has package: true"), "{error}");
    for ids in [vec![], vec![DatabaseId(99)], vec![DatabaseId(1); 10_001]] {
        let error = package::request(&test.app, &of(&ids), new_id(&test)).await.unwrap_err();
        assert_eq!(error.field(), Some("database_ids"), "{error}");
    }
    assert!(test.jobs().await.is_empty());
}

#[tokio::test]
async fn a_plan_tells_the_members_and_changes_nothing() {
    let test = TestApp::new();
    let made = backed_up(&test, &["a"]).await;
    let bare = sqlite(&test, "bare", json!({})).await;
    let before = test.files();
    let plan = package::plan(&test.app, &None).await.unwrap();
    assert_eq!(plan.chosen.len(), 1);
    assert_eq!(plan.chosen[0].member.backup_id, made[0].1.id);
    assert_eq!((plan.missing.len(), plan.missing[0].database_id), (1, bare.id));
    assert_eq!(plan.size_bytes(), made[0].1.artifact().unwrap().size_bytes);
    assert_eq!(test.files(), before);
    assert!(test.jobs().await.iter().all(|job| job.package().is_err()));
}

#[tokio::test]
async fn two_packages_of_one_second_have_names_of_their_own_and_a_deleted_one_leaves_nothing() {
    let test = TestApp::new();
    backed_up(&test, &["a"]).await;
    test.clock.stop_at("2026-03-01T05:00:00Z".parse().unwrap());
    let first = package::request(&test.app, &request(PackageFormat::TarGz), new_id(&test)).await.unwrap();
    let second = package::request(&test.app, &request(PackageFormat::TarGz), new_id(&test)).await.unwrap();
    for id in [first.id, second.id] {
        test.run(id).await.unwrap();
    }
    let names = [first.id, second.id].map(|id| test.job(id));
    let [first, second] = futures::future::join_all(names).await.try_into().unwrap();
    assert_eq!(first.file_name(), Some("package_20260301_050000.tar.gz"));
    assert_eq!(second.file_name(), Some("package_20260301_050000-2.tar.gz"));
    test.assert_promises().await;
    assert!(package::delete(&test.app, first.id).await.unwrap());
    assert!(package::get(&test.app, first.id).await.is_err());
    test.assert_promises().await;
    assert!(archive(&test, &second).exists());
}

#[tokio::test]
async fn asked_twice_with_one_id_it_is_one_package() {
    let test = TestApp::new();
    backed_up(&test, &["a"]).await;
    let id = new_id(&test);
    for _ in 0..2 {
        let job = package::request(&test.app, &request(PackageFormat::Zip), id).await.unwrap();
        assert_eq!(job.id, id);
    }
    assert_eq!(package::list(&test.app, None, None, None, 10).await.unwrap().len(), 1);
    let job = packaged(&test, &request(PackageFormat::Zip)).await;
    assert_eq!(job.status, Status::Succeeded);
}

#[tokio::test]
async fn the_metrics_tell_how_packages_end_and_of_the_newest_good_one() {
    let test = TestApp::new();
    let text = async || metrics::text(&metrics::gather(&test.app).await.unwrap()).unwrap();
    assert!(!text().await.contains("backup_package_bytes"), "nobody has made one");
    let made = backed_up(&test, &["a"]).await;
    let whole = good(&test, &request(PackageFormat::Zip)).await;
    sqlite(&test, "bare", json!({})).await;
    assert_eq!(packaged(&test, &request(PackageFormat::Zip)).await.status, Status::Failed);
    let at = whole.finished_at.unwrap().as_millisecond();
    for line in [
        "backup_package_total{status=\"succeeded\"} 1".to_owned(),
        "backup_package_total{status=\"failed\"} 1".to_owned(),
        format!("backup_package_bytes {}", whole.artifact().unwrap().size_bytes),
        format!("backup_package_last_success_timestamp_seconds {}", at / 1000),
        "backup_package_duration_seconds ".to_owned(),
    ] {
        assert!(text().await.contains(&format!("\n{line}")), "{line}: {}", text().await);
    }
    package::delete(&test.app, whole.id).await.unwrap();
    assert!(text().await.contains("backup_package_total{status=\"succeeded\"} 1"), "counts do not go back");
    drop(made);
}
