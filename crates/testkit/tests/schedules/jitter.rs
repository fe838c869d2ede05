//! Databases that share a due time start apart.

use respaldo_core::schedule::Timing;

use super::*;

#[tokio::test]
async fn a_slot_starts_by_its_jitter_later_and_keeps_its_name_and_time() {
    let test = TestApp::in_memory();
    test.clock.stop_at(at("2026-05-01T02:00:00Z"));
    let database = scheduled(&test, "0 3 * * *", "UTC").await;
    let slot = at("2026-05-01T03:00:00Z");
    assert_eq!((database.next_due_at, database.next_run_at()), (Some(slot), Some(slot)));
    let database = change(&test.app, &database, json!({"jitter_seconds": 3600})).await;
    let start = database.next_run_at().unwrap();
    assert!(start > slot && start <= slot + SignedDuration::from_hours(1), "{start}");
    assert_eq!((database.next_due_at, database.schedule_changed_at), (Some(slot), test.app.now()));
    test.clock.stop_at(start - SignedDuration::from_secs(1));
    tick(&test.app).await.unwrap();
    assert_eq!(test.jobs().await, []);
    test.clock.stop_at(start);
    tick(&test.app).await.unwrap();
    let [job] = &test.jobs().await[..] else { panic!("one backup") };
    assert_eq!((job.id, job.created_at), (JobId::for_slot(database.uid, slot), slot));
    assert_eq!(current(&test, &database).await.next_due_at, Some(at("2026-05-02T03:00:00Z")));
}

#[tokio::test]
async fn a_jitter_longer_than_the_period_makes_no_slot_late() {
    let test = TestApp::in_memory();
    test.clock.stop_at(at("2026-05-01T02:00:00Z"));
    let database = scheduled(&test, "* * * * *", "UTC").await;
    change(&test.app, &database, json!({"jitter_seconds": 3600})).await;
    while test.app.now() < at("2026-05-01T02:30:00Z") {
        test.clock.advance(SignedDuration::from_secs(1));
        tick(&test.app).await.unwrap();
        end_waiting(&test).await;
    }
    let jobs = outcomes(test.jobs().await);
    assert!(jobs.len() >= 29, "{}", jobs.len());
    assert!(jobs.values().all(|job| job.status == Status::Cancelled), "none is skipped");
}

proptest! {
    #[test]
    fn starts_keep_the_order_of_their_slots_and_stay_within_the_jitter(
        jitter in 0..=3_600_u32, uid in 0..u64::MAX, begin in 1_577_836_800..2_000_000_000_i64,
        cron in prop::sample::select(vec!["* * * * *", "*/7 * * * *", "@hourly", "30 2 * * *", "0 0 29 2 *"]),
    ) {
        let settings = json!({
            "name": "n", "engine": "sqlite", "database_name": "d", "schedule": cron,
            "timezone": "Europe/Madrid", "jitter_seconds": jitter,
        });
        let settings = serde_json::from_value(settings).unwrap();
        let timing = Timing::of(format!("{uid:026}").parse().unwrap(), &settings).unwrap().unwrap();
        let mut due = timing.after(Timestamp::from_second(begin).unwrap());
        for _ in 0..5 {
            let next = timing.after(due.slot);
            prop_assert!(due.slot <= due.start && due.start < next.slot);
            prop_assert!(due.start.duration_since(due.slot).as_secs() <= i64::from(jitter));
            prop_assert_eq!(timing.at(due.slot), due);
            due = next;
        }
    }
}

#[tokio::test]
async fn more_jitter_than_an_hour_is_refused_by_its_field() {
    let test = TestApp::in_memory();
    let database = scheduled(&test, "@daily", "UTC").await;
    for value in [json!(3_601), json!(-1), json!("5")] {
        let fields = serde_json::Map::from_iter([("jitter_seconds".to_owned(), value)]);
        let change = databases::Change { fields, ..Default::default() };
        let error = databases::change(&test.app, database.id, change).await.unwrap_err();
        assert_eq!(error.field(), Some("jitter_seconds"), "{error}");
    }
}
