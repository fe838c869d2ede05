//! Implementations of Respaldo's ports that every host uses.
//!
//! - [`environment`]: the one place that reads environment variables;
//! - [`secrets`]: the secrets port over them, and over a store of secrets behind them;
//! - [`time`]: the system's clock and random numbers;
//! - [`catalog`]: reads the URLs of catalogs;
//! - [`doorbell`]: wakes the worker of this process;
//! - [`events`]: tells what happened to the log;
//! - [`settings`]: what every host reads from its surroundings;
//! - [`storage`]: opens storage by its URL;
//! - [`identity`]: reads the keys that open encrypted artifacts;
//! - [`master_key`]: finds the instance's key, or makes it;
//! - [`pushgateway`]: pushes the metrics where nobody can scrape them;
//! - [`terminal`]: asks a person for a secret.

pub mod catalog;
pub mod doorbell;
pub mod environment;
pub mod events;
pub mod identity;
pub mod master_key;
mod private_file;
pub mod pushgateway;
pub mod secrets;
pub mod settings;
pub mod storage;
pub mod terminal;
pub mod time;
pub mod url;
