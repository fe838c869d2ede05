//! The handlers: the plan, and applying it.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use respaldo_api::Problem;
use respaldo_api::extract::{JsonObject, Params};
use respaldo_api::idempotency::IdempotencyKey;
use respaldo_api::page::Page;
use respaldo_api::types::{AppliedView, PlanView};
use respaldo_core::model::{Database, DatabaseId};
use respaldo_core::{App, ErrorKind, Result, databases, retention};

type Answer<T> = std::result::Result<T, Problem>;

/// A request begins no further removal after this long; what is left is told.
const LONGEST: SignedDuration = SignedDuration::from_secs(20);
/// How many databases are read at once.
const PAGE: usize = 1_000;

/// Shows what retention would remove now, and why.
///
/// One item for each database, by number. Its `backups` are those that would be removed and those that
/// stand above the rule; `all=true` lists every backup with its reason.
#[utoipa::path(
    get, path = "/retention", tag = "retention",
    params(
        ("database_id" = Option<i64>, Query, description = "Only this database."),
        ("all" = Option<bool>, Query, description = "List every backup, also those that the rule keeps."),
        ("limit" = Option<u32>, Query, description = "How many databases at most: 1 to 1,000, 100 by default."),
        ("cursor" = Option<String>, Query, description = "From the Link header of the page before."),
    ),
    responses((status = 200, body = [PlanView], headers(("Link" = String, description = "The next page, if there is one."))))
)]
pub(crate) async fn show(State(app): State<App>, mut params: Params) -> Answer<Response> {
    let page = Page::<DatabaseId>::take(&mut params)?;
    let only = params.database_id()?;
    let all = params.value("all", "true or false")?.unwrap_or(false);
    params.finish()?;
    if let Some(id) = only {
        let database = databases::get(&app, id).await?;
        return Ok(Json([plan_of(&app, database, all).await?]).into_response());
    }
    let databases = databases::list(&app, page.after, page.probe()).await?;
    let mut plans = Vec::with_capacity(databases.len());
    for database in databases {
        plans.push(plan_of(&app, database, all).await?);
    }
    Ok(page.answer("/retention", &params, plans, |plan| DatabaseId(plan.database_id), |plan| plan))
}

async fn plan_of(app: &App, database: Database, all: bool) -> Result<PlanView> {
    let plan = retention::show(app, &database).await?;
    Ok(PlanView::of(database, &plan, all))
}

/// The body of a request, for the documentation.
#[derive(utoipa::ToSchema)]
#[schema(title = "RetentionRequest", example = json!({"database_id": 1, "dry_run": true}))]
#[expect(dead_code, reason = "the body is read field by field")]
pub(crate) struct RetentionBody {
    /// The database's number; none: all databases.
    database_id: Option<i64>,
    /// Whether nothing is done, and what would be is answered.
    dry_run: Option<bool>,
}

/// Removes what the plan says, now.
///
/// The plan is made anew. One item for each database that had something to remove (for the one that was
/// named in any case). A request begins no further removal after 20 seconds: `left` says how many remain,
/// for another request or for the schedule.
#[utoipa::path(
    post, path = "/retention", tag = "retention", request_body = Option<RetentionBody>,
    params(("Idempotency-Key" = Option<String>, Header, description = "A repeat goes on where the first request ended.")),
    responses((status = 200, body = [AppliedView]))
)]
pub(crate) async fn apply(
    State(app): State<App>,
    key: IdempotencyKey,
    object: Option<JsonObject>,
) -> Answer<Json<Vec<AppliedView>>> {
    let mut object = object.unwrap_or_default();
    let only = object.optional("database_id", "a database's number")?.map(DatabaseId);
    let dry_run = object.optional("dry_run", "true or false")?.unwrap_or(false);
    let body = object.bytes.clone();
    object.finish("database_id, dry_run")?;
    let claim = key.claim(&app, &body).await?;
    let how = if dry_run { How::Dry } else { How::Until(app.now().checked_add(LONGEST).ok()) };
    let outcome = match only {
        Some(id) => retire(&app, id, how).await.map(|applied| vec![applied]),
        None => retire_all(&app, how).await,
    };
    Ok(Json(claim.settle(&app, outcome).await?))
}

/// Whether anything is done, and until when a removal may begin.
#[derive(Clone, Copy)]
enum How {
    Dry,
    Until(Option<Timestamp>),
}

async fn retire(app: &App, id: DatabaseId, how: How) -> Result<AppliedView> {
    match how {
        How::Dry => {
            let database = databases::get(app, id).await?;
            let plan = retention::show(app, &database).await?;
            Ok(AppliedView::planned(database, &plan))
        }
        How::Until(until) => retention::apply(app, id, until).await.map(AppliedView::from),
    }
}

async fn retire_all(app: &App, how: How) -> Result<Vec<AppliedView>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = databases::list(app, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(last.id);
        for database in page {
            match retire(app, database.id, how).await {
                Ok(applied) => all.extend(Some(applied).filter(AppliedView::is_telling)),
                // Removed in the meantime.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }
}
