//! When backups are due: a crontab read in a zone, turned into instants.
//!
//! The crontab is matched on the civil calendar and its times are then placed on the real one, so
//! that what happens when clocks change is decided here and in one way:
//!
//! * **Fixed times** (neither the minute nor the hour has a `*`) run once a day. A time that clocks
//!   jump over runs at the first instant after the jump; a time that comes twice runs the first time.
//! * **Wildcards** (`*/15 * * * *`, `0 * * * *`) follow elapsed time: a time that clocks jump over
//!   does not exist, and one that comes twice runs twice.
//!
//! Both rules are cron's own. Two times of one schedule that fall on the same instant are one slot.

mod crontab;
mod jitter;
mod turns;

use croner::Cron;
use jiff::civil::{DateTime, date};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneTransition};
use jiff::{SignedDuration, Timestamp};

pub use self::jitter::{Due, MAX_JITTER_SECONDS, Timing};
pub use self::turns::Turns;
use crate::{Error, Result};

/// How far back the newest slot is looked for, in hours, until one is found: an hour, a day and more, a
/// month and more, a leap year's cycle and more.
const LOOK_BACK_HOURS: [i64; 4] = [1, 25, 24 * 32, 24 * 366 * 9];

/// A schedule: when slots are due.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    fixed: bool,
    zone: TimeZone,
}

impl Schedule {
    /// Reads a five-field crontab, or a name such as `@daily`, in an IANA zone (none: UTC).
    ///
    /// # Errors
    /// `Invalid` with the field `schedule` (what is not a crontab, and what never fires) or `timezone`
    /// (what is not a zone).
    pub fn parse(expression: &str, timezone: Option<&str>) -> Result<Self> {
        let zone = timezone.map_or(Ok(TimeZone::UTC), zone)?;
        let (cron, fixed) = crontab::parse(expression)?;
        let schedule = Self { cron, fixed, zone };
        if schedule.civil_match(date(2000, 1, 1).at(0, 0, 0, 0), true).is_none() {
            return Err(Error::invalid("schedule", "it never fires: no day is ever like that"));
        }
        Ok(schedule)
    }

    /// The first slot after `t`, never `t` itself; [`Timestamp::MAX`] when the calendar ends before
    /// (croner's does in the year 5000).
    pub fn next_after(&self, t: Timestamp) -> Timestamp {
        let next = if self.fixed { self.next_fixed(t) } else { self.next_elapsed(t) };
        next.unwrap_or(Timestamp::MAX)
    }

    /// The newest slot that has come; none where the calendar has none in nine years.
    pub fn newest_until(&self, now: Timestamp) -> Option<Timestamp> {
        LOOK_BACK_HOURS.iter().find_map(|hours| {
            let from = now.checked_sub(SignedDuration::from_hours(*hours)).ok()?;
            let mut slots =
                std::iter::successors(Some(self.next_after(from)), |slot| Some(self.next_after(*slot)));
            let first = slots.next().filter(|slot| *slot <= now)?;
            Some(slots.take_while(|slot| *slot <= now).last().unwrap_or(first))
        })
    }

    /// The zone that it is read in.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Civil times are placed on instants in order, so the first one after `t`'s own civil time that
    /// lands after `t` is the next slot; in the second half of a fold some land before.
    fn next_fixed(&self, t: Timestamp) -> Option<Timestamp> {
        let mut civil = self.zone.to_datetime(t);
        loop {
            civil = self.civil_match(civil, false)?;
            let instant = self.place(civil)?;
            if instant > t {
                return Some(instant);
            }
        }
    }

    /// Between two changes of the offset, civil time and instants run alike; a match found beyond the
    /// next change is looked for again from that change on.
    fn next_elapsed(&self, t: Timestamp) -> Option<Timestamp> {
        let mut offset = self.zone.to_offset(t);
        let mut civil = offset.to_datetime(t);
        let mut inclusive = false;
        let mut changes = self.changes_after(t);
        loop {
            let instant = offset.to_timestamp(self.civil_match(civil, inclusive)?).ok()?;
            match changes.next() {
                Some(change) if change.timestamp() <= instant => {
                    offset = change.offset();
                    civil = offset.to_datetime(change.timestamp());
                    inclusive = true;
                }
                _ => return Some(instant),
            }
        }
    }

    /// The instant of a fixed civil time.
    fn place(&self, civil: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
            AmbiguousOffset::Gap { after, .. } => {
                // Read with the later offset, a time inside the gap lies before the jump.
                let before_jump = after.to_timestamp(civil).ok()?;
                self.changes_after(before_jump).next().map(|change| change.timestamp())
            }
        }
    }

    /// The zone's changes of offset after `t`.
    fn changes_after(&self, t: Timestamp) -> impl Iterator<Item = TimeZoneTransition<'_>> {
        let mut current: Offset = self.zone.to_offset(t);
        self.zone.following(t).filter(move |change| {
            let changed = change.offset() != current;
            current = change.offset();
            changed
        })
    }

    fn civil_match(&self, from: DateTime, inclusive: bool) -> Option<DateTime> {
        self.cron.find_next_occurrence(&from, inclusive).ok()
    }
}

/// An IANA zone by its name.
///
/// # Errors
/// `Invalid` with the field `timezone`.
pub fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).ok().filter(|zone| !zone.is_unknown()).ok_or_else(|| {
        Error::invalid("timezone", "there is no such zone")
            .with_mend("use a name of the IANA database, such as Europe/Madrid or UTC")
    })
}
