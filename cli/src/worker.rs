//! `respaldo worker`: works on jobs, and serves nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use respaldo_core::model::JobId;
use respaldo_local_server::{Overrides, Settings, stop_signal, work};

#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// The configuration file; config.yaml of this folder, if there is one, when left out.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The catalog [environment: CATALOG_URL] [default: sqlite://data/catalog.db].
    #[arg(long, value_name = "URL")]
    catalog: Option<String>,
    /// Where backups are stored [environment: STORAGE_URL] [default: file://data/backups].
    #[arg(long, value_name = "URL")]
    storage: Option<String>,
    /// The age identities that open encrypted backups [environment: RESPALDO_IDENTITY, the keys themselves].
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Works on this job alone, and ends with it.
    #[arg(long, value_name = "JOB_ID", value_parser = job_id)]
    once: Option<JobId>,
}

fn job_id(text: &str) -> Result<JobId, String> {
    text.parse().map_err(|_| "it is no id of a job; respaldo jobs lists them".to_owned())
}

impl Worker {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Self { config, catalog, storage, identity, once } = self;
        // Nothing is listened on, so whatever the file says of that is none of a worker's concern.
        let listen = Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0));
        let overrides = Overrides { config, listen, catalog, storage, identity, backup_now: Vec::new() };
        let settings = Settings::load(&overrides)?;
        Ok(Box::pin(work(&settings, once, stop_signal()?)).await?)
    }
}
