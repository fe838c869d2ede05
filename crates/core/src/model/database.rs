//! A database: a registered source, with its policy and its credentials.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::history::History;
use super::id::{DatabaseId, DatabaseUid};
use crate::keyring::SealedSecret;
use crate::schedule::Due;
use crate::seal::Compression;
use crate::{Error, Result};

/// The kind of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// PostgreSQL.
    #[serde(alias = "postgresql")]
    Postgres,
    /// MySQL.
    Mysql,
    /// `MariaDB`.
    Mariadb,
    /// SQLite: a file.
    Sqlite,
    /// MongoDB.
    #[serde(alias = "mongo")]
    Mongodb,
    /// Neo4j.
    Neo4j,
    /// Oracle Database.
    Oracle,
}

impl EngineKind {
    /// The name in requests, records and artifact names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Mariadb => "mariadb",
            Self::Sqlite => "sqlite",
            Self::Mongodb => "mongodb",
            Self::Neo4j => "neo4j",
            Self::Oracle => "oracle",
        }
    }

    /// The port its servers listen on when nobody says otherwise; none for a file.
    pub fn default_port(self) -> Option<u16> {
        match self {
            Self::Postgres => Some(5432),
            Self::Mysql | Self::Mariadb => Some(3306),
            Self::Sqlite => None,
            Self::Mongodb => Some(27017),
            Self::Neo4j => Some(7687),
            Self::Oracle => Some(1521),
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The shape of a PostgreSQL dump.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DumpFormat {
    /// SQL text, loaded by `psql`.
    #[default]
    Plain,
    /// An archive, loaded by `pg_restore`.
    Custom,
}

/// When backups are test-restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyPolicy {
    /// After each backup.
    AfterEach,
    /// The newest backup, once a day.
    Daily,
    /// The newest backup, once a week.
    Weekly,
    /// Only when asked.
    #[default]
    Off,
}

/// Where a database's jobs run on a host with a time limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runner {
    /// Predicted from history.
    #[default]
    Auto,
    /// Always in the function.
    Lambda,
    /// Always on the long runner.
    Fargate,
}

/// What a person may set of a database, by API or file. Flat, so that each field has one name
/// everywhere: in requests, in `config.yaml`, in errors and in merges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the file, by its name")]
pub struct Settings {
    /// What people call it.
    pub name: String,
    /// Its kind.
    pub engine: EngineKind,
    /// The server's name or address; none for a file.
    #[serde(default)]
    pub host: Option<String>,
    /// The server's port; none for a file.
    #[serde(default)]
    pub port: Option<u16>,
    /// The database's name on its server; for SQLite its path.
    pub database_name: String,
    /// A five-field crontab, a name such as `@daily`, or none for manual backups only.
    #[serde(default)]
    pub schedule: Option<String>,
    /// The IANA zone that the schedule is read in.
    #[serde(default)]
    pub timezone: Option<String>,
    /// Scheduled backups start up to this many seconds after their due time, each database at a time of
    /// its own; 0: at the due time.
    #[serde(default)]
    pub jitter_seconds: u32,
    /// Scheduled backups older than this many days are removed; none: no limit.
    #[serde(default)]
    pub retention_days: Option<u32>,
    /// Scheduled backups beyond the newest this many are removed; none: no limit.
    #[serde(default)]
    pub max_backups: Option<u32>,
    /// How artifacts are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// The shape of the dump, where the engine has several.
    #[serde(default)]
    pub format: DumpFormat,
    /// `age` recipients that artifacts are encrypted to; empty: not encrypted.
    #[serde(default)]
    pub encryption: Vec<String>,
    /// Whether schedules run.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whether packages hold its latest backup.
    #[serde(default)]
    pub package: bool,
    /// When backups are test-restored.
    #[serde(default)]
    pub verify: VerifyPolicy,
    /// Where long jobs run.
    #[serde(default)]
    pub runner: Runner,
    /// The TLS mode in the engine's own words (`sslmode` for PostgreSQL).
    #[serde(default)]
    pub tls: Option<String>,
    /// MongoDB: the collections that backups hold; empty: all.
    #[serde(default)]
    pub collections: Vec<String>,
    /// MongoDB: whether the database's own users and roles are backed up with it.
    #[serde(default)]
    pub users_and_roles: bool,
    /// MongoDB: whether what is written meanwhile goes into the dump, so that it is one point in time.
    #[serde(default)]
    pub oplog: bool,
    /// MongoDB: the database that the user is defined in; none: `admin`.
    #[serde(default)]
    pub auth_source: Option<String>,
    /// MongoDB: the name of the replica set that the hosts belong to.
    #[serde(default)]
    pub replica_set: Option<String>,
}

fn yes() -> bool {
    true
}

