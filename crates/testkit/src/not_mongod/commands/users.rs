//! Users and roles. They are kept as documents of `admin.system.users` and `admin.system.roles`, as by a mongod.

use bson::raw::cstr;
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, Uuid, rawdoc};

use super::super::answer::{Answer, Refusal, key, says, truth};
use super::super::collection::{Collection, Stored};
use super::super::order;
use super::super::rights::{Place, Right};
use super::super::scram::Mechanism;
use super::super::state::State;
use super::{Context, ok};

pub(super) fn users_info(context: &mut Context<'_>) -> Answer {
    context.request.only(&[
        "showCredentials",
        "showCustomData",
        "showPrivileges",
        "showAuthenticationRestrictions",
        "filter",
    ])?;
    info(context, "system.users", ("user", "users"))
}

pub(super) fn roles_info(context: &mut Context<'_>) -> Answer {
    context.request.only(&["showPrivileges", "showBuiltinRoles", "showAuthenticationRestrictions"])?;
    info(context, "system.roles", ("role", "roles"))
}

fn info(context: &mut Context<'_>, kept: &str, (word, field): (&str, &str)) -> Answer {
    let request = context.request;
    context.demand_in_database(Right::ViewUsers)?;
    let (name, database, everywhere) = match request.subject() {
        Some(RawBsonRef::String(name)) => (Some(name), request.database.as_str(), false),
        Some(RawBsonRef::Document(one)) => (
            one.get_str(word).ok(),
            one.get_str("db").unwrap_or(&request.database),
            one.get("forAllDBs").ok().flatten().is_some_and(truth),
        ),
        Some(number) if truth(number) => (None, request.database.as_str(), false),
        _ => return Err(Refusal::not_here("a list of names")),
    };
    let mut found = RawArrayBuf::new();
    for document in context.state.find("admin", kept).into_iter().flat_map(Collection::documents) {
        let here = everywhere || says(document, "db", database);
        if here && name.is_none_or(|name| says(document, word, name)) {
            found.push(shown(document, request.flag("showCredentials")));
        }
    }
    let mut reply = RawDocumentBuf::new();
    reply.append(key(field)?, found);
    reply.append(cstr!("ok"), 1.0);
    Ok(reply)
}

/// A user as others see it: with the names of its mechanisms, without what they rest on.
fn shown(document: &RawDocument, with_credentials: bool) -> RawDocumentBuf {
    let mut shown = RawDocumentBuf::new();
    for (name, value) in document.iter().flatten() {
        if name.as_str() != "credentials" || with_credentials {
            shown.append(name, value);
        }
    }
    if let Ok(credentials) = document.get_document("credentials") {
        let mut mechanisms = RawArrayBuf::new();
        credentials.iter().flatten().for_each(|(name, _)| mechanisms.push(name.as_str()));
        shown.append(cstr!("mechanisms"), mechanisms);
    }
    shown
}

pub(super) fn create_user(context: &mut Context<'_>) -> Answer {
    let request = context.request;
    request.only(&[
        "pwd",
        "roles",
        "customData",
        "mechanisms",
        "digestPassword",
        "authenticationRestrictions",
    ])?;
    context.demand_in_database(Right::Users)?;
    let name = request.collection().filter(|name| !name.is_empty());
    let name =
        name.ok_or_else(|| Refusal::bad_value("User document needs 'user' field to be a non-empty string"))?;
    let password = request.text("pwd").filter(|password| !password.is_empty());
    let password =
        password.ok_or_else(|| Refusal::bad_value("Must provide a 'pwd' field for all user documents"))?;
    let roles = roles(request.get("roles"), &request.database)?;
    let mechanisms = match request.get("mechanisms").and_then(RawBsonRef::as_array) {
        None => Mechanism::ALL.to_vec(),
        Some(names) => {
            let names = names.into_iter().flatten().filter_map(RawBsonRef::as_str);
            names.map(Mechanism::of).collect::<Answer<_>>()?
        }
    };
    let custom = request.document("customData");
    add_user(context.state, (&request.database, name), password, &mechanisms, (roles, custom))?;
    Ok(ok())
}

/// Keeps a user as a mongod does.
pub(in super::super) fn add_user(
    state: &mut State,
    (database, name): (&str, &str),
    password: &str,
    mechanisms: &[Mechanism],
    (roles, custom): (RawArrayBuf, Option<&RawDocument>),
) -> Answer<()> {
    let mut credentials = RawDocumentBuf::new();
    for mechanism in mechanisms {
        credentials.append(key(mechanism.name())?, mechanism.credential(name, password)?);
    }
    let mut user = rawdoc! {
        "_id": format!("{database}.{name}"),
        "userId": bson::Binary::from(Uuid::new()),
        "user": name,
        "db": database,
        "credentials": credentials,
        "roles": roles,
    };
    if let Some(custom) = custom {
        user.append(cstr!("customData"), custom);
    }
    if state.find("admin", "system.users").is_none() {
        let schema = rawdoc! { "_id": "authSchema", "currentVersion": 5 };
        state.collection("admin", "system.version")?.store("admin.system.version", schema)?;
    }
    keep(state, "system.users", user, &format!("User \"{name}@{database}\" already exists"), 51003)
}

