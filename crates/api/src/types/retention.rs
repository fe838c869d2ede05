//! Retention in answers: plans, and what came of them.

use jiff::Timestamp;
use respaldo_core::model::{BackupKind, Database, Status};
use respaldo_core::retention::{Action, Applied, Decision, Fate, Outcome, Plan, Reason};
use serde::Serialize;
use utoipa::ToSchema;

use super::ErrorView;

/// What retention would do to one database's backups now.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "RetentionPlan", example = json!({
    "database_id": 1, "config_id": "ventas", "name": "Ventas", "frozen": null, "keep": 11, "remove": 1,
    "backups": [{
        "id": "01KAJ5Q4R8Z0V5T3WQ2N7M6XYB", "name": "postgres_ventas_20260102_030000.sql.gz",
        "kind": "scheduled", "created_at": "2026-01-02T03:00:00Z", "status": "succeeded",
        "action": "remove", "reason": "older than 15 days"
    }]
}))]
pub struct PlanView {
    /// The database's number.
    pub database_id: i64,
    /// Its entry in `config.yaml`.
    pub config_id: Option<String>,
    /// What people call it.
    pub name: String,
    /// Why no backup is removed now; null: the rule runs.
    pub frozen: Option<String>,
    /// How many backups and records stay.
    pub keep: usize,
    /// How many are removed.
    pub remove: usize,
    /// Those that are removed and those that stand above the rule; with `?all=true` every one. Newest
    /// first.
    pub backups: Vec<DecisionView>,
}

impl PlanView {
    /// A database's plan; with `all`, every decision is listed.
    pub fn of(database: Database, plan: &Plan, all: bool) -> Self {
        let remove = plan.removals().count();
        let telling = |decision: &&Decision| {
            let spared = matches!(decision.reason, Reason::NewestGood | Reason::NewestVerified);
            all || spared || decision.action == Action::Remove
        };
        Self {
            database_id: database.id.0,
            config_id: database.config_id,
            name: database.settings.name,
            frozen: plan.frozen.map(|frozen| frozen.to_string()),
            keep: plan.decisions.len() - remove,
            remove,
            backups: plan.decisions.iter().filter(telling).map(DecisionView::from).collect(),
        }
    }
}

/// What becomes of one backup, or of the record of a run that made none.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "RetentionDecision")]
pub struct DecisionView {
    /// Its id.
    pub id: String,
    /// The artifact's file name.
    pub name: Option<String>,
    /// `scheduled`, `manual`, `safety` or `uploaded`.
    #[schema(value_type = String)]
    pub kind: BackupKind,
    /// When it was asked for, or its due time: its age counts from here.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Where it stands.
    #[schema(value_type = String)]
    pub status: Status,
    /// `keep`, `remove`, or `locked` (nobody may touch it now).
    pub action: &'static str,
    /// Why, in one line.
    pub reason: String,
}

impl From<&Decision> for DecisionView {
    fn from(decision: &Decision) -> Self {
        let job = &decision.job;
        Self {
            id: job.id.to_string(),
            name: job.name.clone(),
            kind: job.kind,
            created_at: job.created_at,
            status: job.status,
            action: decision.action.as_str(),
            reason: decision.reason.to_string(),
        }
    }
}

/// What retention did to one database's backups.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "RetentionResult")]
pub struct AppliedView {
    /// The database's number.
    pub database_id: i64,
    /// Its entry in `config.yaml`.
    pub config_id: Option<String>,
    /// What people call it.
    pub name: String,
    /// Why no backup was removed.
    pub frozen: Option<String>,
    /// Whether nothing was done and this is what would be.
    pub dry_run: bool,
    /// How many are gone.
    pub removed: usize,
    /// How many go as soon as those who read them have ended.
    pub waiting: usize,
    /// How many could not be removed; the next run goes on with them.
    pub failed: usize,
    /// How many more there are to remove; the next run goes on with them.
    pub left: usize,
    /// Each one that was to be removed, oldest first.
    pub backups: Vec<FateView>,
}

impl AppliedView {
    /// What a dry run answers.
    pub fn planned(database: Database, plan: &Plan) -> Self {
        let backups: Vec<FateView> = plan.removals().map(|decision| FateView::of(decision, None)).collect();
        Self {
            database_id: database.id.0,
            config_id: database.config_id,
            name: database.settings.name,
            frozen: plan.frozen.map(|frozen| frozen.to_string()),
            dry_run: true,
            removed: 0,
            waiting: 0,
            failed: 0,
            left: backups.len(),
            backups,
        }
    }

    /// Whether there was anything to remove.
    pub fn is_telling(&self) -> bool {
        !self.backups.is_empty() || self.left > 0
    }
}

impl From<Applied> for AppliedView {
    fn from(applied: Applied) -> Self {
        let count =
            |such: fn(&Outcome) -> bool| applied.fates.iter().filter(|fate| such(&fate.outcome)).count();
        let shown = |fate: &Fate| FateView::of(&fate.decision, Some(&fate.outcome));
        Self {
            removed: count(|outcome| matches!(outcome, Outcome::Removed)),
            waiting: count(|outcome| matches!(outcome, Outcome::Waiting)),
            failed: count(|outcome| matches!(outcome, Outcome::Failed(_))),
            left: applied.left,
            backups: applied.fates.iter().map(shown).collect(),
            dry_run: false,
            frozen: applied.frozen.map(|frozen| frozen.to_string()),
            database_id: applied.database.id.0,
            config_id: applied.database.config_id,
            name: applied.database.settings.name,
        }
    }
}

/// What became of one backup that was to be removed.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "RetentionFate")]
pub struct FateView {
    /// Its id.
    pub id: String,
    /// The artifact's file name.
    pub name: Option<String>,
    /// How it came to be.
    #[schema(value_type = String)]
    pub kind: BackupKind,
    /// When it was asked for, or its due time.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Why it is removed, in one line.
    pub reason: String,
    /// `removed`, `waits for a reader`, `failed`, or `would be removed`.
    pub outcome: &'static str,
    /// Why it failed.
    pub error: Option<ErrorView>,
}

impl FateView {
    fn of(decision: &Decision, outcome: Option<&Outcome>) -> Self {
        let (word, error) = match outcome {
            None => ("would be removed", None),
            Some(Outcome::Removed) => ("removed", None),
            Some(Outcome::Waiting) => ("waits for a reader", None),
            Some(Outcome::Failed(error)) => ("failed", Some(ErrorView::from(error))),
        };
        let job = &decision.job;
        Self {
            id: job.id.to_string(),
            name: job.name.clone(),
            kind: job.kind,
            created_at: job.created_at,
            reason: decision.reason.to_string(),
            outcome: word,
            error,
        }
    }
}
