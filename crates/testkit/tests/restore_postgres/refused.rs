//! What cannot go well is said before anything is touched, and what fails leaves the target as it was.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use respaldo_core::ErrorKind;
use respaldo_core::engine::postgres::MISSING_EXTENSION;
use respaldo_core::engine::{Dump, DumpSource, Toolbox};
use respaldo_core::model::{DumpFormat, RestoreMode};
use respaldo_testkit::host::{eventually, unique};
use respaldo_testkit::postgres::{PgVersion, Postgres};
use respaldo_testkit::tools::{Behaviour, FakeTool, Toolbox as FakeToolbox};

use super::support::{
    assert_same, dump, exists, failed, picture, refusal, restore, restore_as, sample, source,
};

const MODES: [RestoreMode; 2] = [RestoreMode::Swap, RestoreMode::InPlace];
const FORMATS: [DumpFormat; 2] = [DumpFormat::Plain, DumpFormat::Custom];

#[tokio::test]
async fn a_newer_server_s_dump_is_refused_by_an_older_one_and_force_overrules_that() {
    let (old, new) = (Postgres::shared(), Postgres::shared_at(PgVersion::Sixteen));
    let database = new.fresh_database("newer");
    let target = old.fresh_database("older");
    let restore = restore(old, &target, &dump(new, &database, DumpFormat::Plain), RestoreMode::Swap);
    let survey = restore.survey().await;
    let older = refusal(&survey, "the dump is of PostgreSQL 16");
    assert!(older.forceable && older.mend.contains("16"), "{older:?}");
}

#[tokio::test]
async fn missing_and_old_tools_are_refused_for_good() {
    let server = Postgres::shared_at(PgVersion::Sixteen);
    let database = server.fresh_database("tools");
    let bytes = dump(server, &database, DumpFormat::Custom);
    let mut restore = restore(server, &database, &bytes, RestoreMode::Swap);
    let psql = server.bin_dir().join("psql").display().to_string();
    let passes = FakeTool::new("psql")
        .version("psql (PostgreSQL) 15.2")
        .behaviour(Behaviour::Script(format!("exec {psql} \"$@\"")));
    let tools = FakeToolbox::new().with(&passes);
    restore.target.at.toolbox = Arc::new(Toolbox::new([tools.path()]));
    let survey = restore.survey().await;
    let old = refusal(&survey, "the newest psql here is 15");
    assert!(!old.forceable && old.mend.contains("postgresql-client-16"), "{old:?}");
}

#[tokio::test]
async fn a_login_without_the_rights_is_refused_and_told_which() {
    let server = Postgres::shared();
    let database = server.fresh_database("theirs");
    let login = unique("weak");
    server.psql("postgres", &format!("CREATE ROLE {login} LOGIN PASSWORD 'pw'"));
    let bytes = dump(server, &database, DumpFormat::Plain);
    let restore = restore_as(server, (&login, "pw"), &database, &bytes, RestoreMode::Swap);
    let survey = restore.survey().await;
    assert!(!refusal(&survey, "may not create databases").forceable);
    let owner = refusal(&survey, "belongs to postgres");
    assert!(!owner.forceable && owner.mend.contains("postgres"), "{owner:?}");
}

#[tokio::test]
async fn templates_and_databases_that_are_not_there_are_refused() {
    let server = Postgres::shared();
    let bytes = dump(server, &server.fresh_database("some"), DumpFormat::Plain);
    for name in ["postgres", "template0", "template1"] {
        let survey = restore(server, name, &bytes, RestoreMode::Swap).survey().await;
        assert!(survey.refusals.iter().any(|refusal| !refusal.forceable), "{survey:?}");
        assert!(!survey.modes.contains(&RestoreMode::Swap));
    }
    let survey = restore(server, &unique("nowhere"), &bytes, RestoreMode::InPlace).survey().await;
    assert!(!refusal(&survey, "there is no database").forceable);
}

#[tokio::test]
async fn slots_subscriptions_and_prepared_transactions_are_found() {
    let server = Postgres::shared();
    let database = server.fresh_database("followed");
    let bytes = dump(server, &database, DumpFormat::Plain);
    let slot = unique("slot");
    let follow = format!("SELECT FROM pg_create_logical_replication_slot('{slot}', 'pgoutput')");
    server.psql(&database, &follow);
    server.psql(
        &database,
        "CREATE SUBSCRIPTION news CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false)",
    );
    server.psql(&database, "BEGIN; CREATE TABLE t (a int); PREPARE TRANSACTION 'half'");
    let survey = restore(server, &database, &bytes, RestoreMode::Swap).survey().await;
    assert!(refusal(&survey, &slot).forceable);
    assert!(refusal(&survey, "subscribes to others, and would stop to: news").forceable);
    assert!(!refusal(&survey, "1 prepared transactions").forceable);
    let survey = restore(server, &database, &bytes, RestoreMode::InPlace).survey().await;
    assert!(!refusal(&survey, "\"news\" cannot be dropped in a transaction").forceable);
    assert!(survey.refusals.iter().all(|refusal| !refusal.reason.contains(&slot)), "slots stay in place");
}

#[tokio::test]
async fn a_cut_dump_leaves_the_target_as_it_was() {
    let server = Postgres::shared();
    let database = sample(server);
    let before = picture(server, &database);
    for format in FORMATS {
        let whole = dump(server, &database, format);
        for mode in MODES {
            let mut all_but_the_end = restore(server, &database, &whole, mode);
            all_but_the_end.source = source(&whole[..whole.len() - 60]);
            let mut half = restore(server, &database, &whole, mode);
            half.source = source(&whole[..whole.len() / 2]);
            for restore in [all_but_the_end, half] {
                let error = failed(restore.load().await);
                assert_eq!(error.kind(), ErrorKind::Incomplete, "{format:?} {mode:?} {error}");
                restore.drop_aside().await.unwrap();
                assert!(!exists(server, &restore.target.aside));
                assert_same(&before, &picture(server, &database));
            }
        }
    }
}

