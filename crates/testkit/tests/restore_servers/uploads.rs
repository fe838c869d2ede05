//! Dumps that people made themselves with the stock tools, uploaded and restored by a login of few rights.

use std::path::Path;

use respaldo_core::model::{BackupKind, Database, DumpFormat, Job, Status};
use respaldo_core::restore::{self, Request, Wanted};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::{run, unique};
use respaldo_testkit::mysql::{self, Mysql};
use respaldo_testkit::postgres::Postgres;

use crate::support::{
    assert_same, beside, fields_of_mariadb, fields_of_postgres, new_id, picture, register, request_of,
    restored, safety_of, send, undone,
};

/// A database that belongs to a login which is no superuser, registered with that login.
struct Tenant {
    server: &'static Postgres,
    test: TestApp,
    name: String,
    database: Database,
}

impl Tenant {
    async fn new() -> Self {
        let (server, test) = (Postgres::shared(), TestApp::new());
        let (login, name) = (unique("tenant"), unique("tienda"));
        server.psql("postgres", &format!("CREATE ROLE {login} LOGIN PASSWORD 'pw' CREATEDB"));
        server.psql("postgres", &format!("CREATE DATABASE {name} OWNER {login}"));
        server.psql(
            &name,
            &format!(
                "SET ROLE {login};
                 CREATE SCHEMA app; CREATE TYPE app.size AS ENUM ('s', 'l');
                 CREATE TABLE app.t (id serial PRIMARY KEY, size app.size NOT NULL, a text UNIQUE);
                 INSERT INTO app.t (size, a) SELECT 's', 'row ' || i FROM generate_series(1, 500) i;
                 CREATE TABLE public.u (id int REFERENCES app.t, b bytea); INSERT INTO public.u VALUES (1, 'ñ\\000');
                 CREATE VIEW app.v AS SELECT a FROM app.t WHERE size = 's';
                 CREATE FUNCTION app.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.a := NEW.a || ''!''; RETURN NEW; END';
                 CREATE TRIGGER tr BEFORE UPDATE ON app.t FOR EACH ROW EXECUTE FUNCTION app.f();
                 COMMENT ON TABLE app.t IS 'the tenant''s';"
            ),
        );
        let database = register(&test, fields_of_postgres(server, &name, "plain"), &login, "pw").await;
        Self { server, test, name, database }
    }

    /// What the stock tool makes of it.
    fn dumped(&self, options: &[&str]) -> Vec<u8> {
        let mut dump = self.server.client("pg_dump", &self.name);
        dump.args(options);
        run(dump, std::io::empty()).stdout
    }

    async fn uploaded(&self, file: &[u8]) -> Job {
        let job = send(&self.test, &self.database, file).await.unwrap();
        assert_eq!(job.backup().unwrap().kind, BackupKind::Uploaded);
        job
    }
}

fn into_new(backup: &Job, name: &str) -> Request {
    Request { target: Some(Wanted::Name(name.to_owned())), ..request_of(backup.id) }
}

async fn goes_into_a_new_name_and_over_the_same(options: &[&str], format: DumpFormat) {
    let tenant = Tenant::new().await;
    let (server, test, name) = (tenant.server, &tenant.test, &tenant.name);
    let healthy = (server.dump_normalised(name), picture(server, name));
    let upload = tenant.uploaded(&tenant.dumped(options)).await;
    assert_eq!(upload.backup().unwrap().format, format);
    server.psql(name, "DROP TABLE public.u; DELETE FROM app.t WHERE id > 7");
    let damaged = picture(server, name);

    let copy = unique("copy");
    restored(test, &into_new(&upload, &copy)).await;
    assert_same(&healthy.0, &server.dump_normalised(&copy), "in a database of another name");
    assert_same(&damaged, &picture(server, name), "the database itself is left alone");

    let over = restored(test, &request_of(upload.id)).await;
    assert_same(&healthy.1, &picture(server, name), "over the same database");
    safety_of(test, &over).await;
    undone(test, &over).await;
    assert_same(&damaged, &picture(server, name), "undone");
    test.assert_promises().await;
}

#[tokio::test]
async fn an_uploaded_plain_dump_of_postgresql_is_restored_by_who_is_no_superuser() {
    Box::pin(goes_into_a_new_name_and_over_the_same(&[], DumpFormat::Plain)).await;
}

#[tokio::test]
async fn an_uploaded_compressed_archive_of_postgresql_is_restored_by_who_is_no_superuser() {
    Box::pin(goes_into_a_new_name_and_over_the_same(&["-Fc"], DumpFormat::Custom)).await;
}

