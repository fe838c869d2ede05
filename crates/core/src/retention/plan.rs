//! The plan: pure, from a policy, a database's jobs and an instant to one decision for each of them.
//!
//! # The rule
//! Scheduled backups are removed when they are older than `retention_days` **or** beyond the newest
//! `max_backups`. A day is 24 hours; exactly N days old is within the rule.
//!
//! Safety backups have a rule of their own: they are removed when their restore has been confirmed, or when
//! they are older than `safety_days`.
//!
//! # What stands above the rules (promise 3)
//! - The newest good backup of the database stays, of whatever kind but uploaded, and so does the newest
//!   verified one.
//! - Only good backups count; a run that failed pushes nothing out.
//! - A backup that is locked in storage stays as long as the lock does.
//! - A backup that a restore still needs which has not ended is left alone.
//! - While the database is disabled, or its last run failed, no backup is removed.
//! - A backup whose time has not come yet (the clock was ahead when it was made) is left alone, and
//!   neither counts nor stands for the newest good one: else it would have every later backup removed.

use std::collections::HashMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::limits::Limits;
use crate::model::{BackupKind, JobId, Outline, Settings, Status};

/// How long records of runs that made no backup stay when nobody limits backups by age, in days.
pub const RECORD_DAYS: u32 = 90;
/// Such records stay at least this long, in days, however short the retention.
pub const LEAST_RECORD_DAYS: u32 = 7;

/// What a database's settings say of retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Scheduled backups older than this many days are removed; none: no limit.
    pub retention_days: Option<u32>,
    /// Scheduled backups beyond the newest this many are removed; none: no limit.
    pub max_backups: Option<u32>,
    /// Safety backups older than this many days are removed, and those whose restore was confirmed.
    pub safety_days: u32,
    /// Whether the database is enabled.
    pub enabled: bool,
}

impl Policy {
    /// The policy in a database's settings and in what the installation allows.
    pub fn of(settings: &Settings, limits: &Limits) -> Self {
        let Settings { retention_days, max_backups, enabled, .. } = *settings;
        Self { retention_days, max_backups, safety_days: limits.safety_days, enabled }
    }
}

/// What becomes of a backup, or of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// It stays.
    Keep,
    /// It is removed.
    Remove,
    /// Nobody may touch it now; it is judged when that has passed.
    Locked,
}

impl Action {
    /// The name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Remove => "remove",
            Self::Locked => "locked",
        }
    }
}

/// Why no backup of a database is removed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Frozen {
    /// The database is disabled.
    Disabled,
    /// Its last run failed.
    LastRunFailed,
}

impl fmt::Display for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "the database is disabled",
            Self::LastRunFailed => "the last run failed",
        })
    }
}

/// Why a decision was taken; shown as one plain line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Older than so many days.
    Older(u32),
    /// Beyond the newest so many.
    Beyond(u32),
    /// A safety backup whose restore was confirmed.
    Confirmed,
    /// A safety backup that is older than so many days.
    SafetyOlder(u32),
    /// A safety backup that undoes a restore.
    Undoes,
    /// A restore or a package that has not ended needs it.
    Needed,
    /// Its store lets nobody remove it before then.
    LockedUntil(Timestamp),
    /// The newest good backup of the database.
    NewestGood,
    /// The newest backup whose restored copy was found equal.
    NewestVerified,
    /// No rule is for backups of this kind.
    OfKind(BackupKind),
    /// The rule would remove it, and nothing is removed now.
    Frozen(Frozen),
    /// The rule keeps it.
    WithinRule,
    /// Its time has not come yet.
    InFuture,
    /// The record of the last run.
    LastRun,
    /// The newest record of all.
    NewestRecord,
    /// It waits or runs.
    NotEnded,
    /// It has just ended.
    Untold,
    /// Its removal has begun.
    BeingRemoved,
    /// It succeeded, but names no artifact: nothing here knows what it is.
    NoArtifact,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Older(1) => f.write_str("older than 1 day"),
            Self::Older(days) => write!(f, "older than {days} days"),
            Self::Beyond(1) => f.write_str("beyond the newest one"),
            Self::Beyond(most) => write!(f, "beyond the newest {most}"),
            Self::Confirmed => f.write_str("its restore was confirmed"),
            Self::SafetyOlder(1) => f.write_str("a safety backup older than 1 day"),
            Self::SafetyOlder(days) => write!(f, "a safety backup older than {days} days"),
            Self::Undoes => f.write_str("it undoes a restore"),
            Self::Needed => f.write_str("a restore or a package that has not ended needs it"),
            Self::LockedUntil(until) => write!(f, "locked until {until}"),
            Self::NewestGood => f.write_str("the newest good backup"),
            Self::NewestVerified => f.write_str("the newest verified backup"),
            Self::OfKind(kind) => write!(f, "{}: kept", kind.as_str()),
            Self::Frozen(frozen) => write!(f, "frozen: {frozen}"),
            Self::WithinRule => f.write_str("within the rule"),
            Self::InFuture => f.write_str("dated in the future: kept until then"),
            Self::LastRun => f.write_str("the last run"),
            Self::NewestRecord => f.write_str("the newest record"),
            Self::NotEnded => f.write_str("it has not ended"),
            Self::Untold => f.write_str("it has just ended"),
            Self::BeingRemoved => f.write_str("it is being removed"),
            Self::NoArtifact => f.write_str("it names no artifact: kept"),
        }
    }
}

