//! The plan of a restore: what would happen, what stands in the way, and what would undo it.

use std::sync::Arc;

use super::target::{self, Spot};
use crate::app::App;
use crate::backup::{self, staging::Staging};
use crate::databases;
use crate::engine::{DumpFacts, JobLog, Meter, Refusal, Restorer, Survey, Target};
use crate::jobs;
use crate::model::{Database, DatabaseId, Job, JobId, Ownership, RestoreMode, RestoreOptions};
use crate::{Error, ErrorKind, Result};

/// Where a restore shall go, other than where the backup came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Into another registered database.
    Database(DatabaseId),
    /// Into a database of this name, which is made, on the server that the backup came from.
    Name(String),
}

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The backup.
    pub backup: JobId,
    /// Where to; none: where it came from.
    pub target: Option<Wanted>,
    /// How; none: the better mode that the target allows.
    pub mode: Option<RestoreMode>,
    /// Whether what is there is backed up first.
    pub safety_backup: bool,
    /// End connections that are in the way, and go on where a refusal may be overruled.
    pub force: bool,
    /// Chosen tables or schemas; empty: everything.
    pub tables: Vec<String>,
    /// What becomes of owners and grants.
    pub ownership: Ownership,
}

/// What would happen. Nothing was changed to find it out.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The backup.
    pub backup: Job,
    /// The registered database that tells the server and the login.
    pub database: Database,
    /// The target's name there.
    pub target: String,
    /// Whether the target is that database itself.
    pub same_database: bool,
    /// How.
    pub options: RestoreOptions,
    /// Whether a safety backup is made first.
    pub safety_backup: bool,
    /// The name under which the swap would keep what is there now.
    pub kept: Option<String>,
    /// What the engine found at the target.
    pub survey: Survey,
    /// What would be done, step by step, in plain words.
    pub steps: Vec<String>,
    /// What would undo it.
    pub undo: String,
    /// What whoever restores should know.
    pub warnings: Vec<String>,
    /// What stands in the way; [`Plan::check`] says whether that ends it.
    pub refusals: Vec<Refusal>,
}

impl Plan {
    /// Whether it may be carried out.
    ///
    /// # Errors
    /// `Conflict` with everything that stands in the way and is not overruled.
    pub fn check(&self) -> Result<()> {
        let standing: Vec<&Refusal> =
            self.refusals.iter().filter(|refusal| !(refusal.forceable && self.options.force)).collect();
        if standing.is_empty() {
            return Ok(());
        }
        let reasons: Vec<&str> = standing.iter().map(|refusal| refusal.reason.as_str()).collect();
        let mends: Vec<&str> = standing.iter().map(|refusal| refusal.mend.as_str()).collect();
        Err(Error::conflict("restore a backup", reasons.join("; ")).with_mend(mends.join("; ")))
    }
}

/// Looks at backup and target, and says what a restore would do. Changes nothing.
///
/// # Errors
/// What makes the question itself meaningless: no such backup, a damaged manifest, a target that cannot be
/// reached. What stands in the way of a good question is in the plan.
pub async fn plan(app: &App, request: &Request, id: JobId) -> Result<Plan> {
    let job = backup::get(app, request.backup).await?;
    let (manifest, ours) = target::manifest(app, &job).await?;
    let facts = target::facts(&manifest, ours, &app.identities)?;
    let (database, name) = aim(app, &job, request.target.as_ref()).await?;
    if !target::fits(facts.engine, database.settings.engine) {
        let message =
            format!("a dump of {} does not fit a {} database", facts.engine, database.settings.engine);
        return Err(Error::invalid("target", message));
    }
    let login = databases::login(app, &database).await?;
    let folder = Staging::for_probe(app)?;
    let options = RestoreOptions {
        mode: request.mode.unwrap_or(RestoreMode::Swap),
        ownership: request.ownership,
        tables: request.tables.clone(),
        force: request.force,
    };
    let spot = Spot {
        database: &database,
        name: &name,
        replaces: false,
        job: id,
        options,
        staging: folder.path(),
        log: JobLog::new(&app.clock, 0, login.redactor()),
        login,
        meter: Arc::new(Meter::default()),
    };
    let mut target = spot.target(app, facts);
    let restorer = target::restorer(target.dump.engine)?;
    let mut survey = look(restorer, &target).await?;
    let better = survey.modes.first().copied().filter(|_| request.mode.is_none());
    if let Some(better) = better.filter(|better| *better != target.options.mode) {
        // What it said of the other mode stands in nobody's way.
        target.options.mode = better;
        survey = look(restorer, &target).await?;
    }
    let same_database = name == database.settings.database_name;
    let mut plan = Plan {
        safety_backup: request.safety_backup && survey.present.target && same_database,
        kept: (target.options.mode == RestoreMode::Swap && restorer.keeps() && survey.present.target)
            .then(|| target.kept.clone()),
        backup: job,
        target: name,
        same_database,
        options: target.options.clone(),
        steps: Vec::new(),
        undo: String::new(),
        warnings: std::mem::take(&mut survey.warnings),
        refusals: std::mem::take(&mut survey.refusals),
        survey,
        database,
    };
    judge(app, &mut plan, &target.dump, request).await?;
    tell(&mut plan);
    Ok(plan)
}

