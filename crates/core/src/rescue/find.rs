//! Which backup somebody means: its id, the beginning of it, or its artifact's name.

use std::collections::BTreeSet;

use futures::TryStreamExt as _;

use super::shelf::last_component;
use super::{Rescue, Shelf};
use crate::keys;
use crate::model::{DatabaseUid, JobId};
use crate::{Error, ErrorKind, Result};

const ID_LENGTH: usize = 26;
/// An ambiguous beginning is answered with so many of those that it may mean.
const MOST_SHOWN: usize = 5;

/// What somebody calls a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The beginning of its id, or all of it, in capitals.
    Id(String),
    /// Its artifact's name.
    Name(String),
}

impl Wanted {
    /// Tells an id from a name: only letters and digits are an id's, and every name has an underscore.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Err(refused("it is empty"));
        }
        if text.len() <= ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(Self::Id(text.to_ascii_uppercase()));
        }
        if text.contains('/') {
            return Err(refused("an artifact's name has no slash"));
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl Rescue {
    /// The one backup that is meant.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Conflict` with the first few when there are several.
    pub async fn find(&self, wanted: &Wanted) -> Result<Shelf> {
        let (found, shown) = match wanted {
            Wanted::Id(beginning) => (self.beginning_with(beginning).await?, beginning),
            Wanted::Name(name) => (self.called(name).await?, name),
        };
        let mut ids = found.iter();
        match (ids.next(), ids.len()) {
            (None, _) => Err(Error::new(
                ErrorKind::NotFound,
                "look for a backup",
                format!("there is no backup {shown} in {}", self.storage.location()),
            )
            .with_mend("respaldo rescue list shows what is there")),
            (Some((id, database)), 0) => self.shelf(*database, *id).await,
            (Some(_), _) => {
                let ids: Vec<String> = found.iter().take(MOST_SHOWN).map(|(id, _)| id.to_string()).collect();
                let more = if found.len() > MOST_SHOWN { ", …" } else { "" };
                let message = format!("{shown} may mean {} backups: {}{more}", found.len(), ids.join(", "));
                Err(Error::conflict("look for a backup", message).with_mend("give more of the id"))
            }
        }
    }

    async fn beginning_with(&self, beginning: &str) -> Result<BTreeSet<(JobId, DatabaseUid)>> {
        let mut found = BTreeSet::new();
        for database in self.databases().await?.known.into_keys() {
            let ids = self.backups(database).await?.ids;
            let meant = ids.into_iter().filter(|id| id.to_string().starts_with(beginning));
            found.extend(meant.map(|id| (id, database)));
        }
        Ok(found)
    }

    /// Keys hold names, so no manifest need be read.
    async fn called(&self, name: &str) -> Result<BTreeSet<(JobId, DatabaseUid)>> {
        let mut found = BTreeSet::new();
        let mut keys = self.storage.walk(keys::BACKUPS);
        while let Some(key) = keys.try_next().await? {
            if last_component(&key) == name {
                let mut parts = key.split('/').skip(1);
                let database = parts.next().and_then(|uid| uid.parse().ok());
                let id = parts.next().and_then(|id| id.parse().ok());
                found.extend(id.zip(database));
            }
        }
        Ok(found)
    }
}

fn refused(why: &str) -> Error {
    Error::invalid("id", why).with_mend("give a backup's id, the beginning of it, or its artifact's name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_told_from_a_name() {
        assert_eq!(Wanted::parse("01arz3").unwrap(), Wanted::Id("01ARZ3".to_owned()));
        let name = "sqlite_shop_20261121_051010.db.gz";
        assert_eq!(Wanted::parse(name).unwrap(), Wanted::Name(name.to_owned()));
        for bad in ["", "  ", "a/b"] {
            assert_eq!(Wanted::parse(bad).unwrap_err().field(), Some("id"), "{bad}");
        }
    }
}
