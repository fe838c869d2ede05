//! Restoring the users and roles of a database.
//!
//! They lie in `admin`, which nobody may write into directly. As `mongorestore` does it, they are put into
//! collections of their own there, from which the server merges them: what is there by the same name stays.

use bson::doc;
use bson::raw::{RawDocumentBuf, cstr};

use super::load::{begin, insert};
use super::prefix;
use super::reading::Prelude;
use crate::engine::mongodb::connect::Session;
use crate::engine::{DumpSource, Target};
use crate::{ErrorKind, Result};

const OPERATION: &str = "restore users and roles";

/// Merges the dump's users and roles with those that are there.
pub(super) async fn restore(session: &Session<'_>, target: &Target, dump: &DumpSource) -> Result<()> {
    let admin = Session {
        source: session.source,
        client: session.client.clone(),
        database: session.client.database("admin"),
    };
    let names = ["users", "roles"].map(|what| format!("{}_{what}", prefix(target)));
    let done = merge(&admin, target, dump, &names).await;
    for name in &names {
        match admin.run(OPERATION, doc! { "drop": name }).await {
            Err(e) if e.kind() != ErrorKind::NotFound => return done.and(Err(e)),
            _ => {}
        }
    }
    done
}

async fn merge(admin: &Session<'_>, target: &Target, dump: &DumpSource, names: &[String; 2]) -> Result<()> {
    for name in names {
        match admin.run(OPERATION, doc! { "drop": name }).await {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    let mut reading = begin(target, dump).await?;
    let Prelude { declared, .. } = reading.prelude().await?;
    let place = |collection: &str| match collection {
        name if name.ends_with("system.users") => Some(&names[0]),
        name if name.ends_with("system.roles") => Some(&names[1]),
        _ => None,
    };
    let into: Vec<Option<&String>> = declared
        .iter()
        .map(|declared| place(declared.namespace().collection()).filter(|_| declared.namespace().is_access()))
        .collect();
    reading.go_on(into.iter().map(|name| name.map(|name| head(name))).collect());
    let (mut users, mut roles) = (0, 0);
    while let Some(next) = reading.next().await {
        let Some(name) = into[next.at] else { continue };
        *(if *name == names[0] { &mut users } else { &mut roles }) += next.documents;
        insert(admin, name, next).await?;
    }
    reading.end().await?;
    // A dump of admin holds those of all databases; so does the empty name.
    let database = Some(target.database_name()).filter(|name| *name != "admin").unwrap_or_default();
    let mut command = doc! { "_mergeAuthzCollections": 1, "db": database, "drop": false };
    for (count, key, name) in
        [(users, "tempUsersCollection", &names[0]), (roles, "tempRolesCollection", &names[1])]
    {
        if count > 0 {
            command.insert(key, format!("admin.{name}"));
        }
    }
    if users + roles == 0 {
        return Ok(());
    }
    target.at.log.info(format!("merging {users} users and {roles} roles with those that are there"));
    let merged = admin.run(OPERATION, command).await;
    merged.map(drop).map_err(|e| match e.kind() {
        ErrorKind::Denied => e.with_mend("grant the user the role restore on admin"),
        _ => e,
    })
}

fn head(name: &str) -> RawDocumentBuf {
    let mut head = RawDocumentBuf::new();
    head.append(cstr!("insert"), name);
    head.append(cstr!("ordered"), true);
    head
}
