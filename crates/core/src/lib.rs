//! Respaldo's product: what a backup is, and what is done with one.
//!
//! # A guided tour
//! Begin with [`model`]: the words of the product as types (a database, a job, a backup, an artifact,
//! its manifest) and the rules that hold them together. [`ports`] says what the product asks of its
//! surroundings; [`app::App`] is those surroundings, put together by a host, with its [`limits`].
//!
//! What people do is in the use cases, named by their words:
//! - [`databases`]: register, change, test and remove a source;
//! - [`backup`]: request a backup, run its job, download it, delete it;
//! - [`retention`]: remove backups that have outlived their policy;
//! - [`rescue`]: list, fetch and restore backups, and rebuild the catalog, from storage alone;
//! - [`jobs`]: look at a job, read its log, cancel it;
//! - [`config`]: read `config.yaml` and merge it into the catalog;
//! - [`upload`]: make a backup of a user's own file;
//! - [`package`]: put the latest good backups into one archive;
//! - [`transfer`]: move a catalog into a file, and a file into a catalog;
//! - [`tick`]: look at what is due, and start it;
//! - [`metrics`]: what all of that amounts to, in numbers.
//!
//! A dump flows through [`engine`] (one kind of database each; subprocesses start in
//! [`engine::process`] alone) into [`seal`] (compress, encrypt, digest) and [`storage`] (parts, volumes,
//! confirmation), where [`keys`] knows the layout. On its way past, an observer takes its
//! [`fingerprint`] and proves that it is whole.
//!
//! [`schedule`] knows crontabs and clock changes, [`keyring`] seals credentials and signs manifests,
//! [`redact`] keeps secrets out of what tools print, and [`error`] holds the error policy.
//!
//! Nothing here knows axum, Lambda, an AWS SDK, the environment or the wall clock.

pub mod app;
pub mod backup;
pub mod config;
pub mod databases;
pub mod engine;
pub mod error;
pub mod fingerprint;
pub mod jobs;
pub mod keyring;
pub mod keys;
pub mod limits;
pub mod metrics;
pub mod model;
pub mod package;
pub mod ports;
pub mod redact;
pub mod rescue;
pub mod restore;
pub mod retention;
pub mod schedule;
pub mod seal;
pub mod storage;
pub mod tick;
pub mod transfer;
pub mod upload;
pub mod verify;

pub use app::App;
pub use error::{Error, ErrorKind, Result};
pub use limits::Limits;
