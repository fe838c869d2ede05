//! Test restores that nobody asks for: after each backup, once a day, once a week, however many schedulers.

use jiff::SignedDuration;
use respaldo_core::databases::{self, Change};
use respaldo_core::model::{Database, Job, Status, Work, WorkKind};
use respaldo_core::schedule::Schedule;
use respaldo_core::tick::tick;
use respaldo_core::verify::{self, Cron};
use respaldo_testkit::app::TestApp;
use serde_json::json;

use super::support::{backed_up, new_id, verdict};

/// An installation whose daily and weekly test restores have their turn at five in the morning.
fn at_five() -> TestApp {
    let cron = Cron::new(Schedule::parse("0 5 * * *", Some("Europe/Madrid")).unwrap());
    let test = TestApp::with(|limits| limits.verify = Some(cron));
    // A Wednesday, 12:00 in Madrid.
    test.clock.stop_at("2026-01-14T11:00:00Z".parse().unwrap());
    test
}

async fn with_policy(test: &TestApp, policy: &str) -> Database {
    let database = test.register_sample().await;
    let serde_json::Value::Object(fields) = json!({"verify": policy}) else { unreachable!() };
    databases::change(&test.app, database.id, Change { fields, ..Change::default() }).await.unwrap()
}

async fn tests(test: &TestApp) -> Vec<Job> {
    let mut jobs = test.jobs().await;
    jobs.retain(|job| job.work.kind() == WorkKind::Verify);
    jobs
}

/// Ticks, runs what was queued, and answers how many test restores there are then.
async fn after_a_tick(test: &TestApp) -> usize {
    // As after a restart: what this process has seen is forgotten.
    let mut app = test.app.clone();
    let mut limits = (*app.limits).clone();
    limits.verify = Some(Cron::new(Schedule::parse("0 5 * * *", Some("Europe/Madrid")).unwrap()));
    app.limits = limits.into();
    verify::tick(&app).await.unwrap();
    for job in tests(test).await.iter().filter(|job| job.status == Status::Queued) {
        test.run(job.id).await.unwrap();
    }
    tests(test).await.len()
}

#[tokio::test]
async fn after_each_tests_every_backup_once_and_off_tests_none() {
    let test = TestApp::new();
    let database = with_policy(&test, "after_each").await;
    let backup = test.back_up(&database).await;
    let queued = tests(&test).await;
    assert_eq!(queued.len(), 1);
    let Work::Verify(asked) = &queued[0].work else { unreachable!() };
    assert!(asked.backup == backup.id && asked.scheduled);
    test.run(queued[0].id).await.unwrap();
    assert!(test.job(backup.id).await.backup().unwrap().verification.is_some());
    // Whoever tells the end again asks for the same.
    let mut untold = test.job(backup.id).await;
    untold.untold = true;
    test.catalog.update_job(&untold).await.unwrap();
    test.clock.advance(SignedDuration::from_mins(5));
    tick(&test.app).await.unwrap();
    assert_eq!(tests(&test).await.len(), 1);

    let serde_json::Value::Object(fields) = json!({"verify": "off"}) else { unreachable!() };
    databases::change(&test.app, database.id, Change { fields, ..Change::default() }).await.unwrap();
    test.back_up(&database).await;
    assert_eq!(tests(&test).await.len(), 1);
}

#[tokio::test]
async fn daily_tests_the_newest_backup_once_a_day_and_makes_up_for_a_missed_turn() {
    let test = at_five();
    let database = with_policy(&test, "daily").await;
    assert_eq!(after_a_tick(&test).await, 0, "without a backup");
    test.back_up(&database).await;
    let newest = test.back_up(&database).await;
    // Five o'clock has passed while nothing ran.
    assert_eq!(after_a_tick(&test).await, 1);
    assert_eq!(tests(&test).await[0].test_restore().unwrap().backup, newest.id);
    assert_eq!(after_a_tick(&test).await, 1, "once a day");
    test.clock.advance(SignedDuration::from_hours(15));
    assert_eq!(after_a_tick(&test).await, 1, "at three in the morning it is yesterday's turn still");
    test.clock.advance(SignedDuration::from_hours(3));
    assert_eq!(after_a_tick(&test).await, 2, "the next day, the same backup again");
    test.clock.advance(SignedDuration::from_hours(24 * 5));
    assert_eq!(after_a_tick(&test).await, 3, "of five days that were missed, one is made up for");
}

#[tokio::test]
async fn weekly_tests_the_newest_backup_once_a_week_which_begins_on_monday() {
    let test = at_five();
    let database = with_policy(&test, "weekly").await;
    test.back_up(&database).await;
    assert_eq!(after_a_tick(&test).await, 1);
    // Thursday to Sunday.
    for _ in 0..4 {
        test.clock.advance(SignedDuration::from_hours(24));
        assert_eq!(after_a_tick(&test).await, 1);
    }
    test.clock.advance(SignedDuration::from_hours(24));
    assert_eq!(after_a_tick(&test).await, 2, "Monday");
}

#[tokio::test]
async fn a_verdict_that_somebody_asked_for_today_spares_today_s_turn() {
    let test = at_five();
    let database = with_policy(&test, "daily").await;
    let backup = test.back_up(&database).await;
    verdict(&test, &backup).await;
    assert_eq!(after_a_tick(&test).await, 1, "only the one that was asked for");
}

#[tokio::test]
async fn a_disabled_database_has_no_turn() {
    let test = at_five();
    let database = with_policy(&test, "daily").await;
    test.back_up(&database).await;
    let serde_json::Value::Object(fields) = json!({"enabled": false}) else { unreachable!() };
    databases::change(&test.app, database.id, Change { fields, ..Change::default() }).await.unwrap();
    assert_eq!(after_a_tick(&test).await, 0);
}

#[tokio::test]
async fn schedulers_at_once_make_one_test_restore() {
    let test = at_five();
    let database = with_policy(&test, "daily").await;
    test.back_up(&database).await;
    let schedulers = (0..8).map(|_| {
        let (mut app, _) = test.another_process();
        let mut limits = (*app.limits).clone();
        limits.verify = Some(Cron::new(Schedule::parse("0 5 * * *", Some("Europe/Madrid")).unwrap()));
        app.limits = limits.into();
        tokio::spawn(async move { verify::tick(&app).await.unwrap() })
    });
    for scheduler in schedulers.collect::<Vec<_>>() {
        scheduler.await.unwrap();
    }
    assert_eq!(tests(&test).await.len(), 1);
}

#[tokio::test]
async fn a_backup_has_one_unfinished_test_restore_whoever_asks() {
    let test = TestApp::new();
    let (_, backup) = backed_up(&test).await;
    let first = verify::request(&test.app, backup.id, false, new_id(&test)).await.unwrap();
    let asking = (0..8).map(|_| {
        let (app, _) = test.another_process();
        let (id, backup) = (new_id(&test), backup.id);
        tokio::spawn(async move { verify::request(&app, backup, true, id).await.unwrap().id })
    });
    for asked in asking.collect::<Vec<_>>() {
        assert_eq!(asked.await.unwrap(), first.id);
    }
    test.run_to_end(first.id).await;
    let again = verify::request(&test.app, backup.id, false, new_id(&test)).await.unwrap();
    assert_ne!(again.id, first.id, "that one has ended");
    assert_eq!(tests(&test).await.len(), 2);
}
