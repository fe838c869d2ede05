//! The commands, by topic; whatever is not in the list is refused as unknown, as a mongod does.

mod aggregate;
mod collections;
mod create;
mod find;
mod indexes;
mod login;
mod rename;
mod server;
mod users;
mod write;

use bson::RawDocumentBuf;
use bson::raw::cstr;
use bson::rawdoc;

use super::Shared;
use super::answer::{Answer, Refusal, Request};
use super::rights::{self, Place, Right};
use super::scram::Conversation;
use super::state::State;

/// What the server knows of one connection.
pub(super) struct Session {
    /// Who is logged in, as (database, user).
    pub(super) users: Vec<(String, String)>,
    pub(super) needs_login: bool,
    conversation: Option<Conversation>,
}

impl Session {
    /// The session of one who may do everything.
    pub(super) fn unchecked() -> Self {
        Self { users: Vec::new(), needs_login: false, conversation: None }
    }

    pub(super) fn new(shared: &Shared) -> Self {
        Self { users: Vec::new(), needs_login: shared.settings.needs_login, conversation: None }
    }
}

/// What a command works with.
struct Context<'a> {
    shared: &'a Shared,
    state: &'a mut State,
    session: &'a mut Session,
    request: &'a Request,
}

impl Context<'_> {
    /// Refuses who has not that right on the request's collection.
    fn demand(&self, right: Right) -> Answer<()> {
        self.demand_at(right, Place::Collection(&self.request.database, self.request.required_collection()?))
    }

    fn demand_at(&self, right: Right, place: Place<'_>) -> Answer<()> {
        rights::demand(self.state, self.session, (right, place), &self.request.name)
    }

    /// Refuses who has not that right in the request's database.
    fn demand_in_database(&self, right: Right) -> Answer<()> {
        self.demand_at(right, Place::Database(&self.request.database))
    }

    fn namespace(&self) -> Answer<String> {
        Ok(format!("{}.{}", self.request.database, self.request.required_collection()?))
    }
}

pub(super) use collections::entry;
pub(super) use users::add_user;

type Command = fn(&mut Context<'_>) -> Answer;

const COMMANDS: &[(&str, Command)] = &[
    ("hello", server::hello),
    ("isMaster", server::hello),
    ("ismaster", server::hello),
    ("ping", server::ping),
    ("buildInfo", server::build_info),
    ("buildinfo", server::build_info),
    ("getParameter", server::get_parameter),
    ("serverStatus", server::server_status),
    ("connectionStatus", server::connection_status),
    ("getCmdLineOpts", server::command_line),
    ("startSession", server::start_session),
    ("endSessions", server::ping),
    ("refreshSessions", server::ping),
    ("abortTransaction", server::no_transaction),
    ("commitTransaction", server::no_transaction),
    ("saslStart", login::start),
    ("saslContinue", login::proceed),
    ("logout", login::logout),
    ("listDatabases", collections::list_databases),
    ("listCollections", collections::list),
    ("dbStats", collections::database_statistics),
    ("collStats", collections::statistics),
    ("create", create::create),
    ("drop", collections::drop),
    ("dropDatabase", collections::drop_database),
    ("renameCollection", rename::rename),
    ("listIndexes", indexes::list),
    ("createIndexes", indexes::create),
    ("dropIndexes", indexes::drop),
    ("insert", write::insert),
    ("delete", write::delete),
    ("find", find::find),
    ("getMore", find::get_more),
    ("killCursors", find::kill),
    ("count", aggregate::count),
    ("aggregate", aggregate::aggregate),
    ("usersInfo", users::users_info),
    ("rolesInfo", users::roles_info),
    ("createUser", users::create_user),
    ("createRole", users::create_role),
    ("dropUser", users::drop_user),
    ("dropRole", users::drop_role),
    ("_mergeAuthzCollections", users::merge),
];

/// Commands that do not ask who one is.
const OPEN: [&str; 10] = [
    "hello",
    "isMaster",
    "ismaster",
    "ping",
    "buildInfo",
    "buildinfo",
    "saslStart",
    "saslContinue",
    "logout",
    "connectionStatus",
];

/// Runs a command; of several at a time, one after another.
pub(super) fn run(shared: &Shared, session: &mut Session, request: &Request) -> Answer {
    if let Some(answer) = shared.backend.as_ref().and_then(|backend| backend.answer(request)) {
        return answer;
    }
    let name = request.name.as_str();
    let command = COMMANDS.iter().find(|(known, _)| *known == name).map(|(_, command)| *command);
    let command =
        command.ok_or_else(|| Refusal::new(59, "CommandNotFound", format!("no such command: '{name}'")))?;
    if session.needs_login && session.users.is_empty() && !OPEN.contains(&name) {
        return Err(Refusal::new(13, "Unauthorized", format!("Command {name} requires authentication")));
    }
    if request.flag("startTransaction") || request.get("autocommit").is_some() {
        let message = "Transaction numbers are only allowed on a replica set member or mongos";
        return Err(Refusal::new(20, "IllegalOperation", message));
    }
    let mut state = shared.state();
    let once = repeatable(request)?;
    if let Some(reply) = once.as_ref().and_then(|once| state.answered.get(once)) {
        return Ok(reply.clone());
    }
    if once.is_some() && shared.settings.replica_set.is_none() {
        let message = "Transaction numbers are only allowed on a replica set member or mongos";
        return Err(Refusal::new(20, "IllegalOperation", message));
    }
    let reply = command(&mut Context { shared, state: &mut state, session, request })?;
    let reply = timed(shared, &mut state, reply);
    if let Some(once) = once {
        state.answered.insert(once, reply.clone());
    }
    Ok(reply)
}

/// What identifies a write that its sender may repeat.
fn repeatable(request: &Request) -> Answer<Option<(Vec<u8>, i64)>> {
    let session = request.document("lsid").map(|id| id.as_bytes().to_vec());
    Ok(session.zip(request.number("txnNumber")?))
}

/// A replica set's members tell the time in every answer.
fn timed(shared: &Shared, state: &mut State, mut reply: RawDocumentBuf) -> RawDocumentBuf {
    if shared.settings.replica_set.is_some() {
        let now = state.tick();
        let hash = bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![0; 20] };
        reply.append(cstr!("operationTime"), now);
        reply.append(
            cstr!("$clusterTime"),
            rawdoc! { "clusterTime": now, "signature": { "hash": hash, "keyId": 0_i64 } },
        );
    }
    reply
}

fn ok() -> RawDocumentBuf {
    rawdoc! { "ok": 1.0 }
}
