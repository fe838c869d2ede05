//! The handlers: a restore or its plan, its undo, its confirmation.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use respaldo_api::extract::{JobIdPath, JsonObject, take, unknown};
use respaldo_api::idempotency::IdempotencyKey;
use respaldo_api::types::{JobView, RestorePlanView};
use respaldo_api::{Problem, prefer};
use respaldo_core::model::{DatabaseId, JobId, RestoreMode};
use respaldo_core::restore::{self, Request, Wanted};
use respaldo_core::{App, Error};

type Answer<T> = Result<T, Problem>;

/// The body that asks for a restore, for the documentation.
#[derive(utoipa::ToSchema)]
#[schema(title = "RestoreRequest", example = json!({"dry_run": true}))]
#[expect(dead_code, reason = "the body is read field by field")]
pub(crate) struct RestoreBody {
    /// Where to; none: into the database that the backup came from.
    target: Option<TargetBody>,
    /// `swap` (loaded aside, then exchanged in one step) or `in_place`; none: the better one that the
    /// target allows.
    mode: Option<String>,
    /// Whether nothing is done, and the plan is answered.
    dry_run: Option<bool>,
    /// Whether what is there now is backed up first; true unless said otherwise.
    safety_backup: Option<bool>,
    /// End connections that are in the way, and go on where a refusal may be overruled.
    force: Option<bool>,
    /// Tables to restore (`public.orders`), or whole schemas (`sales.*`); none: everything.
    tables: Option<Vec<String>>,
    /// `keep` the owners and grants of the dump, or `none`; keep unless said otherwise.
    ownership: Option<String>,
}

/// Where a restore goes: one of the two fields.
#[derive(utoipa::ToSchema)]
#[schema(title = "RestoreTarget", example = json!({"database_name": "shop_copy"}))]
#[expect(dead_code, reason = "the body is read field by field")]
pub(crate) struct TargetBody {
    /// The number of a registered database.
    database_id: Option<i64>,
    /// The name of a database that is made on the server that the backup came from.
    database_name: Option<String>,
}

/// Restores a backup, or shows what that would do.
///
/// With `dry_run` the answer is 200 and the plan. Else the restore is queued, if nothing stands in its way:
/// 202 and its job, or with `Prefer: wait=N` 200 as soon as it has ended within N seconds, also when
/// it failed: `status` says which. The job's `result` names what undoes it.
#[utoipa::path(
    post, path = "/backups/{id}/restore", tag = "restore", request_body = Option<RestoreBody>,
    params(
        ("id" = String, Path, description = "The backup."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same request with the same key within 24 hours makes one restore."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it has ended, or after N seconds (at most 120, on AWS Lambda 25)."),
    ),
    responses(
        (status = 200, description = "The plan, with `dry_run`; else the job (as with 202), which has ended.", body = RestorePlanView),
        (status = 202, description = "It waits or runs.", body = JobView, headers(("Location" = String))),
    )
)]
pub(crate) async fn restore(
    State(app): State<App>,
    JobIdPath(backup): JobIdPath,
    key: IdempotencyKey,
    headers: HeaderMap,
    object: Option<JsonObject>,
) -> Answer<Response> {
    let mut object = object.unwrap_or_default();
    let body = object.bytes.clone();
    let dry_run = object.optional("dry_run", "true or false")?.unwrap_or(false);
    let request = request(backup, &mut object)?;
    object.finish("target, mode, dry_run, safety_backup, force, tables, ownership")?;
    if dry_run {
        // Of nothing that it shows is a record made, so that its id is nobody's.
        let plan = restore::plan(&app, &request, JobId(app.ids.ulid(app.now()))).await?;
        return Ok(Json(RestorePlanView::from(plan)).into_response());
    }
    let claim = key.claim(&app, &body).await?;
    let outcome = restore::request(&app, &request, JobId(claim.id)).await;
    let job = claim.settle(&app, outcome).await?;
    prefer::job(&app, job, &headers).await
}

