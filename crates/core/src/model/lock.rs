//! Locks that keep stored objects from being removed by anybody until an instant has come.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Whoever made a lock waits this long before a tick counts it as not made.
const TRY_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// A lock that was refused is tried again after this long.
const REFUSED_WAITS: SignedDuration = SignedDuration::from_mins(10);

/// Who may remove a locked object after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockMode {
    /// Who has a permission of its own for that at the store; Respaldo never makes use of it.
    Governance,
    /// Nobody, not even the owner of the account.
    Compliance,
}

impl LockMode {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "governance",
            Self::Compliance => "compliance",
        }
    }
}

impl FromStr for LockMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "governance" => Ok(Self::Governance),
            "compliance" => Ok(Self::Compliance),
            _ => Err(Error::invalid("mode", "it must be governance or compliance")),
        }
    }
}

/// How long good backups are locked, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectLock {
    /// Who may remove them meanwhile.
    pub mode: LockMode,
    /// So many days from the end of the backup on.
    pub days: u32,
}

impl ObjectLock {
    /// The lock that a backup is to have which ended at that instant.
    pub fn of(self, finished_at: Timestamp) -> Lock {
        let length = SignedDuration::from_hours(i64::from(self.days) * 24);
        Lock {
            mode: self.mode,
            until: finished_at.checked_add(length).unwrap_or(Timestamp::MAX),
            try_at: finished_at.checked_add(TRY_AGAIN_AFTER).ok(),
        }
    }
}

/// The lock of one backup: one that is to be made, or one that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Who may remove its objects meanwhile.
    pub mode: LockMode,
    /// Until then.
    pub until: Timestamp,
    /// It does not hold yet: a tick makes it from this instant on. None: it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub try_at: Option<Timestamp>,
}

impl Lock {
    /// Until when the store is known to keep the objects.
    pub fn held_until(&self) -> Option<Timestamp> {
        self.try_at.is_none().then_some(self.until)
    }

    /// Records that the store has confirmed it.
    pub fn holds(&mut self) {
        self.try_at = None;
    }

    /// Records that the store has refused it for now.
    pub fn refused(&mut self, now: Timestamp) {
        self.try_at = now.checked_add(REFUSED_WAITS).ok().or(self.try_at);
    }
}
