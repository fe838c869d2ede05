//! A dump that somebody made to do harm runs nothing, and leaves the target as it was.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use respaldo_core::ErrorKind;
use respaldo_core::model::{DumpFormat, RestoreMode};
use respaldo_testkit::host::unique;
use respaldo_testkit::postgres::Postgres;

use super::support::{assert_same, dump, exists, failed, picture, refusal, restore, restore_as};

const MODES: [RestoreMode; 2] = [RestoreMode::Swap, RestoreMode::InPlace];

/// A database of a login that is no superuser, and a plain dump of it.
fn theirs(server: &Postgres) -> (String, String, String) {
    let login = unique("tenant");
    server.psql("postgres", &format!("CREATE ROLE {login} LOGIN PASSWORD 'pw' CREATEDB"));
    let database = unique("tenants");
    server.psql("postgres", &format!("CREATE DATABASE {database} OWNER {login}"));
    server.psql(
        &database,
        &format!("SET ROLE {login}; CREATE TABLE public.t (a text); INSERT INTO public.t VALUES ('x')"),
    );
    let text = String::from_utf8(dump(server, &database, DumpFormat::Plain)).unwrap();
    (login, database, text)
}

#[tokio::test]
async fn commands_of_psql_never_reach_it_on_the_way_aside() {
    commands_never_reach_psql(RestoreMode::Swap).await;
}

#[tokio::test]
async fn commands_of_psql_never_reach_it_in_place() {
    commands_never_reach_psql(RestoreMode::InPlace).await;
}

async fn commands_never_reach_psql(mode: RestoreMode) {
    let server = Postgres::shared();
    let (login, database, text) = theirs(server);
    let before = picture(server, &database);
    let canary = tempfile::tempdir().unwrap();
    let file = canary.path().join("canary").display().to_string();
    let token = text.split("\\restrict ").nth(1).unwrap().lines().next().unwrap().to_owned();
    let rows = "COPY public.t (a) FROM stdin;\nx\n";
    assert!(text.contains(rows));
    let at_the_end = format!("\\unrestrict {token}");
    let attacks = [
        text.replacen(rows, &format!("\\! touch {file}\n{rows}"), 1),
        text.replacen(rows, &format!("\\copy public.t TO '{file}'\n{rows}"), 1),
        text.replacen(rows, &format!("\\c postgres\n{rows}"), 1),
        text.replacen(rows, &format!("\\connect postgres\n{rows}"), 1),
        text.replacen(rows, &format!("\\i {file}\n{rows}"), 1),
        text.replacen(rows, &format!("\\o | touch {file}\n{rows}"), 1),
        text.replacen(rows, &format!("\\restrict {token}\n{rows}"), 1),
        // Left early, with the token that the dump itself tells.
        text.replacen(rows, &format!("\\unrestrict {token}\n\\! touch {file}\n{rows}"), 1),
        text.replacen(rows, &format!("SELECT 1 \\! touch {file}\n;\n{rows}"), 1),
        text.replacen(rows, &format!("SELECT 1 \\g | touch {file}\n{rows}"), 1),
        // For psql these rows end here; for whoever looks for `\.` and a newline they do not.
        text.replacen(rows, &format!("{rows}\\.\r\n\\! touch {file}\n"), 1),
        // Read in another way after the setting is changed behind the filter's back.
        text.replacen(
            rows,
            &format!(
                "SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false);\n\
                SELECT '\\' || ' \\! touch {file} \n';\n{rows}"
            ),
            1,
        ),
        format!("{}\n\\! touch {file}\n{at_the_end}\n", text.trim_end().strip_suffix(&at_the_end).unwrap()),
    ];
    let mut attacks: Vec<Vec<u8>> = attacks.into_iter().map(String::into_bytes).collect();
    // In this encoding the backslash is half a letter, so that for psql the string ends before it.
    let (before_rows, from_rows) = text.split_at(text.find(rows).unwrap());
    let encoded = [before_rows.as_bytes(), b"SET client_encoding = 'SJIS';\nSELECT E'\x95\\' \\! touch "];
    attacks.push([&encoded.concat(), file.as_bytes(), b"\n';\n", from_rows.as_bytes()].concat());
    for (number, attack) in attacks.iter().enumerate() {
        let mut restore = restore_as(server, (&login, "pw"), &database, attack, mode);
        restore.target.dump.trusted = false;
        restore.target.dump.raw_bytes = attack.len() as u64;
        let error = failed(restore.load().await);
        assert!(!error.is_retryable(), "{number} {error}");
        assert_eq!(std::fs::read_dir(canary.path()).unwrap().count(), 0, "{number} ran: {error}");
        restore.drop_aside().await.unwrap();
        assert_eq!(server.psql(&database, "SELECT a FROM t"), "x", "{number} {error}");
    }
    assert_same(&before, &picture(server, &database));
}

