//! What lies in storage of one backup: its attempts, and which of them counts.

use std::collections::BTreeMap;

use super::Rescue;
use crate::keys;
use crate::model::{DatabaseUid, JobId, LONGEST_MANIFEST, Manifest};
use crate::{Error, ErrorKind, Result};

/// Whose manifest it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// This installation signed it.
    Ours,
    /// Somebody else did, or it was changed since.
    Foreign,
    /// There is no key to check it with.
    NotChecked,
}

impl Signature {
    /// What a look with the master key found.
    pub(super) fn of(ours: bool) -> Self {
        if ours { Self::Ours } else { Self::Foreign }
    }

    /// The words in lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ours => "verified",
            Self::Foreign => "foreign",
            Self::NotChecked => "not checked",
        }
    }
}

/// A manifest whose volumes are all there, with their lengths.
#[derive(Debug, Clone)]
pub struct Found {
    /// What it says. Its volumes lie in its own folder.
    pub manifest: Manifest,
    /// Whose it is.
    pub signature: Signature,
}

/// A manifest that is no whole backup.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The attempt that it lies under.
    pub attempt: u32,
    /// What it says, where it can be read and describes what lies in its own folder.
    pub found: Option<Found>,
    /// What is wrong, in one line.
    pub reason: String,
}

/// What lies in storage of one backup.
#[derive(Debug, Clone)]
pub struct Shelf {
    /// Its database.
    pub database: DatabaseUid,
    /// Its id.
    pub id: JobId,
    /// Its artifact: of those that are whole, one of this installation's before any other, and then that of
    /// the latest attempt.
    pub found: Option<Found>,
    /// Manifests that are damaged, or not whole any more; the latest attempt first.
    pub faults: Vec<Fault>,
    /// Whole artifacts beside the one that counts.
    pub superseded: usize,
    /// Attempts without a manifest: they never ended, or their removal did not.
    pub litter: usize,
    /// Objects that are not Respaldo's.
    pub foreign: usize,
    /// The highest number of an attempt.
    pub last_attempt: u32,
}

impl Rescue {
    /// Looks at one backup. What is wrong with it stands in the answer; `Err` is about storage itself.
    pub async fn shelf(&self, database: DatabaseUid, id: JobId) -> Result<Shelf> {
        let mut shelf = Shelf {
            database,
            id,
            found: None,
            faults: Vec::new(),
            superseded: 0,
            litter: 0,
            foreign: 0,
            last_attempt: 0,
        };
        for (attempt, has_manifest) in self.attempts(&mut shelf).await?.into_iter().rev() {
            shelf.last_attempt = shelf.last_attempt.max(attempt);
            if !has_manifest {
                shelf.litter += 1;
                continue;
            }
            match self.attempt(database, id, attempt).await? {
                Ok(found) => shelf.take(found),
                Err(fault) => shelf.faults.push(fault),
            }
        }
        Ok(shelf)
    }

    /// The attempts that left something, and whether each has a manifest.
    async fn attempts(&self, shelf: &mut Shelf) -> Result<BTreeMap<u32, bool>> {
        let folder = keys::backup_prefix(shelf.database, shelf.id);
        let mut attempts = BTreeMap::new();
        for key in self.storage.list(&folder).await? {
            let parts = key.strip_prefix(&folder).and_then(|rest| rest.split_once('/'));
            let number = parts.and_then(|(number, file)| Some((number.parse::<u32>().ok()?, number, file)));
            // Of one number there is one way to write it.
            match number.filter(|(number, text, _)| number.to_string() == *text) {
                Some((number, _, file)) => {
                    *attempts.entry(number).or_insert(false) |= file == keys::MANIFEST;
                }
                None => shelf.foreign += 1,
            }
        }
        Ok(attempts)
    }

    async fn attempt(
        &self,
        database: DatabaseUid,
        id: JobId,
        attempt: u32,
    ) -> Result<std::result::Result<Found, Fault>> {
        let fault = |reason: String| Fault { attempt, found: None, reason };
        let key = keys::manifest(database, id, attempt);
        let read = match self.storage.get(&key, LONGEST_MANIFEST).await {
            Ok(Some(bytes)) => self.read(&bytes),
            Ok(None) => return Ok(Err(fault("its manifest has just gone".to_owned()))),
            Err(e) if e.kind() == ErrorKind::Corrupt => Err(e),
            Err(e) => return Err(e),
        };
        let found = match read {
            Ok(found) => found,
            Err(e) => return Ok(Err(fault(format!("its manifest is damaged: {}", told(&e))))),
        };
        if let Some(reason) = stranger(&found.manifest, database, id, attempt) {
            return Ok(Err(fault(reason)));
        }
        Ok(match self.missing(&found.manifest).await? {
            None => Ok(found),
            Some(reason) => Err(Fault { attempt, found: Some(found), reason }),
        })
    }

