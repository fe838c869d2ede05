//! Test restores: a backup is put into a scratch server, dumped again, and compared.
//!
//! The path of a test restore through this module: [`request`] queues a job → [`run`] takes its lease and a
//! place → `test` reads the artifact against its digests, starts a scratch server, loads the dump, dumps the
//! copy with the same tool, and compares three fingerprints: the manifest's, that of the stream on its way
//! in, and that of the copy → `verdict` writes what came of it into the backup's record, and then into the
//! job's. [`tick`] and `after_backup` ask for test restores by each database's policy.
//!
//! # Three verdicts
//! `ok` and `failed` are about the backup. `not_verified` is about this machine: no server that could take
//! the dump, no identity that opens it. It replaces neither of the others. What goes wrong on our side, or the
//! store's, is the job's failure, and leaves the backup's verdict alone.
//!
//! # A crash at any point
//! Nothing is written before the verdict. The record of the backup comes first, the end of the job second: a
//! worker that dies between the two has the test repeated, and the same written again. A server of
//! `verify.servers` outlives the worker: see `borrowed`.

mod borrowed;
mod policy;
mod request;
mod run;
mod test;
mod verdict;

pub use self::borrowed::TestServer;
pub(crate) use self::borrowed::clear_away;
pub(crate) use self::policy::after_backup;
pub use self::policy::{Cron, tick};
pub use self::request::request;
pub use self::run::run;
