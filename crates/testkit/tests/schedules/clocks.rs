//! Clocks that jump.

use super::*;

#[tokio::test]
async fn a_clock_that_jumps_back_repeats_nothing_and_loses_nothing() {
    for back in [SignedDuration::from_hours(1), SignedDuration::from_hours(24)] {
        let test = TestApp::in_memory();
        test.clock.stop_at(at("2026-05-01T00:30:00Z"));
        let database = scheduled(&test, "@hourly", "UTC").await;
        for _ in 0..3 {
            test.clock.advance(SignedDuration::from_hours(1));
            tick(&test.app).await.unwrap();
            end_waiting(&test).await;
        }
        let before = current(&test, &database).await;
        test.clock.advance(-back);
        tick(&test.app).await.unwrap();
        assert_eq!(current(&test, &database).await.next_due_at, before.next_due_at, "back {back:?}");
        assert_eq!(statuses(&test).await.len(), 3);
        // A change of the schedule counts from the wrong time; slots that have an outcome keep it.
        change(&test.app, &database, json!({"schedule": "0,30 * * * *"})).await;
        while test.app.now() < at("2026-05-01T05:10:00Z") {
            tick(&test.app).await.unwrap();
            end_waiting(&test).await;
            test.clock.advance(SignedDuration::from_mins(30));
        }
        let found = outcomes(test.jobs().await);
        for hour in 1..=5 {
            assert!(
                found.contains_key(&at(&format!("2026-05-01T{hour:02}:00:00Z"))),
                "{hour}, back {back:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_clock_that_jumps_forward_records_what_it_left_out_and_backs_up_the_newest() {
    let test = TestApp::in_memory();
    test.clock.stop_at(at("2026-05-01T00:30:00Z"));
    let database = scheduled(&test, "@hourly", "UTC").await;
    test.clock.advance(SignedDuration::from_hours(24));
    tick(&test.app).await.unwrap();
    let found = statuses(&test).await;
    assert_eq!(found.len(), 24);
    assert!(found[..23].iter().all(|(_, status)| *status == Status::Skipped), "{found:?}");
    assert_eq!(found[23], ("2026-05-02T00:00:00Z".to_owned(), Status::Queued));
    // Set right again, it waits for the first time that has no outcome yet.
    test.clock.advance(-SignedDuration::from_hours(24));
    tick(&test.app).await.unwrap();
    assert_eq!(statuses(&test).await.len(), 24);
    assert_eq!(current(&test, &database).await.next_due_at, Some(at("2026-05-02T01:00:00Z")));
}
