//! Jitter: databases that share a due time start apart, each always at the same distance from its slot.

use jiff::{SignedDuration, Timestamp};

use super::Schedule;
use crate::Result;
use crate::model::{DatabaseUid, Settings};

/// The longest jitter, in seconds.
pub const MAX_JITTER_SECONDS: u32 = 3_600;

/// A slot, and when its backup starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The due time. It names the job and its record, whatever the jitter.
    pub slot: Timestamp,
    /// When a tick starts it: not before the slot, and before the next one.
    pub start: Timestamp,
}

/// The slots of one database.
#[derive(Debug, Clone)]
pub struct Timing {
    schedule: Schedule,
    uid: DatabaseUid,
    jitter_seconds: u32,
}

impl Timing {
    /// The schedule that settings ask for; none for manual backups only.
    ///
    /// # Errors
    /// As [`Schedule::parse`].
    pub fn of(uid: DatabaseUid, settings: &Settings) -> Result<Option<Self>> {
        let Some(expression) = &settings.schedule else { return Ok(None) };
        let schedule = Schedule::parse(expression, settings.timezone.as_deref())?;
        Ok(Some(Self { schedule, uid, jitter_seconds: settings.jitter_seconds }))
    }

    /// The first slot after `t`.
    pub fn after(&self, t: Timestamp) -> Due {
        self.at(self.schedule.next_after(t))
    }

    /// This slot. Its delay is a hash of database and slot, so that every host gives the same answer; it
    /// ends before the next slot, so that a jitter longer than the period changes no order and makes no
    /// slot late.
    pub fn at(&self, slot: Timestamp) -> Due {
        if self.jitter_seconds == 0 {
            return Due { slot, start: slot };
        }
        let until_next = self.schedule.next_after(slot).duration_since(slot).as_secs();
        let choices = (i64::from(self.jitter_seconds) + 1).min(until_next).max(1);
        let delay = SignedDuration::from_secs(self.hash(slot).rem_euclid(choices));
        Due { slot, start: slot.checked_add(delay).unwrap_or(Timestamp::MAX) }
    }

    fn hash(&self, slot: Timestamp) -> i64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"respaldo jitter v1");
        hasher.update(self.uid.to_string().as_bytes());
        hasher.update(&slot.as_millisecond().to_be_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        i64::from_be_bytes(first)
    }
}
