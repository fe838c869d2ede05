//! Identifiers. A database has two: a small integer that people type (never reused), and a ULID that
//! names it in storage, where two catalogs may meet.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{Error, Result};

/// A database's number in one catalog, from 1 upwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DatabaseId(pub i64);

impl fmt::Display for DatabaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub Ulid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0.to_string())
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Ulid::from_string(text)
                    .ok()
                    .filter(|id| id.to_string() == text)
                    .map(Self)
                    .ok_or_else(|| Error::invalid("id", concat!("a ", $what, " id is a ULID of 26 capitals and digits")))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

ulid_id!(
    /// Names a database in storage, across catalogs.
    DatabaseUid,
    "database"
);
ulid_id!(
    /// Names a job; a backup and its dump job share it.
    JobId,
    "job"
);

impl JobId {
    /// The id of the job for one slot of one database: the same slot always gives the same id, so
    /// that a conditional create is all it takes to give a due time one outcome.
    pub fn for_slot(database: DatabaseUid, slot: jiff::Timestamp) -> Self {
        let millis = slot.as_millisecond();
        Self::derived(millis, &[b"respaldo slot v1", database.to_string().as_bytes(), &millis.to_be_bytes()])
    }

    /// The id of the test restore that follows a backup by its database's policy: a backup has one.
    pub fn for_verification(backup: Self) -> Self {
        let millis = i64::try_from(backup.0.timestamp_ms()).unwrap_or(0);
        Self::derived(millis, &[b"respaldo verify v1", backup.to_string().as_bytes()])
    }

    /// The id of a database's test restore of one day or one week, which `period` names.
    pub fn for_period(database: DatabaseUid, period: &str, begins: jiff::Timestamp) -> Self {
        let database = database.to_string();
        let parts: [&[u8]; 3] = [b"respaldo verify period v1", database.as_bytes(), period.as_bytes()];
        Self::derived(begins.as_millisecond(), &parts)
    }

    /// The id of the package of one slot of the packages' schedule.
    pub fn for_package(installation: [u8; 8], slot: jiff::Timestamp) -> Self {
        let millis = slot.as_millisecond();
        Self::derived(millis, &[b"respaldo package v1", &installation, &millis.to_be_bytes()])
    }

    /// A ULID of that time, whose random part follows from these parts.
    fn derived(millis: i64, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(part);
        }
        let mut random = [0u8; 16];
        random[6..].copy_from_slice(&hasher.finalize().as_bytes()[..10]);
        Self(Ulid::from_parts(u64::try_from(millis).unwrap_or(0), u128::from_be_bytes(random)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_one_job_id_and_another_slot_another() {
        let uid = DatabaseUid(Ulid::from_parts(1, 2));
        let slot: jiff::Timestamp = "2026-01-02T03:00:00Z".parse().unwrap();
        assert_eq!(JobId::for_slot(uid, slot), JobId::for_slot(uid, slot));
        assert_ne!(
            JobId::for_slot(uid, slot),
            JobId::for_slot(uid, slot + jiff::SignedDuration::from_mins(1))
        );
    }

    #[test]
    fn an_id_is_read_back_as_written_and_nothing_else_is_accepted() {
        let id = JobId(Ulid::from_parts(1_700_000_000_000, 42));
        assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
        for bad in [
            "",
            "..",
            "01ARZ3NDEKTSV4RRFFQ69G5FA",
            "01arz3ndektsv4rrffq69g5fav",
            "../../../../etc/passwd00000",
        ] {
            assert!(bad.parse::<JobId>().is_err(), "{bad}");
        }
    }
}