/// What becomes of one job of the database, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The backup, or the record of a run that made none.
    pub job: Outline,
    /// What becomes of it.
    pub action: Action,
    /// Why.
    pub reason: Reason,
}

/// The decisions for every job of one database, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Why no backup is removed now; none: the rule runs.
    pub frozen: Option<Frozen>,
    /// The backups that stand above the rule: the newest good one, and the newest verified one.
    pub spared: Vec<JobId>,
    /// One for each job.
    pub decisions: Vec<Decision>,
}

impl Plan {
    /// What is to be removed, oldest first.
    pub fn removals(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().rev().filter(|decision| decision.action == Action::Remove)
    }
}

/// Decides about every job of one database at an instant.
pub fn plan(policy: &Policy, mut jobs: Vec<Outline>, now: Timestamp) -> Plan {
    jobs.sort_unstable_by_key(|job| std::cmp::Reverse(job.place()));
    let facts = Facts::of(policy, &jobs, now);
    let decide = |job: Outline| {
        let (action, reason) = facts.judge(&job);
        Decision { job, action, reason }
    };
    let spared = [facts.newest_good, facts.newest_verified].into_iter().flatten();
    let mut spared: Vec<JobId> = spared.collect();
    spared.dedup();
    Plan { frozen: facts.frozen, spared, decisions: jobs.into_iter().map(decide).collect() }
}

/// What the decisions are made from.
struct Facts<'a> {
    policy: &'a Policy,
    now: Timestamp,
    frozen: Option<Frozen>,
    newest_good: Option<JobId>,
    newest_verified: Option<JobId>,
    last_run: Option<JobId>,
    newest_record: Option<JobId>,
    /// Which scheduled backups lie beyond the newest `max_backups`.
    ranks: HashMap<JobId, usize>,
}

impl<'a> Facts<'a> {
    /// `jobs` are sorted, newest first.
    fn of(policy: &'a Policy, jobs: &[Outline], now: Timestamp) -> Self {
        let come = || jobs.iter().filter(|job| job.created_at <= now);
        let counted = come().filter(|job| job.is_good() && job.kind == BackupKind::Scheduled);
        let last_run = last_run(jobs, now);
        let frozen = match last_run {
            _ if !policy.enabled => Some(Frozen::Disabled),
            Some(run) if run.status == Status::Failed => Some(Frozen::LastRunFailed),
            _ => None,
        };
        Self {
            policy,
            now,
            frozen,
            newest_good: come().find(|job| job.is_good()).map(|job| job.id),
            newest_verified: come().find(|job| job.is_verified()).map(|job| job.id),
            last_run: last_run.map(|run| run.id),
            newest_record: jobs.iter().find(|job| job.status.is_terminal()).map(|job| job.id),
            ranks: counted.enumerate().map(|(rank, job)| (job.id, rank)).collect(),
        }
    }

