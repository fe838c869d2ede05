//! What comes back is what was dumped.

use respaldo_core::model::{DumpFormat, Ownership, RestoreMode};
use respaldo_testkit::host::unique;
use respaldo_testkit::postgres::{PgVersion, Postgres, quoted};

use super::support::{assert_same, destroy, dump, exists, observe, picture, restore, restore_as, sample};

async fn comes_back(version: PgVersion, format: DumpFormat, mode: RestoreMode) {
    let server = Postgres::shared_at(version);
    let database = sample(server);
    let before = picture(server, &database);
    let bytes = dump(server, &database, format);
    destroy(server, &database);
    assert_ne!(before, picture(server, &database));
    let restore = restore(server, &database, &bytes, mode);
    let survey = restore.survey().await;
    assert_eq!(survey.refusals, []);
    assert!(survey.present.target && !survey.present.aside && !survey.present.kept);
    assert!(survey.in_place_is_atomic && survey.size_bytes.unwrap() > 1_000_000);
    let loaded = restore.whole().await.unwrap();
    assert_eq!(loaded.observed, observe(&bytes, format).unwrap());
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert_same(&before, &picture(server, &database));
    assert_eq!(exists(server, &restore.target.kept), mode == RestoreMode::Swap);
    assert!(!exists(server, &restore.target.aside));
    assert_eq!(restore.target.meter.progress().raw_bytes, bytes.len() as u64);
    let analyzed = "SELECT reltuples FROM pg_class WHERE oid = 'app.big'::regclass";
    assert_eq!(server.psql(&database, analyzed), "10000", "statistics are gathered");
}

#[tokio::test]
async fn a_plain_dump_comes_back_by_swap() {
    comes_back(PgVersion::Debian, DumpFormat::Plain, RestoreMode::Swap).await;
}

#[tokio::test]
async fn a_plain_dump_comes_back_in_place() {
    comes_back(PgVersion::Debian, DumpFormat::Plain, RestoreMode::InPlace).await;
}

#[tokio::test]
async fn a_custom_dump_comes_back_by_swap() {
    comes_back(PgVersion::Debian, DumpFormat::Custom, RestoreMode::Swap).await;
}

#[tokio::test]
async fn a_custom_dump_comes_back_in_place() {
    comes_back(PgVersion::Debian, DumpFormat::Custom, RestoreMode::InPlace).await;
}

#[tokio::test]
async fn a_plain_dump_comes_back_by_swap_on_sixteen() {
    comes_back(PgVersion::Sixteen, DumpFormat::Plain, RestoreMode::Swap).await;
}

#[tokio::test]
async fn a_custom_dump_comes_back_in_place_on_sixteen() {
    comes_back(PgVersion::Sixteen, DumpFormat::Custom, RestoreMode::InPlace).await;
}

#[tokio::test]
async fn a_dump_comes_into_a_database_that_was_not_there() {
    let server = Postgres::shared();
    let database = sample(server);
    let bytes = dump(server, &database, DumpFormat::Custom);
    let copy = unique("Copy, with \"quotes\"");
    let restore = restore(server, &copy, &bytes, RestoreMode::Swap);
    let survey = restore.survey().await;
    assert!(!survey.present.target && survey.refusals.is_empty(), "{survey:?}");
    restore.whole().await.unwrap();
    assert_same(&server.dump_normalised(&database), &server.dump_normalised(&copy));
    assert!(!exists(server, &restore.target.kept), "there was nothing to keep");
    restore.swap().await.unwrap();
}

#[tokio::test]
async fn a_dump_of_fifteen_comes_into_sixteen() {
    let (old, new) = (Postgres::shared(), Postgres::shared_at(PgVersion::Sixteen));
    let database = old.fresh_database("older");
    old.sample_schema(&database);
    for format in [DumpFormat::Plain, DumpFormat::Custom] {
        let copy = unique("newer");
        restore(new, &copy, &dump(old, &database, format), RestoreMode::Swap).whole().await.unwrap();
        assert_eq!(new.psql(&copy, "SELECT count(*) FROM app.big"), "10000");
    }
}

#[tokio::test]
async fn a_database_s_encoding_and_locale_are_kept() {
    let server = Postgres::shared();
    let database = unique("latin");
    let name = quoted(&database);
    server.psql(
        "postgres",
        &format!(
            "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' \
             LOCALE_PROVIDER icu ICU_LOCALE 'de'"
        ),
    );
    server.psql(&database, "CREATE TABLE \"Größe\" (a text); INSERT INTO \"Größe\" VALUES ('Übel'), ('Ast')");
    let before = picture(server, &database);
    assert!(before.contains("LATIN1") && before.contains("ICU_LOCALE"));
    for format in [DumpFormat::Plain, DumpFormat::Custom] {
        let bytes = dump(server, &database, format);
        restore(server, &database, &bytes, RestoreMode::Swap).whole().await.unwrap();
        assert_same(&before, &picture(server, &database));
    }
}

#[tokio::test]
async fn without_ownership_everything_belongs_to_who_restores_and_grants_are_left_out() {
    let server = Postgres::shared();
    let source = server.fresh_database("owned");
    let (owner, reader, login) = (unique("owner"), unique("reader"), unique("login"));
    server.psql(
        &source,
        &format!(
            "CREATE ROLE {owner}; CREATE ROLE {reader}; CREATE ROLE {login} LOGIN PASSWORD 'pw' CREATEDB;
             CREATE SCHEMA s AUTHORIZATION {owner};
             CREATE TABLE s.t (id serial PRIMARY KEY, a text); ALTER TABLE s.t OWNER TO {owner};
             INSERT INTO s.t (a) VALUES ('GRANT ALL ON x TO y;'), ('z');
             CREATE FUNCTION s.f() RETURNS text LANGUAGE sql AS 'SELECT ''\nALTER TABLE s.t OWNER TO nobody;\nx''';
             GRANT SELECT ON s.t TO {reader};
             ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON TABLES TO {reader};"
        ),
    );
    for format in [DumpFormat::Plain, DumpFormat::Custom] {
        let bytes = dump(server, &source, format);
        for mode in [RestoreMode::Swap, RestoreMode::InPlace] {
            let copy = unique("mine");
            if mode == RestoreMode::InPlace {
                server.psql("postgres", &format!("CREATE DATABASE {copy} OWNER {login}"));
            }
            let mut restore = restore_as(server, (&login, "pw"), &copy, &bytes, mode);
            restore.target.options.ownership = Ownership::None;
            // Somebody else's dump may be loaded by who is no superuser.
            restore.target.dump.trusted = false;
            assert_eq!(restore.survey().await.refusals, []);
            restore.whole().await.unwrap();
            let owners = "SELECT string_agg(DISTINCT pg_get_userbyid(relowner) || ' ' || coalesce(relacl::text, '-'), ',')
                FROM pg_class WHERE relnamespace = 's'::regnamespace";
            assert_eq!(server.psql(&copy, owners), format!("{login} -"), "{format:?} {mode:?}");
            assert_eq!(server.psql(&copy, "SELECT count(*) FROM pg_default_acl"), "0");
            assert_eq!(server.psql(&copy, "SELECT s.f()"), "\nALTER TABLE s.t OWNER TO nobody;\nx");
            assert_eq!(
                server.psql(&copy, "SELECT string_agg(a, '|' ORDER BY id) FROM s.t"),
                "GRANT ALL ON x TO y;|z"
            );
        }
    }
}
