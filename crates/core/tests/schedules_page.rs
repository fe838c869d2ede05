//! The examples of `docs/schedules.md`, computed again.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use jiff::Timestamp;
use respaldo_core::schedule::Schedule;

const PAGE: &str = include_str!("../../../docs/schedules.md");

/// The rows of tables whose head is this; each cell without its backquotes.
fn rows(head: &str) -> Vec<Vec<&'static str>> {
    let table = PAGE.split_once(head).unwrap().1;
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect())
        .collect()
}

fn assert_next(cron: &str, zone: Option<&str>, after: &str, next: &str) {
    let (after, next): (Timestamp, Timestamp) = (after.parse().unwrap(), next.parse().unwrap());
    assert_eq!(Schedule::parse(cron, zone).unwrap().next_after(after), next, "{cron} after {after}");
}

#[test]
fn the_examples_of_the_page_are_true() {
    let plain = rows("| schedule | after | next |");
    let zoned = rows("| schedule | zone | after | next |");
    assert!(plain.len() >= 5 && zoned.len() >= 6, "the tables are not found");
    for row in plain {
        assert_next(row[0], None, row[1], row[2]);
    }
    for row in zoned {
        assert_next(row[0], Some(row[1]), row[2], row[3]);
    }
}

#[test]
fn the_names_and_special_days_of_the_page_are_read_and_what_it_says_is_refused_is() {
    for name in ["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"] {
        assert!(PAGE.contains(&format!("`{name}`")) && Schedule::parse(name, None).is_ok(), "{name}");
    }
    for day in ["0 0 L * *", "0 0 15W * *", "0 0 LW * *", "0 0 * * 5L", "0 0 * * MON#1", "0 8-18/2 * * *"] {
        assert!(Schedule::parse(day, None).is_ok(), "{day}");
    }
    for refused in ["@reboot", "0 0 30 2 *"] {
        assert!(PAGE.contains(refused) && Schedule::parse(refused, None).is_err(), "{refused}");
    }
}
