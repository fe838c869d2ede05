//! A job's attempts: which is under way, which may have left bytes behind, and what becomes of those.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Job;
use crate::Result;

/// Leftovers that were swept are looked for once more after this long: a worker that was stopped, or a
/// request that was under way to the store, may have written after the sweep.
const SECOND_LOOK_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// Which attempt is under way, how many there may be, and which may have left bytes behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// The number of the last attempt that began; 0 before the first. It only grows, so that no two
    /// attempts ever write to the same place.
    pub current: u32,
    /// Attempts that failed, or whose worker died.
    #[serde(default)]
    pub failures: u32,
    /// At this many failures the job is given up.
    pub most: u32,
    /// Not leased before this time (the wait before a retry); of an ended job: not looked at by a tick before
    /// it, because removing it, or what it left, has just failed.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// Attempts that did not commit and may have left something, a dump in storage, a test restore on a
    /// configured server: the sweep's work list.
    #[serde(default)]
    pub litter: BTreeSet<u32>,
    /// Attempts before this one are never adopted: somebody may be removing what they left.
    #[serde(default)]
    pub adoptable_from: u32,
    /// The litter of the ended job was swept once, and is swept for good from this time on.
    #[serde(default)]
    pub look_again_at: Option<Timestamp>,
}

impl Attempts {
    /// None yet, and at most so many failures.
    pub(super) fn new(most: u32) -> Self {
        Self {
            current: 0,
            failures: 0,
            most,
            not_before: None,
            litter: BTreeSet::new(),
            adoptable_from: 0,
            look_again_at: None,
        }
    }
}

impl Job {
    /// Whether its attempts are used up.
    pub fn is_exhausted(&self) -> bool {
        self.attempts.failures >= self.attempts.most
    }

    /// Records that the current attempt is about to make what outlives its worker.
    pub fn may_leave(&mut self, fence: u64) -> Result<()> {
        self.check_fence(fence)?;
        self.attempts.litter.insert(self.attempts.current);
        Ok(())
    }

    /// Records that an attempt has ended and left nothing behind.
    pub fn swept(&mut self, attempt: u32) {
        self.attempts.litter.remove(&attempt);
    }

    /// Begins the next attempt under the same lease: one that leaves out what the current one found broken.
    pub fn begin_anew(&mut self, fence: u64) -> Result<()> {
        self.check_fence(fence)?;
        self.attempts.current += 1;
        self.attempts.litter.insert(self.attempts.current);
        Ok(())
    }

    /// Attempts before the current one that may be whole, newest first.
    pub fn adoptable(&self) -> impl Iterator<Item = u32> {
        let attempts = self.attempts.adoptable_from..self.attempts.current;
        attempts.rev().filter(|attempt| self.attempts.litter.contains(attempt))
    }

    /// Gives up the attempts before the current one: from now on they may be removed, because nobody
    /// adopts them any more.
    pub fn condemn_earlier(&mut self, fence: u64) -> Result<()> {
        self.check_fence(fence)?;
        self.attempts.adoptable_from = self.attempts.current;
        Ok(())
    }

    /// Whether the leftovers of an ended job are to be removed now.
    pub fn sweep_is_due(&self, now: Timestamp) -> bool {
        self.status.is_terminal()
            && !self.attempts.litter.is_empty()
            && self.attempts.look_again_at.is_none_or(|at| at <= now)
    }

    /// Records a sweep of these attempts of an ended job: the first leaves them under suspicion.
    pub fn swept_after_end(&mut self, attempts: &BTreeSet<u32>, now: Timestamp) {
        match self.attempts.look_again_at {
            None => self.attempts.look_again_at = Some(now + SECOND_LOOK_AFTER),
            Some(at) if at > now => {}
            Some(_) => {
                self.attempts.litter.retain(|attempt| !attempts.contains(attempt));
                self.attempts.look_again_at = None;
            }
        }
    }

    /// Records that an attempt which had lost its lease may have written since. False when it was
    /// adopted and committed: then its bytes are the backup's.
    pub fn confess(&mut self, attempt: u32) -> bool {
        if self.artifact().is_some_and(|artifact| artifact.attempt == attempt) {
            return false;
        }
        self.attempts.litter.insert(attempt);
        self.attempts.look_again_at = None;
        true
    }
}
