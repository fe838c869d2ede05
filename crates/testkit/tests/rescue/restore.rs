//! Restoring with storage and a target alone.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use respaldo_core::engine::{Loaded, ResolvedLogin};
use respaldo_core::model::Ownership;
use respaldo_core::rescue::restore::{Prepared, Request, Surroundings};
use respaldo_core::rescue::{Rescue, TargetUrl};
use respaldo_core::seal::Identity;
use respaldo_core::{ErrorKind, Result};
use respaldo_testkit::sqlite;
use serde_json::json;

use super::{Place, volume_key, wanted};

/// A restore of a backup into a file, looked at.
async fn prepare(
    place: &Place,
    rescue: &Rescue,
    id: &str,
    to: &Path,
    force: bool,
    identities: Vec<Identity>,
) -> Result<Prepared> {
    let found = rescue.find(&wanted(&id)).await?.artifact(false)?;
    let staging = place.test.folder().join("rescue");
    fs::create_dir_all(&staging).unwrap();
    let request = Request {
        to: TargetUrl::parse(&format!("sqlite://{}", to.display())).unwrap(),
        login: ResolvedLogin::default(),
        force,
        ownership: Ownership::Keep,
    };
    let around = Surroundings {
        toolbox: Arc::clone(&place.test.app.toolbox),
        clock: Arc::clone(&place.test.app.clock),
        identities,
        staging,
        allow_superuser: false,
    };
    rescue.prepare(found, request, around).await
}

async fn run(prepared: Result<Prepared>) -> Result<Loaded> {
    prepared?.run().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_restored_where_there_was_none_with_the_key_and_without() {
    for place in Place::both() {
        let identity = Identity::generate();
        let encryption = [identity.recipient().to_string()];
        let database = place.sample(json!({"encryption": encryption})).await;
        let id = place.back_up(&database).await.id.to_string();
        let folder = tempfile::tempdir().unwrap();
        for (name, rescue) in [("with.db", place.rescue()), ("without.db", place.without_key())] {
            let to = folder.path().join(name);
            let prepared = prepare(&place, &rescue, &id, &to, false, vec![identity.clone()]).await.unwrap();
            assert!(!to.exists(), "looking changes nothing");
            assert_eq!(prepared.warnings.iter().any(|note| note.contains("hostile")), rescue.key.is_none());
            let loaded = prepared.run().await.unwrap();
            assert!(loaded.observed.fingerprint.rows() > 0);
            assert_eq!(sqlite::dump(&to), sqlite::dump(&place.test.folder().join("sample.db")));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside them");
        let none =
            prepare(&place, &place.rescue(), &id, &folder.path().join("x.db"), false, Vec::new()).await;
        let error = run(none).await.unwrap_err();
        assert!(error.mend().unwrap().contains("--identity"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_replaced_only_by_force() {
    let place = Place::on_disk();
    let database = place.sample(json!({})).await;
    let id = place.back_up(&database).await.id.to_string();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("there.db");
    sqlite::open(&to).execute_batch("CREATE TABLE precious (a); INSERT INTO precious VALUES (1)").unwrap();
    let before = sqlite::dump(&to);
    let refused = run(prepare(&place, &place.rescue(), &id, &to, false, Vec::new()).await).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.mend().unwrap().contains("--force"), "{refused}");
    assert_eq!(sqlite::dump(&to), before);
    run(prepare(&place, &place.rescue(), &id, &to, true, Vec::new()).await).await.unwrap();
    assert_eq!(sqlite::dump(&to), sqlite::dump(&place.test.folder().join("sample.db")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_artifact_is_found_out_before_the_target_is_touched() {
    let place = Place::on_disk();
    let database = place.sample(json!({})).await;
    let job = place.back_up(&database).await;
    place.flip(&volume_key(&job));
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("new.db");
    let id = job.id.to_string();
    let error = run(prepare(&place, &place.rescue(), &id, &to, false, Vec::new()).await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
