//! The engines: how each kind of database is dumped, watched and restored.

pub mod observe;
pub mod postgres;
