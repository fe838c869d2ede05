//! A new catalog, made of definitions and manifests.
//!
//! What storage knows comes back as it was: databases with their numbers, policies and sealed credentials,
//! and every whole backup of this installation with its artifact, kind, slot and name. What only the
//! catalog knew is gone: failed and skipped runs, logs, test restores, what `config.yaml` last said. Nothing
//! that was due before is due after it.

mod record;

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt as _;
use jiff::Timestamp;

use self::record::Draft;
use super::{Defined, Found, Rescue, Shelf, Signature};
use crate::backup::claim_key;
use crate::config::claim_of_entry;
use crate::databases::Definition;
use crate::keys;
use crate::model::{Database, DatabaseId, DatabaseUid, Job};
use crate::ports::{Catalog, JobFilter};
use crate::{Error, ErrorKind, Result};

const OPERATION: &str = "rebuild a catalog";

/// How a catalog is rebuilt.
#[derive(Debug, Clone, Copy)]
pub struct Rebuild {
    /// The present instant: the first slot of each schedule comes after it.
    pub now: Timestamp,
    /// How often a job of the new catalog may be tried.
    pub attempts: u32,
    /// Whether to go on although the key of the installation that filled storage is lost: then no signature
    /// is asked for, and sealed credentials are left out.
    pub without_key: bool,
}

/// What became of a database's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialsFate {
    /// They are as they were: none, or names of variables.
    Kept,
    /// They were sealed under this key, and open.
    Open,
    /// They have to be entered again.
    Needed,
}

/// A database of the new catalog.
#[derive(Debug, Clone)]
pub struct Rebuilt {
    /// Its record.
    pub database: Database,
    /// Whether it was made of its definition; else of what its manifests tell, and disabled.
    pub defined: bool,
    /// Its credentials.
    pub credentials: CredentialsFate,
    /// What whoever rebuilds should know, a line each.
    pub notes: Vec<String>,
    /// Its backups that were adopted.
    pub adopted: u64,
}

/// What is told while a catalog is rebuilt.
#[derive(Debug)]
pub enum Told<'a> {
    /// A database, with all its backups.
    Database(&'a Rebuilt),
    /// Something in storage that the new catalog does not know.
    Left {
        /// Where it lies: a key, or the folder of a backup.
        what: String,
        /// Why.
        reason: String,
    },
}

/// What a rebuild amounted to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Databases in the new catalog.
    pub databases: u64,
    /// Those whose credentials have to be entered again.
    pub credentials_needed: u64,
    /// Backups in the new catalog.
    pub backups: u64,
    /// Their stored bytes.
    pub size_bytes: u64,
    /// Backups and definitions that are left aside, with the reasons told.
    pub left: u64,
    /// Backups left aside because somebody else's key signed them.
    pub foreign: u64,
    /// Attempts that never ended, and objects that are not Respaldo's.
    pub litter: u64,
}

impl Rescue {
    /// Fills an empty catalog; without one nothing is written, and the plan is told.
    ///
    /// # Errors
    /// `Conflict` when the catalog is not empty, `Config` when there is no key and nobody said to do without.
    /// After another error the catalog is half filled and of no use.
    pub async fn rebuild(
        &self,
        catalog: Option<&dyn Catalog>,
        how: Rebuild,
        tell: &mut (dyn FnMut(Told<'_>) + Send),
    ) -> Result<Summary> {
        if self.key.is_none() && !how.without_key {
            return Err(keyless());
        }
        if let Some(catalog) = catalog {
            refuse_filled(catalog).await?;
        }
        let mut building = Building { rescue: self, catalog, how, tell, summary: Summary::default() };
        let drafts = building.drafts().await?;
        for (uid, draft) in drafts {
            building.database(uid, draft).await?;
        }
        Ok(building.summary)
    }
}

/// Why a backup is left aside.
enum Left {
    /// Its latest manifest is no whole backup; none: it has no manifest at all.
    Fault(Option<String>),
    /// Somebody else signed it.
    Foreign,
}

/// A rebuild under way.
struct Building<'a> {
    rescue: &'a Rescue,
    catalog: Option<&'a dyn Catalog>,
    how: Rebuild,
    tell: &'a mut (dyn FnMut(Told<'_>) + Send),
    summary: Summary,
}

