//! Who may do what: MongoDB's built-in roles, as far as dumps and restores meet them. A role that was created
//! gives what the roles that it inherits give; privileges of its own are stored and not judged.

use bson::RawDocument;

use super::answer::{Answer, Refusal, says};
use super::commands::Session;
use super::state::State;

/// What a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// Read documents.
    Find,
    /// List collections and indexes, and read their statistics.
    List,
    /// Write documents.
    Write,
    /// Write documents in spite of the validator.
    Bypass,
    /// Make and drop collections and indexes.
    Shape,
    /// Rename within a database.
    Rename,
    DropDatabase,
    /// Read users and roles.
    ViewUsers,
    /// Make and drop users and roles.
    Users,
    /// The server's own state: parameters, status, all databases.
    Monitor,
}

/// What a role gives in its database.
fn in_database(role: &str) -> &'static [Right] {
    use Right::{Bypass, DropDatabase, Find, List, Rename, Shape, Users, ViewUsers, Write};
    match role {
        "read" => &[Find, List],
        "readWrite" => &[Find, List, Write, Shape, Rename],
        "dbAdmin" => &[List, Shape, Rename, Bypass, DropDatabase],
        "userAdmin" => &[ViewUsers, Users],
        "dbOwner" => &[Find, List, Write, Bypass, Shape, Rename, DropDatabase, ViewUsers, Users],
        _ => &[],
    }
}

/// What a role of `admin` gives in all databases and at the server.
fn everywhere(role: &str) -> &'static [Right] {
    use Right::{Bypass, DropDatabase, Find, List, Monitor, Rename, Shape, Users, ViewUsers, Write};
    match role {
        "readAnyDatabase" => &[Find, List, Monitor],
        "readWriteAnyDatabase" => &[Find, List, Write, Shape, Rename, Monitor],
        "dbAdminAnyDatabase" => &[List, Shape, Rename, Bypass, DropDatabase, Monitor],
        "userAdminAnyDatabase" => &[ViewUsers, Users, Monitor],
        "clusterMonitor" => &[List, Monitor],
        "clusterAdmin" => &[List, Monitor, DropDatabase],
        "backup" => &[Find, List, ViewUsers, Monitor],
        "restore" => &[List, Write, Bypass, Shape, Users, ViewUsers, Monitor],
        "root" => &[Find, List, Write, Bypass, Shape, Rename, DropDatabase, ViewUsers, Users, Monitor],
        _ => &[],
    }
}

/// The user's document in `admin.system.users`.
pub(super) fn user<'a>(state: &'a State, database: &str, name: &str) -> Option<&'a RawDocument> {
    let users = state.find("admin", "system.users")?.documents();
    let is =
        |document: &&bson::RawDocumentBuf| says(document, "db", database) && says(document, "user", name);
    users.map(AsRef::as_ref).find(is).map(|document| &**document)
}

fn roles(state: &State, session: &Session) -> Vec<(String, String)> {
    let users = session.users.iter().filter_map(|(database, name)| user(state, database, name));
    let mut roles: Vec<(String, String)> = users.flat_map(roles_of).collect();
    let mut seen = 0;
    while let Some((database, name)) = roles.get(seen).cloned() {
        let made = state
            .find("admin", "system.roles")
            .into_iter()
            .flat_map(super::collection::Collection::documents);
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

/// Whether the session may do that in the database; in `config` and `local` roles for all databases do not count.
pub(super) fn may(state: &State, session: &Session, right: Right, database: &str) -> bool {
    if !session.needs_login {
        return true;
    }
    roles(state, session).iter().any(|(home, role)| {
        let here = home == database && in_database(role).contains(&right);
        let all = home == "admin" && everywhere(role).contains(&right);
        let spared = matches!(database, "config" | "local") && role.ends_with("AnyDatabase");
        here || all && !spared
    })
}

/// Whether the session may see that the database is there.
pub(super) fn may_see(state: &State, session: &Session, database: &str) -> bool {
    !session.needs_login
        || may(state, session, Right::Monitor, database)
        || roles(state, session).iter().any(|(home, _)| home == database)
}

/// Refuses as a mongod does.
pub(super) fn demand(
    state: &State,
    session: &Session,
    (right, database): (Right, &str),
    command: &str,
) -> Answer<()> {
    if may(state, session, right, database) {
        return Ok(());
    }
    let message = if session.users.is_empty() {
        format!("Command {command} requires authentication")
    } else {
        format!("not authorized on {database} to execute command {{ {command} }}")
    };
    Err(Refusal::new(13, "Unauthorized", message))
}
