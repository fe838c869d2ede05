//! Schedules that people change while ticks and backups run.

use super::*;

#[tokio::test]
async fn a_changed_schedule_leaves_the_running_backup_alone_and_counts_from_the_change() {
    let test = TestApp::in_memory();
    test.clock.stop_at(at("2026-05-01T02:00:00Z"));
    let database = scheduled(&test, "0 3 * * *", "UTC").await;
    test.clock.stop_at(at("2026-05-01T03:00:01Z"));
    tick(&test.app).await.unwrap();
    let running = {
        let mut job = test.jobs().await.remove(0);
        job.lease("worker", test.app.now(), SignedDuration::from_hours(9)).unwrap();
        test.catalog.update_job(&job).await.unwrap()
    };
    test.clock.stop_at(at("2026-05-01T03:10:00Z"));
    let changed = change(&test.app, &database, json!({"schedule": "5,15 3 * * *"})).await;
    assert_eq!(changed.next_due_at, Some(at("2026-05-01T03:15:00Z")));
    tick(&test.app).await.unwrap();
    assert_eq!(test.jobs().await, std::slice::from_ref(&running));
    test.clock.stop_at(at("2026-05-01T03:15:00Z"));
    tick(&test.app).await.unwrap();
    let found = outcomes(test.jobs().await);
    assert_eq!(found[&at("2026-05-01T03:00:00Z")], running);
    let skipped = &found[&at("2026-05-01T03:15:00Z")];
    assert!(skipped.error.as_ref().unwrap().message().contains(&running.id.to_string()), "{skipped:?}");
}

#[tokio::test]
async fn a_slot_that_had_come_when_the_schedule_changed_is_recorded_and_one_before_the_change_never_runs() {
    for fields in [
        json!({"schedule": "30 2,4 * * *"}),
        json!({"timezone": "Asia/Tokyo"}),
        json!({"jitter_seconds": 9}),
        json!({"enabled": false}),
        json!({"schedule": null}),
    ] {
        let test = TestApp::in_memory();
        test.clock.stop_at(at("2026-05-01T02:00:00Z"));
        let database = scheduled(&test, "0 3 * * *", "UTC").await;
        test.clock.stop_at(at("2026-05-01T03:00:02Z"));
        let changed = change(&test.app, &database, fields.clone()).await;
        assert!(changed.next_due_at.is_none_or(|due| due > test.app.now()), "{fields}");
        tick(&test.app).await.unwrap();
        let [job] = &test.jobs().await[..] else { panic!("{fields}: one record") };
        assert_eq!(
            (job.backup().unwrap().slot, job.status),
            (Some(at("2026-05-01T03:00:00Z")), Status::Skipped)
        );
        let why = job.error.as_ref().unwrap().message();
        assert!(why.contains("the schedule was changed"), "{why}");
    }
}

/// A person changes the schedule while a tick is stopped before each of its calls in turn.
#[tokio::test]
async fn a_change_between_a_ticks_read_and_its_write_wins_and_doubles_nothing() {
    let mut steps = 0;
    for step in 1..30 {
        let test = TestApp::in_memory();
        test.clock.stop_at(at("2026-05-01T02:00:00Z"));
        let database = scheduled(&test, "0 3 * * *", "UTC").await;
        test.clock.stop_at(at("2026-05-01T03:00:00Z"));
        let sleeper = Scheduler::of(&test);
        let ticking = sleeper.tick_until(step).await;
        steps += sleeper.plan.frozen();
        let changed = change(&test.app, &database, json!({"schedule": "0,20 * * * *"})).await;
        let next = Some(at("2026-05-01T03:20:00Z"));
        assert_eq!(changed.next_due_at, next);
        sleeper.finish(ticking).await;
        assert_eq!(current(&test, &database).await.next_due_at, next, "step {step}");
        let found: Vec<Timestamp> = outcomes(test.jobs().await).into_keys().collect();
        assert_eq!(found, [at("2026-05-01T03:00:00Z")], "step {step}");
    }
    assert!(steps > 5, "a tick makes more than {steps} calls");
}

/// Two changes at once, and a change while its own bookkeeping is refused.
#[tokio::test]
async fn a_change_that_meets_another_is_made_on_top_of_it() {
    let test = TestApp::in_memory();
    test.clock.stop_at(at("2026-05-01T02:00:00Z"));
    let database = scheduled(&test, "0 3 * * *", "UTC").await;
    test.clock.stop_at(at("2026-05-01T03:00:02Z"));
    let (app, plan) = test.another_process();
    plan.freeze_at(3);
    let slow = {
        let database = database.clone();
        tokio::spawn(async move { change(&app, &database, json!({"schedule": "0 5 * * *"})).await })
    };
    while plan.frozen() == 0 {
        tokio::task::yield_now().await;
    }
    change(&test.app, &database, json!({"timezone": "Asia/Tokyo"})).await;
    plan.thaw();
    let changed = slow.await.unwrap();
    assert_eq!(changed.settings.timezone.as_deref(), Some("Asia/Tokyo"));
    assert_eq!(changed.next_due_at, Some(at("2026-05-01T20:00:00Z")));
    assert_eq!(statuses(&test).await, [("2026-05-01T03:00:00Z".to_owned(), Status::Skipped)]);
}
