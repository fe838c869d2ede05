//! PostgreSQL: swapped and in place, undone and confirmed; and its server dying in the middle.

use std::time::Duration;

use respaldo_core::model::{Database, Job, RestoreMode, Status};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::unique;
use respaldo_testkit::postgres::{PgVersion, Postgres};

use crate::support::{
    assert_same, beside, confirmed, fields_of_postgres, in_mode, picture, register, request, request_of,
    restoration, restored, safety_of, undone,
};

/// An installation with a backup of a database that was damaged since.
struct Shop<'a> {
    server: &'a Postgres,
    test: TestApp,
    name: String,
    database: Database,
    backup: Job,
    healthy: String,
    damaged: String,
}

const DAMAGE: &str = "UPDATE app.big SET note = 'gone'; DELETE FROM app.texts; DROP TABLE app.types CASCADE; \
    DROP SCHEMA \"select\" CASCADE; SELECT setval('app.odd', 3); CREATE TABLE public.written_since AS SELECT 1 AS a";

impl<'a> Shop<'a> {
    async fn damaged(server: &'a Postgres, format: &str) -> Self {
        let name = server.fresh_database("tienda");
        server.sample_schema(&name);
        server.psql(&name, &format!("ALTER DATABASE {name} SET work_mem = '7MB'"));
        Self::of(server, name, format, DAMAGE).await
    }

    async fn of(server: &'a Postgres, name: String, format: &str, damage: &str) -> Self {
        let test = TestApp::new();
        let fields = fields_of_postgres(server, &name, format);
        let database = register(&test, fields, server.user(), server.password()).await;
        let backup = test.back_up(&database).await;
        assert_eq!(backup.status, Status::Succeeded, "{:?}", backup.error);
        let healthy = picture(server, &name);
        server.psql(&name, damage);
        let damaged = picture(server, &name);
        assert_ne!(healthy, damaged);
        Self { server, test, name, database, backup, healthy, damaged }
    }

    fn assert_healthy(&self, what: &str) {
        assert_same(&self.healthy, &picture(self.server, &self.name), what);
    }

    fn assert_damaged(&self, what: &str) {
        assert_same(&self.damaged, &picture(self.server, &self.name), what);
    }

    /// The databases beside it are the one that this restore names, or none.
    fn assert_keeps(&self, restore: &Job) {
        let kept: Vec<String> = restoration(restore).kept.clone().into_iter().collect();
        assert_eq!(beside(self.server, &self.name), kept);
    }
}

async fn swapped_undone_and_confirmed(format: &str) {
    let shop = Shop::damaged(Postgres::shared(), format).await;
    let test = &shop.test;
    let restore = restored(test, &request_of(shop.backup.id)).await;
    assert_eq!(restoration(&restore).options.mode, RestoreMode::Swap);
    assert!(restoration(&restore).kept.is_some());
    shop.assert_healthy("restored");
    shop.assert_keeps(&restore);
    let safety = safety_of(test, &restore).await;

    let undo = undone(test, &restore).await;
    shop.assert_damaged("undone");
    shop.assert_keeps(&undo);
    let undone_restore = test.job(restore.id).await;
    assert_eq!(restoration(&undone_restore).undone_by, Some(undo.id));
    assert_eq!(restoration(&undone_restore).kept, None);

    let again = undone(test, &undo).await;
    shop.assert_healthy("the undo undone");
    shop.assert_keeps(&again);

    confirmed(test, &again).await;
    shop.assert_healthy("confirmed");
    assert_eq!(beside(shop.server, &shop.name), Vec::<String>::new());
    assert!(!test.job(safety.id).await.backup().unwrap().pinned);
    // What the safety backup holds is what was there before.
    restored(test, &request_of(safety.id)).await;
    shop.assert_damaged("from the safety backup");
    test.assert_promises().await;
}

#[tokio::test]
async fn a_plain_backup_is_swapped_in_undone_redone_and_confirmed() {
    Box::pin(swapped_undone_and_confirmed("plain")).await;
}

#[tokio::test]
async fn a_custom_backup_is_swapped_in_undone_redone_and_confirmed() {
    Box::pin(swapped_undone_and_confirmed("custom")).await;
}

