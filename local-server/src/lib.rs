//! Host 1: every function in one process, with its scheduler and its worker.
//!
//! A tour: [`Settings`] gathers flags, environment and `config.yaml`; [`Installation`] opens what they
//! name; [`bind`] takes the port; [`run`] serves until it is told to stop. The scheduler ticks, the
//! worker answers the doorbell, and both hosts' routes are the same. [`work`] is a worker alone, for jobs that need
//! a host without a deadline.

mod apply;
mod installation;
mod long_worker;
mod rebuild;
mod scheduler;
mod server;
mod settings;
mod table;
mod transfer;
mod welcome;
mod worker;

use respaldo_api::Function;

pub use apply::{ApplyRequest, Shown, apply};
pub use installation::{Installation, open_catalog, secrets};
pub use long_worker::work;
pub use rebuild::{RebuildRequest, rebuild};
pub use server::{bind, run, serve, stop_signal};
pub use settings::{BUILD, Overrides, Settings};
pub use table::init_catalog;
pub use transfer::{ExportRequest, ImportRequest, export, import};

/// The functions that this host runs.
pub fn functions() -> Vec<Function> {
    vec![
        respaldo_register::function(),
        respaldo_dump::function(),
        respaldo_restore::function(),
        respaldo_verify::function(),
        respaldo_retention::function(),
        respaldo_package::function(),
    ]
}
