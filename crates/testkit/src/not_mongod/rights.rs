//! Who may do what: MongoDB's built-in roles, as far as dumps and restores meet them. A role that was created
//! gives what the roles that it inherits give; privileges of its own are stored and not judged.
//!
//! A few consequences surprise: `read` does not open the buckets of time series (`backup` and `readAnyDatabase` do),
//! `readWrite` may not bypass validation, `restore` may neither read nor rename, `backup` may not ask for `dbStats`.

use bson::{RawDocument, RawDocumentBuf};

use super::answer::{Answer, Refusal, says};
use super::collection::Collection;
use super::commands::Session;
use super::state::State;

/// What a command needs. The last four are rights on the server itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Find,
    ListCollections,
    ListIndexes,
    CollStats,
    DbStats,
    Insert,
    Remove,
    Create,
    Drop,
    CreateIndex,
    DropIndex,
    /// Within a database.
    Rename,
    /// Write in spite of the validator.
    Bypass,
    DropDatabase,
    /// Read users and roles, by `usersInfo` and `rolesInfo`.
    ViewUsers,
    /// Make and drop users and roles.
    Users,
    ListDatabases,
    GetParameter,
    ServerStatus,
    GetCmdLineOpts,
}

/// What a right is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    Server,
    Database(&'a str),
    Collection(&'a str, &'a str),
}

/// Collections that roles tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// A database itself, and its collections but for the system's.
    Normal,
    /// `system.js`.
    Functions,
    /// `system.buckets.*`.
    Buckets,
    /// `admin.system.users`, `admin.system.roles`, `admin.system.version`.
    Secret,
    Other,
}

use Right::{
    Bypass, CollStats, Create, CreateIndex, DbStats, Drop, DropDatabase, DropIndex, Find, GetCmdLineOpts,
    GetParameter, Insert, ListCollections, ListDatabases, ListIndexes, Remove, Rename, ServerStatus, Users,
    ViewUsers,
};

const READ: &[Right] = &[Find, ListCollections, ListIndexes, CollStats, DbStats];
const WRITE: &[Right] = &[Insert, Remove, Create, Drop, CreateIndex, DropIndex, Rename];
const DB_ADMIN: &[Right] = &[
    ListCollections,
    ListIndexes,
    CollStats,
    DbStats,
    Create,
    Drop,
    CreateIndex,
    DropIndex,
    Rename,
    Bypass,
    DropDatabase,
];
const USER_ADMIN: &[Right] = &[ViewUsers, Users];
const RESTORE: &[Right] = &[Insert, Create, Drop, CreateIndex, Bypass];
const MONITOR: &[Right] = &[ListDatabases, GetParameter, ServerStatus, GetCmdLineOpts];

/// What a role gives in the database where it is given.
fn in_database(role: &str, sort: Sort, right: Right) -> bool {
    let has = |rights: &[Right]| rights.contains(&right);
    let (normal, functions) = (sort == Sort::Normal, sort == Sort::Functions);
    match role {
        "read" => (normal || functions) && has(READ),
        "readWrite" => (normal || functions) && (has(READ) || has(WRITE)),
        "dbAdmin" => normal && has(DB_ADMIN),
        "userAdmin" => normal && has(USER_ADMIN),
        "dbOwner" => {
            ["readWrite", "dbAdmin", "userAdmin"].into_iter().any(|role| in_database(role, sort, right))
        }
        _ => false,
    }
}

/// What a role of `admin` gives in every database; `internal` ones are `config` and `local`.
fn in_all(role: &str, (sort, internal): (Sort, bool), right: Right) -> bool {
    let has = |rights: &[Right]| rights.contains(&right);
    let data = matches!(sort, Sort::Normal | Sort::Functions | Sort::Buckets);
    match role {
        "readAnyDatabase" => data && !internal && has(READ),
        "readWriteAnyDatabase" => data && !internal && (has(READ) || has(WRITE)),
        "dbAdminAnyDatabase" => data && sort != Sort::Functions && !internal && has(DB_ADMIN),
        "userAdminAnyDatabase" => {
            sort == Sort::Normal && has(USER_ADMIN) || sort == Sort::Secret && has(READ)
        }
        "clusterMonitor" => sort == Sort::Normal && (has(&[CollStats, DbStats]) || internal && has(READ)),
        "clusterAdmin" => {
            in_all("clusterMonitor", (sort, internal), right) || sort == Sort::Normal && has(&[DropDatabase])
        }
        "backup" => {
            (data || sort == Sort::Secret) && has(&[Find]) || has(&[CollStats, ListCollections, ListIndexes])
        }
        "restore" => {
            data && has(RESTORE)
                || has(&[ListCollections])
                || sort == Sort::Normal && has(USER_ADMIN)
                || sort == Sort::Secret && has(&[Find])
        }
        "root" => PARTS_OF_ROOT.into_iter().any(|role| in_all(role, (sort, internal), right)),
        _ => false,
    }
}

