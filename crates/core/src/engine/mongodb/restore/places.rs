//! What of a dump goes where.

use std::collections::BTreeSet;

use bson::raw::RawDocument;

use super::{aside, prefix};
use crate::engine::Target;
use crate::engine::mongodb::archive::{Declared, Header, Kind};
use crate::engine::mongodb::server::{self, Server};
use crate::engine::wording::one_line;
use crate::model::{Ownership, RestoreMode};
use crate::{Error, ErrorKind, Result};

const OPERATION: &str = "load the dump";
/// The server's limit in bytes for `database.collection`.
const LONGEST_NAMESPACE: usize = 255;

/// What becomes of one namespace of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is loaded.
    Load,
    /// Users or roles, to be merged with those that are there.
    Access,
    /// It is left out.
    Skip,
}

/// A namespace of a dump, and where it goes.
pub(super) struct Place<'d> {
    pub(super) declared: &'d Declared,
    pub(super) fate: Fate,
    /// The collection's name while it is loaded.
    pub(super) name: String,
    /// Where documents are inserted.
    pub(super) into: String,
    /// Whether they are a time series' buckets that are inserted under its own name.
    pub(super) raw_data: bool,
}

impl Place<'_> {
    /// Its own name.
    pub(super) fn collection(&self) -> &str {
        self.declared.namespace().collection()
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.fate == Fate::Load
    }
}

/// Decides for all namespaces, or says what in the dump stands in the way. Nothing was changed so far.
pub(super) fn places<'d>(
    target: &Target,
    server: &Server,
    header: &Header,
    declared: &'d [Declared],
    warnings: &mut Vec<String>,
) -> Result<Vec<Place<'d>>> {
    one_database(declared)?;
    let mut places = Vec::with_capacity(declared.len());
    for declared in declared {
        places.push(place(target, server, header, declared)?);
    }
    all_there(target, &places)?;
    refuse_time_series(target, &places)?;
    refuse_encrypted(target, &places)?;
    refuse_long_names(target, &places)?;
    tell(&places, warnings);
    let unsaved = |place: &&Place<'_>| {
        let name = place.collection();
        place.fate == Fate::Skip && !is_chosen(target, name) && target.options.tables.is_empty()
    };
    if places.iter().any(|place| unsaved(&place)) {
        warnings.push(
            "collections of the dump that are not among the database's chosen ones are left out: its safety backup \
             would not hold what they replace"
                .to_owned(),
        );
    }
    Ok(places)
}

fn place<'d>(target: &Target, server: &Server, header: &Header, declared: &'d Declared) -> Result<Place<'d>> {
    let collection = declared.namespace().collection();
    let name = match target.options.mode {
        RestoreMode::Swap => aside(target, collection),
        RestoreMode::InPlace => collection.to_owned(),
    };
    let raw_data = declared.kind() == Kind::TimeSeries && server.has_raw_data();
    let buckets = declared.kind() == Kind::TimeSeries && !raw_data;
    if buckets && header.data_namespace(declared)? == *declared.namespace() {
        let message = "a time series of MongoDB 8.3 or newer does not go into an older server";
        return Err(Error::conflict(OPERATION, message).with_mend("restore into a server of that version"));
    }
    let into = if buckets { format!("system.buckets.{name}") } else { name.clone() };
    let fate = fate(target, declared);
    Ok(Place { declared, fate, name, into, raw_data })
}

fn fate(target: &Target, declared: &Declared) -> Fate {
    let (namespace, collection) = (declared.namespace(), declared.namespace().collection());
    let options = &target.options;
    let whole = options.tables.is_empty();
    if namespace.is_oplog() {
        return Fate::Skip;
    }
    if namespace.is_access() {
        let wanted = target.at.settings.users_and_roles && options.ownership == Ownership::Keep && whole;
        let same = namespace.database() == target.database_name();
        let ours = target.dump.trusted && !target.scratch && options.mode == RestoreMode::InPlace;
        let version = collection.ends_with("system.version");
        return if wanted && same && ours && !version { Fate::Access } else { Fate::Skip };
    }
    let functions = collection == "system.js";
    let systems = server::is_systems(collection) || server::is_restores(collection);
    if systems || functions && (!target.dump.trusted || options.mode == RestoreMode::Swap) {
        return Fate::Skip;
    }
    if is_chosen(target, collection) { Fate::Load } else { Fate::Skip }
}

/// Whether a restore may touch a collection: one of those that were asked for, and of those that the safety backup
/// holds, which are the chosen ones of the database that is replaced.
pub(super) fn is_chosen(target: &Target, collection: &str) -> bool {
    let among = |names: &[String]| names.is_empty() || names.iter().any(|name| name == collection);
    let saved = !target.replaces || among(&target.at.settings.collections);
    among(&target.options.tables) && saved
}

