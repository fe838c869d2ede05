//! Every change of clocks of every zone, from 2020 to 2035, against a walk over local time by the minute.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use respaldo_core::schedule::Schedule;
use respaldo_testkit::cron::{Crontab, LocalTime};

/// Wildcards make many slots; near the change is where they differ.
const NEAR: SignedDuration = SignedDuration::from_hours(3);
/// Fixed times are compared from the day before to the day after.
const AROUND: SignedDuration = SignedDuration::from_hours(26);

const WILDCARDS: [&str; 3] = ["*/15 * * * *", "0 * * * *", "*/20 0-3 * * *"];
const FIXED: [&str; 5] = ["0 0 * * *", "30 2 * * *", "0,20,40 1-3 * * *", "59 23 * * *", "15 1 * * 0"];

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A change of a zone's offset: when, and from how many minutes to how many.
type Change = (Timestamp, i64, i64);

fn changes(zone: &TimeZone) -> Vec<Change> {
    let mut offset = zone.to_offset(at("2020-01-01T00:00:00Z")).seconds();
    let mut changes = Vec::new();
    for change in zone.following(at("2020-01-01T00:00:00Z")) {
        if change.timestamp() >= at("2036-01-01T00:00:00Z") {
            break;
        }
        let (before, after) = (offset, change.offset().seconds());
        if before != after {
            changes.push((change.timestamp(), i64::from(before / 60), i64::from(after / 60)));
        }
        offset = after;
    }
    changes
}

/// One name of each set of changes there is; zones that never change are one.
fn zones() -> Vec<(String, Vec<Change>)> {
    let mut distinct = BTreeMap::new();
    let mut names = 0;
    for name in jiff::tz::db().available() {
        let Ok(zone) = TimeZone::get(name.as_str()) else { continue };
        if zone.is_unknown() {
            continue;
        }
        names += 1;
        distinct.insert(changes(&zone), name.as_str().to_owned());
    }
    assert!(names > 400, "the database has {names} zones only");
    distinct.into_iter().map(|(changes, name)| (name, changes)).filter(|(_, all)| !all.is_empty()).collect()
}

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

/// A daily time in the middle of what clocks leave out, or show twice.
fn in_the_middle(change: Change) -> String {
    let (at, before, after) = change;
    let minute = at.as_second().div_euclid(60) + before.min(after) + (before - after).abs() / 2;
    let of_day = minute.rem_euclid(1440);
    format!("{} {} * * *", of_day % 60, of_day / 60)
}

#[test]
fn every_change_of_clocks_of_every_zone_gives_each_due_time_once() {
    let zones = zones();
    let (mut changes, mut slots) = (0, 0);
    for (name, all) in &zones {
        let zone = TimeZone::get(name).unwrap();
        for change in all {
            let span = |by: SignedDuration| (change.0 - by, change.0 + by);
            let ((from, to), (early, late)) = (span(AROUND), span(NEAR));
            let (day, hours) = (LocalTime::of(&zone, from, to), LocalTime::of(&zone, early, late));
            let hit = in_the_middle(*change);
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
