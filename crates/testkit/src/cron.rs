//! A second reading of crontabs, to compare the product's with: it walks minute by minute over a zone's
//! local time with a calendar of its own, and knows of a change of clocks only that the local time jumped.

#![allow(clippy::unwrap_used, reason = "a panic is how an oracle reports")]

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The offset is asked for this often, and by the minute where it has changed in between.
const BETWEEN_LOOKS_MINUTES: i64 = 30;
/// Whether local time is shown for the first time depends on what it did before; since 2020, no change was of
/// more than three hours.
const MARGIN_MINUTES: i64 = 6 * 60;

/// A crontab of numbers, ranges, lists, steps and stars.
#[derive(Debug)]
pub struct Crontab {
    allowed: [Vec<bool>; 5],
    both_days: bool,
    fixed: bool,
}

impl Crontab {
    /// Reads five fields.
    ///
    /// # Panics
    /// For what is not made of numbers, `*`, `-`, `,` and `/`.
    pub fn read(expression: &str) -> Self {
        let fields: Vec<&str> = expression.split(' ').collect();
        let most = [59, 23, 31, 12, 7];
        let mut allowed: [Vec<bool>; 5] = std::array::from_fn(|n| read_field(fields[n], most[n]));
        let sunday = allowed[4][0] || allowed[4][7];
        (allowed[4][0], allowed[4][7]) = (sunday, sunday);
        Self {
            allowed,
            both_days: fields[2].starts_with('*') || fields[4].starts_with('*'),
            fixed: !fields[0].contains('*') && !fields[1].contains('*'),
        }
    }

    /// Whether a local minute, counted from 1970, is one of its times.
    fn holds(&self, local: i64) -> bool {
        let (day, minute) = (local.div_euclid(1440), local.rem_euclid(1440));
        let allowed = |field: usize, value: i64| self.allowed[field][usize::try_from(value).unwrap()];
        if !allowed(0, minute % 60) || !allowed(1, minute / 60) {
            return false;
        }
        let (month, day_of_month) = calendar(day);
        // 1970 began on a Thursday.
        let (month_day, weekday) = (allowed(2, day_of_month), allowed(4, (day + 4).rem_euclid(7)));
        allowed(3, month) && if self.both_days { month_day && weekday } else { month_day || weekday }
    }

    /// Its slots after `from` and up to `to`.
    pub fn slots(&self, local: &LocalTime) -> Vec<Timestamp> {
        let mut slots = Vec::new();
        // The latest local minute that clocks have shown so far.
        let mut latest = None;
        for (minute, shown) in local.minutes() {
            let due = if self.fixed {
                // A local minute is over once clocks show it or a later one: a jump puts all that it leaves
                // out on its first minute, and what is shown again has been before.
                let first = latest.map_or(shown, |latest| latest + 1);
                (first..=shown).any(|minute| self.holds(minute))
            } else {
                self.holds(shown)
            };
            latest = latest.max(Some(shown));
            if due && minute * 60 > local.from && minute * 60 <= local.to {
                slots.push(Timestamp::from_second(minute * 60).unwrap());
            }
        }
        slots
    }
}

/// What clocks show, minute by minute, around a span of time.
#[derive(Debug)]
pub struct LocalTime {
    from: i64,
    to: i64,
    first_minute: i64,
    offsets: Vec<i64>,
}

impl LocalTime {
    /// The local time of a zone after `from` and up to `to`.
    pub fn of(zone: &TimeZone, from: Timestamp, to: Timestamp) -> Self {
        let (from, to) = (from.as_second(), to.as_second());
        let first_minute = from.div_euclid(60) - MARGIN_MINUTES;
        let last_minute = to.div_euclid(60);
        let offset = |minute: i64| {
            let seconds = zone.to_offset(Timestamp::from_second(minute * 60).unwrap()).seconds();
            assert_eq!(seconds % 60, 0, "an offset of whole minutes");
            i64::from(seconds / 60)
        };
        let mut offsets = Vec::new();
        let mut minute = first_minute;
        while minute <= last_minute {
            let next = minute + BETWEEN_LOOKS_MINUTES;
            let (now, then) = (offset(minute), offset(next));
            offsets.extend((minute..next).map(|minute| if now == then { now } else { offset(minute) }));
            minute = next;
        }
        Self { from, to, first_minute, offsets }
    }

    /// Each minute since 1970, and the local minute that is shown.
    fn minutes(&self) -> impl Iterator<Item = (i64, i64)> {
        (self.first_minute..).zip(&self.offsets).map(|(minute, offset)| (minute, minute + offset))
    }
}

fn read_field(text: &str, most: usize) -> Vec<bool> {
    let mut allowed = vec![false; most + 1];
    for item in text.split(',') {
        let (range, step) = item.split_once('/').map_or((item, 1), |(range, step)| (range, number(step)));
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (0, most),
            Some((first, last)) => (number(first), number(last)),
            None => (number(range), number(range)),
        };
        // A star of days and months counts from 1.
        let first = if range == "*" && matches!(most, 31 | 12) { 1 } else { first };
        (first..=last).step_by(step).for_each(|value| allowed[value] = true);
    }
    allowed
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

/// Month and day of the month of a day counted from 1970.
fn calendar(day: i64) -> (i64, i64) {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (mut year, mut rest) = (1970, day);
    while rest >= 365 + i64::from(leap(year)) {
        rest -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    (month, rest + 1)
}