impl Building<'_> {
    /// Every database that is going to be there, by number, which is final.
    async fn drafts(&mut self) -> Result<Vec<(DatabaseUid, Draft)>> {
        let found = self.rescue.databases().await?;
        self.summary.litter += found.foreign as u64;
        let (mut defined, mut undefined) = (Vec::new(), Vec::new());
        for (uid, definition) in found.known {
            match definition {
                Some(Ok(definition)) => defined.push(definition),
                Some(Err(e)) => {
                    self.leave(keys::definition(uid), e.message().to_owned());
                    undefined.push(uid);
                }
                None => undefined.push(uid),
            }
        }
        let mut drafts = Vec::new();
        let mut taken = numbers(&defined);
        for defined in defined {
            let number = taken.number_of(&defined.definition);
            let uid = defined.definition.uid;
            drafts.push((uid, Draft::of_definition(self.rescue, defined, number, self.how)));
        }
        for uid in undefined {
            match self.first_good(uid).await? {
                Some(found) => {
                    drafts.push((uid, Draft::of_manifest(&found.manifest, taken.next(), self.how)));
                }
                None => self.without_backups(uid).await?,
            }
        }
        drafts.sort_by_key(|(_, draft)| draft.database.id);
        Ok(drafts)
    }

    /// The newest good backup of a database.
    async fn first_good(&self, uid: DatabaseUid) -> Result<Option<Found>> {
        for id in self.rescue.backups(uid).await?.ids.into_iter().rev() {
            let shelf = self.rescue.shelf(uid, id).await?;
            if self.judge(&shelf).is_ok() {
                return Ok(shelf.found);
            }
        }
        Ok(None)
    }

    /// Tells what lies in the folder of a database that is not going to be there.
    async fn without_backups(&mut self, uid: DatabaseUid) -> Result<()> {
        let backups = self.rescue.backups(uid).await?;
        self.summary.litter += backups.foreign as u64;
        let rescue = self.rescue;
        let mut shelves = std::pin::pin!(rescue.shelves(uid, &backups.ids));
        while let Some(shelf) = shelves.try_next().await? {
            self.tidy(&shelf);
            if let Err(why) = self.judge(&shelf) {
                self.refuse(&shelf, why);
            }
        }
        Ok(())
    }

    /// Stores one database and its backups.
    async fn database(&mut self, uid: DatabaseUid, draft: Draft) -> Result<()> {
        let Draft { database, defined, credentials, notes } = draft;
        let mut rebuilt = Rebuilt { database, defined, credentials, notes, adopted: 0 };
        if let Some(catalog) = self.catalog {
            rebuilt.database = catalog.restore_database(&rebuilt.database).await?;
            if let Some(entry) = &rebuilt.database.config_id {
                let claim = claim_of_entry(entry);
                catalog.claim(&claim, &uid.to_string(), self.how.now, None).await?;
            }
        }
        let backups = self.rescue.backups(uid).await?;
        self.summary.litter += backups.foreign as u64;
        let rescue = self.rescue;
        let mut shelves = std::pin::pin!(rescue.shelves(uid, &backups.ids));
        while let Some(shelf) = shelves.try_next().await? {
            self.backup(&mut rebuilt, shelf).await?;
        }
        if let Some(catalog) = self.catalog {
            rebuilt.database = catalog.update_database(&rebuilt.database).await?;
        }
        self.summary.databases += 1;
        self.summary.credentials_needed += u64::from(credentials == CredentialsFate::Needed);
        (self.tell)(Told::Database(&rebuilt));
        Ok(())
    }

    async fn backup(&mut self, rebuilt: &mut Rebuilt, shelf: Shelf) -> Result<()> {
        self.tidy(&shelf);
        if let Err(why) = self.judge(&shelf) {
            self.refuse(&shelf, why);
            return Ok(());
        }
        let Some(found) = shelf.found else { return Ok(()) };
        let job = record::job(&rebuilt.database, found.manifest, shelf.last_attempt, self.how.attempts);
        if let Some(catalog) = self.catalog {
            self.store(catalog, &job).await?;
        }
        rebuilt.database.history.count(&job, self.how.now);
        // They are told, so nobody counts them again.
        rebuilt.database.history.counted.clear();
        rebuilt.adopted += 1;
        self.summary.backups += 1;
        self.summary.size_bytes += job.backup()?.artifact.as_ref().map_or(0, |artifact| artifact.size_bytes);
        Ok(())
    }

    async fn store(&mut self, catalog: &dyn Catalog, job: &Job) -> Result<()> {
        if !catalog.create_job(job).await? {
            let message = format!("backup {} lies in storage under two databases", job.id);
            return Err(Error::new(ErrorKind::Corrupt, OPERATION, message)
                .with_mend("see which of them is whole (respaldo rescue list), and move the other away"));
        }
        if let Some(name) = &job.backup()?.name {
            // Another catalog's backup may bear the same name; its record keeps it, and only new names are
            // looked for among the claims.
            catalog.claim(&claim_key(name), &job.id.to_string(), self.how.now, None).await?;
        }
        Ok(())
    }

    /// Whether the new catalog takes a backup over, and if not, why not.
    fn judge(&self, shelf: &Shelf) -> std::result::Result<(), Left> {
        match &shelf.found {
            None => Err(Left::Fault(shelf.faults.first().map(|fault| fault.reason.clone()))),
            Some(found) if found.signature == Signature::Foreign && !self.how.without_key => {
                Err(Left::Foreign)
            }
            Some(_) => Ok(()),
        }
    }

    /// Counts what no catalog knows; a shelf with nothing else is no backup.
    fn tidy(&mut self, shelf: &Shelf) {
        self.summary.litter += (shelf.litter + shelf.foreign + shelf.superseded) as u64;
    }

    fn refuse(&mut self, shelf: &Shelf, why: Left) {
        let reason = match why {
            Left::Fault(None) => return,
            Left::Fault(Some(reason)) => reason,
            Left::Foreign => {
                self.summary.foreign += 1;
                "its manifest was signed under another master key, or changed since".to_owned()
            }
        };
        self.leave(keys::backup_prefix(shelf.database, shelf.id), reason);
    }

    fn leave(&mut self, what: String, reason: String) {
        self.summary.left += 1;
        (self.tell)(Told::Left { what, reason });
    }
}