async fn look(restorer: &dyn Restorer, target: &Target) -> Result<Survey> {
    restorer.survey(target).await.map_err(|e| e.within("look at the target"))
}

/// The registered database that a restore works on, and the target's name there.
async fn aim(app: &App, job: &Job, wanted: Option<&Wanted>) -> Result<(Database, String)> {
    let id = match wanted {
        Some(Wanted::Database(id)) => *id,
        _ => job.owner()?.id,
    };
    let database = databases::get(app, id).await.map_err(|e| {
        let lost = e.kind() == ErrorKind::NotFound && wanted.is_none_or(|wanted| matches!(wanted, Wanted::Name(_)));
        if wanted.is_some_and(|wanted| matches!(wanted, Wanted::Database(_))) {
            e.with_field("target.database_id")
        } else if lost {
            e.with_mend("the database that the backup came from is not registered any more: name another one as target.database_id")
        } else {
            e
        }
    })?;
    let Some(Wanted::Name(name)) = wanted else {
        let name = database.settings.database_name.clone();
        return Ok((database, name));
    };
    let mut settings = database.settings.clone();
    settings.database_name.clone_from(name);
    databases::validate(settings, &app.limits).map_err(|e| match e.field() {
        Some("database_name") => e.with_field("target.database_name"),
        _ => e,
    })?;
    Ok((database, name.clone()))
}

/// What stands in the way beside what the engine found.
async fn judge(app: &App, plan: &mut Plan, dump: &DumpFacts, request: &Request) -> Result<()> {
    let target = &plan.target;
    let occupied = plan.survey.present.target;
    let mut found = Vec::new();
    let mut refuse = |reason: String, mend: &str, forceable: bool| {
        found.push(Refusal { reason, mend: mend.to_owned(), forceable });
    };
    let mode = plan.options.mode;
    if !plan.survey.modes.contains(&mode) {
        let allowed: Vec<&str> = plan.survey.modes.iter().map(|mode| mode.as_str()).collect();
        let mend = format!("use mode {}", allowed.join(" or "));
        refuse(format!("mode {} cannot be had here", mode.as_str()), &mend, false);
    }
    if occupied && !plan.same_database {
        let mend = "register it, so that a safety backup can be made of it, and name it as target.database_id; or \
                    choose a free name";
        refuse(format!("there is a database {target} already"), mend, false);
    }
    if occupied && plan.same_database && !request.safety_backup && plan.kept.is_none() {
        let reason = "without a safety backup nothing undoes a restore in this mode".to_owned();
        refuse(reason, "let safety_backup be true", true);
    }
    if let Some(other) = jobs::restores_of(app, plan.database.id, &plan.target).await?.first() {
        let mend = "wait until it has ended, or cancel it";
        refuse(format!("restore {} works on the same target", other.id), mend, false);
    }
    if plan.same_database
        && let Some(reason) = databases::held_back(app, &plan.database).await?
    {
        refuse(format!("the database is held back: {reason}"), "see the database's settings", false);
    }
    if !dump.trusted {
        plan.warnings
            .push("this installation did not make this dump: its SQL is treated as hostile".to_owned());
    }
    if !plan.backup.backup()?.encryption.is_empty() && app.identities.is_empty() {
        let mend = "set encryption.identity_file, or RESPALDO_IDENTITY";
        refuse("the artifact is encrypted, and no identity here opens it".to_owned(), mend, false);
    }
    plan.refusals.append(&mut found);
    Ok(())
}

/// The plan in plain words.
fn tell(plan: &mut Plan) {
    let target = &plan.target;
    let mut steps = Vec::new();
    if plan.safety_backup {
        steps.push(format!("back up {target} as it is now (kind safety)"));
    }
    steps.push("read the whole artifact and compare it with its digests".to_owned());
    match (plan.options.mode, plan.survey.present.target, &plan.kept) {
        (RestoreMode::Swap, true, Some(kept)) => {
            steps.push(format!("load the dump into a new database beside {target}"));
            steps.push(format!("exchange the two in one step; what was there is kept as {kept}"));
        }
        (RestoreMode::Swap, true, None) => {
            steps.push(format!("load the dump beside {target} and check it"));
            let own = plan.survey.swap_step.map(|step| format!("{step}, in {target}"));
            steps.push(own.unwrap_or_else(|| format!("put it into {target} in one transaction")));
        }
        (RestoreMode::Swap, false, _) => {
            steps.push(format!("load the dump into a new database and call it {target}"));
        }
        (RestoreMode::InPlace, true, _) => {
            steps.push(format!("drop everything in {target} and load the dump into it"));
        }
        (RestoreMode::InPlace, false, _) => steps.push(format!("make {target} and load the dump into it")),
    }
    plan.undo = match (&plan.kept, plan.safety_backup, plan.survey.present.target) {
        (Some(kept), _, _) => format!("the exchange with {kept}, until the restore is confirmed"),
        (None, true, _) => "a restore of the safety backup".to_owned(),
        (None, false, true) => "nothing".to_owned(),
        (None, false, false) => format!("dropping {target}, which is new"),
    };
    plan.steps = steps;
}
