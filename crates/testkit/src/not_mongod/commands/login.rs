//! `saslStart` and `saslContinue`.

use bson::{RawArrayBuf, RawBsonRef, RawDocument};

use super::super::answer::{Answer, Refusal};
use super::super::rights;
use super::super::scram::{self, Conversation, Mechanism};
use super::super::state::State;
use super::{Context, ok};

pub(super) fn start(context: &mut Context<'_>) -> Answer {
    let body = context.request.body().to_owned();
    let database = context.request.database.clone();
    begin(context, &body, &database)
}

/// The `saslStart` that stands in a `hello`, with its database.
pub(super) fn speculate(context: &mut Context<'_>, attempt: &RawDocument) -> Answer {
    let database = attempt.get_str("db").map_err(|_| scram::unknown_user())?.to_owned();
    begin(context, attempt, &database)
}

fn begin(context: &mut Context<'_>, body: &RawDocument, database: &str) -> Answer {
    let mechanism = Mechanism::of(body.get_str("mechanism").unwrap_or_default())?;
    let payload = body.get_binary("payload").map_err(|_| Refusal::bad_value("payload must be binary"))?.bytes;
    let user = scram::user_of(payload)?;
    let document = rights::user(context.state, database, &user).ok_or_else(scram::unknown_user)?;
    let credential = document
        .get_document("credentials")
        .and_then(|credentials| credentials.get_document(mechanism.name()))
        .map_err(|_| scram::unknown_user())?;
    let (conversation, reply) = Conversation::start(mechanism, (database, &user), credential, payload)?;
    context.session.conversation = Some(conversation);
    Ok(scram::step(&reply, false))
}

pub(super) fn proceed(context: &mut Context<'_>) -> Answer {
    let payload = context.request.get("payload").and_then(RawBsonRef::as_binary);
    let payload = payload.ok_or_else(|| Refusal::bad_value("payload must be binary"))?.bytes;
    let none = || Refusal::new(17, "ProtocolError", "No SASL session state found");
    let mut conversation = context.session.conversation.take().ok_or_else(none)?;
    let reply = conversation.proceed(payload)?;
    if conversation.is_proven() {
        let user = (conversation.database.clone(), conversation.user.clone());
        if !context.session.users.contains(&user) {
            context.session.users.push(user);
        }
        context.session.conversation = Some(conversation);
    }
    Ok(scram::step(&reply, true))
}

#[expect(clippy::unnecessary_wraps, reason = "all commands are of one type")]
pub(super) fn logout(context: &mut Context<'_>) -> Answer {
    context.session.users.clear();
    Ok(ok())
}

/// The mechanisms of a user `database.name`.
pub(super) fn mechanisms(state: &State, who: &str) -> RawArrayBuf {
    let (database, name) = who.split_once('.').unwrap_or(("", who));
    let credentials =
        rights::user(state, database, name).and_then(|user| user.get_document("credentials").ok());
    let mut names = RawArrayBuf::new();
    for (name, _) in credentials.into_iter().flatten().flatten() {
        names.push(name.as_str());
    }
    names
}
