//! How a server is to be.

use bson::{RawArrayBuf, rawdoc};

use super::commands::add_user;
use super::scram::Mechanism;
use super::state::State;
use super::{Backend, NotMongod};

pub(super) struct Settings {
    /// Major, minor, patch.
    pub(super) version: (i32, i32, i32),
    pub(super) replica_set: Option<String>,
    pub(super) needs_login: bool,
}

/// Makes a [`NotMongod`].
pub struct Builder {
    settings: Settings,
    state: State,
}

impl Default for Builder {
    fn default() -> Self {
        let settings = Settings { version: (7, 0, 14), replica_set: None, needs_login: false };
        Self { settings, state: State::default() }
    }
}

impl Builder {
    /// Says that it is of this version, such as (4, 0, 28): wire versions and a few refusals follow from it.
    pub fn version(mut self, major: i32, minor: i32, patch: i32) -> Self {
        self.settings.version = (major, minor, patch);
        self
    }

    /// Is the primary, and only member, of a replica set of that name.
    pub fn replica_set(mut self, name: &str) -> Self {
        self.settings.replica_set = Some(name.to_owned());
        self
    }

    /// Has that user in the database, with roles of that database (`read`) or of another (`admin.backup`), and
    /// asks everybody for a login.
    pub fn user(self, database: &str, name: &str, password: &str, roles: &[&str]) -> Self {
        self.user_by(database, name, password, roles, &Mechanism::ALL)
    }

    /// The same for a user who can log in by SCRAM-SHA-1 alone.
    pub fn sha1_user(self, database: &str, name: &str, password: &str, roles: &[&str]) -> Self {
        self.user_by(database, name, password, roles, &[Mechanism::Sha1])
    }

    fn user_by(
        mut self,
        database: &str,
        name: &str,
        password: &str,
        roles: &[&str],
        mechanisms: &[Mechanism],
    ) -> Self {
        self.settings.needs_login = true;
        let mut kept = RawArrayBuf::new();
        for role in roles {
            let (database, role) = role.split_once('.').unwrap_or((database, role));
            kept.push(rawdoc! { "role": role, "db": database });
        }
        add_user(&mut self.state, (database, name), password, mechanisms, (kept, None))
            .unwrap_or_else(|refusal| panic!("the user {name} cannot be made: {}", refusal.message));
        self
    }

    /// Starts it on a free port.
    pub fn start(self) -> NotMongod {
        NotMongod::with(self.settings, None, self.state)
    }

    /// The same, with somebody else to answer.
    pub(crate) fn start_before(self, backend: Box<dyn Backend>) -> NotMongod {
        NotMongod::with(self.settings, Some(backend), self.state)
    }
}
