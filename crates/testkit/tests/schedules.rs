//! Promise 5 against everything that goes wrong with time: late, doubled and simultaneous ticks, clocks
//! that jump, zones that change their rules, schedules that people change, and a thousand due at once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use respaldo_core::model::{Database, Job, JobId, Status};
use respaldo_core::ports::NewDatabase;
use respaldo_core::schedule::Due;
use respaldo_core::tick::{Ticked, tick};
use respaldo_core::{App, Result, databases, jobs};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::cron::{Crontab, LocalTime};
use respaldo_testkit::faults::{Call, FaultPlan};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A scheduler in a process of its own.
struct Scheduler {
    app: App,
    plan: FaultPlan,
}

impl Scheduler {
    fn of(test: &TestApp) -> Self {
        let (app, plan) = test.another_process();
        Self { app, plan }
    }

    /// Begins a tick, and answers when it has ended or waits before its `n`th call.
    async fn tick_until(&self, n: usize) -> JoinHandle<Result<Ticked>> {
        self.plan.reset();
        self.plan.freeze_at(n);
        let app = self.app.clone();
        let ticking = tokio::spawn(async move { tick(&app).await });
        while self.plan.frozen() == 0 && !ticking.is_finished() {
            tokio::task::yield_now().await;
        }
        ticking
    }

    async fn finish(&self, ticking: JoinHandle<Result<Ticked>>) {
        self.plan.thaw();
        ticking.await.unwrap().unwrap();
    }
}

/// Two schedulers tick at once: the first is stopped before its `n`th call, the second before its `m`th;
/// then the first goes on, then the second.
async fn tick_both([first, second]: &[Scheduler; 2], n: usize, m: usize) {
    let begun = first.tick_until(n).await;
    let other = second.tick_until(m).await;
    first.finish(begun).await;
    second.finish(other).await;
}

async fn scheduled(test: &TestApp, schedule: &str, zone: &str) -> Database {
    let path = test.folder().join("sample.db");
    test.register(json!({
        "name": "d", "engine": "sqlite", "database_name": path, "schedule": schedule, "timezone": zone,
    }))
    .await
}

async fn change(app: &App, database: &Database, fields: Value) -> Database {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    databases::change(app, database.id, databases::Change { fields, ..Default::default() }).await.unwrap()
}

async fn current(test: &TestApp, database: &Database) -> Database {
    databases::get(&test.app, database.id).await.unwrap()
}

/// The jobs of each slot; one each, or this panics.
fn outcomes(jobs: Vec<Job>) -> BTreeMap<Timestamp, Job> {
    let mut slots = BTreeMap::new();
    for job in jobs {
        let slot = job.backup().slot.expect("a scheduled backup has a slot");
        assert_eq!(job.id, JobId::for_slot(job.database_uid, slot));
        if let Some(other) = slots.insert(slot, job) {
            panic!("two outcomes of {slot}: {other:?}");
        }
    }
    slots
}

/// Ends what waits, as a worker would that is quick.
async fn end_waiting(test: &TestApp) {
    for job in test.jobs().await {
        if job.status == Status::Queued {
            jobs::cancel(&test.app, job.id).await.unwrap();
        }
    }
}

async fn statuses(test: &TestApp) -> Vec<(String, Status)> {
    let outcomes = outcomes(test.jobs().await);
    outcomes.into_iter().map(|(slot, job)| (slot.to_string(), job.status)).collect()
}

mod any_ticks {
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
}

#[tokio::test]
async fn two_schedulers_stopped_before_any_of_their_calls_give_a_slot_one_outcome() {
    for n in 1..14 {
        for m in 1..14 {
            let test = TestApp::in_memory();
            test.clock.stop_at(at("2026-05-01T00:30:00Z"));
            scheduled(&test, "@hourly", "UTC").await;
            test.clock.stop_at(at("2026-05-01T02:00:00Z"));
            tick_both(&[Scheduler::of(&test), Scheduler::of(&test)], n, m).await;
            let expected =
                [("2026-05-01T01:00:00Z", Status::Skipped), ("2026-05-01T02:00:00Z", Status::Queued)];
            assert_eq!(
                statuses(&test).await,
                expected.map(|(slot, status)| (slot.to_owned(), status)),
                "{n} {m}"
            );
        }
    }
}

mod clocks {
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
}

/// The rules of a zone change between two ticks (simulated: the stored due time is one that the rules of
/// now do not have).
#[tokio::test]
async fn a_due_time_of_a_zones_old_rules_has_its_outcome_and_the_next_comes_from_the_new() {
    let test = TestApp::in_memory();
    test.clock.stop_at(at("2026-05-01T12:00:00Z"));
    let database = scheduled(&test, "0 3 * * *", "Europe/Madrid").await;
    assert_eq!(database.next_due_at, Some(at("2026-05-02T01:00:00Z")));
    for (old, following) in
        [("2026-05-02T02:00:00Z", "2026-05-03T01:00:00Z"), ("2026-05-03T00:00:00Z", "2026-05-03T01:00:00Z")]
    {
        let mut moved = current(&test, &database).await;
        moved.set_due(Some(Due { slot: at(old), start: at(old) }));
        test.catalog.update_database(&moved).await.unwrap();
        test.clock.stop_at(at(old) + SignedDuration::from_secs(5));
        let both = [Scheduler::of(&test), Scheduler::of(&test)];
        tick_both(&both, 4, 3).await;
        end_waiting(&test).await;
        assert!(outcomes(test.jobs().await).contains_key(&at(old)));
        assert_eq!(current(&test, &database).await.next_due_at, Some(at(following)));
    }
    test.clock.stop_at(at("2026-05-03T01:00:00Z"));
    tick(&test.app).await.unwrap();
    assert_eq!(statuses(&test).await.len(), 3);
}

mod crowds {
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
        (a.unwrap().unwrap(), b.unwrap().unwrap());
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
}

mod jitter {
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
}

mod changes {
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
    async fn a_slot_that_had_come_when_the_schedule_changed_is_recorded_and_one_before_the_change_never_runs()
    {
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
            assert_eq!((job.backup().slot, job.status), (Some(at("2026-05-01T03:00:00Z")), Status::Skipped));
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
}
