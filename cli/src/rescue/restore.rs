//! `respaldo rescue restore`: a backup into a database, without catalog and server.

use std::env::split_paths;
use std::sync::Arc;

use clap::Args;
use respaldo_adapters::time::SystemClock;
use respaldo_adapters::{environment, terminal};
use respaldo_core::engine::{ResolvedLogin, Toolbox};
use respaldo_core::model::{EngineKind, Ownership};
use respaldo_core::ports::SecretString;
use respaldo_core::rescue::restore::{Prepared, Request, Surroundings};
use respaldo_core::rescue::{TargetUrl, Wanted};
use respaldo_core::{Error, ErrorKind, Result};

use super::{Identities, Place, shown};

const PASSWORD: &str = "RESPALDO_TARGET_PASSWORD";

/// The password comes from RESPALDO_TARGET_PASSWORD (or _FILE), or is asked for on a terminal.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Restore {
    /// The backup's id, the beginning of it, or its artifact's name.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: Place,
    /// Where to: postgres://user@host:port/db, mysql://…, mariadb://…, sqlite:///path; without a password.
    #[arg(long, value_name = "URL")]
    to: String,
    /// Does it.
    #[arg(long)]
    yes: bool,
    /// Replaces, in place, what is in a database that exists. Nothing undoes that.
    #[arg(long)]
    force: bool,
    /// Leaves out the dump's owners and grants.
    #[arg(long)]
    no_owner: bool,
    /// Loads as a superuser a dump that this installation is not known to have made.
    #[arg(long)]
    allow_superuser: bool,
    #[command(flatten)]
    identities: Identities,
}

impl Restore {
    pub(super) async fn run(&self) -> Result<()> {
        let to = TargetUrl::parse(&self.to)?;
        let wanted = Wanted::parse(&self.id)?;
        let rescue = self.place.open()?;
        let found = rescue.find(&wanted).await?.artifact(false)?;
        let (name, size) = (shown(&found.manifest.name), found.manifest.artifact.size_bytes);
        let signature = found.signature.as_str();
        let staging = tempfile::Builder::new().prefix("respaldo-rescue-").tempdir().map_err(|e| {
            Error::new(ErrorKind::Storage, "make a staging folder", e.to_string())
                .with_mend("set TMPDIR to a folder that can be written")
        })?;
        let login = login(&to)?;
        let request = Request {
            to: to.clone(),
            login,
            force: self.force,
            ownership: if self.no_owner { Ownership::None } else { Ownership::Keep },
        };
        let path = environment::raw("PATH").unwrap_or_default();
        let around = Surroundings {
            toolbox: Arc::new(Toolbox::new(split_paths(&path)).with_distribution_folders()),
            clock: Arc::new(SystemClock),
            identities: self.identities.read()?,
            staging: staging.path().to_owned(),
            allow_superuser: self.allow_superuser,
        };
        let prepared = rescue.prepare(found, request, around).await?;
        println!("{name}, {size} bytes, signature {signature}\nto {}", shown(&to.to_string()));
        show(&prepared);
        if !self.yes {
            if let Err(e) = prepared.check() {
                println!("this would be refused: {}", shown(&e.to_string()));
            } else {
                println!("nothing was done; to do it, add --yes");
            }
            return Ok(());
        }
        let done = prepared.run().await;
        prepared.log_lines().iter().for_each(|line| eprintln!("{line}"));
        let loaded = done?;
        for warning in &loaded.warnings {
            println!("note: {}", shown(warning));
        }
        let rows: u64 = loaded.observed.fingerprint.rows();
        println!("restored into {}: {rows} rows, as the manifest tells", shown(&to.to_string()));
        Ok(())
    }
}

fn show(prepared: &Prepared) {
    for (n, step) in prepared.steps.iter().enumerate() {
        println!("  {}. {}", n + 1, shown(step));
    }
    for warning in &prepared.warnings {
        println!("note: {}", shown(warning));
    }
}

fn login(to: &TargetUrl) -> Result<ResolvedLogin> {
    let username = to.user.clone();
    if to.engine == EngineKind::Sqlite {
        return Ok(ResolvedLogin::default());
    }
    let password: Option<SecretString> = match environment::secret(PASSWORD)? {
        Some(password) => Some(password),
        None if username.is_some() => terminal::ask(&format!(
            "Password of {} for {}",
            shown(username.as_deref().unwrap_or("")),
            shown(&to.to_string())
        ))?,
        None => None,
    };
    Ok(ResolvedLogin { username, password })
}
