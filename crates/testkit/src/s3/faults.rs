//! Which requests fail, and how.

use std::time::Duration;

use super::{Operation, Seen};

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not performed; answered with this status and S3's matching error document.
    Status(u16),
    /// Not performed; answered with this status and an error document of this code.
    Code(u16, &'static str),
    /// Performed, after a wait.
    Slow(Duration),
    /// Not performed; half of the body is read, then the connection is closed.
    CutBody,
    /// Performed; then a checksum is answered that is not the body's.
    LieAboutChecksum,
    /// Not performed; the connection is closed without an answer.
    Drop,
    /// Not performed and not answered, until [`heal`](super::S3Server::heal); then the connection closes.
    Hang,
    /// Not performed; answered with 200 and an error document in the body, as S3 does for multipart
    /// completions that fail late.
    OkWithErrorBody,
    /// Performed; then the connection is closed without an answer.
    LoseResponse,
    /// One bit of the body is turned over on its way to the store: whether this is found out depends on
    /// the checksums that the request carries.
    CorruptBody,
}

type Predicate = Box<dyn Fn(&Seen) -> bool + Send + Sync>;

/// Picks requests.
pub struct When {
    matches: Predicate,
    /// How many matching requests pass first.
    skip: usize,
    /// How many fail then; none for all.
    times: Option<usize>,
}

impl When {
    /// The `n`th request of that kind from now on, counted from 1, once.
    pub fn nth(operation: Operation, n: usize) -> Self {
        assert!(n > 0, "requests are counted from 1");
        Self { skip: n - 1, times: Some(1), ..Self::every(operation) }
    }

    /// All requests of that kind.
    pub fn every(operation: Operation) -> Self {
        Self::matching(move |seen| seen.operation == operation)
    }

    /// All requests.
    pub fn always() -> Self {
        Self::matching(|_| true)
    }

    /// All requests for which `predicate` holds; [`Seen::status`] is not known yet.
    pub fn matching(predicate: impl Fn(&Seen) -> bool + Send + Sync + 'static) -> Self {
        Self { matches: Box::new(predicate), skip: 0, times: None }
    }

    /// Lets the first `n` matching requests pass.
    pub fn after(mut self, n: usize) -> Self {
        self.skip = n;
        self
    }

    /// Ends after `n` failures.
    pub fn times(mut self, n: usize) -> Self {
        self.times = Some(n);
        self
    }

    fn picks(&mut self, seen: &Seen) -> bool {
        if !(self.matches)(seen) || self.times == Some(0) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times = self.times.map(|left| left - 1);
        true
    }
}

#[derive(Default)]
pub(super) struct Faults(Vec<(When, Fault)>);

impl Faults {
    pub(super) fn add(&mut self, when: When, fault: Fault) {
        self.0.push((when, fault));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn decide(&mut self, seen: &Seen) -> Option<Fault> {
        self.0.iter_mut().find_map(|(when, fault)| when.picks(seen).then_some(*fault))
    }
}
