//! One database for one request, however often it is sent.

use respaldo_api::Problem;
use respaldo_api::extract::JsonObject;
use respaldo_api::idempotency::IdempotencyKey;
use respaldo_api::types::registration_from;
use respaldo_core::databases::{self, Registration};
use respaldo_core::model::{Database, DatabaseUid};
use respaldo_core::{App, ErrorKind, Result};

/// Registers a database, or answers the one that an earlier sending of the same request made.
pub(crate) async fn register(
    app: &App,
    key: &IdempotencyKey,
    object: JsonObject,
) -> Result<Database, Problem> {
    let claim = key.claim(app, &object.bytes).await?;
    let uid = DatabaseUid(claim.id);
    let repeated = claim.repeated;
    let registration = match registration_from(object, Some(uid)) {
        Ok(registration) => registration,
        Err(problem) => {
            claim.give_back(app).await?;
            return Err(problem);
        }
    };
    let outcome = if repeated {
        again(app, uid, registration).await
    } else {
        databases::register(app, registration).await
    };
    Ok(claim.settle(app, outcome).await?)
}

/// The first sending has made it, is about to, or came to an end before it could.
async fn again(app: &App, uid: DatabaseUid, registration: Registration) -> Result<Database> {
    if let Some(made) = databases::find_by_uid(app, uid).await? {
        return Ok(made);
    }
    match databases::register(app, registration).await {
        Err(error) if error.kind() == ErrorKind::Conflict => {
            databases::find_by_uid(app, uid).await?.ok_or(error)
        }
        outcome => outcome,
    }
}
