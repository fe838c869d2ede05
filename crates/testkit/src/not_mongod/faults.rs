//! Which commands fail, and how.

use std::collections::BTreeMap;
use std::time::Duration;

use super::answer::{Refusal, Request};

/// How a command fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Not performed; answered with this error.
    Refuse(Refusal),
    /// Not performed; the connection is closed without an answer.
    Close,
    /// Performed; then the connection is closed without an answer.
    LoseReply,
    /// Performed; the connection is closed in the middle of the reply.
    CutReply,
    /// Not performed and never answered; the connection stays open.
    Hang,
    /// Performed; the reply's header announces this many bytes more (or, negative, fewer) than there are, and then
    /// the connection is closed.
    LieAboutLength(i32),
    /// Performed; the reply begins with a length that no driver can take (two gigabytes).
    HugeLength,
    /// Performed; if it asked for a majority of members, answered that too few have taken it.
    Alone,
    /// Performed, after a wait.
    Slow(Duration),
    /// Not performed; the whole server stops: its port is closed, all connections are cut.
    Die,
    /// Performed; then the whole server stops, and nobody gets an answer.
    DieAfter,
}

impl Fault {
    /// An error of this number and word.
    pub fn error(code: i32, name: &str) -> Self {
        Self::Refuse(Refusal::new(code, name, format!("{name}: scripted by a test")))
    }
}

/// Picks commands.
#[derive(Debug, Clone)]
pub struct When {
    command: Option<String>,
    namespace: Option<String>,
    skip: usize,
    times: Option<usize>,
}

impl When {
    /// The `n`th command of that name from now on, counted from 1, once.
    pub fn nth(command: &str, n: usize) -> Self {
        assert!(n > 0, "commands are counted from 1");
        Self { skip: n - 1, times: Some(1), ..Self::every(command) }
    }

    /// All commands of that name.
    pub fn every(command: &str) -> Self {
        Self { command: Some(command.to_owned()), namespace: None, skip: 0, times: None }
    }

    /// The `n`th command of any name but those of handshake and monitoring, counted from 1, once.
    pub fn nth_of_all(n: usize) -> Self {
        assert!(n > 0, "commands are counted from 1");
        Self { command: None, namespace: None, skip: n - 1, times: Some(1) }
    }

    /// Only commands about this namespace, `database.collection`; for `getMore`, its cursor's.
    pub fn on(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Ends after `n` failures.
    pub fn times(mut self, n: usize) -> Self {
        self.times = Some(n);
        self
    }

    fn picks(&mut self, seen: &Seen) -> bool {
        let named = self.command.as_ref().map_or(!seen.is_background(), |command| *command == seen.command);
        let about = self.namespace.as_ref().is_none_or(|namespace| *namespace == seen.namespace);
        if !named || !about || self.times == Some(0) {
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

/// A command that came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Its name.
    pub command: String,
    /// `database.collection`, or the database alone.
    pub namespace: String,
}

impl Seen {
    pub(super) fn of(request: &Request) -> Self {
        let collection = match request.name.as_str() {
            "getMore" => request.text("collection"),
            "renameCollection" => {
                return Self::new(request, request.collection().unwrap_or_default().to_owned());
            }
            _ => request.collection(),
        };
        let namespace = match collection {
            Some(collection) => format!("{}.{collection}", request.database),
            None => request.database.clone(),
        };
        Self::new(request, namespace)
    }

    fn new(request: &Request, namespace: String) -> Self {
        Self { command: request.name.clone(), namespace }
    }

    /// Whether drivers send it on their own, at times that no test knows.
    fn is_background(&self) -> bool {
        const BACKGROUND: [&str; 8] = [
            "hello",
            "isMaster",
            "ismaster",
            "ping",
            "saslStart",
            "saslContinue",
            "endSessions",
            "killCursors",
        ];
        BACKGROUND.contains(&self.command.as_str())
    }
}

/// The scripted faults, and what was seen.
#[derive(Default)]
pub(super) struct Script {
    faults: Vec<(When, Fault)>,
    seen: BTreeMap<Seen, usize>,
}

impl Script {
    pub(super) fn add(&mut self, when: When, fault: Fault) {
        self.faults.push((when, fault));
    }

    pub(super) fn heal(&mut self) {
        self.faults.clear();
    }

    pub(super) fn decide(&mut self, request: &Request) -> Option<Fault> {
        let seen = Seen::of(request);
        let picked =
            self.faults.iter_mut().find_map(|(when, fault)| when.picks(&seen).then(|| fault.clone()));
        *self.seen.entry(seen).or_default() += 1;
        picked
    }

    pub(super) fn count(&self, command: &str, namespace: Option<&str>) -> usize {
        let about = |seen: &&Seen| namespace.is_none_or(|namespace| seen.namespace == namespace);
        let matching = self.seen.iter().filter(|(seen, _)| seen.command == command && about(seen));
        matching.map(|(_, count)| count).sum()
    }

    pub(super) fn seen(&self) -> BTreeMap<Seen, usize> {
        self.seen.clone()
    }

    pub(super) fn forget(&mut self) {
        self.seen.clear();
    }
}
