//! A test restore on a server of its own makes what the dump names.

use respaldo_core::model::{DumpFormat, RestoreMode};
use respaldo_testkit::host::unique;
use respaldo_testkit::postgres::{PgVersion, Postgres};

use super::support::{assert_same, dump, restore, sample};

#[tokio::test]
async fn roles_that_the_dump_names_are_made_before_they_are_needed() {
    let server = Postgres::shared();
    let scratch = Postgres::start(PgVersion::Debian);
    let database = sample(server);
    for format in [DumpFormat::Plain, DumpFormat::Custom] {
        let bytes = dump(server, &database, format);
        let copy = unique("scratch");
        let mut restore = restore(&scratch, &copy, &bytes, RestoreMode::Swap);
        restore.target.scratch = true;
        restore.target.dump.trusted = false;
        assert_eq!(restore.survey().await.refusals, []);
        restore.whole().await.unwrap();
        assert_same(&server.dump_normalised(&database), &scratch.dump_normalised(&copy));
        let made = "SELECT count(*) FROM pg_roles WHERE rolcanlogin AND oid > 16384";
        assert_eq!(scratch.psql("postgres", made), "0");
        // Made by the first of the two, and found by the second.
        let roles = "SELECT string_agg(rolname, '') FROM pg_roles WHERE oid > 16384";
        assert!(scratch.psql("postgres", roles).contains("Owner \"o\""));
    }
}

#[tokio::test]
async fn tablespaces_that_the_scratch_server_lacks_do_not_matter() {
    let server = Postgres::shared();
    let scratch = Postgres::start(PgVersion::Debian);
    let database = server.fresh_database("spaces");
    let space = unique("space");
    let sql = format!("SET allow_in_place_tablespaces = on; CREATE TABLESPACE {space} LOCATION ''");
    server.psql(&database, &sql);
    let sql = format!("CREATE TABLE t (a int PRIMARY KEY) TABLESPACE {space}; INSERT INTO t VALUES (1)");
    server.psql(&database, &sql);
    for format in [DumpFormat::Plain, DumpFormat::Custom] {
        let bytes = dump(server, &database, format);
        let copy = unique("scratch");
        let mut restore = restore(&scratch, &copy, &bytes, RestoreMode::Swap);
        assert!(restore.load().await.is_err(), "without scratch it is needed");
        restore.target.scratch = true;
        restore.whole().await.unwrap();
        assert_eq!(scratch.psql(&copy, "SELECT a FROM t"), "1");
    }
}