    fn judge(&self, job: &Outline) -> (Action, Reason) {
        match job.status {
            Status::Queued | Status::Running => (Action::Locked, Reason::NotEnded),
            Status::Deleting => (Action::Locked, Reason::BeingRemoved),
            Status::Succeeded if !job.stored => (Action::Keep, Reason::NoArtifact),
            Status::Succeeded => self.judge_backup(job),
            Status::Failed | Status::Cancelled | Status::Skipped => self.judge_record(job),
        }
    }

    fn judge_backup(&self, job: &Outline) -> (Action, Reason) {
        if self.newest_good == Some(job.id) {
            return (Action::Keep, Reason::NewestGood);
        }
        if self.newest_verified == Some(job.id) {
            return (Action::Keep, Reason::NewestVerified);
        }
        let (against, kept) = match job.kind {
            BackupKind::Scheduled => (self.against_the_rule(job), Reason::WithinRule),
            BackupKind::Safety => (self.against_the_safety_rule(job), Reason::Undoes),
            BackupKind::Manual | BackupKind::Uploaded => return (Action::Keep, Reason::OfKind(job.kind)),
        };
        if job.created_at > self.now {
            return (Action::Keep, Reason::InFuture);
        }
        match (against, self.frozen) {
            (None, _) => (Action::Keep, kept),
            (Some(_), _) if job.needed => (Action::Locked, Reason::Needed),
            (Some(_), Some(frozen)) => (Action::Keep, Reason::Frozen(frozen)),
            (Some(reason), None) => match job.locked_until.filter(|until| *until > self.now) {
                Some(until) => (Action::Locked, Reason::LockedUntil(until)),
                None => removal(job, reason),
            },
        }
    }

    fn against_the_rule(&self, job: &Outline) -> Option<Reason> {
        let old = self.policy.retention_days.filter(|days| self.is_older(job, *days));
        let rank = self.ranks.get(&job.id).copied();
        let beyond = self.policy.max_backups.filter(|most| rank.is_some_and(|rank| rank >= *most as usize));
        old.map(Reason::Older).or(beyond.map(Reason::Beyond))
    }

    fn against_the_safety_rule(&self, job: &Outline) -> Option<Reason> {
        let days = self.policy.safety_days;
        let old = self.is_older(job, days).then_some(Reason::SafetyOlder(days));
        if job.pinned { old } else { Some(Reason::Confirmed) }
    }

    /// Records pile up while runs fail, so they are not frozen by a failure; the failed run itself stays.
    fn judge_record(&self, job: &Outline) -> (Action, Reason) {
        let days = self.policy.retention_days.unwrap_or(RECORD_DAYS).max(LEAST_RECORD_DAYS);
        if self.last_run == Some(job.id) {
            return (Action::Keep, Reason::LastRun);
        }
        if self.newest_record == Some(job.id) {
            return (Action::Keep, Reason::NewestRecord);
        }
        if job.kind == BackupKind::Uploaded {
            return (Action::Keep, Reason::OfKind(job.kind));
        }
        match self.frozen {
            _ if !self.is_older(job, days) => (Action::Keep, Reason::WithinRule),
            Some(Frozen::Disabled) => (Action::Keep, Reason::Frozen(Frozen::Disabled)),
            _ => removal(job, Reason::Older(days)),
        }
    }

    fn is_older(&self, job: &Outline, days: u32) -> bool {
        let age = self.now.duration_since(job.created_at);
        age > SignedDuration::from_hours(i64::from(days) * 24)
    }
}

fn removal(job: &Outline, reason: Reason) -> (Action, Reason) {
    if job.untold { (Action::Locked, Reason::Untold) } else { (Action::Remove, reason) }
}

/// The run that ended last. One that ended in the future, by a clock that was ahead, is asked only where
/// there is no other.
fn last_run(jobs: &[Outline], now: Timestamp) -> Option<&Outline> {
    let ran = |job: &&Outline| {
        matches!(job.kind, BackupKind::Scheduled | BackupKind::Manual)
            && matches!(job.status, Status::Succeeded | Status::Failed)
    };
    let ended = |job: &Outline| job.finished_at.unwrap_or(job.created_at);
    jobs.iter().filter(ran).max_by_key(|job| (ended(job) <= now, ended(job), job.id))
}
