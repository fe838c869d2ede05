//! Every change of clocks of every zone, from 2020 to 2035, against a walk over local time by the minute.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use respaldo_core::schedule::Schedule;
use respaldo_testkit::clock_changes::{daily_in_the_middle, zones_that_change};
use respaldo_testkit::cron::{Crontab, LocalTime};

/// Wildcards make many slots; near the change is where they differ.
const NEAR: SignedDuration = SignedDuration::from_hours(3);
/// Fixed times are compared from the day before to the day after.
const AROUND: SignedDuration = SignedDuration::from_hours(26);

const WILDCARDS: [&str; 3] = ["*/15 * * * *", "0 * * * *", "*/20 0-3 * * *"];
const FIXED: [&str; 5] = ["0 0 * * *", "30 2 * * *", "0,20,40 1-3 * * *", "59 23 * * *", "15 1 * * 0"];

fn assert_agrees(cron: &str, name: &str, local: &LocalTime, from: Timestamp, to: Timestamp) -> usize {
    let schedule = Schedule::parse(cron, Some(name)).unwrap();
    let mut slots = Vec::new();
    let mut slot = schedule.next_after(from);
    while slot <= to {
        slots.push(slot);
        slot = schedule.next_after(slot);
    }
    assert_eq!(slots, Crontab::read(cron).slots(local), "{cron} in {name} from {from} to {to}");
    slots.len()
}

#[test]
fn every_change_of_clocks_of_every_zone_gives_each_due_time_once() {
    let zones = zones_that_change();
    let (mut changes, mut slots) = (0, 0);
    for (name, all) in &zones {
        let zone = TimeZone::get(name).unwrap();
        for change in all {
            let span = |by: SignedDuration| (change.0 - by, change.0 + by);
            let ((from, to), (early, late)) = (span(AROUND), span(NEAR));
            let (day, hours) = (LocalTime::of(&zone, from, to), LocalTime::of(&zone, early, late));
            let hit = daily_in_the_middle(*change);
            for cron in FIXED.into_iter().chain([hit.as_str()]) {
                slots += assert_agrees(cron, name, &day, from, to);
            }
            for cron in WILDCARDS {
                slots += assert_agrees(cron, name, &hours, early, late);
            }
            changes += 1;
        }
    }
    assert!(zones.len() > 40 && changes > 1_000, "{} zones, {changes} changes", zones.len());
    println!("{} zones that differ, {changes} changes, {slots} slots", zones.len());
}
