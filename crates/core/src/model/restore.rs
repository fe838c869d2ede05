//! A restore: a backup's dump put back, and what undoes it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::JobId;
use super::job::Status;

/// How a dump is put into its target's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreMode {
    /// Loaded aside, checked, and exchanged with the target in one step.
    Swap,
    /// The target's objects are dropped and the dump is loaded into it.
    InPlace,
}

impl RestoreMode {
    /// The name in records and requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Swap => "swap",
            Self::InPlace => "in_place",
        }
    }
}

/// What becomes of the dump's owners and grants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ownership {
    /// As the dump has them.
    #[default]
    Keep,
    /// Everything belongs to who restores; grants are left out.
    None,
}

impl Ownership {
    /// The name in records and requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::None => "none",
        }
    }
}

/// What people may choose of a restore, beside where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreOptions {
    /// How the dump is put into its target's place.
    pub mode: RestoreMode,
    /// What becomes of owners and grants.
    #[serde(default)]
    pub ownership: Ownership,
    /// Tables to restore, as the fingerprint names them (`public.orders`), or whole schemas
    /// (`sales.*`); empty: everything.
    #[serde(default)]
    pub tables: Vec<String>,
    /// End connections that are in the way, and go on where a refusal may be overruled.
    #[serde(default)]
    pub force: bool,
}

/// How far a restore has come: its journal. Each is written *before* what it names is done, so that a
/// worker which takes the job over knows what may have been done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreStep {
    /// Nothing that matters was done.
    #[default]
    Begun,
    /// The safety backup is made.
    Saving,
    /// The artifact is read and its digest compared.
    Checking,
    /// The dump is loaded: aside, or into the target.
    Loading,
    /// What was loaded aside is exchanged with the target.
    Swapping,
}

impl RestoreStep {
    /// The name in records and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Saving => "saving",
            Self::Checking => "checking",
            Self::Loading => "loading",
            Self::Swapping => "swapping",
        }
    }
}

/// What a restore job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum RestoreAction {
    /// Puts a backup's dump back.
    Load {
        /// The backup.
        backup: JobId,
    },
    /// Exchanges the target with the database that an earlier restore kept. Done twice, it is undone.
    Undo {
        /// The restore that kept it.
        of: JobId,
    },
    /// Drops the database that an earlier restore kept, and unpins its safety backup.
    Confirm {
        /// The restore that kept it.
        of: JobId,
    },
}

/// What a restore job is asked for, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoration {
    /// What it does.
    pub action: RestoreAction,
    /// The target's name on the server that the job's database lies on.
    pub target: String,
    /// Whether the target is that database itself.
    pub same_database: bool,
    /// Whether there was something by the target's name when the restore was asked for.
    #[serde(default)]
    pub replaces: bool,
    /// How.
    pub options: RestoreOptions,
    /// The safety backup, chosen when the restore was asked for; none: there is nothing to save, or
    /// nobody wanted it.
    #[serde(default)]
    pub safety_backup: Option<JobId>,
    /// The journal.
    #[serde(default)]
    pub step: RestoreStep,
    /// The name under which the swap kept what was the target; its undo.
    #[serde(default)]
    pub kept: Option<String>,
    /// What the plan, or the restore, had to say.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The restore that it undoes, where it does so by restoring that one's safety backup.
    #[serde(default)]
    pub undoes: Option<JobId>,
    /// What undid it.
    #[serde(default)]
    pub undone_by: Option<JobId>,
    /// When it was confirmed: from then on nothing undoes it but its safety backup.
    #[serde(default)]
    pub confirmed_at: Option<Timestamp>,
}

impl Restoration {
    /// Writes down the next step. What may have been done to a target that is loaded in place is never
    /// forgotten, although the next attempt begins again; a swap's target is not touched before its last step,
    /// and every attempt loads aside anew.
    pub fn enter(&mut self, step: RestoreStep) {
        self.step = match self.options.mode {
            RestoreMode::InPlace => self.step.max(step),
            RestoreMode::Swap => step,
        };
    }

    /// The steps that it takes, in order.
    pub fn steps(&self) -> Vec<RestoreStep> {
        use RestoreStep::{Checking, Loading, Saving, Swapping};
        match self.action {
            RestoreAction::Load { .. } => {
                let saving = self.safety_backup.map(|_| Saving);
                let swapping = (self.options.mode == RestoreMode::Swap).then_some(Swapping);
                saving.into_iter().chain([Checking, Loading]).chain(swapping).collect()
            }
            RestoreAction::Undo { .. } => vec![Swapping],
            RestoreAction::Confirm { .. } => Vec::new(),
        }
    }

    /// The backups that it names: the one that it loads, and the one that undoes it.
    pub fn backups(&self) -> impl Iterator<Item = JobId> + use<> {
        let loaded = match self.action {
            RestoreAction::Load { backup } => Some(backup),
            RestoreAction::Undo { .. } | RestoreAction::Confirm { .. } => None,
        };
        loaded.into_iter().chain(self.safety_backup)
    }

    /// Whether it may have changed its target, as far as the journal tells.
    pub fn touched(&self) -> bool {
        match self.options.mode {
            RestoreMode::Swap => self.step >= RestoreStep::Swapping,
            RestoreMode::InPlace => self.step >= RestoreStep::Loading,
        }
    }

    /// The backup that undoes it where what was there is not kept beside it.
    pub fn undoing_backup(&self) -> Option<JobId> {
        let loads = matches!(self.action, RestoreAction::Load { .. }) && self.same_database;
        self.safety_backup.filter(|_| loads)
    }

    /// Whether an undo can be asked for, once its job stands there.
    pub fn can_be_undone(&self, status: Status) -> bool {
        let done = status == Status::Succeeded;
        let kept = self.kept.is_some() && done;
        let saved = self.undoing_backup().is_some() && (done || self.touched());
        status.is_terminal() && self.undone_by.is_none() && (kept || saved)
    }

    /// Whether there is anything left that a confirmation would let go, once its job stands there.
    pub fn can_be_confirmed(&self, status: Status) -> bool {
        let holds = self.kept.is_some() || self.safety_backup.is_some();
        let confirms = matches!(self.action, RestoreAction::Confirm { .. });
        status.is_terminal() && self.confirmed_at.is_none() && holds && !confirms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restoration(mode: RestoreMode) -> Restoration {
        Restoration {
            action: RestoreAction::Load { backup: JobId(ulid::Ulid::nil()) },
            target: "shop".to_owned(),
            same_database: true,
            replaces: true,
            options: RestoreOptions { mode, ownership: Ownership::Keep, tables: Vec::new(), force: false },
            safety_backup: Some(JobId(ulid::Ulid::nil())),
            step: RestoreStep::Begun,
            kept: None,
            warnings: Vec::new(),
            undoes: None,
            undone_by: None,
            confirmed_at: None,
        }
    }

    #[test]
    fn a_second_attempt_in_place_does_not_forget_that_the_first_one_loaded() {
        let mut restoration = restoration(RestoreMode::InPlace);
        restoration.enter(RestoreStep::Loading);
        restoration.enter(RestoreStep::Saving);
        assert!(restoration.touched());
        assert!(restoration.can_be_undone(Status::Failed));
        assert_eq!(restoration.step, RestoreStep::Loading);
    }

    #[test]
    fn a_swap_that_was_not_taken_begins_again() {
        let mut restoration = restoration(RestoreMode::Swap);
        restoration.enter(RestoreStep::Swapping);
        restoration.enter(RestoreStep::Checking);
        assert!(!restoration.touched());
    }
}
