//! A restore of a database on a real server, put together by hand.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use respaldo_core::engine::mysql::{DumpObserver, Mysql as Engine};
use respaldo_core::engine::observe::Observer;
use respaldo_core::engine::{
    Dump, DumpFacts, DumpSource, JobLog, Loaded, Meter, Observed, ResolvedLogin, Restorer, Source, Survey,
    Target, Toolbox, WasSwapped,
};
use respaldo_core::model::{BackupKind, DumpFormat, EngineKind, Ownership, RestoreMode, RestoreOptions};
use respaldo_core::ports::{Clock, SecretString};
use respaldo_core::redact::Redactor;
use respaldo_core::{Error, Result};
use respaldo_testkit::app::TestClock;
use respaldo_testkit::host::random_hex;
use respaldo_testkit::mysql::Mysql;
use serde_json::json;
use tempfile::TempDir;

/// A dump, and where it shall go.
pub(crate) struct Restore {
    pub(crate) target: Target,
    pub(crate) dump: Vec<u8>,
    _staging: TempDir,
}

/// Whether a server is MariaDB's.
pub(crate) fn is_mariadb(server: &Mysql) -> bool {
    server.bin_dir().join("mariadb-dump").exists()
}

/// A dump as the engine makes it.
pub(crate) fn dump_of(server: &Mysql, database: &str) -> Vec<u8> {
    server.dump(database, if is_mariadb(server) { &["--dump-history"] } else { &[] })
}

pub(crate) fn observed(dump: &[u8]) -> Result<Observed> {
    let mut observer = DumpObserver::new();
    observer.feed(dump)?;
    Box::new(observer).finish()
}

impl Restore {
    /// Of this dump of `source`, made here, into the database `into`.
    pub(crate) fn new(server: &Mysql, dump: Vec<u8>, source: &str, into: &str) -> Self {
        let staging = TempDir::new().unwrap();
        let engine = if is_mariadb(server) { EngineKind::Mariadb } else { EngineKind::Mysql };
        let settings = json!({
            "name": "restored", "engine": engine, "host": server.host(), "port": server.port(),
            "database_name": into,
        });
        let clock: Arc<dyn Clock> = Arc::new(TestClock::default());
        let at = Source {
            settings: serde_json::from_value(settings).unwrap(),
            login: ResolvedLogin {
                username: Some(server.user().to_owned()),
                password: Some(SecretString::from(server.password().to_owned())),
            },
            toolbox: Arc::new(Toolbox::new([server.bin_dir().to_owned(), PathBuf::from("/usr/bin")])),
            staging: staging.path().to_owned(),
            sqlite_roots: vec![],
            log: JobLog::new(&clock, 1, Redactor::default()),
        };
        let id = random_hex(8);
        let seen = observed(&dump).unwrap_or_default();
        let target = Target {
            at,
            aside: format!("respaldo_aside_{id}"),
            kept: format!("respaldo_kept_{id}"),
            options: RestoreOptions {
                mode: RestoreMode::InPlace,
                ownership: Ownership::Keep,
                tables: vec![],
                force: false,
            },
            dump: DumpFacts {
                engine,
                format: DumpFormat::Plain,
                kind: BackupKind::Manual,
                database_name: source.to_owned(),
                server_version: seen.server_version,
                tool_version: seen.tool_version,
                raw_bytes: dump.len() as u64,
                fingerprint: Some(seen.fingerprint),
                trusted: true,
            },
            replaces: true,
            allow_superuser: false,
            meter: Arc::new(Meter::default()),
            scratch: false,
        };
        Self { target, dump, _staging: staging }
    }

    /// Of a database into itself.
    pub(crate) fn of(server: &Mysql, database: &str) -> Self {
        Self::new(server, dump_of(server, database), database, database)
    }

    /// By a swap.
    pub(crate) fn by_swap(mut self) -> Self {
        self.target.options.mode = RestoreMode::Swap;
        self
    }

    /// As if somebody had uploaded the dump.
    pub(crate) fn untrusted(mut self) -> Self {
        self.target.dump.trusted = false;
        self
    }

    /// With everything belonging to who restores.
    pub(crate) fn disowned(mut self) -> Self {
        self.target.options.ownership = Ownership::None;
        self
    }

    pub(crate) fn by_user(mut self, user: &str, password: &str) -> Self {
        self.target.at.login = ResolvedLogin {
            username: Some(user.to_owned()),
            password: Some(SecretString::from(password.to_owned())),
        };
        self
    }

    pub(crate) async fn survey(&self) -> Survey {
        Engine.survey(&self.target).await.unwrap()
    }

    pub(crate) async fn load(&self) -> Result<Loaded> {
        let bytes = self.dump.clone();
        let dump = DumpSource::new(move || Ok(Dump::new(Cursor::new(bytes.clone()))));
        Engine.load(&self.target, &dump).await
    }

    pub(crate) async fn refused(&self) -> Error {
        self.load().await.unwrap_err()
    }

    pub(crate) async fn swap(&self) -> Result<()> {
        Engine.swap(&self.target).await
    }

    /// Its undo: what was kept comes back, and what was restored is kept by another name.
    pub(crate) async fn swap_back(&mut self) -> Result<()> {
        self.target.aside.clone_from(&self.target.kept);
        self.target.kept.push('_');
        self.swap().await
    }

    pub(crate) async fn was_swapped(&self) -> WasSwapped {
        Engine.was_swapped(&self.target, None).await.unwrap()
    }

    pub(crate) async fn drop_aside(&self) {
        Engine.drop_aside(&self.target).await.unwrap();
    }

    pub(crate) async fn drop_kept(&self) {
        Engine.drop_kept(&self.target).await.unwrap();
    }

    pub(crate) fn log(&self) -> String {
        self.target.at.log.drain().into_iter().map(|entry| entry.line + "\n").collect()
    }
}

/// The databases of a server, but for its own and those of other tests.
pub(crate) fn has_database(server: &Mysql, name: &str) -> bool {
    let sql = format!("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = '{name}'");
    server.sql("mysql", &sql) == "1"
}

/// The accounts of loads that may touch this database.
pub(crate) fn accounts(server: &Mysql, database: &str) -> Vec<String> {
    let sql = format!(
        "SELECT user FROM mysql.db WHERE user LIKE 'respaldo\\_%' AND REPLACE(db, '\\\\', '') = '{database}'"
    );
    server.sql("mysql", &sql).lines().map(str::to_owned).collect()
}
