//! A scratch database: on a configured server, since a server of our own is not started for MongoDB.

use async_trait::async_trait;

use super::Mongodb;
use super::connect::Session;
use super::server;
use crate::engine::scratch::{Bench, Scratch, ScratchServers, Specimen};
use crate::model::RestoreMode;
use crate::{Error, ErrorKind, Result};

#[async_trait]
impl ScratchServers for Mongodb {
    async fn start(&self, _bench: &Bench, _specimen: &Specimen<'_>) -> Result<Scratch> {
        let message = "test restores of MongoDB run on a server that is configured for them, and none is";
        Err(Error::new(ErrorKind::Tool, "look for a server", message)
            .with_mend("name one in verify.servers with engine mongodb"))
    }

    fn borrowed_mode(&self) -> Option<RestoreMode> {
        Some(RestoreMode::InPlace)
    }

    /// The load makes the database. A router's copies would not be what the source is.
    async fn furnish(&self, bench: &Bench, scratch: &Scratch, _: &Specimen<'_>) -> Result<()> {
        let source = scratch.source(bench);
        server::ask(&Session::open(&source).await?).await.map(drop)
    }
}
