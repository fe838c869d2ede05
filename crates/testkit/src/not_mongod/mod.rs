//! A server that speaks MongoDB's wire protocol and is **not mongod**.
//!
//! It holds documents as the bytes in which they came, in memory, and answers the commands of dumps and restores
//! to the official driver. What it knows of MongoDB is what the manuals and the driver's specifications say; no
//! mongod was at hand to compare it with. It refuses what a mongod refuses where dumps and restores meet it.
//!
//! # What it is not
//! - It evaluates few filters (`matching.rs` lists them), no view's pipeline, no projection, no update; it sorts by `_id` and
//!   `$natural` alone. What it cannot do it refuses with code 238 (`NotImplemented`), never with a wrong answer.
//! - Collations are completed, stored and shown, and never applied. Geometry and text are not checked by their indexes.
//! - Time series are two collections, as up to MongoDB 8: `X` and `system.buckets.X`. Measurements are neither taken nor
//!   shown: buckets are loaded and read as they are. Indexes of `X` stand at `X` alone.
//! - Privileges of created roles are stored and not judged; roles that they inherit are.
//! - Snapshots are copies of the state; there are no transactions, change streams, shards, elections, TTL or TLS.
//! - Sizes on disk are lengths in memory, logins are stretched 4,096 times.

pub(crate) mod answer;
mod collation;
mod collection;
mod commands;
mod cursor;
mod faults;
mod index;
mod matching;
pub mod museum;
mod order;
mod rights;
mod scram;
mod server;
mod settings;
mod snapshot;
mod state;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use answer::Refusal;
pub use faults::{Fault, Seen, When};
pub use settings::Builder;
pub use snapshot::{Content, Snapshot};

use answer::{Answer, Request};
use faults::Script;
use server::Running;
use settings::Settings;
use state::State;

/// Answers commands in the fixture's place.
pub(crate) trait Backend: Send + Sync {
    /// The answer; none where the fixture is to give its own.
    fn answer(&self, request: &Request) -> Option<Answer>;
}

struct Shared {
    settings: Settings,
    backend: Option<Box<dyn Backend>>,
    state: Mutex<State>,
    script: Mutex<Script>,
    address: Mutex<Option<SocketAddr>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn address(&self) -> String {
        let address = self.address.lock().unwrap_or_else(PoisonError::into_inner);
        address.map(|address| address.to_string()).unwrap_or_default()
    }
}

/// The fixture; it ends with this value.
pub struct NotMongod {
    shared: Arc<Shared>,
    running: Option<Running>,
    port: u16,
}

impl NotMongod {
    /// A standalone server that asks nobody who they are.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A server with a set name, users, or another version.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn with(settings: Settings, backend: Option<Box<dyn Backend>>, mut state: State) -> Self {
        let (major, minor, _) = settings.version;
        state.install(&format!("{major}.{minor}")).expect("an empty server takes what is its own");
        let (state, script, address) = (Mutex::new(state), Mutex::default(), Mutex::default());
        let mut server = Self {
            shared: Arc::new(Shared { settings, backend, state, script, address }),
            running: None,
            port: 0,
        };
        server.resume();
        server
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `mongodb://127.0.0.1:PORT/`, direct, without a login.
    pub fn url(&self) -> String {
        format!("mongodb://127.0.0.1:{}/?directConnection=true", self.port)
    }

    /// Makes the commands that `when` picks fail.
    pub fn fail(&self, when: When, fault: Fault) {
        self.shared.script().add(when, fault);
    }

    /// Ends all faults that were scripted.
    pub fn heal(&self) {
        self.shared.script().heal();
    }

    /// Stops the server as a kill does: the port is closed, connections are cut, cursors are lost, data stays.
    pub fn stop(&mut self) {
        self.running = None;
        self.shared.state().restart();
    }

    /// Listens again on the same port, after [`Self::stop`] or a fault that killed the server.
    pub fn resume(&mut self) {
        self.stop();
        let running = Running::start(&self.shared, self.port);
        self.port = running.address.port();
        *self.shared.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(running.address);
        self.running = Some(running);
    }

    /// Whether a fault has killed the server, or a test has stopped it.
    pub fn is_dead(&self) -> bool {
        self.running.as_ref().is_none_or(|running| *running.stop.borrow())
    }

    /// How many commands of that name came, to whatever.
    pub fn count(&self, command: &str) -> usize {
        self.shared.script().count(command, None)
    }

    /// How many commands of that name came for `database.collection`.
    pub fn count_on(&self, command: &str, namespace: &str) -> usize {
        self.shared.script().count(command, Some(namespace))
    }

    /// All commands that came, with how often.
    pub fn seen(&self) -> BTreeMap<Seen, usize> {
        self.shared.script().seen()
    }

    /// Begins to count anew.
    pub fn forget_seen(&self) {
        self.shared.script().forget();
    }

    /// Cursors that are open now.
    pub fn open_cursors(&self) -> usize {
        self.shared.state().cursors.len()
    }
}
