//! A list of what storage holds, one backup at a time.

use futures::TryStreamExt as _;
use jiff::Timestamp;
use serde::Serialize;

use super::{Found, Rescue, Shelf};
use crate::Result;
use crate::databases::Definition;
use crate::model::{BackupKind, DatabaseUid, EngineKind, JobId};

/// One backup, or what is left of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its id.
    pub id: JobId,
    /// Its database in storage.
    pub database_uid: DatabaseUid,
    /// Whether there is a manifest, and every volume with its length.
    pub whole: bool,
    /// Why it is not whole.
    pub reason: Option<String>,
    /// What people call the database: as its definition has it, else by its manifest.
    pub database: Option<String>,
    /// The artifact's name.
    pub name: Option<String>,
    /// The kind of database.
    pub engine: Option<EngineKind>,
    /// How it came to be.
    pub kind: Option<BackupKind>,
    /// When it was asked for, or due.
    pub created_at: Option<Timestamp>,
    /// Stored bytes.
    pub size_bytes: Option<u64>,
    /// Volumes.
    pub volumes: Option<usize>,
    /// Whether it is encrypted.
    pub encrypted: Option<bool>,
    /// `verified`, `foreign` or `not checked`.
    pub signature: Option<&'static str>,
    /// Further manifests of it that are damaged, a line each.
    pub notes: Vec<String>,
}

/// What the list amounts to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Databases that storage knows of.
    pub databases: u64,
    /// Whole backups.
    pub whole: u64,
    /// Their stored bytes.
    pub size_bytes: u64,
    /// Those among them that somebody else's key signed.
    pub foreign: u64,
    /// Backups of which no manifest is whole.
    pub damaged: u64,
    /// Definitions that cannot be read, with the reasons.
    pub damaged_definitions: Vec<String>,
    /// Attempts without a manifest, and whole ones that a later attempt took the place of.
    pub litter: u64,
    /// Objects below Respaldo's folders that are not Respaldo's.
    pub unknown: u64,
}

impl Rescue {
    /// Tells every backup, database by database, each oldest first. What is damaged or foreign is told as such.
    /// Memory holds the ids of one database at a time, and a few manifests.
    ///
    /// # Errors
    /// What storage itself answers, and what `tell` does.
    pub async fn list(&self, tell: &mut (dyn FnMut(Line) -> Result<()> + Send)) -> Result<Totals> {
        let found = self.databases().await?;
        let mut totals = Totals { unknown: found.foreign as u64, ..Totals::default() };
        for (uid, definition) in found.known {
            totals.databases += 1;
            let called = match &definition {
                Some(Ok(defined)) => Some(name_of(&defined.definition)),
                Some(Err(e)) => {
                    totals.damaged_definitions.push(e.message().to_owned());
                    None
                }
                None => None,
            };
            let backups = self.backups(uid).await?;
            totals.unknown += backups.foreign as u64;
            let mut shelves = std::pin::pin!(self.shelves(uid, &backups.ids));
            while let Some(shelf) = shelves.try_next().await? {
                totals.add(&shelf);
                if let Some(line) = line(shelf, called.clone()) {
                    tell(line)?;
                }
            }
        }
        Ok(totals)
    }
}

impl Totals {
    fn add(&mut self, shelf: &Shelf) {
        self.litter += (shelf.litter + shelf.superseded) as u64;
        self.unknown += shelf.foreign as u64;
        match &shelf.found {
            Some(found) => {
                self.whole += 1;
                self.size_bytes += found.manifest.artifact.size_bytes;
                self.foreign += u64::from(found.signature == super::Signature::Foreign);
            }
            None => self.damaged += u64::from(!shelf.faults.is_empty()),
        }
    }
}

fn name_of(definition: &Definition) -> String {
    definition.config_id.clone().unwrap_or_else(|| definition.settings.name.clone())
}

/// None for litter alone.
fn line(shelf: Shelf, called: Option<String>) -> Option<Line> {
    let Shelf { database: database_uid, id, found, faults, .. } = shelf;
    let whole = found.is_some();
    let mut faults = faults.into_iter();
    let (found, reason) = match found {
        Some(found) => (Some(found), None),
        None => faults.next().map(|fault| (fault.found, Some(fault.reason)))?,
    };
    let notes = faults.map(|fault| format!("attempt {}: {}", fault.attempt, fault.reason)).collect();
    let mut line = Line {
        id,
        database_uid,
        whole,
        reason,
        database: called,
        name: None,
        engine: None,
        kind: None,
        created_at: None,
        size_bytes: None,
        volumes: None,
        encrypted: None,
        signature: None,
        notes,
    };
    if let Some(found) = found {
        line.describe(found);
    }
    Some(line)
}

impl Line {
    fn describe(&mut self, found: Found) {
        let manifest = found.manifest;
        self.database =
            self.database.take().or(manifest.config_id).or_else(|| Some(manifest.database_name.clone()));
        self.name = Some(manifest.name);
        self.engine = Some(manifest.engine);
        self.kind = Some(manifest.kind);
        self.created_at = Some(manifest.created_at);
        self.size_bytes = Some(manifest.artifact.size_bytes);
        self.volumes = Some(manifest.artifact.volumes.len());
        self.encrypted = Some(!manifest.encryption.is_empty());
        self.signature = Some(found.signature.as_str());
    }
}
