//! `/backups/{id}/restore`, `/jobs/{id}/undo`, `/jobs/{id}/confirm`
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::path::PathBuf;

use axum::body::Body;
use respaldo_core::model::{Database, JobId};
use respaldo_testkit::sqlite;
use serde_json::{Value, json};

use crate::support::{Answer, Host};

/// The sample database, backed up and then changed.
struct Scene {
    host: Host,
    database: Database,
    backup: String,
    path: PathBuf,
    /// What the backup holds.
    before: String,
}

impl Scene {
    async fn new(host: Host) -> Self {
        let database = host.test.register_sample().await;
        let path = host.test.folder().join("sample.db");
        let before = sqlite::dump(&path);
        let backup = host.test.back_up(&database).await.id.to_string();
        let scene = Self { host, database, backup, path, before };
        scene.change("lost");
        assert_ne!(scene.dump(), scene.before);
        scene
    }

    async fn open() -> Self {
        Self::new(Host::open()).await
    }

    /// Something that the backup does not hold.
    fn change(&self, table: &str) {
        sqlite::open(&self.path).execute_batch(&format!("CREATE TABLE {table} (id)")).unwrap();
    }

    fn dump(&self) -> String {
        sqlite::dump(&self.path)
    }

    fn url(&self) -> String {
        format!("/backups/{}/restore", self.backup)
    }

    /// Asks for a restore and works on it; the job as it is then answered.
    async fn restore(&self, body: &Value) -> Value {
        self.work_on(self.host.post(&self.url(), body).await).await
    }

    async fn work_on(&self, answer: Answer) -> Value {
        assert_eq!(answer.status, 202, "{:?}", answer.bytes);
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(answer.header("location"), format!("/jobs/{id}"));
        self.host.test.run_to_end(id.parse().unwrap()).await;
        self.host.get(&format!("/jobs/{id}")).await.json()
    }

    async fn follow(&self, path: &Value) -> Value {
        let path = path.as_str().unwrap_or_else(|| panic!("{path} is no path"));
        self.work_on(self.host.send("POST", path, &[], Body::empty()).await).await
    }
}

#[tokio::test]
async fn a_dry_run_answers_the_plan_and_changes_nothing() {
    let scene = Scene::open().await;
    let (before, files) = (scene.dump(), scene.host.test.files());
    let answer = scene.host.post(&scene.url(), &json!({"dry_run": true})).await;
    assert_eq!(answer.status, 200, "{:?}", answer.bytes);
    let plan = answer.json();
    assert_eq!(plan["backup_id"], json!(scene.backup));
    assert_eq!(plan["target"]["database_id"], json!(scene.database.id.0));
    assert_eq!(plan["target"]["database_name"], json!(scene.path));
    assert_eq!(plan["target"]["exists"], json!(true));
    assert_eq!((&plan["mode"], &plan["modes"]), (&json!("swap"), &json!(["swap"])));
    assert_eq!((&plan["safety_backup"], &plan["possible"]), (&json!(true), &json!(true)));
    assert_eq!((&plan["kept_as"], &plan["undo"]), (&Value::Null, &json!("a restore of the safety backup")));
    assert_eq!((&plan["ownership"], &plan["tables"]), (&json!("keep"), &json!([])));
    assert!(plan["steps"].as_array().unwrap().len() >= 3, "{plan}");
    assert_eq!(plan["refusals"], json!([]));
    assert_eq!((scene.dump(), scene.host.test.files()), (before, files));
    assert_eq!(scene.host.get("/jobs").await.json().as_array().unwrap().len(), 1, "no job but the backup's");
}

