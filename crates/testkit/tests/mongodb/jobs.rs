//! Whole jobs: registered, backed up, restored, undone, test-restored.

use bson::rawdoc;
use respaldo_core::model::{
    Consistency, Database, EngineKind, Job, JobId, Ownership, RestoreMode, Status, VerificationStatus,
};
use respaldo_core::restore::{self, Request};
use respaldo_core::tick::tick;
use respaldo_core::verify::{self, TestServer};
use respaldo_testkit::app::{LEASE, TestApp};
use respaldo_testkit::faults::FaultMode;
use respaldo_testkit::not_mongod::museum::Museum;
use respaldo_testkit::not_mongod::{NotMongod, Snapshot};
use serde_json::json;

use crate::support::{damage, shop};

fn installation() -> TestApp {
    let test = TestApp::new();
    let none = test.folder().join("no-tools");
    test.with_tools(none)
}

async fn registered(test: &TestApp, server: &NotMongod, database: &str) -> Database {
    test.register(json!({
        "name": database, "engine": "mongodb", "host": "127.0.0.1", "port": server.port(),
        "database_name": database, "compression": "zstd",
    }))
    .await
}

fn id(test: &TestApp) -> JobId {
    JobId(test.app.ids.ulid(test.app.now()))
}

fn request_of(backup: JobId) -> Request {
    Request {
        backup,
        target: None,
        mode: None,
        safety_backup: true,
        force: false,
        tables: Vec::new(),
        ownership: Ownership::Keep,
    }
}

async fn backed_up(test: &TestApp, database: &Database) -> Job {
    let backup = test.back_up(database).await;
    assert_eq!(backup.status, Status::Succeeded, "{:?}", backup.error);
    backup
}

#[tokio::test]
async fn a_backup_is_restored_by_a_swap_and_undone_by_its_safety_backup() {
    let (test, server) = (installation(), NotMongod::start());
    shop(&server, "shop");
    let healthy = server.snapshot("shop");
    let database = registered(&test, &server, "shop").await;
    let backup = backed_up(&test, &database).await;
    let record = backup.backup().unwrap();
    assert_eq!(record.consistency, Some(Consistency::PerCollection));
    assert!(record.name.as_ref().unwrap().ends_with(".archive.zst"), "{record:?}");
    damage(&server, "shop");
    let before = server.snapshot("shop");

    let request = request_of(backup.id);
    let plan = Box::pin(restore::plan(&test.app, &request, id(&test))).await.unwrap();
    assert_eq!((plan.options.mode, plan.kept.as_deref()), (RestoreMode::Swap, None));
    assert!(plan.steps.last().unwrap().contains("exchange each collection"), "{:?}", plan.steps);
    assert!(plan.warnings.iter().any(|warning| warning.contains("by itself")), "{:?}", plan.warnings);
    assert_eq!(plan.undo, "a restore of the safety backup");

    let job = Box::pin(restore::request(&test.app, &request, id(&test))).await.unwrap();
    let done = Box::pin(test.run_to_end(job.id)).await;
    assert_eq!(done.status, Status::Succeeded, "{:?}", done.error);
    assert_eq!(server.snapshot("shop").differences(&healthy), Vec::<String>::new());
    let undo = Box::pin(restore::undo(&test.app, job.id, false, id(&test))).await.unwrap();
    let undone = Box::pin(test.run_to_end(undo.id)).await;
    assert_eq!(undone.status, Status::Succeeded, "{:?}", undone.error);
    assert_eq!(server.snapshot("shop").differences(&before), Vec::<String>::new());
    test.assert_promises().await;
}

/// Each call to storage and catalog that the restore makes is followed by a crash in turn.
#[tokio::test]
async fn a_worker_that_dies_after_any_step_of_a_swap_is_finished_by_the_next() {
    let (template, server) = (installation(), NotMongod::start());
    shop(&server, "shop");
    let healthy = server.snapshot("shop");
    let database = registered(&template, &server, "shop").await;
    let backup = backed_up(&template, &database).await;
    let mut n = 1;
    loop {
        server.run("shop", &rawdoc! { "dropDatabase": 1 });
        shop(&server, "shop");
        damage(&server, "shop");
        let before = server.snapshot("shop");
        let test = template.copy();
        let job = Box::pin(restore::request(&test.app, &request_of(backup.id), id(&test))).await.unwrap();
        test.faults.reset();
        test.faults.fail_at(n, FaultMode::CrashAfter);
        let _died = Box::pin(test.run(job.id)).await;
        let met = test.faults.calls() >= n;
        test.faults.reset();
        let own = |snapshot: Snapshot| {
            Snapshot(
                snapshot.0.into_iter().filter(|(name, _)| !name.starts_with("respaldo_loading")).collect(),
            )
        };
        let now = own(server.snapshot("shop"));
        assert!(now == before || now == healthy, "step {n}: {now:?}");
        test.clock.advance(LEASE + LEASE);
        Box::pin(tick(&test.app)).await.unwrap();
        let ended = Box::pin(test.run_to_end(job.id)).await;
        assert_eq!(ended.status, Status::Succeeded, "step {n}: {:?}", ended.error);
        assert_eq!(server.snapshot("shop").differences(&healthy), Vec::<String>::new(), "step {n}");
        if !met {
            break;
        }
        n += 1;
    }
    assert!(n > 40, "a restore makes more than {n} calls");
}