/// Gives a dump, and then an error instead of its end: a digest that does not match.
struct Corrupt(std::io::Cursor<Vec<u8>>);

impl Read for Corrupt {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "the digest does not match")),
            read => Ok(read),
        }
    }
}

#[tokio::test]
async fn a_dump_whose_digest_is_wrong_at_its_very_end_is_not_committed() {
    let server = Postgres::shared();
    let database = sample(server);
    let before = picture(server, &database);
    for format in FORMATS {
        let whole = dump(server, &database, format);
        let mut restore = restore(server, &database, &whole, RestoreMode::InPlace);
        restore.source = DumpSource::new(move || Ok(Dump::new(Corrupt(std::io::Cursor::new(whole.clone())))));
        let error = failed(restore.load().await);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{format:?} {error}");
        assert_same(&before, &picture(server, &database));
    }
}

#[tokio::test]
async fn a_dump_with_more_bytes_than_it_should_have_is_refused() {
    let server = Postgres::shared();
    let database = server.fresh_database("longer");
    let bytes = dump(server, &database, DumpFormat::Plain);
    let mut restore = restore(server, &database, &bytes, RestoreMode::Swap);
    restore.target.dump.raw_bytes -= 1;
    assert_eq!(failed(restore.load().await).kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_role_that_the_server_lacks_is_named_and_the_target_stays() {
    let server = Postgres::shared();
    let database = server.fresh_database("roles");
    let role = unique("gone");
    server.psql(
        &database,
        &format!("CREATE ROLE {role}; CREATE TABLE t (a int); ALTER TABLE t OWNER TO {role}"),
    );
    let bytes = dump(server, &database, DumpFormat::Custom);
    server.psql(
        &database,
        &format!("ALTER TABLE t OWNER TO postgres; DROP ROLE {role}; INSERT INTO t VALUES (1)"),
    );
    let before = picture(server, &database);
    for mode in MODES {
        let restore = restore(server, &database, &bytes, mode);
        let error = failed(restore.load().await);
        assert!(error.kind() == ErrorKind::Conflict && !error.is_retryable(), "{error}");
        let mend = error.mend().unwrap();
        assert!(mend.contains(&role) && mend.contains("ownership none"), "{error}");
        assert_same(&before, &picture(server, &database));
        restore.drop_aside().await.unwrap();
    }
}

#[tokio::test]
async fn an_extension_that_the_server_lacks_is_recognised() {
    let server = Postgres::shared();
    let database = server.fresh_database("extension");
    server.psql(&database, "CREATE EXTENSION IF NOT EXISTS plpgsql; CREATE TABLE t (a int)");
    let text = String::from_utf8(dump(server, &database, DumpFormat::Plain)).unwrap();
    let with = text.replacen(
        "SET default_tablespace = '';",
        "CREATE EXTENSION IF NOT EXISTS from_the_moon WITH SCHEMA public;\n\nSET default_tablespace = '';",
        1,
    );
    assert_ne!(text, with);
    let error = failed(restore(server, &database, with.as_bytes(), RestoreMode::Swap).load().await);
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Tool, MISSING_EXTENSION), "{error}");
    assert!(!error.is_retryable() && error.message().contains("from_the_moon"), "{error}");
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_of_a_load_leaves_the_target_as_it_was() {
    let server = Postgres::start(PgVersion::Debian);
    let database = server.fresh_database("crash");
    server.psql(
        &database,
        "CREATE TABLE t (a text); INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 4000)",
    );
    let whole = dump(&server, &database, DumpFormat::Plain);
    let aside = restore(&server, &database, &whole, RestoreMode::Swap);
    let in_place = restore(&server, &database, &whole, RestoreMode::InPlace);
    for mut restore in [aside, in_place] {
        let meter = Arc::clone(&restore.target.meter);
        let slow = whole.clone();
        restore.source = DumpSource::new(move || Ok(Dump::new(Slow(std::io::Cursor::new(slow.clone())))));
        let loading = tokio::spawn(async move { (restore.load().await, restore) });
        let waiting = tokio::task::spawn_blocking(move || {
            eventually("rows have been loaded", Duration::from_secs(20), || {
                meter.progress().raw_bytes > 1_000_000
            });
        });
        waiting.await.unwrap();
        let backends =
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'COPY public.t%'";
        assert_eq!(server.psql("postgres", backends), "1");
        let (loaded, restore) = loading.await.unwrap();
        let error = failed(loaded);
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_retryable(), "{error}");
        assert_eq!(server.psql(&database, "SELECT count(*) FROM t"), "4000");
        let again = super::support::restore(&server, &database, &whole, restore.target.options.mode);
        again.whole().await.unwrap();
        assert_eq!(server.psql(&database, "SELECT count(*) FROM t"), "4000");
    }
    let restore = restore(&server, &database, &whole, RestoreMode::Swap);
    server.kill();
    let error = failed(restore.load().await);
    assert!(error.kind() == ErrorKind::Unavailable && error.is_retryable(), "{error}");
}

/// Gives a few bytes at a time.
struct Slow(std::io::Cursor<Vec<u8>>);

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        std::thread::sleep(Duration::from_millis(2));
        let most = buffer.len().min(8192);
        self.0.read(&mut buffer[..most])
    }
}
