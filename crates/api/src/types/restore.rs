//! Restores in answers: plans, and what came of them.

use jiff::Timestamp;
use respaldo_core::engine::Refusal;
use respaldo_core::model::{Job, JobId, Ownership, Restoration, RestoreAction, RestoreMode};
use respaldo_core::restore::Plan;
use serde::Serialize;
use utoipa::ToSchema;

/// What a restore would do. Nothing was changed to find it out.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "RestorePlan", example = json!({
    "backup_id": "01KAJ5Q4R8Z0V5T3WQ2N7M6XYB", "name": "postgres_shop_20260102_030405.sql.gz",
    "created_at": "2026-01-02T03:04:05Z",
    "target": {"database_id": 1, "database_name": "shop", "exists": true, "size_bytes": 8_400_000,
               "server_version": "16.4"},
    "mode": "swap", "modes": ["swap", "in_place"], "ownership": "keep", "tables": [], "safety_backup": true,
    "kept_as": "shop_before_2n7m6xyb", "connections": [],
    "steps": ["back up shop as it is now (kind safety)"],
    "undo": "the exchange with shop_before_2n7m6xyb, until the restore is confirmed",
    "warnings": [], "refusals": [], "possible": true
}))]
pub struct RestorePlanView {
    /// The backup.
    pub backup_id: String,
    /// Its artifact's file name.
    pub name: Option<String>,
    /// When the backup was asked for, or due: what the target would go back to.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Where it would go.
    pub target: TargetView,
    /// `swap` or `in_place`.
    #[schema(value_type = String)]
    pub mode: RestoreMode,
    /// The modes that the target allows, the better one first.
    #[schema(value_type = Vec<String>)]
    pub modes: Vec<RestoreMode>,
    /// `keep` or `none`.
    #[schema(value_type = String)]
    pub ownership: Ownership,
    /// What was chosen; empty: everything.
    pub tables: Vec<String>,
    /// Whether what is there now is backed up first.
    pub safety_backup: bool,
    /// The name by which the server would keep what is there now. Its last eight characters are the
    /// restore's own, and others than the plan shows.
    pub kept_as: Option<String>,
    /// Who is connected to the target now, a line each.
    pub connections: Vec<String>,
    /// What would be done, in order.
    pub steps: Vec<String>,
    /// What would undo it.
    pub undo: String,
    /// What whoever restores should know.
    pub warnings: Vec<String>,
    /// What stands in the way.
    pub refusals: Vec<RefusalView>,
    /// Whether it may be carried out as asked.
    pub possible: bool,
}

/// Where a restore goes.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "RestorePlanTarget")]
pub struct TargetView {
    /// The registered database that tells the server.
    pub database_id: i64,
    /// The target's name there.
    pub database_name: String,
    /// Whether there is something by that name.
    pub exists: bool,
    /// Its size, where the server tells.
    pub size_bytes: Option<u64>,
    /// The server's version.
    pub server_version: String,
}

/// Why a restore cannot go as asked.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Refusal")]
pub struct RefusalView {
    /// What stands in the way.
    pub reason: String,
    /// What to do about it.
    pub mend: String,
    /// Whether `force` overrules it.
    pub forceable: bool,
}

impl From<Refusal> for RefusalView {
    fn from(refusal: Refusal) -> Self {
        Self { reason: refusal.reason, mend: refusal.mend, forceable: refusal.forceable }
    }
}

impl From<Plan> for RestorePlanView {
    fn from(plan: Plan) -> Self {
        let possible = plan.check().is_ok();
        let survey = plan.survey;
        Self {
            backup_id: plan.backup.id.to_string(),
            name: plan.backup.backup().ok().and_then(|backup| backup.name.clone()),
            created_at: plan.backup.created_at,
            target: TargetView {
                database_id: plan.database.id.0,
                database_name: plan.target,
                exists: survey.present.target,
                size_bytes: survey.size_bytes,
                server_version: survey.server_version,
            },
            mode: plan.options.mode,
            modes: survey.modes,
            ownership: plan.options.ownership,
            tables: plan.options.tables,
            safety_backup: plan.safety_backup,
            kept_as: plan.kept,
            connections: survey.connections,
            steps: plan.steps,
            undo: plan.undo,
            warnings: plan.warnings,
            refusals: plan.refusals.into_iter().map(RefusalView::from).collect(),
            possible,
        }
    }
}

/// What came of a restore, also of one that failed or was cancelled: what undoes it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "RestoreResult")]
pub struct RestoreResultView {
    /// `restore`, `undo` or `confirm`.
    pub action: &'static str,
    /// The backup that was restored; null for an undo or a confirmation.
    pub backup_id: Option<String>,
    /// The restore that was undone or confirmed.
    pub of: Option<String>,
    /// The target's name on its server.
    pub target: String,
    /// `swap` or `in_place`.
    #[schema(value_type = String)]
    pub mode: RestoreMode,
    /// The backup of what was there before; of one that was cut short, it may never have been made.
    pub safety_backup_id: Option<String>,
    /// The name by which the server keeps what was there before.
    pub kept_database: Option<String>,
    /// The path to POST to that undoes it; null: nothing does (any more).
    pub undo: Option<String>,
    /// The path to POST to that lets go what would undo it; null: there is nothing.
    pub confirm: Option<String>,
    /// The job that undid it.
    pub undone_by: Option<String>,
    /// When it was confirmed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub confirmed_at: Option<Timestamp>,
    /// What the plan and the restore had to say.
    pub warnings: Vec<String>,
}

impl RestoreResultView {
    /// What came of an ended restore.
    pub(super) fn of(job: &Job, restoration: &Restoration) -> Self {
        let (action, backup, of) = match restoration.action {
            RestoreAction::Load { backup } => (
                if restoration.undoes.is_some() { "undo" } else { "restore" },
                Some(backup),
                restoration.undoes,
            ),
            RestoreAction::Undo { of } => ("undo", None, Some(of)),
            RestoreAction::Confirm { of } => ("confirm", None, Some(of)),
        };
        let text = |id: Option<JobId>| id.map(|id| id.to_string());
        let path = |verb: &str| format!("/jobs/{}/{verb}", job.id);
        Self {
            action,
            backup_id: text(backup),
            of: text(of),
            target: restoration.target.clone(),
            mode: restoration.options.mode,
            safety_backup_id: text(restoration.safety_backup),
            kept_database: restoration.kept.clone(),
            undo: restoration.can_be_undone(job.status).then(|| path("undo")),
            confirm: restoration.can_be_confirmed(job.status).then(|| path("confirm")),
            undone_by: text(restoration.undone_by),
            confirmed_at: restoration.confirmed_at,
            warnings: restoration.warnings.clone(),
        }
    }
}
