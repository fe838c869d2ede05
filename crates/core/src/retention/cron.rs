//! Retention by a schedule of its own, once for each slot however many servers there are.

use jiff::{SignedDuration, Timestamp};

use super::{Outcome, apply, records};
use crate::app::App;
use crate::model::{Database, DatabaseId};
use crate::ports::Event;
use crate::schedule::{Schedule, Turns};
use crate::tick::Ticked;
use crate::{Error, Result};

/// A slot's claim is forgotten this long after the next slot, when nobody asks for it any more.
const CLAIM_OUTLIVES: SignedDuration = SignedDuration::from_hours(24);
/// How many databases are read at once.
const PAGE: usize = 1_000;

/// When retention runs over all databases.
#[derive(Debug, Clone)]
pub struct Cron {
    turns: Turns,
}

impl Cron {
    /// Runs by this schedule.
    pub fn new(schedule: Schedule) -> Self {
        Self { turns: Turns::of(schedule) }
    }

    /// The newest slot that has come.
    pub fn newest_slot(&self, now: Timestamp) -> Option<Timestamp> {
        self.turns.schedule().newest_until(now)
    }

    /// Whether this slot is ours to run: nobody has claimed it before.
    async fn claim(&self, app: &App, slot: Timestamp, now: Timestamp) -> Result<bool> {
        let expires_at = self.turns.schedule().next_after(slot).max(now).checked_add(CLAIM_OUTLIVES).ok();
        let earlier =
            app.catalog.claim(&format!("retention/{slot}"), &now.to_string(), now, expires_at).await?;
        self.turns.passed(slot);
        Ok(earlier.is_none())
    }
}

/// Runs retention over all databases, if a slot of its schedule has come that nobody has claimed. After
/// downtime only the newest slot is made up for. A failure at one database is told, and keeps no other from
/// its turn; a run that dies in the middle is made up for by the next slot.
pub async fn tick(app: &App) -> Result<Ticked> {
    let mut ticked = Ticked::default();
    let now = app.now();
    let Some(cron) = &app.limits.retention else { return Ok(ticked) };
    let Some(slot) = cron.turns.due(now) else { return Ok(ticked) };
    if !cron.claim(app, slot, now).await? {
        return Ok(ticked);
    }
    let mut after = None;
    loop {
        let page = app.catalog.databases(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(ticked) };
        after = Some(last.id);
        for Database { id, .. } in page {
            ticked.retired += retire(app, id).await?;
        }
    }
}

/// Answers how many were removed, or go as soon as their readers have ended.
async fn retire(app: &App, id: DatabaseId) -> Result<usize> {
    let retire = async {
        let applied = apply(app, id, None).await?;
        let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
        let removed = applied.fates.iter().filter(|fate| !failed(&fate.outcome)).count();
        Ok::<_, Error>(removed + records::forget_old(app, id).await?)
    };
    match retire.await {
        Ok(removed) => Ok(removed),
        Err(e) => {
            let told = e.within(&format!("retention of database {id}"));
            app.events.publish(Event::TickFailed(told)).await.map(|()| 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(crontab: &str, now: &str) -> String {
        let cron = Cron::new(Schedule::parse(crontab, None).unwrap());
        cron.newest_slot(now.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn the_newest_slot_is_found_however_rare_slots_are() {
        for (crontab, now, slot) in [
            ("* * * * *", "2026-11-21T11:12:54Z", "2026-11-21T11:12:00Z"),
            ("15 * * * *", "2026-11-21T11:12:54Z", "2026-11-21T10:15:00Z"),
            ("15 * * * *", "2026-11-21T11:15:00Z", "2026-11-21T11:15:00Z"),
            ("0 3 * * *", "2026-11-21T02:59:59Z", "2026-11-20T03:00:00Z"),
            ("0 3 * * 1", "2026-11-21T11:12:54Z", "2026-11-16T03:00:00Z"),
            ("0 3 1 * *", "2026-11-30T11:12:54Z", "2026-11-01T03:00:00Z"),
            ("0 0 29 2 *", "2026-11-21T11:12:54Z", "2024-02-29T00:00:00Z"),
        ] {
            assert_eq!(newest(crontab, now), slot, "{crontab} at {now}");
        }
    }
}