#[tokio::test]
async fn what_stands_in_the_way_is_in_the_plan_and_refuses_the_restore() {
    let scene = Scene::open().await;
    let body = json!({"mode": "in_place", "tables": ["orders"], "dry_run": true});
    let plan = scene.host.post(&scene.url(), &body).await.json();
    assert_eq!(plan["possible"], json!(false));
    let refusals = plan["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), 2, "{plan}");
    assert!(refusals.iter().all(|one| !one["reason"].is_null() && !one["mend"].is_null()), "{plan}");
    let refused = scene.host.post(&scene.url(), &json!({"mode": "in_place", "tables": ["orders"]})).await;
    refused.assert_problem(409, None);
    for one in refusals {
        assert!(refused.json()["detail"].as_str().unwrap().contains(one["reason"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn a_restore_without_a_body_puts_everything_back_and_names_what_undoes_it() {
    let scene = Scene::open().await;
    let job = scene.work_on(scene.host.send("POST", &scene.url(), &[], Body::empty()).await).await;
    assert_eq!((&job["kind"], &job["status"]), (&json!("restore"), &json!("succeeded")), "{job}");
    assert_eq!(scene.dump(), scene.before);
    assert_eq!(job["steps"], json!(["saving", "checking", "loading", "swapping"]));
    assert_eq!(job["step"], json!("swapping"));
    let result = &job["result"];
    assert_eq!((&result["action"], &result["backup_id"]), (&json!("restore"), &json!(scene.backup)));
    assert_eq!((&result["target"], &result["mode"]), (&json!(scene.path), &json!("swap")));
    let id = job["id"].as_str().unwrap();
    assert_eq!(result["undo"], json!(format!("/jobs/{id}/undo")));
    assert_eq!(result["confirm"], json!(format!("/jobs/{id}/confirm")));
    let safety = result["safety_backup_id"].as_str().unwrap();
    let safety = scene.host.get(&format!("/backups/{safety}")).await.json();
    assert_eq!((&safety["kind"], &safety["status"]), (&json!("safety"), &json!("succeeded")));
    // Lists of jobs hold it, lists of backups do not; its log and its events are told.
    let jobs = scene.host.get("/jobs").await.json();
    assert_eq!(jobs.as_array().unwrap().iter().filter(|job| job["kind"] == "restore").count(), 1, "{jobs}");
    assert_eq!(scene.host.get("/backups").await.json().as_array().unwrap().len(), 2);
    let log = scene.host.get(&format!("/jobs/{id}/log")).await.json();
    assert!(log.as_array().unwrap().iter().any(|line| line["line"] == "loading"), "{log}");
    let events = scene.host.get(&format!("/jobs/{id}/events")).await;
    let events = String::from_utf8(events.bytes.to_vec()).unwrap();
    assert!(events.contains("event: status") && events.contains("\"kind\":\"restore\""), "{events}");
}

#[tokio::test]
async fn an_undo_brings_back_what_the_restore_replaced_and_is_told_of() {
    let scene = Scene::open().await;
    let changed = scene.dump();
    let restored = scene.restore(&json!({})).await;
    let undone = scene.follow(&restored["result"]["undo"]).await;
    assert_eq!(undone["status"], json!("succeeded"), "{undone}");
    assert_eq!(scene.dump(), changed);
    assert_eq!((&undone["result"]["action"], &undone["result"]["of"]), (&json!("undo"), &restored["id"]));
    let url = format!("/jobs/{}", restored["id"].as_str().unwrap());
    let told = scene.host.get(&url).await.json();
    assert_eq!((&told["result"]["undone_by"], &told["result"]["undo"]), (&undone["id"], &Value::Null));
    let again = scene.host.send("POST", &format!("{url}/undo"), &[], Body::empty()).await;
    again.assert_problem(409, None);
    assert!(again.json()["mend"].as_str().unwrap().contains("undo that one"), "{}", again.json());
    // An undo is a restore: it can be undone.
    let redone = scene.follow(&undone["result"]["undo"]).await;
    assert_eq!(redone["status"], json!("succeeded"), "{redone}");
    assert_eq!(scene.dump(), scene.before);
}

#[tokio::test]
async fn a_confirmed_restore_lets_its_safety_backup_go_and_before_it_cannot_be_deleted() {
    let scene = Scene::open().await;
    let restored = scene.restore(&json!({})).await;
    let safety = format!("/backups/{}", restored["result"]["safety_backup_id"].as_str().unwrap());
    let refused = scene.host.send("DELETE", &safety, &[], Body::empty()).await;
    refused.assert_problem(409, None);
    assert!(refused.json()["mend"].as_str().unwrap().contains("confirm that restore"));
    let confirmed = scene.follow(&restored["result"]["confirm"]).await;
    assert_eq!((&confirmed["status"], &confirmed["steps"]), (&json!("succeeded"), &json!([])), "{confirmed}");
    assert_eq!(confirmed["result"]["confirm"], Value::Null);
    let told = scene.host.get(&format!("/jobs/{}", restored["id"].as_str().unwrap())).await.json();
    assert!(!told["result"]["confirmed_at"].is_null(), "{told}");
    assert_eq!(told["result"]["confirm"], Value::Null);
    assert_eq!(scene.host.send("DELETE", &safety, &[], Body::empty()).await.status, 204);
}

#[tokio::test]
async fn retention_removes_a_safety_backup_once_its_restore_is_confirmed() {
    let scene = Scene::open().await;
    let restored = scene.restore(&json!({})).await;
    let safety = restored["result"]["safety_backup_id"].clone();
    scene.host.test.back_up(&scene.database).await;
    let reason = async || {
        let plan = scene.host.get("/retention?all=true").await.json();
        let backups = plan[0]["backups"].as_array().unwrap().clone();
        let found = backups.iter().find(|one| one["id"] == safety).expect("it is judged");
        format!("{}: {}", found["action"].as_str().unwrap(), found["reason"].as_str().unwrap())
    };
    assert_eq!(reason().await, "keep: it undoes a restore");
    scene.follow(&restored["result"]["confirm"]).await;
    assert_eq!(reason().await, "remove: its restore was confirmed");
    let done = scene.host.send("POST", "/retention", &[], Body::empty()).await.json();
    assert_eq!((&done[0]["removed"], &done[0]["backups"][0]["id"]), (&json!(1), &safety), "{done}");
}

#[tokio::test]
async fn a_cancelled_restore_changed_nothing_and_can_be_confirmed_but_not_undone() {
    let scene = Scene::open().await;
    let before = scene.dump();
    let queued = scene.host.post(&scene.url(), &json!({})).await.json();
    let url = format!("/jobs/{}", queued["id"].as_str().unwrap());
    assert_eq!((&queued["status"], &queued["result"]), (&json!("queued"), &Value::Null));
    scene.host.send("POST", &format!("{url}/undo"), &[], Body::empty()).await.assert_problem(409, None);
    scene.host.send("POST", &format!("{url}/confirm"), &[], Body::empty()).await.assert_problem(409, None);
    let cancelled = scene.host.send("POST", &format!("{url}/cancel"), &[], Body::empty()).await;
    assert_eq!(cancelled.json()["status"], json!("cancelled"));
    assert_eq!(cancelled.json()["result"]["undo"], Value::Null);
    let refused = scene.host.send("POST", &format!("{url}/undo"), &[], Body::empty()).await;
    refused.assert_problem(409, None);
    assert!(refused.json()["detail"].as_str().unwrap().contains("it changed nothing"), "{}", refused.json());
    let confirmed = scene.follow(&json!(format!("{url}/confirm"))).await;
    assert_eq!(confirmed["status"], json!("succeeded"), "{confirmed}");
    assert_eq!(scene.dump(), before);
}

#[tokio::test]
async fn a_restore_to_another_name_leaves_the_database_alone() {
    let scene = Scene::open().await;
    let changed = scene.dump();
    let copy = scene.host.test.folder().join("copy.db");
    let job = scene.restore(&json!({"target": {"database_name": copy}})).await;
    assert_eq!(job["status"], json!("succeeded"), "{job}");
    assert_eq!((sqlite::dump(&copy), scene.dump()), (scene.before.clone(), changed));
    assert_eq!(job["result"]["safety_backup_id"], Value::Null);
    assert_eq!((&job["result"]["undo"], &job["result"]["confirm"]), (&Value::Null, &Value::Null));
    // A name that is taken is refused.
    let taken = scene.host.post(&scene.url(), &json!({"target": {"database_name": copy}})).await;
    taken.assert_problem(409, None);
}

#[tokio::test]
async fn the_same_key_makes_one_restore_and_another_body_is_refused() {
    let scene = Scene::open().await;
    let key = [("idempotency-key", "k"), ("prefer", "wait=30")];
    let first = scene.host.send("POST", &scene.url(), &key[..1], "{}").await;
    assert_eq!(first.status, 202, "{:?}", first.bytes);
    let id: JobId = first.json()["id"].as_str().unwrap().parse().unwrap();
    let other = scene.host.send("POST", &scene.url(), &key[..1], r#"{"force":true}"#).await;
    other.assert_problem(422, Some("Idempotency-Key"));
    let url = scene.url();
    let (answer, _job) =
        tokio::join!(scene.host.send("POST", &url, &key, "{}"), scene.host.test.run_to_end(id));
    assert_eq!(answer.status, 200, "{:?}", answer.bytes);
    assert_eq!((&answer.json()["id"], &answer.json()["status"]), (&first.json()["id"], &json!("succeeded")));
    assert!(answer.header("preference-applied").starts_with("wait="));
    assert_eq!(answer.header("location"), format!("/jobs/{id}"));
    let undo = format!("/jobs/{id}/undo");
    let undone = scene.host.send("POST", &undo, &[("idempotency-key", "u")], Body::empty()).await.json();
    let again = scene.host.send("POST", &undo, &[("idempotency-key", "u")], Body::empty()).await.json();
    assert_eq!(undone["id"], again["id"]);
}

#[tokio::test]
async fn each_bad_body_is_refused_with_its_field() {
    let scene = Scene::open().await;
    for (body, field) in [
        (json!({"colour": "red"}), "colour"),
        (json!({"mode": "swop"}), "mode"),
        (json!({"mode": 1}), "mode"),
        (json!({"dry_run": "yes"}), "dry_run"),
        (json!({"safety_backup": 0}), "safety_backup"),
        (json!({"force": "no"}), "force"),
        (json!({"tables": "orders"}), "tables"),
        (json!({"tables": [1]}), "tables"),
        (json!({"tables": [""]}), "tables"),
        (json!({"ownership": "mine"}), "ownership"),
        (json!({"target": 1}), "target"),
        (json!({"target": {}}), "target"),
        (json!({"target": {"database_id": 1, "database_name": "x"}}), "target"),
        (json!({"target": {"database_id": "1"}}), "target.database_id"),
        (json!({"target": {"database_name": 1}}), "target.database_name"),
        (json!({"target": {"database_name": ""}}), "target.database_name"),
        (json!({"target": {"database_name": "/etc/passwd"}}), "target.database_name"),
        (json!({"target": {"name": "x"}}), "target.name"),
    ] {
        let answer = scene.host.post(&scene.url(), &body).await;
        assert_eq!(answer.status, 422, "{body}: {:?}", answer.bytes);
        answer.assert_problem(422, Some(field));
    }
    let missing = scene.host.post(&scene.url(), &json!({"target": {"database_id": 99}})).await;
    missing.assert_problem(404, Some("target.database_id"));
    scene.host.send("POST", &scene.url(), &[], "[").await.assert_problem(400, None);
    let text = [("content-type", "text/plain")];
    scene.host.send("POST", &scene.url(), &text, "{}").await.assert_problem(415, None);
    let any = format!("/jobs/{}", scene.backup);
    scene.host.post(&format!("{any}/undo"), &json!({"force": 1})).await.assert_problem(422, Some("force"));
    scene.host.post(&format!("{any}/confirm"), &json!({"x": 1})).await.assert_problem(422, Some("x"));
    assert_eq!(scene.host.get("/jobs").await.json().as_array().unwrap().len(), 1, "none made a job");
}

#[tokio::test]
async fn a_job_that_is_no_restore_is_neither_undone_nor_confirmed() {
    let scene = Scene::open().await;
    for verb in ["undo", "confirm"] {
        let url = format!("/jobs/{}/{verb}", scene.backup);
        let answer = scene.host.send("POST", &url, &[], Body::empty()).await;
        answer.assert_problem(404, None);
        assert!(answer.json()["mend"].as_str().unwrap().ends_with("is a dump"), "{}", answer.json());
        let nobody = format!("/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV/{verb}");
        scene.host.send("POST", &nobody, &[], Body::empty()).await.assert_problem(404, None);
    }
    let nothing = scene.host.post("/backups/01ARZ3NDEKTSV4RRFFQ69G5FAV/restore", &json!({})).await;
    nothing.assert_problem(404, None);
}

#[tokio::test]
async fn the_restore_key_restores_and_follows_and_opens_nothing_else() {
    let scene = Scene::new(Host::with_keys("a", "r", "d")).await;
    let ask = async |method, path: &str, key| {
        scene.host.send(method, path, &[("x-restore-key", key)], Body::empty()).await.status.as_u16()
    };
    let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for path in [scene.url(), format!("/jobs/{id}/undo"), format!("/jobs/{id}/confirm")] {
        for (key, status) in [("a", 403), ("d", 403), ("wrong", 401)] {
            assert_eq!(ask("POST", &path, key).await, status, "{path}");
        }
    }
    let queued = scene.host.send("POST", &scene.url(), &[("x-restore-key", "r")], Body::empty()).await;
    assert_eq!(queued.status, 202, "{:?}", queued.bytes);
    let job = queued.header("location").to_owned();
    for path in [job.clone(), format!("{job}/log")] {
        assert_eq!((ask("GET", &path, "r").await, ask("GET", &path, "a").await), (200, 200), "{path}");
    }
    for path in ["/jobs".to_owned(), "/backups".to_owned(), format!("/backups/{}", scene.backup)] {
        assert_eq!(ask("GET", &path, "r").await, 403, "{path}");
    }
}
