//! A SQLite dump is tested where it is restored: as a file in staging.

use async_trait::async_trait;

use super::Sqlite;
use crate::Result;
use crate::engine::scratch::{Bench, Scratch, ScratchServers, Specimen, settings};
use crate::engine::source::ResolvedLogin;
use crate::model::RestoreMode;

#[async_trait]
impl ScratchServers for Sqlite {
    async fn start(&self, bench: &Bench, specimen: &Specimen<'_>) -> Result<Scratch> {
        let file = bench.folder.join("scratch.db");
        Ok(Scratch {
            settings: settings(specimen.facts, file.to_string_lossy().into_owned()),
            login: ResolvedLogin::default(),
            mode: RestoreMode::Swap,
            exists: false,
            server: format!("SQLite {}", rusqlite::version()),
            process: None,
        })
    }
}