fn on_another(server: &NotMongod) -> TestApp {
    let server = TestServer {
        engine: EngineKind::Mongodb,
        host: "127.0.0.1".to_owned(),
        port: Some(server.port()),
        username_var: None,
        password_var: None,
        tls: None,
    };
    let test = TestApp::with(|limits| limits.test_servers = vec![server]);
    let none = test.folder().join("no-tools");
    test.with_tools(none)
}

#[tokio::test]
async fn a_backup_is_test_restored_on_a_configured_server_which_is_left_as_it_was() {
    let (server, there) = (NotMongod::start(), NotMongod::start());
    let test = on_another(&there);
    // Longer than the scratch database's: so every name fits there.
    let name = "a_museum_whose_name_is_long_enough_for_collections_of_others";
    Museum::default().fill(&server, name);
    let database = registered(&test, &server, name).await;
    let backup = backed_up(&test, &database).await;
    let job = Box::pin(verify::request(&test.app, backup.id, false, id(&test))).await.unwrap();
    let job = Box::pin(test.run_to_end(job.id)).await;
    let verdict = job.test_restore().unwrap().verdict.clone().unwrap_or_else(|| panic!("{:?}", job.error));
    assert_eq!(verdict.status, VerificationStatus::Ok, "{verdict:?}");
    assert_eq!(there.databases().into_iter().filter(|name| name.contains("respaldo")).count(), 0);
    test.assert_promises().await;
}

#[tokio::test]
async fn without_a_configured_server_a_test_restore_is_not_verified_with_the_mend() {
    let (test, server) = (installation(), NotMongod::start());
    shop(&server, "shop");
    let database = registered(&test, &server, "shop").await;
    let backup = backed_up(&test, &database).await;
    let job = Box::pin(verify::request(&test.app, backup.id, false, id(&test))).await.unwrap();
    let job = Box::pin(test.run_to_end(job.id)).await;
    let verdict = job.test_restore().unwrap().verdict.clone().unwrap();
    assert_eq!(verdict.status, VerificationStatus::NotVerified);
    assert!(verdict.reason.unwrap().contains("verify.servers"));
}

#[tokio::test]
async fn settings_of_mongodb_are_refused_elsewhere_and_by_their_field() {
    let test = installation();
    let refused = async |fields: serde_json::Value| {
        let mut all = json!({"name": "n", "engine": "mongodb", "host": "h", "database_name": "d"});
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let serde_json::Value::Object(fields) = all else { unreachable!() };
        let registration = respaldo_core::databases::Registration { fields, ..Default::default() };
        let error = respaldo_core::databases::register(&test.app, registration).await.unwrap_err();
        error.field().unwrap_or_default().to_owned()
    };
    for (fields, field) in [
        (json!({"engine": "postgres", "collections": ["a"]}), "collections"),
        (json!({"engine": "postgres", "users_and_roles": true}), "users_and_roles"),
        (json!({"engine": "mysql", "auth_source": "admin"}), "auth_source"),
        (json!({"engine": "mysql", "replica_set": "rs"}), "replica_set"),
        (json!({"oplog": true}), "oplog"),
        (json!({"database_name": "a.b"}), "database_name"),
        (json!({"database_name": "local"}), "database_name"),
        (json!({"collections": ["system.users"]}), "collections"),
        (json!({"collections": ["a"], "users_and_roles": true}), "collections"),
        (json!({"tls": "require"}), "tls"),
        (json!({"host": "mongodb://u:p@h"}), "host"),
        (json!({"host": "mongodb+srv://c.example.net", "port": 27017}), "port"),
        (json!({"auth_source": ""}), "auth_source"),
        (json!({"replica_set": "a\nb"}), "replica_set"),
    ] {
        assert_eq!(refused(fields.clone()).await, field, "{fields}");
    }
}