impl Settings {
    /// Settings of a database without a policy, each field as it is where nobody sets it.
    pub fn bare(name: impl Into<String>, engine: EngineKind, database_name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            engine,
            host: None,
            port: None,
            database_name: database_name.into(),
            schedule: None,
            timezone: None,
            jitter_seconds: 0,
            retention_days: None,
            max_backups: None,
            compression: Compression::default(),
            format: DumpFormat::default(),
            encryption: Vec::new(),
            enabled: true,
            package: false,
            verify: VerifyPolicy::default(),
            runner: Runner::default(),
            tls: None,
            collections: Vec::new(),
            users_and_roles: false,
            oplog: false,
            auth_source: None,
            replica_set: None,
        }
    }

    /// The fields as a JSON object, for merging.
    pub fn to_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            // Settings hold nothing that JSON cannot.
            _ => Map::new(),
        }
    }

    /// These settings with the given fields replaced, or which field was refused and why.
    ///
    /// The values' *types* are checked here; what they mean is checked by
    /// [`crate::databases::validate`].
    pub fn patched(&self, patch: &Map<String, Value>) -> Result<Self> {
        let mut current = self.to_map();
        for (field, value) in patch {
            if !current.contains_key(field) {
                let allowed = current.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(Error::invalid(
                    field,
                    format!("there is no such field; the fields are {allowed}"),
                ));
            }
            current.insert(field.clone(), value.clone());
            serde_json::from_value::<Self>(Value::Object(current.clone()))
                .map_err(|error| Error::invalid(field, error.to_string()))?;
        }
        serde_json::from_value(Value::Object(current))
            .map_err(|error| Error::internal("merge settings", error))
    }
}

/// How a database's user name and password are had. They are never returned and never logged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Credentials {
    /// None are needed (a file), or the server asks for none.
    #[default]
    None,
    /// Given by API, sealed under the master key and bound to this database.
    Sealed {
        /// The user name and the password, as JSON, sealed.
        secret: SealedSecret,
    },
    /// Names of variables that hold them; read when a job needs them.
    Reference {
        /// The variable that holds the user name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        username_var: Option<String>,
        /// The variable that holds the password.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password_var: Option<String>,
    },
}

/// A registered source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its number in this catalog.
    pub id: DatabaseId,
    /// Its name in storage.
    pub uid: DatabaseUid,
    /// Counts the record's changes; the catalog refuses a write that was read at another revision.
    #[serde(default)]
    pub revision: u64,
    /// The `id` of its entry in `config.yaml` (else that entry's `name`); none when made by API.
    #[serde(default)]
    pub config_id: Option<String>,
    /// What people set.
    pub settings: Settings,
    /// How its credentials are had.
    #[serde(default)]
    pub credentials: Credentials,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When its settings last changed.
    pub updated_at: Timestamp,
    /// When its schedule or zone last changed: no slot before it is ever due.
    pub schedule_changed_at: Timestamp,
    /// The next due time of its schedule.
    #[serde(default)]
    pub next_due_at: Option<Timestamp>,
    /// The newest slot that has come.
    #[serde(default)]
    pub last_due_at: Option<Timestamp>,
    /// What became of its backups.
    #[serde(default)]
    pub history: History,
    /// When the backup of that due time starts: later than it by the jitter. None: at it.
    #[serde(default)]
    pub next_start_at: Option<Timestamp>,
    /// Whether the definition in storage is older than this record.
    #[serde(default)]
    pub definition_stale: bool,
    /// Storage could not take the definition; it is not tried again before this time.
    #[serde(default)]
    pub definition_retry_at: Option<Timestamp>,
    /// The fields as the file last had them, the base of the next three-way merge.
    #[serde(default)]
    pub synced: Option<Map<String, Value>>,
}

impl Database {
    /// When its next scheduled backup starts; none while schedules do not run.
    pub fn next_run_at(&self) -> Option<Timestamp> {
        self.next_start_at.or(self.next_due_at).filter(|_| self.settings.enabled)
    }

    /// Records which slot comes next.
    pub fn set_due(&mut self, due: Option<Due>) {
        self.next_due_at = due.map(|due| due.slot);
        self.next_start_at = due.map(|due| due.start);
    }

    /// When a tick should next look at it: when its next backup starts, or at once while its definition in
    /// storage is stale. This is what the catalog's due index holds.
    pub fn attention_at(&self) -> Option<Timestamp> {
        self.write_definition_at().into_iter().chain(self.next_run_at()).min()
    }

    /// When its definition is to be written, while the one in storage is stale.
    pub fn write_definition_at(&self) -> Option<Timestamp> {
        self.definition_stale.then(|| self.definition_retry_at.unwrap_or(self.updated_at))
    }
}
