//! Restores: plan, request, the job itself, undo, confirm.
//!
//! The path of a restore through this module: [`plan`] looks and changes nothing → [`request`] queues a job
//! that carries its journal → [`run`] takes its lease and a place, makes the safety backup, reads the
//! artifact against its digests, has the engine load the dump and, in mode `swap`, exchange it with the
//! target. What undoes it is another database on the same server, kept by the swap, or the safety backup.
//!
//! # A crash at any point
//! Each step is written down before it is taken ([`RestoreStep`](crate::model::RestoreStep)). Before
//! the swap the target has not been touched: whoever takes the job over begins anew. The swap is one step of
//! the server's; whether it was taken is read from the names of the databases that are there. A load in place
//! is repeated from its beginning; where it is not one transaction the target is half loaded
//! meanwhile, and the safety backup is what undoes it.

mod load;
pub(crate) mod names;
mod plan;
mod request;
mod run;
pub(crate) mod target;
mod turn;
mod undo;

pub use self::plan::{Plan, Request, Wanted, plan};
pub use self::request::{confirm, request, undo};
pub use self::run::run;
