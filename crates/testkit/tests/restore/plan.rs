//! The plan: it tells everything, and changes nothing.

use respaldo_core::ErrorKind;
use respaldo_core::model::RestoreMode;
use respaldo_core::restore::{self, Wanted};

use crate::support::{Damaged, request_of};

#[tokio::test]
async fn a_plan_tells_what_would_be_done_and_changes_nothing() {
    let damaged = Damaged::new().await;
    let (files, jobs) = (damaged.test.files(), damaged.test.jobs().await);
    let plan = restore::plan(&damaged.test.app, &request_of(damaged.backup.id), damaged.id()).await.unwrap();
    assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
    assert!(plan.safety_backup && plan.survey.present.target && plan.same_database);
    assert_eq!(plan.options.mode, RestoreMode::Swap);
    assert_eq!(plan.undo, "a restore of the safety backup");
    assert_eq!(plan.steps.len(), 4, "{:?}", plan.steps);
    assert_eq!(damaged.test.files(), files);
    assert_eq!(damaged.test.jobs().await, jobs);
    assert_eq!(damaged.content(), damaged.before);
}

#[tokio::test]
async fn what_stands_in_the_way_is_all_in_the_plan() {
    let damaged = Damaged::new().await;
    let mut request = request_of(damaged.backup.id);
    request.mode = Some(RestoreMode::InPlace);
    request.tables = vec!["orders".to_owned()];
    let plan = restore::plan(&damaged.test.app, &request, damaged.id()).await.unwrap();
    let reasons: Vec<&str> = plan.refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
    assert_eq!(reasons, ["tables cannot be chosen from a SQLite file", "mode in_place cannot be had here"]);
    let error = plan.check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    for reason in reasons {
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_is_there_and_not_registered_is_no_target() {
    let damaged = Damaged::new().await;
    let path = damaged.test.folder().join("mine.db");
    std::fs::write(&path, "mine").unwrap();
    let mut request = request_of(damaged.backup.id);
    request.target = Some(Wanted::Name(path.display().to_string()));
    request.force = true;
    let error = restore::request(&damaged.test.app, &request, damaged.id()).await.unwrap_err();
    assert!(error.to_string().contains("already"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}

#[tokio::test]
async fn a_path_outside_the_roots_is_no_target() {
    let damaged = Damaged::new().await;
    for path in ["/etc/respaldo.db", "../x.db", "/tmp/../etc/x.db"] {
        let mut request = request_of(damaged.backup.id);
        request.target = Some(Wanted::Name(path.to_owned()));
        let error = restore::plan(&damaged.test.app, &request, damaged.id()).await.unwrap_err();
        assert_eq!(error.field(), Some("target.database_name"), "{path}: {error}");
    }
}

#[tokio::test]
async fn two_restores_of_one_target_do_not_run_at_once() {
    let damaged = Damaged::new().await;
    let first = damaged.request(&request_of(damaged.backup.id)).await;
    let error =
        restore::request(&damaged.test.app, &request_of(damaged.backup.id), damaged.id()).await.unwrap_err();
    assert!(error.to_string().contains(&first.id.to_string()), "{error}");
    // The same request, repeated, is the same restore.
    let again = restore::request(&damaged.test.app, &request_of(damaged.backup.id), first.id).await.unwrap();
    assert_eq!(again.id, first.id);
}

#[tokio::test]
async fn a_backup_that_failed_cannot_be_restored() {
    let damaged = Damaged::new().await;
    std::fs::remove_file(damaged.path()).unwrap();
    let failed = damaged.test.back_up(&damaged.database).await;
    let error = restore::plan(&damaged.test.app, &request_of(failed.id), damaged.id()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    // The good one goes to where nothing is any more.
    let restored = damaged.restore(&request_of(damaged.backup.id)).await;
    assert_eq!(restored.restoration().unwrap().safety_backup, None);
    assert_eq!(damaged.content(), damaged.healthy);
}
