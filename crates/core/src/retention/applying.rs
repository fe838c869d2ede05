//! Carrying a plan out, one backup at a time.
//!
//! Before each removal everything that the plan rests on is read again: the candidate itself, the database's
//! policy and last run, and the backups that stand above the rule. Whatever changed, the plan is made anew.
//! The candidate is read first and marked on the condition that nobody rewrote it since; [`super::heirs`] says
//! why no removal can then take the last good backup.

use jiff::Timestamp;

use super::plan::{Decision, Frozen, Plan, Policy};
use super::show;
use crate::app::App;
use crate::backup::{lock, sweep};
use crate::databases;
use crate::model::{Database, DatabaseId, Job, JobId, LastRun, Outline, Status};
use crate::ports::Event;
use crate::{Error, ErrorKind, Result};

/// How often the plan is made anew when the catalog changes under it.
const MOST_PLANS: usize = 10;
/// After so many failures in a row the rest is left to the next run.
const MOST_FAILURES: usize = 5;

/// What a run of retention did to one database.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The database.
    pub database: Box<Database>,
    /// Why no backup was removed.
    pub frozen: Option<Frozen>,
    /// What became of each one that was to be removed, oldest first.
    pub fates: Vec<Fate>,
    /// How many more were to be removed and are left to the next run.
    pub left: usize,
}

/// What became of one backup that was to be removed.
#[derive(Debug, Clone)]
pub struct Fate {
    /// The backup, and why it was to be removed.
    pub decision: Decision,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a removal.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is gone.
    Removed,
    /// It goes as soon as those who read it have ended.
    Waiting,
    /// It failed, and this was told; the next run, or a tick, goes on with it.
    Failed(Error),
}

/// Plans a database's retention and carries it out. With `until`, no removal begins after that instant.
///
/// # Errors
/// When the catalog cannot be read. A removal that fails is no error but a [`Fate`]: the others go on.
pub async fn apply(app: &App, id: DatabaseId, until: Option<Timestamp>) -> Result<Applied> {
    let database = databases::get(app, id).await?;
    let mut run = Run { app, until, failures_in_a_row: 0, tried: Vec::new() };
    let mut applied =
        Applied { database: Box::new(database.clone()), frozen: None, fates: Vec::new(), left: 0 };
    let mut current = Some(database);
    for _ in 0..MOST_PLANS {
        // Without the database, what it left behind is nobody's to judge.
        let Some(database) = current else { return Ok(applied) };
        let plan = show(app, &database).await?;
        applied.frozen = plan.frozen;
        let complete = run.carry_out(&Basis::of(app, &database, &plan), &plan, &mut applied).await?;
        if complete {
            return Ok(applied);
        }
        current = app.catalog.database(id).await?;
    }
    Ok(applied)
}

/// One run over one database.
struct Run<'a> {
    app: &'a App,
    until: Option<Timestamp>,
    failures_in_a_row: usize,
    tried: Vec<JobId>,
}

impl Run<'_> {
    /// True when nothing is left to do in this run; false when the plan does not hold any more.
    async fn carry_out(&mut self, basis: &Basis, plan: &Plan, applied: &mut Applied) -> Result<bool> {
        let removals: Vec<&Decision> =
            plan.removals().filter(|decision| !self.tried.contains(&decision.job.id)).collect();
        for (done, decision) in removals.iter().enumerate() {
            applied.left = removals.len() - done;
            if self.must_stop() {
                return Ok(true);
            }
            let outcome = match remove(self.app, basis, decision).await {
                Ok(Step::Changed) => return Ok(false),
                Ok(Step::Taken) => continue,
                Ok(Step::Removed) => Outcome::Removed,
                Ok(Step::Waiting) => Outcome::Waiting,
                Err(e) => self.failed(decision, e).await?,
            };
            if !matches!(outcome, Outcome::Failed(_)) {
                self.failures_in_a_row = 0;
            }
            applied.fates.push(Fate { decision: (*decision).clone(), outcome });
        }
        applied.left = 0;
        Ok(true)
    }

    fn must_stop(&self) -> bool {
        self.failures_in_a_row >= MOST_FAILURES || self.until.is_some_and(|until| self.app.now() >= until)
    }

    async fn failed(&mut self, decision: &Decision, error: Error) -> Result<Outcome> {
        self.failures_in_a_row += 1;
        self.tried.push(decision.job.id);
        let told = error.clone().within(&format!("retention of backup {}", decision.job.id));
        self.app.events.publish(Event::TickFailed(told)).await?;
        Ok(Outcome::Failed(error))
    }
}

/// What a plan rests on, besides the backups that it removes.
struct Basis {
    database: DatabaseId,
    policy: Policy,
    last_run: Option<LastRun>,
    spared: Vec<Outline>,
}

impl Basis {
    fn of(app: &App, database: &Database, plan: &Plan) -> Self {
        let spared = plan.decisions.iter().map(|decision| &decision.job);
        Self {
            database: database.id,
            policy: Policy::of(&database.settings, &app.limits),
            last_run: database.history.last_run.clone(),
            spared: spared.filter(|job| plan.spared.contains(&job.id)).cloned().collect(),
        }
    }

    async fn still_holds(&self, app: &App) -> Result<bool> {
        let Some(database) = app.catalog.database(self.database).await? else { return Ok(false) };
        if Policy::of(&database.settings, &app.limits) != self.policy
            || database.history.last_run != self.last_run
        {
            return Ok(false);
        }
        for spared in &self.spared {
            let now = app.catalog.job(spared.id).await?;
            let good = |job: &Outline| job.is_good() && job.is_verified() == spared.is_verified();
            if !now.as_ref().and_then(Outline::of).is_some_and(|outline| good(&outline)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// How far a removal came.
enum Step {
    Removed,
    Waiting,
    /// Somebody else removes it, or has.
    Taken,
    /// The plan does not hold any more.
    Changed,
}

async fn remove(app: &App, basis: &Basis, decision: &Decision) -> Result<Step> {
    let Some(job) = app.catalog.job(decision.job.id).await? else { return Ok(Step::Taken) };
    if job.status == Status::Deleting {
        return Ok(Step::Taken);
    }
    if Outline::of(&job).as_ref() != Some(&decision.job) || !basis.still_holds(app).await? {
        return Ok(Step::Changed);
    }
    if lock::held_until(app, &job).await?.is_some() {
        // The record knows now, and so does the next plan.
        return Ok(Step::Changed);
    }
    match mark(app, job).await {
        Err(e) if e.kind() == ErrorKind::Conflict => match app.catalog.job(decision.job.id).await? {
            Some(job) if job.status != Status::Deleting => Ok(Step::Changed),
            _ => Ok(Step::Taken),
        },
        Err(e) => Err(e),
        Ok(marked) => finish(app, marked, decision).await,
    }
}

/// Marks it for removal, if nobody has rewritten it since it was read.
async fn mark(app: &App, mut job: Job) -> Result<Job> {
    job.delete()?;
    app.catalog.update_job(&job).await
}

async fn finish(app: &App, marked: Job, decision: &Decision) -> Result<Step> {
    let retired = Event::BackupRetired { job: Box::new(marked.clone()), reason: decision.reason };
    let told = app.events.publish(retired).await;
    let gone = sweep::finish_deletion(app, &marked).await?;
    told?;
    Ok(if gone { Step::Removed } else { Step::Waiting })
}
