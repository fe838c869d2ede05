//! What is packed is held: neither a person nor retention takes it away meanwhile.

use std::sync::Arc;

use jiff::SignedDuration;
use respaldo_core::databases::{self, Change};
use respaldo_core::model::{JobId, PackageFormat, Status};
use respaldo_core::tick::tick;
use respaldo_core::{ErrorKind, backup, jobs, package, retention};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::faults::{Call, FaultPlan};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{backed_up, new_id, request};

/// A package that stands still in another process in the middle of its members.
struct Standing {
    id: JobId,
    plan: FaultPlan,
    running: JoinHandle<respaldo_core::Result<jobs::Ran>>,
}

impl Standing {
    async fn of(test: &TestApp) -> Self {
        let id = package::request(&test.app, &request(PackageFormat::Zip), new_id(test)).await.unwrap().id;
        let (app, plan) = test.another_process();
        plan.freeze_call(Call::Write);
        let worker = Arc::new(jobs::Worker::new("other"));
        let running = tokio::spawn(async move { Box::pin(jobs::run(&app, id, &worker)).await });
        while plan.frozen() == 0 {
            assert!(!running.is_finished(), "it ended before it stood still");
            tokio::task::yield_now().await;
        }
        Self { id, plan, running }
    }

    async fn go_on(self, test: &TestApp) {
        self.plan.thaw();
        self.running.await.unwrap().unwrap();
        let job = test.job(self.id).await;
        assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
        test.assert_readable(&job);
    }
}

#[tokio::test]
async fn a_backup_is_not_deleted_while_a_package_is_being_made_of_it() {
    let test = TestApp::new();
    let (_, backup) = backed_up(&test, &["a"]).await.remove(0);
    let standing = Standing::of(&test).await;
    let refused = backup::delete(&test.app, backup.id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.to_string().contains(&format!("package {}", standing.id)), "{refused}");
    assert!(refused.mend().unwrap().contains("/cancel"), "{refused}");
    assert_eq!(test.job(backup.id).await.status, Status::Succeeded);
    standing.go_on(&test).await;
    assert!(backup::delete(&test.app, backup.id).await.unwrap(), "now it is free");
    test.assert_promises().await;
}

#[tokio::test]
async fn retention_leaves_the_backups_of_a_package_that_is_being_made_and_takes_them_afterwards() {
    let test = TestApp::new();
    let path = test.folder().join("a.db");
    respaldo_testkit::sqlite::sample(&path);
    let fields = json!({
        "name": "a", "engine": "sqlite", "database_name": path, "package": true, "schedule": "@hourly",
    });
    let database = test.register(fields).await;
    let slot = async || {
        test.clock.advance(SignedDuration::from_hours(1));
        tick(&test.app).await.unwrap();
        let queued = test.jobs().await.into_iter().find(|job| job.status == Status::Queued).unwrap();
        test.run_to_end(queued.id).await
    };
    let packed = slot().await;
    let standing = Standing::of(&test).await;
    // A newer one, so that the rule would have the packed one removed.
    let newer = backup::request(&test.app, database.id, None).await.unwrap();
    test.run(newer.id).await.unwrap();
    let Value::Object(fields) = json!({"max_backups": 1, "retention_days": 1}) else { unreachable!() };
    let change = Change { fields, may_shorten_retention: true, ..Change::default() };
    databases::change(&test.app, database.id, change).await.unwrap();
    let mut later = test.app.clone();
    let clock = respaldo_testkit::app::TestClock::default();
    clock.advance(test.app.now().duration_since(clock_now(&clock)) + SignedDuration::from_hours(48));
    later.clock = Arc::new(clock);
    let held = later.catalog.live_leases(&format!("read/{}/", packed.id), test.app.now()).await.unwrap();
    assert_eq!(held.len(), 1, "the package reads it");
    let plan = retention::show(&later, &databases::get(&later, database.id).await.unwrap()).await.unwrap();
    let decision = plan.decisions.iter().find(|decision| decision.job.id == packed.id).unwrap();
    assert_eq!(decision.action, retention::Action::Locked, "{}", decision.reason);
    assert!(decision.reason.to_string().contains("package"), "{}", decision.reason);
    standing.go_on(&test).await;
    test.clock.advance(SignedDuration::from_hours(48));
    let applied = retention::apply(&test.app, database.id, None).await.unwrap();
    assert_eq!(applied.fates.len(), 1, "{:?}", applied.fates);
    test.assert_promises().await;
}

fn clock_now(clock: &respaldo_testkit::app::TestClock) -> jiff::Timestamp {
    use respaldo_core::ports::Clock as _;
    clock.now()
}

#[tokio::test]
async fn a_deletion_that_was_marked_just_before_makes_the_package_choose_anew() {
    let test = TestApp::new();
    let (database, older) = backed_up(&test, &["a"]).await.remove(0);
    let newest = test.back_up(&database).await;
    // Somebody reads it, so that its deletion waits.
    let reader = backup::Download::open(&test.app, newest.id).await.unwrap();
    assert!(!backup::delete(&test.app, newest.id).await.unwrap());
    let job = crate::support::good(&test, &request(PackageFormat::Zip)).await;
    assert_eq!(job.package().unwrap().members[0].backup_id, older.id);
    drop(reader);
}

#[tokio::test]
async fn a_package_that_somebody_downloads_is_deleted_when_they_have_ended() {
    let test = TestApp::new();
    backed_up(&test, &["a"]).await;
    let job = crate::support::good(&test, &request(PackageFormat::TarGz)).await;
    let reader = backup::Download::open(&test.app, job.id).await.unwrap();
    assert!(!package::delete(&test.app, job.id).await.unwrap());
    assert_eq!(test.job(job.id).await.status, Status::Deleting);
    drop(reader);
    tokio::task::yield_now().await;
    test.clock.advance(SignedDuration::from_mins(5));
    tick(&test.app).await.unwrap();
    assert!(test.catalog.job(job.id).await.unwrap().is_none());
    test.assert_promises().await;
}
