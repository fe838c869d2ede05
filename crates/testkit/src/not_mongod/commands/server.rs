//! The handshake, and what the server says of itself.
#![expect(clippy::unnecessary_wraps, reason = "all commands are of one type")]

use bson::raw::cstr;
use bson::{DateTime, RawArrayBuf, RawBsonRef, RawDocumentBuf, rawdoc};

use super::super::answer::{Answer, Refusal};
use super::super::collection::MAX_DOCUMENT_BYTES;
use super::super::rights::{self, Place, Right};
use super::super::wire::MAX_MESSAGE_BYTES;
use super::{Context, login, ok};

fn is_before_hello(version: (i32, i32, i32)) -> bool {
    version < (4, 2, 10) || ((4, 4, 0)..(4, 4, 2)).contains(&version)
}

pub(super) fn hello(context: &mut Context<'_>) -> Answer {
    let settings = &context.shared.settings;
    let primary =
        if context.request.name == "hello" { cstr!("isWritablePrimary") } else { cstr!("ismaster") };
    if context.request.name == "hello" && is_before_hello(settings.version) {
        return Err(Refusal::new(59, "CommandNotFound", "no such command: 'hello'"));
    }
    let mut reply = RawDocumentBuf::new();
    if !is_before_hello(settings.version) {
        reply.append(cstr!("helloOk"), true);
    }
    reply.append(primary, true);
    if let Some(set) = &settings.replica_set {
        let address = context.shared.address();
        let mut hosts = RawArrayBuf::new();
        hosts.push(address.as_str());
        reply.append(cstr!("setName"), set.as_str());
        reply.append(cstr!("setVersion"), 1);
        reply.append(cstr!("secondary"), false);
        reply.append(cstr!("hosts"), hosts);
        reply.append(cstr!("primary"), address.as_str());
        reply.append(cstr!("me"), address.as_str());
        let written = context.state.tick();
        reply.append(
            cstr!("lastWrite"),
            rawdoc! { "opTime": { "ts": written, "t": 1_i64 }, "lastWriteDate": DateTime::now() },
        );
    }
    reply.append(cstr!("maxBsonObjectSize"), limit(MAX_DOCUMENT_BYTES));
    reply.append(cstr!("maxMessageSizeBytes"), limit(MAX_MESSAGE_BYTES));
    reply.append(cstr!("maxWriteBatchSize"), 100_000);
    reply.append(cstr!("localTime"), DateTime::now());
    reply.append(cstr!("logicalSessionTimeoutMinutes"), 30);
    reply.append(cstr!("connectionId"), 1);
    reply.append(cstr!("minWireVersion"), 0);
    reply.append(cstr!("maxWireVersion"), wire_version(settings.version));
    reply.append(cstr!("readOnly"), false);
    if let Some(who) = context.request.text("saslSupportedMechs") {
        reply.append(cstr!("saslSupportedMechs"), login::mechanisms(context.state, who));
    }
    if let Some(attempt) = context.request.document("speculativeAuthenticate").map(ToOwned::to_owned)
        && let Ok(step) = login::speculate(context, &attempt)
    {
        reply.append(cstr!("speculativeAuthenticate"), step);
    }
    reply.append(cstr!("ok"), 1.0);
    Ok(reply)
}