fn keep(state: &mut State, kept: &str, document: RawDocumentBuf, twin: &str, code: i32) -> Answer<()> {
    let stored = state.collection("admin", kept)?.store(&format!("admin.{kept}"), document);
    stored.map_err(|_| Refusal::new(code, &format!("Location{code}"), twin))
}

/// Roles as they are kept: each with its database.
fn roles(given: Option<RawBsonRef<'_>>, home: &str) -> Answer<RawArrayBuf> {
    let wrong = || Refusal::bad_value("roles must be names or documents {role, db}");
    let mut roles = RawArrayBuf::new();
    for role in given.and_then(RawBsonRef::as_array).ok_or_else(wrong)?.into_iter().flatten() {
        match role {
            RawBsonRef::String(name) => roles.push(rawdoc! { "role": name, "db": home }),
            RawBsonRef::Document(role) => roles.push(role),
            _ => return Err(wrong()),
        }
    }
    Ok(roles)
}

pub(super) fn create_role(context: &mut Context<'_>) -> Answer {
    let request = context.request;
    request.only(&["privileges", "roles", "authenticationRestrictions"])?;
    context.demand_in_database(Right::Users)?;
    let (database, name) = (request.database.as_str(), request.required_collection()?);
    let mut privileges = RawArrayBuf::new();
    request.documents("privileges")?.into_iter().for_each(|privilege| privileges.push(privilege));
    let role = rawdoc! {
        "_id": format!("{database}.{name}"),
        "role": name,
        "db": database,
        "privileges": privileges,
        "roles": roles(request.get("roles"), database)?,
    };
    keep(context.state, "system.roles", role, &format!("Role \"{name}@{database}\" already exists"), 51002)?;
    Ok(ok())
}

pub(super) fn drop_user(context: &mut Context<'_>) -> Answer {
    remove(context, "system.users", (11, "UserNotFound"))
}

pub(super) fn drop_role(context: &mut Context<'_>) -> Answer {
    remove(context, "system.roles", (31, "RoleNotFound"))
}

fn remove(context: &mut Context<'_>, kept: &str, (code, word): (i32, &str)) -> Answer {
    context.request.only(&[])?;
    context.demand_in_database(Right::Users)?;
    let id = context.namespace()?;
    let id = order::key(RawBsonRef::String(&id));
    let removed = context.state.find_mut("admin", kept).is_some_and(|kept| kept.remove(&id));
    if removed { Ok(ok()) } else { Err(Refusal::new(code, word, "there is nobody of that name")) }
}

/// `_mergeAuthzCollections`: what `mongorestore` calls with users and roles that it has put into collections beside.
pub(super) fn merge(context: &mut Context<'_>) -> Answer {
    let request = context.request;
    request.only(&["tempUsersCollection", "tempRolesCollection", "db", "drop"])?;
    context.demand_at(Right::Users, Place::Database("admin"))?;
    let database = request.text("db").unwrap_or_default().to_owned();
    for (field, kept) in [("tempUsersCollection", "system.users"), ("tempRolesCollection", "system.roles")] {
        let Some(beside) = request.text(field).filter(|name| !name.is_empty()) else { continue };
        let name = beside
            .strip_prefix("admin.")
            .ok_or_else(|| Refusal::bad_value(format!("{field} must be in admin")))?;
        let documents: Vec<_> = context
            .state
            .find("admin", name)
            .into_iter()
            .flat_map(|kept| kept.documents().cloned())
            .collect();
        merge_into(context.state, (kept, &database), &documents, request.flag("drop"))?;
    }
    Ok(ok())
}

fn merge_into(
    state: &mut State,
    (kept, database): (&str, &str),
    documents: &[Stored],
    replace: bool,
) -> Answer<()> {
    let concerned = |document: &RawDocument| database.is_empty() || says(document, "db", database);
    let id = |document: &RawDocument| document.get("_id").ok().flatten().map(order::key);
    let collection = state.collection("admin", kept)?;
    let new: Vec<_> = documents.iter().filter(|document| concerned(document)).collect();
    let old: Vec<_> =
        collection.documents().filter(|document| concerned(document)).filter_map(|old| id(old)).collect();
    if replace {
        for old in &old {
            collection.remove(old);
        }
    }
    // Whoever is there stays as he is, unless all are replaced.
    for document in new.into_iter().filter(|new| replace || id(new).is_none_or(|id| !old.contains(&id))) {
        collection.store(&format!("admin.{kept}"), document.as_ref().clone())?;
    }
    Ok(())
}
