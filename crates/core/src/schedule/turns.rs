//! A schedule of the whole installation, of which only the newest slot matters.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

use super::Schedule;

/// A schedule and the newest of its slots that this process knows as done, so that most ticks need not ask the
/// catalog. Whoever uses it must find out there what other processes have done.
#[derive(Debug, Clone)]
pub struct Turns {
    schedule: Schedule,
    seen: Arc<AtomicI64>,
}

impl Turns {
    /// No slot is known yet.
    pub fn of(schedule: Schedule) -> Self {
        Self { schedule, seen: Arc::new(AtomicI64::new(i64::MIN)) }
    }

    /// The schedule.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The newest slot that has come, unless it is known as done.
    pub fn due(&self, now: Timestamp) -> Option<Timestamp> {
        let slot = self.schedule.newest_until(now)?;
        (self.seen.load(Ordering::Relaxed) != slot.as_second()).then_some(slot)
    }

    /// Remembers that this slot is done.
    pub fn passed(&self, slot: Timestamp) {
        self.seen.store(slot.as_second(), Ordering::Relaxed);
    }
}
