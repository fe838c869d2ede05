//! A dump, a target, and what a database looks like.

use std::io::Cursor;
use std::sync::Arc;

use respaldo_core::engine::observe::Observed;
use respaldo_core::engine::postgres::Postgres as Engine;
use respaldo_core::engine::{
    Dump, DumpFacts, DumpSource, Engine as _, JobLog, Loaded, Refusal, ResolvedLogin, Restorer, Source,
    Survey, Target, Toolbox, WasSwapped,
};
use respaldo_core::model::{
    BackupKind, DumpFormat, EngineKind, Ownership, RestoreMode, RestoreOptions, Settings,
};
use respaldo_core::ports::{Clock, SecretString};
use respaldo_core::{Error, Result};
use respaldo_testkit::app::TestClock;
use respaldo_testkit::host::{run, unique};
use respaldo_testkit::postgres::{PgVersion, Postgres, quoted};
use serde_json::json;
use tempfile::TempDir;

/// A target on a server, and everything that a restore into it needs.
pub(crate) struct Restore {
    pub(crate) target: Target,
    pub(crate) source: DumpSource,
    _staging: TempDir,
}

/// A restore of `dump` into `database`.
pub(crate) fn restore(server: &Postgres, database: &str, dump: &[u8], mode: RestoreMode) -> Restore {
    restore_as(server, (server.user(), server.password()), database, dump, mode)
}

pub(crate) fn restore_as(
    server: &Postgres,
    (user, password): (&str, &str),
    database: &str,
    dump: &[u8],
    mode: RestoreMode,
) -> Restore {
    let staging = tempfile::tempdir().unwrap();
    let login = ResolvedLogin {
        username: Some(user.to_owned()),
        password: Some(SecretString::from(password.to_owned())),
    };
    let clock: Arc<dyn Clock> = Arc::new(TestClock::default());
    let log = JobLog::new(&clock, 1, login.redactor());
    let settings: Settings = serde_json::from_value(json!({
        "name": "x", "engine": "postgres", "host": server.host(), "port": server.port(), "database_name": database,
    }))
    .unwrap();
    let at = Source {
        settings,
        login,
        toolbox: toolbox(),
        staging: staging.path().to_owned(),
        sqlite_roots: Vec::new(),
        log,
    };
    let id = unique("r");
    let target = Target {
        at,
        aside: format!("{id}-new \"x\""),
        kept: format!("{id}-old 'x'"),
        options: RestoreOptions { mode, ownership: Ownership::Keep, tables: Vec::new(), force: false },
        dump: facts(dump),
        replaces: exists(server, database),
        meter: Arc::default(),
        scratch: false,
        allow_superuser: false,
    };
    Restore { target, source: source(dump), _staging: staging }
}

pub(crate) fn toolbox() -> Arc<Toolbox> {
    Arc::new(Toolbox::new([PgVersion::Sixteen.bin_dir()]).with_distribution_folders())
}

fn facts(dump: &[u8]) -> DumpFacts {
    let custom = dump.starts_with(b"PGDMP");
    let format = if custom { DumpFormat::Custom } else { DumpFormat::Plain };
    let observed = observe(dump, format).unwrap_or_default();
    DumpFacts {
        engine: EngineKind::Postgres,
        format,
        kind: BackupKind::Manual,
        database_name: "x".to_owned(),
        server_version: observed.server_version,
        tool_version: observed.tool_version,
        raw_bytes: dump.len() as u64,
        fingerprint: Some(observed.fingerprint),
        trusted: true,
    }
}

pub(crate) fn observe(dump: &[u8], format: DumpFormat) -> Result<Observed> {
    let mut observer = Engine.observer(format);
    observer.feed(dump)?;
    observer.finish()
}

pub(crate) fn source(dump: &[u8]) -> DumpSource {
    let dump: Arc<[u8]> = dump.into();
    DumpSource::new(move || Ok(Dump::new(Cursor::new(Arc::clone(&dump)))))
}

/// A dump as the engine makes it.
pub(crate) fn dump(server: &Postgres, database: &str, format: DumpFormat) -> Vec<u8> {
    let mut tool = server.client("pg_dump", database);
    tool.env("PGTZ", "UTC");
    if format == DumpFormat::Custom {
        tool.args(["--format=custom", "--compress=0"]);
    }
    run(tool, std::io::empty()).stdout
}

/// Everything that `pg_dump` knows of a database: objects, rows, owners, grants, and its own settings.
pub(crate) fn picture(server: &Postgres, database: &str) -> String {
    let mut tool = server.client("pg_dump", database);
    tool.env("PGTZ", "UTC").args(["--create", "--restrict-key=key"]);
    String::from_utf8(run(tool, std::io::empty()).stdout).unwrap()
}

/// Says where two pictures differ, which is shorter than both.
pub(crate) fn assert_same(before: &str, after: &str) {
    let differing = before.lines().zip(after.lines()).enumerate().find(|(_, (a, b))| a != b);
    assert!(
        before == after,
        "line, before, after: {differing:?}; {} and {} bytes",
        before.len(),
        after.len()
    );
}