/// Whether a restore touches some collections only.
pub(super) fn is_partial(target: &Target) -> bool {
    !target.options.tables.is_empty() || target.replaces && !target.at.settings.collections.is_empty()
}

/// A dump of several databases has no one place.
fn one_database(declared: &[Declared]) -> Result<()> {
    let own = |declared: &&Declared| !declared.namespace().is_oplog() && !declared.namespace().is_access();
    let names: BTreeSet<&str> = declared.iter().filter(own).map(|d| d.namespace().database()).collect();
    if names.len() < 2 {
        return Ok(());
    }
    let some: Vec<String> = names.iter().take(5).map(|name| one_line(name)).collect();
    let message =
        format!("the dump holds {} databases ({}), and one is restored", names.len(), some.join(", "));
    Err(Error::conflict(OPERATION, message)
        .with_mend("dump each by itself, or restore it by mongorestore --archive with --nsInclude"))
}

fn all_there(target: &Target, places: &[Place<'_>]) -> Result<()> {
    let there =
        |table: &&String| places.iter().any(|place| place.is_loaded() && place.collection() == *table);
    let missing: Vec<String> =
        target.options.tables.iter().filter(|table| !there(table)).map(|table| one_line(table)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("these collections cannot be restored: {}", missing.join(", "));
    let mend = if target.replaces && !target.at.settings.collections.is_empty() {
        "name collections of the dump that are among the database's collections: its safety backup holds no others"
    } else {
        "name collections as the backup's fingerprint does"
    };
    Err(Error::new(ErrorKind::Conflict, OPERATION, message).with_field("tables").with_mend(mend))
}

fn refuse_time_series(target: &Target, places: &[Place<'_>]) -> Result<()> {
    let series = |place: &&Place<'_>| place.is_loaded() && place.declared.kind() == Kind::TimeSeries;
    match places.iter().find(series).filter(|_| target.options.mode == RestoreMode::Swap) {
        None => Ok(()),
        Some(place) => {
            let name = one_line(place.collection());
            let message = format!("{name} is a time series, which cannot be renamed; nothing was changed");
            Err(Error::conflict(OPERATION, message).with_mend("restore with mode in_place"))
        }
    }
}

/// Whether fields of a collection are encrypted for Queryable Encryption: servers rename none of these.
pub(super) fn is_encrypted(options: &RawDocument) -> bool {
    options.get_document("encryptedFields").is_ok()
}

fn refuse_encrypted(target: &Target, places: &[Place<'_>]) -> Result<()> {
    if target.options.mode != RestoreMode::Swap {
        return Ok(());
    }
    for place in places.iter().filter(|place| place.is_loaded()) {
        let metadata = place.declared.metadata()?;
        if metadata.is_some_and(|metadata| is_encrypted(&metadata.options)) {
            let name = one_line(place.collection());
            let message =
                format!("{name} has encrypted fields, so no server renames it; nothing was changed");
            return Err(Error::conflict(OPERATION, message).with_mend("restore with mode in_place"));
        }
    }
    Ok(())
}

fn refuse_long_names(target: &Target, places: &[Place<'_>]) -> Result<()> {
    let database = target.database_name();
    let long =
        |place: &&Place<'_>| place.is_loaded() && database.len() + 1 + place.into.len() > LONGEST_NAMESPACE;
    let Some(place) = places.iter().find(long) else { return Ok(()) };
    let (name, into) = (one_line(place.collection()), one_line(database));
    let (message, mend) = match target.options.mode {
        RestoreMode::Swap => (
            format!("{name} is too long a name to be loaded beside the target"),
            "restore with mode in_place",
        ),
        RestoreMode::InPlace => (
            format!("{name} is too long a name for a database called {into}"),
            "restore into one of a shorter name",
        ),
    };
    // Of the dump that says nothing where the database is one of our own.
    let kind = if target.scratch { ErrorKind::Tool } else { ErrorKind::Conflict };
    Err(Error::new(kind, OPERATION, message).with_mend(mend))
}

fn tell(places: &[Place<'_>], warnings: &mut Vec<String>) {
    let skips = |what: fn(&Declared) -> bool| {
        places.iter().any(|place| place.fate == Fate::Skip && what(place.declared))
    };
    if skips(|declared| declared.namespace().is_access()) {
        warnings.push(
            "users and roles of the dump are left out: they are restored in mode in_place, into the database that \
             they were dumped of, where it has users_and_roles"
                .to_owned(),
        );
    }
    if skips(|declared| declared.namespace().is_oplog()) {
        warnings.push("the oplog of the dump is left out: what it would replay is not restored".to_owned());
    }
    if skips(|declared| declared.namespace().collection() == "system.js") {
        warnings.push(
            "stored functions (system.js) are left out: they are restored in mode in_place from dumps of this \
             installation"
                .to_owned(),
        );
    }
}

/// The name of the collection that marks what was loaded aside.
pub(super) fn mark(target: &Target) -> String {
    prefix(target)
}