#[tokio::test]
async fn an_unmarked_dump_of_an_older_tool_loads() {
    let server = Postgres::shared();
    let (login, database, text) = theirs(server);
    let older: String =
        text.lines().filter(|line| !line.contains("restrict ")).map(|line| format!("{line}\n")).collect();
    assert_ne!(text, older);
    for mode in MODES {
        let restore = restore_as(server, (&login, "pw"), &database, older.as_bytes(), mode);
        server.psql(&database, "DELETE FROM t");
        restore.whole().await.unwrap();
        assert_eq!(server.psql(&database, "SELECT a FROM t"), "x");
    }
}

#[tokio::test]
async fn programs_and_files_of_the_server_are_out_of_reach() {
    let server = Postgres::shared();
    let (login, database, text) = theirs(server);
    let before = picture(server, &database);
    let canary = tempfile::tempdir().unwrap();
    // The server is another user.
    fs::set_permissions(canary.path(), Permissions::from_mode(0o777)).unwrap();
    let file = canary.path().join("canary").display().to_string();
    let end = "--\n-- PostgreSQL database dump complete";
    for (attack, says) in [
        (format!("DO 'BEGIN COPY public.t FROM PROGRAM ''touch {file}''; END';\n\n"), "an external program"),
        ("DO 'BEGIN COPY public.t FROM ''/etc/passwd''; END';\n\n".to_owned(), "from a file"),
        (format!("COPY public.t FROM PROGRAM 'touch {file}';\n\n"), "a form that pg_dump does not write"),
    ] {
        let dump = text.replacen(end, &format!("{attack}{end}"), 1);
        assert_ne!(dump, text);
        for mode in MODES {
            let mut theirs = restore_as(server, (&login, "pw"), &database, dump.as_bytes(), mode);
            theirs.target.dump.trusted = false;
            theirs.target.dump.raw_bytes = dump.len() as u64;
            let error = failed(theirs.load().await);
            assert!(!error.is_retryable() && error.message().contains(says), "{error}");
            theirs.drop_aside().await.unwrap();
            // A superuser does not even begin.
            let mut ours = restore(server, &database, dump.as_bytes(), mode);
            ours.target.dump.trusted = false;
            let survey = ours.survey().await;
            let refused = refusal(&survey, "superuser");
            assert!(!refused.forceable && refused.mend.contains("restore.allow_superuser"), "{refused:?}");
            assert_eq!(failed(ours.load().await).kind(), ErrorKind::Conflict);
            ours.target.allow_superuser = true;
            assert!(!ours.survey().await.refusals.iter().any(|it| it.reason.contains("superuser")));
        }
    }
    assert_eq!(std::fs::read_dir(canary.path()).unwrap().count(), 0);
    assert_same(&before, &picture(server, &database));
}

#[tokio::test]
async fn a_dump_cannot_commit_halfway_in_place() {
    let server = Postgres::shared();
    let (login, database, text) = theirs(server);
    let before = picture(server, &database);
    let rows = "COPY public.t (a) FROM stdin;\nx\n";
    for end in
        ["COMMIT AND CHAIN;", "END;", "ROLLBACK;", "/* x */ COMMIT /* y */ WORK;", "PREPARE TRANSACTION 'x';"]
    {
        let dump = text.replacen(rows, &format!("{end}\n{rows}"), 1);
        let mut restore =
            restore_as(server, (&login, "pw"), &database, dump.as_bytes(), RestoreMode::InPlace);
        restore.target.dump.raw_bytes = dump.len() as u64;
        let error = failed(restore.load().await);
        assert!(error.message().contains("transaction"), "{error}");
        assert_same(&before, &picture(server, &database));
    }
}

#[tokio::test]
async fn a_dump_cannot_drop_a_database_on_its_way_aside() {
    let server = Postgres::shared();
    let (login, database, text) = theirs(server);
    let other = unique("others");
    server.psql("postgres", &format!("CREATE DATABASE {other} OWNER {login}"));
    let end = "--\n-- PostgreSQL database dump complete";
    for victim in [&other, &database] {
        let dump = text.replacen(end, &format!("DROP DATABASE {victim};\n\n{end}"), 1);
        assert_ne!(dump, text);
        let mut theirs = restore_as(server, (&login, "pw"), &database, dump.as_bytes(), RestoreMode::Swap);
        theirs.target.dump.trusted = false;
        theirs.target.dump.raw_bytes = dump.len() as u64;
        let loaded = theirs.load().await;
        theirs.drop_aside().await.unwrap();
        assert!(exists(server, victim), "{victim} was dropped by a dump that was loaded beside it");
        failed(loaded);
    }
}
