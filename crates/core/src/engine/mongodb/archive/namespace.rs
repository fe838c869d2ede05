//! A database's name and a collection's.

use std::fmt;

use crate::engine::wording::{invalid, one_line};
use crate::error::Result;

/// The server's limit in bytes for a database's name.
const DATABASE_LIMIT: usize = 63;
/// The server's limit in bytes for `database.collection`, since 4.4.
const LIMIT: usize = 255;
/// What no database's name can hold.
const NOT_IN_DATABASES: &[char] = &['/', '\\', '.', ' ', '"', '$', '\0'];
const OPLOG: &str = "oplog";
const BUCKETS: &str = "system.buckets.";
/// Where `mongodump --dumpDbUsersAndRoles` puts what it finds in `admin`.
const ACCESS: [&str; 3] = ["$admin.system.users", "$admin.system.roles", "$admin.system.version"];

/// A collection of a database, by names that a server could have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace {
    database: String,
    collection: String,
}

impl Namespace {
    /// Checks the names. A database has none only where the collection is `oplog`: the part of the oplog that
    /// `mongodump --oplog` takes.
    ///
    /// # Errors
    /// `Invalid` says which name is wrong and what is allowed.
    pub fn new(database: impl Into<String>, collection: impl Into<String>) -> Result<Self> {
        let (database, collection) = (database.into(), collection.into());
        let refused = |what: &str, name: &str, allowed: &str| {
            Err(invalid(format!("{what} cannot be called {:?}", one_line(name))).with_mend(allowed))
        };
        if database.is_empty() && collection != OPLOG {
            return refused("a database", "", "only the oplog belongs to no database");
        }
        if database.len() > DATABASE_LIMIT {
            return refused("a database", &database, "a database's name has 63 bytes at most");
        }
        if database.contains(NOT_IN_DATABASES) {
            return refused(
                "a database",
                &database,
                "a database's name holds none of / \\ . \" $, space and NUL",
            );
        }
        if collection.is_empty() || collection.starts_with('.') || collection.contains('\0') {
            let allowed = "a collection's name is not empty, holds no NUL and does not begin with a dot";
            return refused("a collection", &collection, allowed);
        }
        if database.len() + 1 + collection.len() > LIMIT {
            let allowed = "database and collection have 255 bytes at most, the dot between them included";
            return refused("a collection", &collection, allowed);
        }
        Ok(Self { database, collection })
    }

    /// The part of the oplog that `mongodump --oplog` takes.
    pub fn oplog() -> Self {
        Self { database: String::new(), collection: OPLOG.to_owned() }
    }

    /// The database's name; empty for the oplog.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The collection's name.
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// Whether it is the part of the oplog that a dump took along.
    pub fn is_oplog(&self) -> bool {
        self.database.is_empty()
    }

    /// Whether it holds users, roles or their version: those of one database, or all in `admin`.
    pub fn is_access(&self) -> bool {
        let whole =
            |name: &&str| self.database == "admin" && name.strip_prefix("$admin.") == Some(&self.collection);
        ACCESS.iter().any(|name| self.collection == *name || whole(name))
    }

    /// The collection in which servers before 8.3 keep the documents of this time series.
    ///
    /// # Errors
    /// `Invalid` when that name would be too long.
    pub(super) fn buckets(&self) -> Result<Self> {
        Self::new(self.database.clone(), format!("{BUCKETS}{}", self.collection))
    }
}

/// `database.collection`, as it was given: for messages, `one_line` it.
impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_oplog() {
            return f.write_str(&self.collection);
        }
        write!(f, "{}.{}", self.database, self.collection)
    }
}