/// A database with the sample's objects, roles, settings and grants of its own.
pub(crate) fn sample(server: &Postgres) -> String {
    let database = unique("it's \"a\" -- target");
    server.create_database(&database);
    server.sample_schema(&database);
    server.hostile_names(&database);
    let (owner, reader) = (unique("Owner \"o\""), unique("reader"));
    let (name, o, r) = (quoted(&database), quoted(&owner), quoted(&reader));
    server.psql(
        &database,
        &format!(
            "CREATE ROLE {o}; CREATE ROLE {r};
             ALTER SCHEMA app OWNER TO {o}; ALTER TABLE app.big OWNER TO {o};
             GRANT USAGE ON SCHEMA app TO {r}; GRANT SELECT (id, name), UPDATE ON app.big TO {r} WITH GRANT OPTION;
             ALTER DEFAULT PRIVILEGES FOR ROLE {o} GRANT SELECT ON TABLES TO {r};
             ALTER DEFAULT PRIVILEGES FOR ROLE {o} IN SCHEMA app REVOKE EXECUTE ON FUNCTIONS FROM {r};
             CREATE POLICY theirs ON app.parent FOR UPDATE TO {r} USING (true);
             CREATE EXTENSION IF NOT EXISTS plpgsql;
             CREATE PUBLICATION told FOR TABLE app.big;
             ALTER DATABASE {name} OWNER TO {o};
             ALTER DATABASE {name} SET search_path TO \"$user\", app, 'odd, name', public;
             ALTER DATABASE {name} SET work_mem = '7MB';
             ALTER DATABASE {name} SET app.secret = 'it''s = \"x\"';
             ALTER ROLE {r} IN DATABASE {name} SET statement_timeout = '9s';
             ALTER DATABASE {name} SET default_transaction_read_only = on;
             GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {r} WITH GRANT OPTION;
             REVOKE CONNECT ON DATABASE {name} FROM PUBLIC;
             ALTER DATABASE {name} CONNECTION LIMIT 17;
             COMMENT ON DATABASE {name} IS E'ours,\\nwith ''lines''';"
        ),
    );
    database
}

/// What a careless person does to a database.
pub(crate) fn destroy(server: &Postgres, database: &str) {
    server.psql(
        database,
        "SET default_transaction_read_only = off;
         UPDATE app.big SET note = 'gone'; DELETE FROM app.texts; DROP SCHEMA \"select\" CASCADE;
         DROP TABLE app.types CASCADE; SELECT lo_unlink(424242); SELECT lo_from_bytea(77, 'new');
         SELECT setval('app.odd', 3);
         DROP SCHEMA public CASCADE; CREATE SCHEMA extra; CREATE TABLE extra.t (a int);
         CREATE CAST (text AS bytea) WITHOUT FUNCTION; CREATE FOREIGN DATA WRAPPER w;
         CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE PUBLICATION p FOR ALL TABLES;
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
         ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
         CREATE FUNCTION extra.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER ev ON ddl_command_end EXECUTE FUNCTION extra.e();",
    );
}

impl Restore {
    pub(crate) async fn survey(&self) -> Survey {
        Engine.survey(&self.target).await.unwrap()
    }

    pub(crate) async fn load(&self) -> Result<Loaded> {
        Engine.load(&self.target, &self.source).await
    }

    pub(crate) async fn swap(&self) -> Result<()> {
        Engine.swap(&self.target).await
    }

    pub(crate) async fn was_swapped(&self) -> WasSwapped {
        Engine.was_swapped(&self.target, None).await.unwrap()
    }

    pub(crate) async fn drop_aside(&self) -> Result<()> {
        Engine.drop_aside(&self.target).await
    }

    pub(crate) async fn drop_kept(&self) -> Result<()> {
        Engine.drop_kept(&self.target).await
    }

    /// All of it, as the driver does it.
    pub(crate) async fn whole(&self) -> Result<Loaded> {
        let loaded = self.load().await?;
        if self.target.options.mode == RestoreMode::Swap {
            self.swap().await?;
        }
        Ok(loaded)
    }
}

/// The refusal that says so.
pub(crate) fn refusal<'a>(survey: &'a Survey, says: &str) -> &'a Refusal {
    let found = survey.refusals.iter().find(|refusal| refusal.reason.contains(says));
    found.unwrap_or_else(|| panic!("{says:?} is not among {:?}", survey.refusals))
}

pub(crate) fn exists(server: &Postgres, database: &str) -> bool {
    let name = database.replace('\'', "''");
    server.psql("postgres", &format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'")) == "1"
}

pub(crate) fn failed<T: std::fmt::Debug>(result: Result<T>) -> Error {
    let error = result.expect_err("it should fail");
    assert!(!error.to_string().contains('\n'), "{error}");
    error
}
