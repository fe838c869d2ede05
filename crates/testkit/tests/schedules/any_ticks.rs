//! Random ticks: two schedulers, late, doubled and entangled, against a walk by the minute.

use super::*;

#[derive(Debug, Clone, Copy)]
struct Step {
    wait_seconds: i64,
    calls: (usize, usize),
    work: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![
        2 => Just(0), 3 => 1..120_i64, 4 => 120..3_600_i64, 3 => 3_600..14_400_i64, 1 => 14_400..100_000_i64,
    ];
    (wait, (1..14_usize, 1..14_usize), prop::bool::weighted(0.7))
        .prop_map(|(wait_seconds, calls, work)| Step { wait_seconds, calls, work })
}

/// A change of clocks, and its zone.
fn change() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![
        ("Europe/Madrid", "2026-03-29T01:00:00Z"),
        ("Europe/Madrid", "2026-10-25T01:00:00Z"),
        ("America/New_York", "2027-03-14T07:00:00Z"),
        ("America/Santiago", "2026-09-06T04:00:00Z"),
        ("Asia/Beirut", "2026-03-28T22:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
        ("Africa/Casablanca", "2026-02-15T02:00:00Z"),
        ("Antarctica/Troll", "2026-03-29T01:00:00Z"),
        ("Asia/Tehran", "2022-09-21T19:30:00Z"),
        ("UTC", "2026-12-31T23:00:00Z"),
    ])
}

fn schedule() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "0 0 * * *",
        "30 2 * * *",
        "15 0 * * *",
        "0,30 1-3 * * *",
        "30 23 * * *",
        "0 * * * *",
        "*/20 * * * *",
        "*/30 2 * * *",
        "0 3 * * 0",
    ])
}

async fn play(test: TestApp, (zone, around): (&str, &str), cron: &str, jitter: u32, steps: &[Step]) {
    let begin = at(around) - SignedDuration::from_hours(30);
    test.clock.stop_at(begin);
    let database = scheduled(&test, cron, zone).await;
    let database = super::change(&test.app, &database, json!({"jitter_seconds": jitter})).await;
    let schedulers = [Scheduler::of(&test), Scheduler::of(&test)];
    for step in steps {
        test.clock.advance(SignedDuration::from_secs(step.wait_seconds));
        tick_both(&schedulers, step.calls.0, step.calls.1).await;
        if step.work {
            end_waiting(&test).await;
        }
    }
    tick(&test.app).await.unwrap();
    let end = test.app.now();
    let local = LocalTime::of(&TimeZone::get(zone).unwrap(), begin, end);
    let mut expected: BTreeSet<Timestamp> = Crontab::read(cron).slots(&local).into_iter().collect();
    let now = current(&test, &database).await;
    // With jitter, the last one may have come and not started.
    if now.next_run_at().unwrap() > end {
        expected.remove(&now.next_due_at.unwrap());
    }
    let found: BTreeSet<Timestamp> = outcomes(test.jobs().await).into_keys().collect();
    assert_eq!(found, expected, "{cron} in {zone}, jitter {jitter}, from {begin} to {end}");
    assert!(now.next_due_at.unwrap() > found.last().copied().unwrap_or(begin));
}

fn run(play: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(play);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn two_schedulers_however_late_and_entangled_give_each_slot_one_outcome(
        change in change(), cron in schedule(), jitter in prop_oneof![Just(0), 1..3_600_u32],
        steps in prop::collection::vec(step(), 1..20),
    ) {
        run(play(TestApp::in_memory(), change, cron, jitter, &steps));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn so_do_two_schedulers_on_one_sqlite_catalog(
        change in change(), cron in schedule(), jitter in prop_oneof![Just(0), 1..3_600_u32],
        steps in prop::collection::vec(step(), 1..12),
    ) {
        run(play(TestApp::new(), change, cron, jitter, &steps));
    }
}