    fn read(&self, bytes: &[u8]) -> Result<Found> {
        let Some(key) = &self.key else {
            let manifest = Manifest::decode_unchecked(bytes)?;
            return Ok(Found { manifest, signature: Signature::NotChecked });
        };
        let (manifest, ours) = Manifest::decode(bytes, key)?;
        Ok(Found { manifest, signature: Signature::of(ours) })
    }

    /// What is not there of an artifact, or not of its length.
    async fn missing(&self, manifest: &Manifest) -> Result<Option<String>> {
        for volume in &manifest.artifact.volumes {
            let name = last_component(&volume.key);
            match self.storage.length(&volume.key).await? {
                None => return Ok(Some(format!("the volume {name} is missing"))),
                Some(length) if length != volume.size_bytes => {
                    let expected = volume.size_bytes;
                    return Ok(Some(format!("the volume {name} has {length} bytes instead of {expected}")));
                }
                Some(_) => {}
            }
        }
        Ok(None)
    }
}

impl Shelf {
    /// The artifact that counts; with `damaged` also one that is not whole, if none is.
    ///
    /// # Errors
    /// `Corrupt` with what is wrong, `NotFound` when no attempt ever ended.
    pub fn artifact(self, damaged: bool) -> Result<Found> {
        if let Some(found) = self.found {
            return Ok(found);
        }
        let mut faults = self.faults;
        let readable = faults.iter().position(|fault| fault.found.is_some()).filter(|_| damaged);
        if let Some(found) = readable.and_then(|n| faults.swap_remove(n).found) {
            return Ok(found);
        }
        match faults.into_iter().next() {
            Some(fault) => {
                let message = format!("{}, attempt {}: {}", self.id, fault.attempt, fault.reason);
                Err(Error::new(ErrorKind::Corrupt, "look at a backup", message)
                    .with_mend("take another backup; respaldo rescue list shows those that are whole"))
            }
            None => Err(Error::not_found("backup", self.id)
                .with_mend("its attempts never ended, so that there is nothing to restore")),
        }
    }

    /// Takes a whole artifact of an attempt before those taken.
    fn take(&mut self, found: Found) {
        match &self.found {
            None => self.found = Some(found),
            Some(later) => {
                self.superseded += 1;
                if later.signature != Signature::Ours && found.signature == Signature::Ours {
                    self.found = Some(found);
                }
            }
        }
    }
}

/// Why a manifest does not describe what lies beside it. Its keys are somebody's claim: nothing outside of
/// its own folder is ever read for it.
fn stranger(manifest: &Manifest, database: DatabaseUid, id: JobId, attempt: u32) -> Option<String> {
    if (manifest.database_uid, manifest.backup_id) != (database, id) {
        let (database, id) = (manifest.database_uid, manifest.backup_id);
        return Some(format!("its manifest describes another backup, {id} of database {database}"));
    }
    if manifest.artifact.attempt != attempt {
        let other = manifest.artifact.attempt;
        return Some(format!("its manifest describes another attempt, {other}, and lies under {attempt}"));
    }
    let (artifact, name) = (&manifest.artifact, &manifest.name);
    let plain =
        !name.is_empty() && name != keys::MANIFEST && !name.contains(['/', '\0']) && !name.starts_with('.');
    let own = |(n, volume): (usize, &crate::model::Volume)| {
        volume.key == keys::volume(database, id, attempt, name, n + 1)
    };
    if !plain || artifact.volumes.is_empty() || !artifact.volumes.iter().enumerate().all(own) {
        return Some("its manifest names volumes that are not its own".to_owned());
    }
    let sum = artifact.volumes.iter().try_fold(0_u64, |sum, volume| sum.checked_add(volume.size_bytes));
    if sum != Some(artifact.size_bytes) {
        return Some("its manifest's volumes do not add up to its length".to_owned());
    }
    None
}

/// The name of an object without its folder.
pub(super) fn last_component(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

fn told(error: &Error) -> String {
    match error.mend() {
        Some(mend) => format!("{} ({mend})", error.message()),
        None => error.message().to_owned(),
    }
}
