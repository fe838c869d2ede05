//! An OpenDAL layer that counts storage calls and fails the one that a test names.
//!
//! ```no_run
//! use respaldo_testkit::faults::{FaultMode, FaultPlan};
//! # fn example(operator: opendal::Operator) {
//! let plan = FaultPlan::default();
//! let operator = operator.layer(plan.layer());
//! plan.fail_at(3, FaultMode::temporary());
//! // … use the operator: its third call fails, once.
//! # }
//! ```
//!
//! Put it under the layers that are to be tested: a retry layer must be added after this one to see the
//! failures.

mod layer;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use opendal::{Error, ErrorKind};
use tokio::sync::watch;

pub use layer::FaultLayer;

/// A kind of storage call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// Metadata of one object.
    Stat,
    /// Opening one range of an object, or reading all of it.
    Read,
    /// One more piece of an opened range.
    ReadNext,
    /// One piece handed to a writer. OpenDAL gathers small ones into parts before they get here.
    Write,
    /// Completing a write.
    Close,
    /// Giving a write up.
    Abort,
    /// One object named to a deleter.
    Delete,
    /// A deleter's end, where stores that delete in batches do their work.
    DeleteClose,
    /// One entry (or the end) of a listing.
    List,
    /// One step of a copy on the store's side.
    Copy,
    /// A rename on the store's side.
    Rename,
    /// Making a folder.
    CreateDir,
    /// A call to the catalog, named by its method.
    Catalog,
}

/// How a chosen call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultMode {
    /// It is not performed, and reported as failed in a way that trying again may cure.
    Temporary(ErrorKind),
    /// It is not performed, and reported as failed for good.
    Permanent(ErrorKind),
    /// It is performed, then reported as temporarily failed: an answer that was lost.
    AfterEffect(ErrorKind),
    /// It is performed and reported as done; every later call fails unperformed, as if the process had
    /// crashed behind it. At call 0: nothing works from the start.
    CrashAfter,
}

impl FaultMode {
    /// A passing fault of no particular kind.
    pub fn temporary() -> Self {
        Self::Temporary(ErrorKind::Unexpected)
    }

    /// A lasting fault of no particular kind.
    pub fn permanent() -> Self {
        Self::Permanent(ErrorKind::Unexpected)
    }

    /// An answer that was lost after the deed.
    pub fn after_effect() -> Self {
        Self::AfterEffect(ErrorKind::Unexpected)
    }
}

/// The shared handle: says what fails, and tells what was called. Clones are the same plan.
#[derive(Clone, Default)]
pub struct FaultPlan {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    calls: Vec<(Call, String)>,
    faults: Vec<(usize, FaultMode)>,
    frozen_from: Option<usize>,
    frozen_kind: Option<Call>,
    lists_are_behind: bool,
    waiting: usize,
    thaw: watch::Sender<()>,
}

/// What the layer does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Perform,
    Refuse(FaultMode),
    PerformThenFail(ErrorKind),
}

impl FaultPlan {
    /// The layer to add to an operator; several operators may share one plan.
    pub fn layer(&self) -> FaultLayer {
        FaultLayer { plan: self.clone() }
    }

    /// How many calls were made since the last [`reset`](Self::reset).
    pub fn calls(&self) -> usize {
        self.state().calls.len()
    }

    /// Every call since the last [`reset`](Self::reset), with its path (empty where it has none).
    pub fn log(&self) -> Vec<(Call, String)> {
        self.state().calls.clone()
    }

    /// How many calls of one kind were made.
    pub fn count(&self, call: Call) -> usize {
        self.state().calls.iter().filter(|(made, _)| *made == call).count()
    }

    /// Makes the `n`th call since the last [`reset`](Self::reset) fail, counted from 1. Faults add up.
    pub fn fail_at(&self, n: usize, mode: FaultMode) {
        self.state().faults.push((n, mode));
    }

    /// From the `n`th call on, every call waits for [`thaw`](Self::thaw) before it is performed: a
    /// process that was stopped (SIGSTOP) in the middle of its work.
    pub fn freeze_at(&self, n: usize) {
        self.state().frozen_from = Some(n);
    }

    /// Calls of one kind wait for [`thaw`](Self::thaw): a store, or a catalog, that does not answer.
    pub fn freeze_call(&self, call: Call) {
        self.state().frozen_kind = Some(call);
    }

    /// Lists answer that there is nothing, as stores do whose lists are behind.
    pub fn let_lists_be_behind(&self, behind: bool) {
        self.state().lists_are_behind = behind;
    }

    /// Lets every call that waits go on, and later ones pass.
    pub fn thaw(&self) {
        let mut state = self.state();
        state.frozen_from = None;
        state.frozen_kind = None;
        state.thaw.send_replace(());
    }

    /// How many calls wait to be thawed.
    pub fn frozen(&self) -> usize {
        self.state().waiting
    }

    /// Forgets the calls and the faults: the storage works again, and the next call is the first.
    /// What is frozen is thawed.
    pub fn reset(&self) {
        self.thaw();
        let mut state = self.state();
        state.calls.clear();
        state.faults.clear();
    }

    /// Judges a call, once it is not frozen.
    async fn admit(&self, call: Call, path: &str) -> Verdict {
        let (verdict, thaw) = {
            let verdict = self.judge(call, path);
            let state = self.state();
            let frozen = state.frozen_kind == Some(call)
                || state.frozen_from.is_some_and(|from| state.calls.len() >= from);
            (verdict, frozen.then(|| state.thaw.subscribe()))
        };
        if let Some(mut thaw) = thaw {
            let _waits = Waits::begin(self);
            let _told = thaw.changed().await;
        }
        verdict
    }

    fn judge(&self, call: Call, path: &str) -> Verdict {
        let mut state = self.state();
        state.calls.push((call, path.to_owned()));
        let n = state.calls.len();
        let crashed = |(at, mode): &(usize, FaultMode)| *mode == FaultMode::CrashAfter && n > *at;
        if state.faults.iter().any(crashed) {
            return Verdict::Refuse(FaultMode::CrashAfter);
        }
        match state.faults.iter().find(|(at, _)| *at == n) {
            None | Some((_, FaultMode::CrashAfter)) => Verdict::Perform,
            Some((_, FaultMode::AfterEffect(kind))) => Verdict::PerformThenFail(*kind),
            Some((_, mode)) => Verdict::Refuse(*mode),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

/// Counts a call that waits, also when its future is dropped.
struct Waits<'a>(&'a FaultPlan);

impl<'a> Waits<'a> {
    fn begin(plan: &'a FaultPlan) -> Self {
        plan.state().waiting += 1;
        Self(plan)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

impl fmt::Debug for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultPlan").field("calls", &self.calls()).finish_non_exhaustive()
    }
}

fn refusal(call: Call, mode: FaultMode) -> Error {
    match mode {
        FaultMode::Temporary(kind) | FaultMode::AfterEffect(kind) => {
            Error::new(kind, format!("injected: {call:?} failed for now")).set_temporary()
        }
        FaultMode::Permanent(kind) => Error::new(kind, format!("injected: {call:?} failed")).set_permanent(),
        FaultMode::CrashAfter => {
            Error::new(ErrorKind::Unexpected, "injected: the process has crashed").set_permanent()
        }
    }
}
