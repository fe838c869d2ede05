//! Members that are missing, broken, or named by somebody who means harm.

use std::fs;

use respaldo_core::model::{Job, PackageFormat, Status};
use respaldo_core::package;
use respaldo_testkit::app::TestApp;
use serde_json::json;

use crate::support::{
    FORMATS, artifact, backed_up, failure, files_of_packages, good, incomplete, packaged, request, sqlite,
};

#[tokio::test]
async fn a_database_without_a_good_backup_fails_the_package_by_name_or_is_left_out_by_option() {
    let test = TestApp::new();
    backed_up(&test, &["a"]).await;
    let bare = sqlite(&test, "bare", json!({})).await;
    let failed = packaged(&test, &request(PackageFormat::Zip)).await;
    let why = failure(&failed);
    assert!(why.contains(&format!("database {} (bare): it has no good backup yet", bare.id)), "{why}");
    assert_eq!(failed.attempts.failures, 1, "it is not tried again");
    assert!(files_of_packages(&test).is_empty());
    let whole = good(&test, &incomplete(PackageFormat::Zip)).await;
    let package = whole.package().unwrap();
    assert_eq!((package.members.len(), package.left_out.len()), (1, 1));
    assert_eq!(package.left_out[0].database_id, bare.id);
    test.assert_promises().await;
}

/// Breaks the second of three members, and says what a package becomes.
async fn with_broken(break_it: impl Fn(&TestApp, &Job), reason: &str) {
    for format in FORMATS {
        let test = TestApp::new();
        let made = backed_up(&test, &["a", "b", "c"]).await;
        let (database, backup) = &made[1];
        break_it(&test, backup);
        let why = failure(&packaged(&test, &request(format)).await);
        let named = format!("backup {} of database {} (b): ", backup.id, database.id);
        assert!(why.contains(&named) && why.contains(reason), "{why}");
        assert!(files_of_packages(&test).is_empty(), "{:?}", files_of_packages(&test));

        let job = good(&test, &incomplete(format)).await;
        let package = job.package().unwrap();
        assert_eq!(package.members.len(), 2);
        assert_eq!(package.left_out.len(), 1);
        assert_eq!(package.left_out[0].database_id, database.id);
        assert!(package.left_out[0].reason.contains(reason), "{:?}", package.left_out);
        test.assert_readable(&job);
        assert!(job.attempts.litter.is_empty(), "{:?}", job.attempts);
        let attempts: Vec<String> = files_of_packages(&test);
        assert_eq!(attempts.len(), 3, "the archive, its manifest and its link: {attempts:?}");
    }
}

#[tokio::test]
async fn a_member_of_which_a_byte_has_changed_is_found_out_while_it_is_packed() {
    let flip = |test: &TestApp, backup: &Job| {
        let file = artifact(test, backup);
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).unwrap();
    };
    with_broken(flip, "the digest is another").await;
}

#[tokio::test]
async fn a_member_that_was_cut_is_found_out() {
    let cut = |test: &TestApp, backup: &Job| {
        let file = fs::OpenOptions::new().write(true).open(artifact(test, backup)).unwrap();
        file.set_len(100).unwrap();
    };
    with_broken(cut, "has 100 bytes").await;
}

#[tokio::test]
async fn a_member_whose_artifact_is_gone_is_found_out() {
    let remove = |test: &TestApp, backup: &Job| fs::remove_file(artifact(test, backup)).unwrap();
    with_broken(remove, "is not there").await;
}

#[tokio::test]
async fn a_member_whose_manifest_is_gone_or_tells_of_another_is_found_out() {
    let manifest = |test: &TestApp, backup: &Job| artifact(test, backup).with_file_name("manifest.json");
    with_broken(|test, backup| fs::remove_file(manifest(test, backup)).unwrap(), "manifest.json").await;
    let lie = |test: &TestApp, backup: &Job| fs::write(manifest(test, backup), "{}").unwrap();
    with_broken(lie, "its HMAC").await;
}

#[tokio::test]
async fn a_name_that_would_leave_the_folder_is_never_written_into_an_archive() {
    for name in ["../../.ssh/authorized_keys", "/etc/cron.d/x", "-rf", "a\nb", "MANIFEST.json", "sha256sums"]
    {
        let test = TestApp::new();
        let made = backed_up(&test, &["a", "b"]).await;
        // As a catalog would hold it that was rebuilt from what somebody put into storage.
        let mut hostile = test.job(made[1].1.id).await;
        hostile.backup_mut().unwrap().name = Some(name.to_owned());
        test.catalog.update_job(&hostile).await.unwrap();
        let why = failure(&packaged(&test, &request(PackageFormat::TarGz)).await);
        assert!(why.contains("(b): "), "{why}");
        let job = good(&test, &incomplete(PackageFormat::TarGz)).await;
        assert_eq!(job.package().unwrap().members.len(), 1, "{name:?}");
        assert_eq!(job.package().unwrap().left_out.len(), 1, "{name:?}");
    }
}

#[tokio::test]
async fn two_members_of_one_name_are_not_packed_over_each_other() {
    let test = TestApp::new();
    let made = backed_up(&test, &["a", "b"]).await;
    let mut twin = test.job(made[1].1.id).await;
    twin.backup_mut().unwrap().name = made[0].1.file_name().map(str::to_uppercase);
    test.catalog.update_job(&twin).await.unwrap();
    let why = failure(&packaged(&test, &request(PackageFormat::Zip)).await);
    assert!(why.contains("another member has its name"), "{why}");
}

#[tokio::test]
async fn where_nothing_is_left_even_an_incomplete_package_fails() {
    let test = TestApp::new();
    let made = backed_up(&test, &["a"]).await;
    fs::remove_file(artifact(&test, &made[0].1)).unwrap();
    let why = failure(&packaged(&test, &incomplete(PackageFormat::Zip)).await);
    assert!(why.contains("nothing is left to pack") && why.contains("(a)"), "{why}");
    assert!(files_of_packages(&test).is_empty());
}

#[tokio::test]
async fn a_cancelled_package_leaves_nothing() {
    let test = TestApp::new();
    backed_up(&test, &["a"]).await;
    let job = package::request(&test.app, &request(PackageFormat::Zip), crate::support::new_id(&test)).await;
    let job = respaldo_core::jobs::cancel(&test.app, job.unwrap().id).await.unwrap();
    assert_eq!(job.status, Status::Cancelled);
    test.assert_promises().await;
}
