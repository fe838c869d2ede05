//! The tick: a trigger without input. It reads what is due and starts it.

use crate::Result;
use crate::app::App;

/// What a tick did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Doorbells rung for queued jobs and expired leases.
    pub rung: usize,
    /// Deletions finished.
    pub deleted: usize,
    /// Attempts whose leftovers were removed.
    pub swept: usize,
    /// Definitions written to storage.
    pub defined: usize,
}

/// Looks at everything that is due, once.
pub async fn tick(app: &App) -> Result<Ticked> {
    let _ = app;
    todo!()
}
