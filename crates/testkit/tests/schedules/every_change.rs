//! Whole ticks at every change of clocks of every zone, from 2020 to 2035: two schedulers, doubled and
//! entangled, give each slot one outcome.

use respaldo_testkit::clock_changes::{Change, daily_in_the_middle, zones_that_change};

use super::*;

/// Ticks are played from so long before a change to so long after it.
const AROUND: SignedDuration = SignedDuration::from_hours(3);
/// The waits between ticks, in minutes, over and over: at once again, soon, late.
const WAITS: [i64; 6] = [0, 20, 1, 59, 0, 75];

async fn play(name: &str, change: Change, nth: usize) {
    let (begin, end) = (change.0 - AROUND, change.0 + AROUND);
    let test = TestApp::in_memory();
    test.clock.stop_at(begin);
    let crons = [daily_in_the_middle(change), "*/30 * * * *".to_owned()];
    let mut databases = Vec::new();
    for cron in &crons {
        databases.push(scheduled(&test, cron, name).await);
    }
    let schedulers = [Scheduler::of(&test), Scheduler::of(&test)];
    for step in nth.. {
        let wait = SignedDuration::from_mins(WAITS[step % WAITS.len()]);
        test.clock.stop_at((test.app.now() + wait).min(end));
        // Where each of them is stopped differs from step to step and from change to change.
        tick_both(&schedulers, 1 + step % 13, 1 + step / 13 % 13).await;
        end_waiting(&test).await;
        if test.app.now() >= end {
            break;
        }
    }
    tick(&test.app).await.unwrap();
    let local = LocalTime::of(&TimeZone::get(name).unwrap(), begin, end);
    let jobs = test.jobs().await;
    for (cron, database) in crons.iter().zip(&databases) {
        let own = jobs.iter().filter(|job| job.database_id() == Some(database.id)).cloned().collect();
        let found: BTreeSet<Timestamp> = outcomes(own).into_keys().collect();
        let expected: BTreeSet<Timestamp> = Crontab::read(cron).slots(&local).into_iter().collect();
        assert_eq!(found, expected, "{cron} in {name} around {}", change.0);
    }
}

#[tokio::test]
async fn at_every_change_of_clocks_two_schedulers_give_each_slot_one_outcome() {
    let mut played = 0;
    for (name, changes) in zones_that_change() {
        for change in changes {
            play(&name, change, played).await;
            played += 1;
        }
    }
    assert!(played > 1_000, "{played} changes");
}
