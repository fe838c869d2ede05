//! Every change of clocks of every zone, from 2020 to 2035.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

const FIRST: Timestamp = Timestamp::constant(1_577_836_800, 0);
const END: Timestamp = Timestamp::constant(2_082_758_400, 0);

/// A change of a zone's offset: when, and from how many minutes to how many.
pub type Change = (Timestamp, i64, i64);

fn changes(zone: &TimeZone) -> Vec<Change> {
    let mut offset = zone.to_offset(FIRST).seconds();
    let mut changes = Vec::new();
    for change in zone.following(FIRST) {
        if change.timestamp() >= END {
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

/// One name of each set of changes there is.
pub fn zones_that_change() -> Vec<(String, Vec<Change>)> {
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

/// A daily time in the middle of what clocks leave out, or show twice.
pub fn daily_in_the_middle(change: Change) -> String {
    let (at, before, after) = change;
    let minute = at.as_second().div_euclid(60) + before.min(after) + (before - after).abs() / 2;
    let of_day = minute.rem_euclid(1440);
    format!("{} {} * * *", of_day % 60, of_day / 60)
}