const PARTS_OF_ROOT: [&str; 6] = [
    "readWriteAnyDatabase",
    "dbAdminAnyDatabase",
    "userAdminAnyDatabase",
    "clusterAdmin",
    "backup",
    "restore",
];

/// What a role of `admin` gives at the server.
fn at_server(role: &str, right: Right) -> bool {
    let has = |rights: &[Right]| rights.contains(&right);
    match role {
        "readAnyDatabase" | "readWriteAnyDatabase" | "dbAdminAnyDatabase" | "userAdminAnyDatabase" => {
            has(&[ListDatabases])
        }
        "clusterMonitor" | "clusterAdmin" | "root" => has(MONITOR),
        "backup" => has(&[ListDatabases, GetParameter, ServerStatus]),
        "restore" => has(&[GetParameter]),
        _ => false,
    }
}

fn sort_of(place: Place<'_>) -> Sort {
    match place {
        Place::Collection("admin", "system.users" | "system.roles" | "system.version") => Sort::Secret,
        Place::Collection(_, "system.js") => Sort::Functions,
        Place::Collection(_, name) if name.starts_with("system.buckets.") => Sort::Buckets,
        Place::Collection(_, name) if name.starts_with("system.") => Sort::Other,
        Place::Server | Place::Database(_) | Place::Collection(..) => Sort::Normal,
    }
}

/// The user's document in `admin.system.users`.
pub(super) fn user<'a>(state: &'a State, database: &str, name: &str) -> Option<&'a RawDocument> {
    let users = state.find("admin", "system.users")?.documents();
    let is = |document: &&RawDocumentBuf| says(document, "db", database) && says(document, "user", name);
    users.map(AsRef::as_ref).find(is).map(|document| &**document)
}

fn roles(state: &State, session: &Session) -> Vec<(String, String)> {
    let users = session.users.iter().filter_map(|(database, name)| user(state, database, name));
    let mut roles: Vec<(String, String)> = users.flat_map(roles_of).collect();
    let mut seen = 0;
    while let Some((database, name)) = roles.get(seen).cloned() {
        let made = state.find("admin", "system.roles").into_iter().flat_map(Collection::documents);
        for role in made {
            let is_it = says(role, "db", &database) && says(role, "role", &name);
            let inherited = roles_of(role).into_iter().filter(|_| is_it);
            let new: Vec<_> = inherited.filter(|role| !roles.contains(role)).collect();
            roles.extend(new);
        }
        seen += 1;
    }
    roles
}

/// The roles that a user's or a role's document names, as (database, role).
fn roles_of(document: &RawDocument) -> Vec<(String, String)> {
    let Ok(array) = document.get_array("roles") else { return Vec::new() };
    let role = |role: &RawDocument| {
        Some((role.get_str("db").ok()?.to_owned(), role.get_str("role").ok()?.to_owned()))
    };
    array.into_iter().flatten().filter_map(|item| item.as_document().and_then(role)).collect()
}

/// Whether the session may do that there.
pub(super) fn may(state: &State, session: &Session, right: Right, place: Place<'_>) -> bool {
    if !session.needs_login {
        return true;
    }
    let sort = sort_of(place);
    roles(state, session).iter().any(|(home, role)| match place {
        Place::Server => home == "admin" && at_server(role, right),
        Place::Database(database) | Place::Collection(database, _) => {
            let internal = matches!(database, "config" | "local");
            home == database && in_database(role, sort, right)
                || home == "admin" && in_all(role, (sort, internal), right)
        }
    })
}

/// Whether the session may see that the database is there, without the right to list all.
pub(super) fn may_see(state: &State, session: &Session, database: &str) -> bool {
    let place = Place::Database(database);
    [Find, Insert, Create, ListCollections, ViewUsers]
        .into_iter()
        .any(|right| may(state, session, right, place))
}

/// Refuses as a mongod does.
pub(super) fn demand(
    state: &State,
    session: &Session,
    (right, place): (Right, Place<'_>),
    command: &str,
) -> Answer<()> {
    if may(state, session, right, place) {
        return Ok(());
    }
    let database = match place {
        Place::Server => "admin",
        Place::Database(database) | Place::Collection(database, _) => database,
    };
    let message = if session.users.is_empty() {
        format!("Command {command} requires authentication")
    } else {
        format!("not authorized on {database} to execute command {{ {command} }}")
    };
    Err(Refusal::new(13, "Unauthorized", message))
}