async fn in_place_undone_and_confirmed(format: &str) {
    let shop = Shop::damaged(Postgres::shared(), format).await;
    let test = &shop.test;
    let restore = restored(test, &in_mode(shop.backup.id, RestoreMode::InPlace)).await;
    assert_eq!(
        (restoration(&restore).options.mode, &restoration(&restore).kept),
        (RestoreMode::InPlace, &None)
    );
    shop.assert_healthy("restored");
    shop.assert_keeps(&restore);
    safety_of(test, &restore).await;

    let undo = undone(test, &restore).await;
    shop.assert_damaged("undone");
    assert_eq!(restoration(&test.job(restore.id).await).undone_by, Some(undo.id));
    let safety = safety_of(test, &undo).await;

    let again = undone(test, &undo).await;
    shop.assert_healthy("the undo undone");
    shop.assert_keeps(&again);
    confirmed(test, &undo).await;
    assert!(!test.job(safety.id).await.backup().unwrap().pinned);
    shop.assert_healthy("confirmed");
    test.assert_promises().await;
}

#[tokio::test]
async fn a_plain_backup_is_restored_in_place_undone_redone_and_confirmed() {
    Box::pin(in_place_undone_and_confirmed("plain")).await;
}

#[tokio::test]
async fn a_custom_backup_is_restored_in_place_undone_redone_and_confirmed() {
    Box::pin(in_place_undone_and_confirmed("custom")).await;
}

/// A database whose index is built for as long as the role `gate` is there.
fn gated(server: &Postgres, gate: &str) -> String {
    let name = server.fresh_database("tienda");
    server.psql(
        &name,
        &format!(
            "CREATE TABLE public.t AS SELECT i, md5(i::text) AS a FROM generate_series(1, 1000) i;
             CREATE FUNCTION public.slow(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
               IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{gate}') THEN
                 PERFORM pg_catalog.pg_sleep(60);
               END IF;
               RETURN i; END $$;
             CREATE INDEX ON public.t (public.slow(i));"
        ),
    );
    name
}

async fn survives_its_server(mode: RestoreMode) {
    let (server, gate) = (Postgres::start(PgVersion::Debian), unique("gate"));
    let damage = "DELETE FROM public.t WHERE i > 3; CREATE TABLE public.written_since AS SELECT 1 AS a";
    let name = gated(&server, &gate);
    let shop = Shop::of(&server, name, "plain", damage).await;
    let test = &shop.test;
    let job = request(test, &in_mode(shop.backup.id, mode)).await;
    server.psql("postgres", &format!("CREATE ROLE {gate}"));
    let in_the_middle = async {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        while server.psql("postgres", sql) == "0" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server.kill();
    };
    let (ran, ()) = tokio::join!(test.run(job.id), in_the_middle);
    ran.unwrap();
    let broken = test.job(job.id).await;
    assert_eq!(broken.attempts.failures, 1, "{broken:?}");
    assert!(broken.error.is_some());
    assert_eq!(broken.status, Status::Queued, "a server that died may come back: {:?}", broken.error);

    server.start_again();
    shop.assert_damaged("after the server's death");
    server.psql("postgres", &format!("DROP ROLE {gate}"));
    let ended = test.run_to_end(job.id).await;
    assert_eq!(ended.status, Status::Succeeded, "{:?}", ended.error);
    shop.assert_healthy("by the next try");
    shop.assert_keeps(&ended);
    undone(test, &ended).await;
    shop.assert_damaged("undone");
    assert_eq!(ended.database_id(), Some(shop.database.id));
    test.assert_promises().await;
}

#[tokio::test]
async fn a_server_that_dies_while_a_dump_is_loaded_aside_comes_back_with_its_database_as_it_was() {
    Box::pin(survives_its_server(RestoreMode::Swap)).await;
}

#[tokio::test]
async fn a_server_that_dies_while_a_dump_is_loaded_in_place_comes_back_with_its_database_as_it_was() {
    Box::pin(survives_its_server(RestoreMode::InPlace)).await;
}
