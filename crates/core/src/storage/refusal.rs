//! What a store refuses although nothing stops for it: kept until somebody was told, and told once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Error;

/// The one refusal of its kind, shared by all that use the same store.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusal(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    #[default]
    None,
    Untold(Error),
    Told,
}

impl Refusal {
    /// Keeps an error for [`Self::untold`], unless one is kept or was told already.
    pub(super) fn keep(&self, error: Error) {
        let mut state = self.state();
        if matches!(*state, State::None) {
            *state = State::Untold(error);
        }
    }

    /// The store has obeyed again: a further refusal is news.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        if matches!(*state, State::Told) {
            *state = State::None;
        }
    }

    /// The refusal, when nobody was told of it yet.
    pub(super) fn untold(&self) -> Option<Error> {
        let mut state = self.state();
        match std::mem::take(&mut *state) {
            State::None => None,
            State::Told => {
                *state = State::Told;
                None
            }
            State::Untold(error) => {
                *state = State::Told;
                Some(error)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
