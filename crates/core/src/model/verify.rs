//! A test restore: a backup's dump put into a scratch server and compared.

use serde::{Deserialize, Serialize};

use super::backup::Verification;
use super::id::JobId;

/// What a verify job tests, and its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRestore {
    /// The backup.
    pub backup: JobId,
    /// Whether the database's policy asked for it, and not a person.
    #[serde(default)]
    pub scheduled: bool,
    /// The verdict, once there is one. It is written to the backup's record too.
    #[serde(default)]
    pub verdict: Option<Verification>,
}