/// It is refused on its way in, or when it is loaded; answers what was said.
async fn comes_to_nothing(test: &TestApp, database: &Database, dump: &str) -> String {
    let upload = match send(test, database, dump.as_bytes()).await {
        Ok(upload) => upload,
        Err(error) => return error.to_string(),
    };
    let job = match Box::pin(restore::request(&test.app, &request_of(upload.id), new_id(test))).await {
        Ok(job) => job,
        Err(error) => return error.to_string(),
    };
    let ended = test.run_to_end(job.id).await;
    assert_eq!(ended.status, Status::Failed, "{:?}", ended.restoration());
    ended.error.unwrap().to_string()
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn an_uploaded_dump_that_means_harm_leaves_a_postgresql_database_as_it_was() {
    let tenant = Tenant::new().await;
    let (server, test, name) = (tenant.server, &tenant.test, &tenant.name);
    let before = picture(server, name);
    let text = String::from_utf8(tenant.dumped(&[])).unwrap();
    let canary = world_writable();
    let file = canary.path().join("canary").display().to_string();
    let (rows, end) = ("COPY app.t (", "--\n-- PostgreSQL database dump complete");
    for (at, attack) in [
        (rows, format!("\\! touch {file}\n")),
        (end, format!("\\! touch {file}\n")),
        (rows, format!("\\copy app.t TO PROGRAM 'touch {file}'\n")),
        (end, format!("COPY app.t TO PROGRAM 'touch {file}';\n\n")),
        (end, format!("DO 'BEGIN COPY app.t TO PROGRAM ''touch {file}''; END';\n\n")),
        (rows, "\\connect postgres\n".to_owned()),
    ] {
        let dump = text.replacen(at, &format!("{attack}{at}"), 1);
        assert_ne!(dump, text);
        let said = comes_to_nothing(test, &tenant.database, &dump).await;
        assert_eq!(entries(canary.path()), 0, "{attack} ran: {said}");
        assert_same(&before, &picture(server, name), &format!("{attack}: {said}"));
        assert_eq!(beside(server, name), Vec::<String>::new(), "{attack}: {said}");
    }
    test.assert_promises().await;
}

fn world_writable() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    folder
}

/// A MariaDB database, a neighbour, and a login that may make accounts and pass on what it holds on these names.
async fn maria(test: &TestApp, server: &Mysql) -> (String, String, Database) {
    let (name, login) = (unique("tienda"), unique("keeper"));
    let copy = format!("{name}x");
    let mut sql =
        format!("CREATE USER {login} IDENTIFIED BY 'pw'; GRANT CREATE USER, PROCESS ON *.* TO {login};");
    for on in [&name, &copy] {
        sql += &format!("GRANT ALL ON {} . * TO {login} WITH GRANT OPTION;", mysql::quoted(on));
    }
    server.sql("mysql", &sql);
    server.create_database(&name);
    server.sql(
        &name,
        "CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, a varchar(30), b blob);
         INSERT INTO t (a, b) VALUES ('one', x'00ff'), ('ñ', NULL);
         CREATE TABLE c (id int PRIMARY KEY, FOREIGN KEY (id) REFERENCES t (id)); INSERT INTO c VALUES (1);",
    );
    let database = register(test, fields_of_mariadb(server, &name), &login, "pw").await;
    (name, copy, database)
}

#[tokio::test]
async fn an_uploaded_dump_of_mariadb_is_restored_by_who_may_make_accounts() {
    let (server, test) = (Mysql::shared(), TestApp::new());
    let (name, copy, database) = maria(&test, server).await;
    let healthy = server.dump_normalised(&name);
    let mut tool = server.client("mariadb-dump");
    tool.args(["--single-transaction", "--", &name]);
    let upload = send(&test, &database, &run(tool, std::io::empty()).stdout).await.unwrap();
    server.sql(&name, "DROP TABLE c; DELETE FROM t; CREATE TABLE written_since (a int)");
    let damaged = server.dump_normalised(&name);

    restored(&test, &into_new(&upload, &copy)).await;
    assert_same(&healthy, &server.dump_normalised(&copy), "in a database of another name");
    assert_same(&damaged, &server.dump_normalised(&name), "the database itself is left alone");

    let over = restored(&test, &request_of(upload.id)).await;
    assert_same(&healthy, &server.dump_normalised(&name), "over the same database");
    safety_of(&test, &over).await;
    undone(&test, &over).await;
    assert_same(&damaged, &server.dump_normalised(&name), "undone");
    let accounts = "SELECT COUNT(*) FROM mysql.user WHERE user LIKE 'respaldo\\_%'";
    assert_eq!(server.sql("mysql", accounts), "0", "accounts of loads are dropped");
    test.assert_promises().await;
}

#[tokio::test]
async fn an_uploaded_dump_that_means_harm_leaves_files_and_other_databases_of_mariadb_alone() {
    let (server, test) = (Mysql::shared(), TestApp::new());
    let (name, _, database) = maria(&test, server).await;
    let healthy = server.dump_normalised(&name);
    let neighbour = server.fresh_database("neighbour");
    server.sql(&neighbour, "CREATE TABLE canary (a int); INSERT INTO canary VALUES (7)");
    let text = String::from_utf8(server.dump(&name, &[])).unwrap();
    let at = text.rfind("/*!40101 SET SQL_MODE=@OLD_SQL_MODE").unwrap();
    let canary = world_writable();
    let file = canary.path().join("canary").display().to_string();
    for attack in [
        format!("\\! touch {file}"),
        format!("system touch {file}"),
        format!("SELECT 1 INTO OUTFILE '{file}';"),
        format!("DROP DATABASE {neighbour};"),
        format!("CREATE TABLE x AS SELECT * FROM {neighbour}.canary;"),
        format!("/*!50000 DELETE FROM {neighbour}.canary */;"),
    ] {
        let dump = format!("{}{attack}\n{}", &text[..at], &text[at..]);
        let said = comes_to_nothing(&test, &database, &dump).await;
        assert_eq!(entries(canary.path()), 0, "{attack} ran: {said}");
        assert_eq!(server.sql(&neighbour, "SELECT a FROM canary"), "7", "{attack}: {said}");
        // A load in place that breaks off may have changed its target, and its safety backup undoes it.
        let broken = |job: &Job| {
            let restoration = job.restoration();
            job.status == Status::Failed && restoration.is_ok_and(|it| it.can_be_undone(job.status))
        };
        if let Some(last) = test.jobs().await.into_iter().find(broken) {
            undone(&test, &last).await;
        }
        assert_same(&healthy, &server.dump_normalised(&name), &format!("{attack}: {said}"));
    }
    test.assert_promises().await;
}
