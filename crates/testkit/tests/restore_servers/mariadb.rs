//! MariaDB: restored in place and undone.

use respaldo_core::model::{RestoreMode, Status};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::mysql::Mysql;

use crate::support::{
    assert_same, beside_in, confirmed, fields_of_mariadb, register, request_of, restoration, restored,
    safety_of, undone,
};

const DAMAGE: &str = "DROP TABLE numbers; UPDATE big SET filler = 'ruined'; DROP VIEW a_view_of_views; \
    DROP FUNCTION f_1; DROP EVENT ev; CREATE TABLE written_since (a int)";

#[tokio::test]
async fn a_backup_is_restored_in_place_undone_redone_and_confirmed() {
    let (server, test) = (Mysql::shared(), TestApp::new());
    let name = server.fresh_database("tienda");
    server.sample_schema(&name);
    let database = register(&test, fields_of_mariadb(server, &name), server.user(), server.password()).await;
    let backup = test.back_up(&database).await;
    assert_eq!(backup.status, Status::Succeeded, "{:?}", backup.error);
    let healthy = server.dump_normalised(&name);
    server.sql(&name, DAMAGE);
    let damaged = server.dump_normalised(&name);
    assert_ne!(healthy, damaged);
    let holds = |expected: &str, what: &str| assert_same(expected, &server.dump_normalised(&name), what);

    // Nobody chose a mode: views, routines and events allow one only.
    let restore = restored(&test, &request_of(backup.id)).await;
    assert_eq!(
        (restoration(&restore).options.mode, &restoration(&restore).kept),
        (RestoreMode::InPlace, &None)
    );
    holds(&healthy, "restored");
    safety_of(&test, &restore).await;

    let undo = undone(&test, &restore).await;
    holds(&damaged, "undone");
    assert_eq!(restoration(&test.job(restore.id).await).undone_by, Some(undo.id));
    let safety = safety_of(&test, &undo).await;

    undone(&test, &undo).await;
    holds(&healthy, "the undo undone");
    confirmed(&test, &undo).await;
    assert!(!test.job(safety.id).await.backup().unwrap().pinned);
    assert_eq!(beside_in(server, &name), Vec::<String>::new());
    test.assert_promises().await;
}