/// The numbers that databases have.
struct Numbers {
    /// Who may have which: the first who was registered.
    of: BTreeMap<DatabaseId, DatabaseUid>,
    taken: BTreeSet<DatabaseId>,
}

fn numbers(defined: &[Defined]) -> Numbers {
    let mut of = BTreeMap::new();
    let (foreign, others): (Vec<_>, Vec<_>) =
        defined.iter().partition(|defined| defined.signature == Signature::Foreign);
    for Defined { definition, .. } in others.into_iter().chain(foreign) {
        // In the order of their uids, so in that of registration.
        if definition.id.0 > 0 {
            of.entry(definition.id).or_insert(definition.uid);
        }
    }
    Numbers { taken: of.keys().copied().collect(), of }
}

impl Numbers {
    /// The number of its definition, unless an older database has the same: storage may have held those of
    /// two catalogs.
    fn number_of(&mut self, definition: &Definition) -> DatabaseId {
        if self.of.get(&definition.id) == Some(&definition.uid) { definition.id } else { self.next() }
    }

    /// The next number that nobody has, above all: numbers below may have been deleted databases'.
    fn next(&mut self) -> DatabaseId {
        let next = DatabaseId(self.taken.last().map_or(1, |last| last.0.saturating_add(1)));
        self.taken.insert(next);
        next
    }
}

/// Refuses a catalog that holds anything.
///
/// # Errors
/// `Conflict`.
pub async fn refuse_filled(catalog: &dyn Catalog) -> Result<()> {
    let databases = catalog.databases(None, 1).await?;
    let jobs = catalog.jobs(&JobFilter::default(), None, 1).await?;
    if databases.is_empty() && jobs.is_empty() {
        return Ok(());
    }
    Err(Error::conflict(OPERATION, "the catalog is not empty").with_field("catalog").with_mend(
        "a catalog is rebuilt into a new one: name another with --catalog, or stop the server and move this \
         one away",
    ))
}

fn keyless() -> Error {
    Error::new(ErrorKind::Config, OPERATION, "the master key of the installation that filled storage is missing")
        .with_field("RESPALDO_MASTER_KEY")
        .with_mend(
            "set RESPALDO_MASTER_KEY (or _FILE), or bring the file master.key back to where the catalog goes. If \
             it is lost, --without-key goes on without it: then no signature can be checked, so that what \
             somebody else wrote into storage is taken over too, and sealed credentials have to be entered again",
        )
}
