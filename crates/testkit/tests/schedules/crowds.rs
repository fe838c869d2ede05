//! A thousand databases that are due in the same second.

use super::*;

const CROWD: u32 = 1_000;

async fn crowd(test: &TestApp, jitter: u32) -> Vec<Database> {
    test.clock.stop_at(at("2026-05-01T02:59:30Z"));
    let model = scheduled(test, "0 3 * * *", "UTC").await;
    let model = change(&test.app, &model, json!({"jitter_seconds": jitter})).await;
    let mut all = vec![model.clone()];
    for n in 1..CROWD {
        let mut new = Database { id: respaldo_core::model::DatabaseId(0), ..model.clone() };
        new.uid = format!("{:026}", 10_000 + n).parse().unwrap();
        let timing = respaldo_core::schedule::Timing::of(new.uid, &new.settings).unwrap().unwrap();
        new.set_due(Some(timing.after(test.app.now())));
        all.push(test.catalog.create_database(NewDatabase(new)).await.unwrap());
    }
    all
}

#[tokio::test]
async fn a_thousand_databases_due_in_the_same_second_all_start_with_few_reads() {
    let test = TestApp::new();
    crowd(&test, 0).await;
    test.clock.stop_at(at("2026-05-01T03:00:00Z"));
    test.faults.reset();
    let ticked = tick(&test.app).await.unwrap();
    assert_eq!(ticked.due, CROWD as usize);
    // Two lists, and for each database what it takes to start one backup.
    let calls = test.faults.count(Call::Catalog);
    assert!(calls <= 2 + 6 * CROWD as usize, "{calls} calls");
    let totals = test.catalog.totals(None).await.unwrap().by_status;
    assert_eq!(totals.get("queued"), Some(&u64::from(CROWD)), "{totals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_schedulers_share_them_and_double_none() {
    let test = TestApp::new();
    crowd(&test, 0).await;
    test.clock.stop_at(at("2026-05-01T03:00:00Z"));
    let (one, other) = (Scheduler::of(&test), Scheduler::of(&test));
    let (a, b) = tokio::join!(
        tokio::spawn(async move { tick(&one.app).await }),
        tokio::spawn(async move { tick(&other.app).await })
    );
    a.unwrap().unwrap();
    b.unwrap().unwrap();
    let totals = test.catalog.totals(None).await.unwrap().by_status;
    assert_eq!(totals.into_iter().collect::<Vec<_>>(), [("queued".to_owned(), u64::from(CROWD))]);
}

#[tokio::test]
async fn jitter_spreads_them_over_its_seconds_and_keeps_their_slot() {
    let test = TestApp::in_memory();
    let all = crowd(&test, 599).await;
    let (slot, mut by_minute) = (at("2026-05-01T03:00:00Z"), [0_u32; 10]);
    for database in &all {
        assert_eq!(database.next_due_at, Some(slot));
        let delay = database.next_run_at().unwrap().duration_since(slot).as_secs();
        by_minute[usize::try_from(delay / 60).unwrap()] += 1;
    }
    assert!(by_minute.iter().all(|count| (60..=140).contains(count)), "{by_minute:?}");
    test.clock.stop_at(slot + SignedDuration::from_secs(299));
    let ticked = tick(&test.app).await.unwrap();
    assert_eq!(ticked.due, by_minute[..5].iter().sum::<u32>() as usize);
    assert!(test.jobs().await.iter().all(|job| job.created_at == slot));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_whose_clocks_differ_by_twenty_minutes_give_each_slot_one_outcome() {
    let test = TestApp::new();
    respaldo_testkit::crowd::each_slot_has_one_outcome(&test, CROWD, SignedDuration::from_mins(10)).await;
    test.assert_promises().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_at_once_and_every_event_twice_give_each_slot_one_outcome() {
    let test = TestApp::new();
    respaldo_testkit::crowd::each_slot_has_one_outcome(&test, CROWD, SignedDuration::ZERO).await;
    test.assert_promises().await;
}