fn request(backup: JobId, object: &mut JsonObject) -> Answer<Request> {
    let mode: Option<RestoreMode> = object.optional("mode", "swap or in_place")?;
    let tables: Option<Vec<String>> = object.optional("tables", "a list of names, such as public.orders")?;
    let tables = tables.unwrap_or_default();
    if tables.iter().any(|table| table.trim().is_empty()) {
        let why = "a name is empty; leave the field out to restore everything";
        return Err(Error::invalid("tables", why).into());
    }
    Ok(Request {
        backup,
        target: target(object)?,
        mode,
        safety_backup: object.optional("safety_backup", "true or false")?.unwrap_or(true),
        force: object.optional("force", "true or false")?.unwrap_or(false),
        tables,
        ownership: object.optional("ownership", "keep or none")?.unwrap_or_default(),
    })
}

fn target(object: &mut JsonObject) -> Answer<Option<Wanted>> {
    const WHAT: &str = "an object with database_id or database_name";
    let Some(mut fields) = object.optional::<serde_json::Map<_, _>>("target", WHAT)? else { return Ok(None) };
    let id = take(&mut fields, "database_id", "target.database_id", "a database's number")?;
    let name: Option<String> = take(&mut fields, "database_name", "target.database_name", "text")?;
    if let Some(field) = fields.keys().next() {
        return Err(unknown(&format!("target.{field}"), "target.database_id, target.database_name"));
    }
    match (id, name) {
        (Some(id), None) => Ok(Some(Wanted::Database(DatabaseId(id)))),
        (None, Some(name)) => Ok(Some(Wanted::Name(name))),
        (Some(_), Some(_)) => {
            let why = "it holds both database_id and database_name; give one of them";
            Err(Error::invalid("target", why).into())
        }
        (None, None) => Err(Error::invalid("target", format!("it must be {WHAT}")).into()),
    }
}

/// The body that asks for an undo, for the documentation.
#[derive(utoipa::ToSchema)]
#[schema(title = "UndoRequest", example = json!({}))]
#[expect(dead_code, reason = "the body is read field by field")]
pub(crate) struct UndoBody {
    /// End connections that are in the way.
    force: Option<bool>,
}

/// Undoes a restore.
///
/// What the restore replaced is exchanged back where the server keeps it; else the restore's safety backup is
/// restored. An undo is a restore's job itself, and can be undone.
#[utoipa::path(
    post, path = "/jobs/{id}/undo", tag = "restore", request_body = Option<UndoBody>,
    params(
        ("id" = String, Path, description = "The restore's job."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same request with the same key within 24 hours makes one undo."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it has ended, or after N seconds (at most 120, on AWS Lambda 25)."),
    ),
    responses(
        (status = 200, description = "It has ended.", body = JobView, headers(("Location" = String))),
        (status = 202, description = "It waits or runs.", body = JobView, headers(("Location" = String))),
    )
)]
pub(crate) async fn undo(
    State(app): State<App>,
    JobIdPath(of): JobIdPath,
    key: IdempotencyKey,
    headers: HeaderMap,
    object: Option<JsonObject>,
) -> Answer<Response> {
    let mut object = object.unwrap_or_default();
    let body = object.bytes.clone();
    let force = object.optional("force", "true or false")?.unwrap_or(false);
    object.finish("force")?;
    let claim = key.claim(&app, &body).await?;
    let outcome = restore::undo(&app, of, force, JobId(claim.id)).await;
    let job = claim.settle(&app, outcome).await?;
    prefer::job(&app, job, &headers).await
}

/// Confirms a restore: what it replaced is not needed any more.
///
/// The database that the exchange kept is dropped, and the safety backup is left to retention.
#[utoipa::path(
    post, path = "/jobs/{id}/confirm", tag = "restore",
    params(
        ("id" = String, Path, description = "The restore's job."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same request with the same key within 24 hours is done once."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it has ended, or after N seconds (at most 120, on AWS Lambda 25)."),
    ),
    responses(
        (status = 200, description = "It has ended.", body = JobView, headers(("Location" = String))),
        (status = 202, description = "It waits or runs.", body = JobView, headers(("Location" = String))),
    )
)]
pub(crate) async fn confirm(
    State(app): State<App>,
    JobIdPath(of): JobIdPath,
    key: IdempotencyKey,
    headers: HeaderMap,
    object: Option<JsonObject>,
) -> Answer<Response> {
    let object = object.unwrap_or_default();
    let body = object.bytes.clone();
    object.finish("none at all")?;
    let claim = key.claim(&app, &body).await?;
    let outcome = restore::confirm(&app, of, JobId(claim.id)).await;
    let job = claim.settle(&app, outcome).await?;
    prefer::job(&app, job, &headers).await
}