fn limit(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

fn wire_version((major, minor, _): (i32, i32, i32)) -> i32 {
    match (major, minor) {
        (..=3, _) => 6,
        (4, 0 | 1) => 7,
        (4, 2 | 3) => 8,
        (4, _) => 9,
        (5, _) => 13,
        (6, _) => 17,
        (7, _) => 21,
        (8, 0 | 1) => 25,
        _ => 27,
    }
}

pub(super) fn ping(_: &mut Context<'_>) -> Answer {
    Ok(ok())
}

pub(super) fn build_info(context: &mut Context<'_>) -> Answer {
    let (major, minor, patch) = context.shared.settings.version;
    let mut numbers = RawArrayBuf::new();
    for number in [major, minor, patch, 0] {
        numbers.push(number);
    }
    Ok(rawdoc! {
        "version": format!("{major}.{minor}.{patch}"),
        "gitVersion": "not_mongod",
        "modules": RawArrayBuf::new(),
        "versionArray": numbers,
        "bits": 64,
        "debug": false,
        "maxBsonObjectSize": limit(MAX_DOCUMENT_BYTES),
        "ok": 1.0,
    })
}

/// `featureCompatibilityVersion` and `authenticationMechanisms` are known; others are refused, as by a mongod.
pub(super) fn get_parameter(context: &mut Context<'_>) -> Answer {
    if context.request.database != "admin" {
        return Err(Refusal::new(
            13,
            "Unauthorized",
            "getParameter may only be run against the admin database.",
        ));
    }
    context.demand_at(Right::GetParameter, Place::Server)?;
    let (major, minor, _) = context.shared.settings.version;
    let mut reply = RawDocumentBuf::new();
    if context.request.get("featureCompatibilityVersion").is_some() {
        let version = format!("{major}.{minor}");
        reply.append(cstr!("featureCompatibilityVersion"), rawdoc! { "version": version });
    }
    if context.request.get("authenticationMechanisms").is_some() {
        let mut names = RawArrayBuf::new();
        names.push("SCRAM-SHA-1");
        names.push("SCRAM-SHA-256");
        reply.append(cstr!("authenticationMechanisms"), names);
    }
    if reply.is_empty() {
        return Err(Refusal::new(72, "InvalidOptions", "no option found to get"));
    }
    reply.append(cstr!("ok"), 1.0);
    Ok(reply)
}

pub(super) fn server_status(context: &mut Context<'_>) -> Answer {
    context.demand_at(Right::ServerStatus, Place::Server)?;
    let (major, minor, patch) = context.shared.settings.version;
    let mut reply = rawdoc! {
        "host": context.shared.address(),
        "version": format!("{major}.{minor}.{patch}"),
        "process": "not_mongod",
        "storageEngine": { "name": "memory of a test", "persistent": false },
        "localTime": DateTime::now(),
    };
    if let Some(set) = &context.shared.settings.replica_set {
        reply.append(cstr!("repl"), rawdoc! { "setName": set.as_str(), "isWritablePrimary": true });
    }
    reply.append(cstr!("ok"), 1.0);
    Ok(reply)
}

pub(super) fn command_line(context: &mut Context<'_>) -> Answer {
    context.demand_at(Right::GetCmdLineOpts, Place::Server)?;
    let mut words = RawArrayBuf::new();
    words.push("not_mongod");
    Ok(rawdoc! { "argv": words, "parsed": RawDocumentBuf::new(), "ok": 1.0 })
}

pub(super) fn connection_status(context: &mut Context<'_>) -> Answer {
    let (mut users, mut roles) = (RawArrayBuf::new(), RawArrayBuf::new());
    for (database, user) in &context.session.users {
        users.push(rawdoc! { "user": user.as_str(), "db": database.as_str() });
        let document = rights::user(context.state, database, user);
        let array = document.and_then(|document| document.get_array("roles").ok());
        let known = array.into_iter().flat_map(|roles| roles.into_iter().flatten());
        known.filter_map(RawBsonRef::as_document).for_each(|role| roles.push(role));
    }
    Ok(rawdoc! {
        "authInfo": { "authenticatedUsers": users, "authenticatedUserRoles": roles },
        "ok": 1.0,
    })
}

pub(super) fn start_session(_: &mut Context<'_>) -> Answer {
    Ok(rawdoc! { "id": { "id": bson::Binary::from(bson::Uuid::new()) }, "timeoutMinutes": 30, "ok": 1.0 })
}

pub(super) fn no_transaction(_: &mut Context<'_>) -> Answer {
    Err(Refusal::new(251, "NoSuchTransaction", "not_mongod has no transactions"))
}
