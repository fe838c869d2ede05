//! One due time, one package.

use jiff::{SignedDuration, Timestamp};
use respaldo_core::model::{Job, PackageFormat, PackageKind, Status};
use respaldo_core::package::{self, Cron, Policy};
use respaldo_core::{jobs, tick};
use respaldo_testkit::app::TestApp;

use crate::support::{backed_up, good, new_id, request};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// An installation that makes packages by this crontab, its clock stopped on a Sunday.
pub(crate) fn scheduled(crontab: &str, adjust: impl FnOnce(Policy) -> Policy) -> TestApp {
    let cron = Cron::parse(crontab, None).unwrap();
    let test = TestApp::with(|limits| {
        limits.package = adjust(Policy { cron: Some(cron), ..Policy::default() });
    });
    test.clock.stop_at(at("2026-03-01T12:00:00Z"));
    test
}

/// Lets the next day or hour come, and runs the package of its slot to its end.
pub(crate) async fn next_slot(test: &TestApp) -> Job {
    package::tick(&test.app).await.unwrap();
    test.clock.advance(SignedDuration::from_hours(24));
    package::tick(&test.app).await.unwrap();
    let queued = package::list(&test.app, Some(Status::Queued), None, None, 10).await.unwrap();
    assert_eq!(queued.len(), 1, "a slot is due");
    let id = queued[0].id;
    test.run(id).await.unwrap();
    test.job(id).await
}

async fn all(test: &TestApp) -> Vec<Job> {
    package::list(&test.app, None, Some(PackageKind::Scheduled), None, 100).await.unwrap()
}

#[tokio::test]
async fn a_slot_gives_one_package_however_many_schedulers_and_restarts_there_are() {
    let test = scheduled("0 5 * * 1", |policy| policy);
    backed_up(&test, &["a"]).await;
    package::tick(&test.app).await.unwrap();
    assert!(all(&test).await.is_empty(), "no slot counts that came before the schedule was set");
    test.clock.stop_at(at("2026-03-02T05:00:00Z"));
    let restarted = || {
        let mut app = test.app.clone();
        let mut limits = (*app.limits).clone();
        limits.package.cron = Some(Cron::parse("0 5 * * 1", None).unwrap());
        app.limits = std::sync::Arc::new(limits);
        app
    };
    let (one, other) = (restarted(), restarted());
    let (first, second) = tokio::join!(package::tick(&one), package::tick(&other));
    assert!(first.unwrap().due + second.unwrap().due >= 1);
    for _ in 0..3 {
        package::tick(&test.app).await.unwrap();
        package::tick(&restarted()).await.unwrap();
    }
    let made = all(&test).await;
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].package().unwrap().slot, Some(at("2026-03-02T05:00:00Z")));
    assert_eq!(made[0].created_at, at("2026-03-02T05:00:00Z"));
    test.run(made[0].id).await.unwrap();
    // Deleted, it does not come back, also not weeks later after a restart.
    package::delete(&test.app, made[0].id).await.unwrap();
    test.clock.advance(SignedDuration::from_hours(24 * 6));
    package::tick(&restarted()).await.unwrap();
    assert!(all(&test).await.is_empty());
}

#[tokio::test]
async fn missed_slots_coalesce_into_the_newest() {
    let test = scheduled("@daily", |policy| policy);
    backed_up(&test, &["a"]).await;
    package::tick(&test.app).await.unwrap();
    test.clock.advance(SignedDuration::from_hours(24 * 5));
    package::tick(&test.app).await.unwrap();
    let made = all(&test).await;
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].package().unwrap().slot, Some(at("2026-03-06T00:00:00Z")));
}

#[tokio::test]
async fn another_schedule_counts_from_when_it_was_set() {
    let test = scheduled("@daily", |policy| policy);
    backed_up(&test, &["a"]).await;
    package::tick(&test.app).await.unwrap();
    let mut limits = (*test.app.limits).clone();
    limits.package.cron = Some(Cron::parse("0 11 * * *", Some("Europe/Madrid")).unwrap());
    let mut app = test.app.clone();
    app.limits = std::sync::Arc::new(limits);
    package::tick(&app).await.unwrap();
    assert!(all(&test).await.is_empty(), "today's 11 o'clock came before it was set");
    test.clock.stop_at(at("2026-03-02T10:00:00Z"));
    package::tick(&app).await.unwrap();
    assert_eq!(all(&test).await.len(), 1);
}

#[tokio::test]
async fn a_slot_that_meets_a_package_that_has_not_ended_or_no_database_is_skipped_with_its_reason() {
    let test = scheduled("@daily", |policy| policy);
    package::tick(&test.app).await.unwrap();
    test.clock.advance(SignedDuration::from_hours(24));
    package::tick(&test.app).await.unwrap();
    let skipped = all(&test).await;
    assert_eq!(skipped[0].status, Status::Skipped);
    assert!(skipped[0].error.as_ref().unwrap().message().contains("no database has package: true"));
    backed_up(&test, &["a"]).await;
    let waits = package::request(&test.app, &request(PackageFormat::Zip), new_id(&test)).await.unwrap();
    test.clock.advance(SignedDuration::from_hours(24));
    package::tick(&test.app).await.unwrap();
    let skipped = &all(&test).await[0];
    assert_eq!(skipped.status, Status::Skipped);
    let why = skipped.error.as_ref().unwrap().to_string();
    assert!(why.contains(&format!("package {} has not ended yet", waits.id)), "{why}");
    assert!(why.contains("start a scheduled package"), "{why}");
    assert!(!skipped.untold, "its end was told");
}

#[tokio::test]
async fn a_package_takes_one_of_the_places() {
    let test = TestApp::with(|limits| limits.max_parallel_jobs = 1);
    let made = backed_up(&test, &["a"]).await;
    let held = test.catalog.acquire_lease(
        "place/0000",
        "another job",
        test.app.now(),
        test.app.now() + SignedDuration::from_secs(30),
    );
    assert!(held.await.unwrap().is_some());
    let job = package::request(&test.app, &request(PackageFormat::Zip), new_id(&test)).await.unwrap();
    assert_eq!(test.run(job.id).await.unwrap(), jobs::Ran::NoPlace);
    test.clock.advance(SignedDuration::from_mins(2));
    assert_eq!(tick::tick(&test.app).await.unwrap().rung, 1, "a tick rings for it");
    assert_eq!(test.run_to_end(job.id).await.status, Status::Succeeded);
    drop(made);
    good(&test, &request(PackageFormat::TarGz)).await;
}
