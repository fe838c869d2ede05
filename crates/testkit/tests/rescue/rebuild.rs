//! A catalog made of storage alone.

use std::fs;
use std::sync::Arc;

use jiff::SignedDuration;
use respaldo_core::config::{self, Config};
use respaldo_core::databases::{self, Definition, Login, Registration};
use respaldo_core::model::{Credentials, Database, DatabaseId, Job, Status};
use respaldo_core::ports::{Catalog, ExposeSecret as _, SecretString};
use respaldo_core::rescue::Rescue;
use respaldo_core::rescue::rebuild::{CredentialsFate, Rebuild, Rebuilt, Summary, Told};
use respaldo_core::seal::Identity;
use respaldo_core::tick::tick;
use respaldo_core::{ErrorKind, Result, keys, retention};
use respaldo_sqlite::SqliteCatalog;
use respaldo_testkit::app::TestApp;
use serde_json::{Value, json};

use super::{Place, manifest_key, name, second_attempt, volume_key};

/// What a rebuild told.
#[derive(Default)]
struct Heard {
    databases: Vec<Rebuilt>,
    left: Vec<(String, String)>,
}

fn how(test: &TestApp) -> Rebuild {
    Rebuild { now: test.app.now(), attempts: 3, without_key: false }
}

async fn rebuild(rescue: &Rescue, catalog: Option<&dyn Catalog>, how: Rebuild) -> Result<(Summary, Heard)> {
    let mut heard = Heard::default();
    let mut hear = |told: Told<'_>| match told {
        Told::Database(rebuilt) => heard.databases.push(rebuilt.clone()),
        Told::Left { what, reason } => heard.left.push((what, reason)),
    };
    let summary = rescue.rebuild(catalog, how, &mut hear).await?;
    Ok((summary, heard))
}

/// The same installation after its catalog was lost and built anew.
async fn lose_and_rebuild(place: &mut Place) -> (Summary, Heard) {
    let fresh: Arc<dyn Catalog> = Arc::new(SqliteCatalog::open_in_memory().unwrap());
    let built = rebuild(&place.rescue(), Some(&*fresh), how(&place.test)).await.unwrap();
    place.test.app.catalog = Arc::clone(&fresh);
    place.test.catalog = fresh;
    built
}

async fn all(test: &TestApp) -> Vec<Database> {
    test.catalog.databases(None, 1_000).await.unwrap()
}

/// A backup's record without what only the catalog knew: the job's own end, some milliseconds after the
/// manifest's, its fences and its count of changes.
fn lasting(job: &Job) -> Job {
    let mut job = job.clone();
    (job.finished_at, job.fence, job.revision) = (None, 0, 0);
    (job.attempts.failures, job.attempts.adoptable_from) = (0, 0);
    job
}

/// The names of the backups that are there, newest first; slots that were missed meanwhile gave none.
async fn good(test: &TestApp) -> Vec<String> {
    test.jobs().await.iter().filter(|job| job.status == Status::Succeeded).map(name).collect()
}

/// A database of every kind of settings and credentials, all with backups.
async fn installation(place: &Place) -> Vec<Database> {
    let recipient = Identity::generate().recipient().to_string();
    let files = [
        json!({"name": "hourly", "schedule": "@hourly", "timezone": "Europe/Madrid", "retention_days": 9}),
        json!({"name": "sealed", "encryption": [recipient], "compression": "zstd", "max_backups": 4}),
        json!({"name": "off", "enabled": false, "schedule": "0 3 * * *"}),
    ];
    let mut databases = Vec::new();
    for fields in files {
        databases.push(place.sample(fields).await);
    }
    let Value::Object(fields) = json!({"name": "pg", "engine": "postgres", "host": "db.example",
        "database_name": "orders"})
    else {
        unreachable!()
    };
    let login =
        Login { username: Some("ana".to_owned()), password: Some(SecretString::from("hunter2".to_owned())) };
    let registration = Registration { fields, login: Some(login), uid: None };
    databases.push(databases::register(&place.test.app, registration).await.unwrap());
    for database in &databases[..3] {
        place.back_up(database).await;
    }
    place.back_up(&databases[0]).await;
    databases
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_policies_and_backups_come_back_as_they_were() {
    for mut place in Place::both() {
        // A number that was given and is free again is not given once more.
        let first = place.sample(json!({"name": "gone"})).await;
        databases::remove(&place.test.app, first.id, None).await.unwrap();
        let databases = installation(&place).await;
        let before = place.test.jobs().await;
        let (summary, heard) = lose_and_rebuild(&mut place).await;
        assert_eq!((summary.databases, summary.backups, summary.left), (4, 4, 0));
        assert_eq!((heard.databases.len(), heard.left.len()), (4, 0));

        let rebuilt = all(&place.test).await;
        for (new, old) in rebuilt.iter().zip(&databases) {
            assert_eq!((new.id, new.uid, &new.config_id), (old.id, old.uid, &old.config_id));
            assert_eq!((&new.settings, &new.credentials), (&old.settings, &old.credentials));
            assert_eq!(new.created_at, old.created_at);
            assert!(new.next_due_at.is_none_or(|due| due > place.test.app.now()), "nothing is due at once");
            assert_eq!(new.next_due_at.is_some(), old.next_due_at.is_some());
            assert!(!new.definition_stale);
        }
        let after = place.test.jobs().await;
        assert_eq!(
            after.iter().map(lasting).collect::<Vec<_>>(),
            before.iter().map(lasting).collect::<Vec<_>>()
        );
        assert!(after.iter().all(|job| !job.untold && job.attention_at().is_none()));

        let login = databases::login(&place.test.app, &rebuilt[3]).await.unwrap();
        assert_eq!(login.password.unwrap().expose_secret(), "hunter2");
        let history = &rebuilt[0].history;
        assert_eq!((history.ended.get("succeeded"), history.counted.len()), (Some(&2), 0));
        assert_eq!(history.last_success.as_ref().unwrap().id, after[0].id);
        let next = place.sample(json!({"name": "next"})).await;
        assert!(next.id > databases[3].id, "{} follows {}", next.id, databases[3].id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_installation_repeats_and_removes_nothing_and_keeps_its_promises() {
    let mut place = Place::on_disk();
    let databases = installation(&place).await;
    let files = place.test.files();
    place.test.clock.advance(SignedDuration::from_hours(30));
    lose_and_rebuild(&mut place).await;
    let ticked = tick(&place.test.app).await.unwrap();
    assert_eq!((ticked.due, ticked.deleted, ticked.swept, ticked.told, ticked.retired), (0, 0, 0, 0, 0));
    assert_eq!(place.test.files(), files);
    place.test.assert_promises().await;

    // The next slot is backed up, once, under a name of its own.
    place.test.clock.advance(SignedDuration::from_hours(1));
    assert_eq!(tick(&place.test.app).await.unwrap().due, 1);
    let queued = place.test.jobs().await.into_iter().find(|job| job.status == Status::Queued).unwrap();
    assert_eq!(queued.database_id(), Some(databases[0].id));
    place.test.run_to_end(queued.id).await;
    place.test.assert_promises().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_works_on_a_rebuilt_catalog_and_keeps_the_newest() {
    let mut place = Place::on_disk();
    let database = place.sample(json!({"schedule": "@hourly", "max_backups": 2})).await;
    for _ in 0..2 {
        place.test.clock.advance(SignedDuration::from_hours(1));
        tick(&place.test.app).await.unwrap();
        let queued = place.test.jobs().await.into_iter().find(|job| job.status == Status::Queued).unwrap();
        place.test.run_to_end(queued.id).await;
    }
    let names = good(&place.test).await;
    assert_eq!(names.len(), 2);
    lose_and_rebuild(&mut place).await;
    let mut fields = serde_json::Map::new();
    fields.insert("max_backups".to_owned(), json!(1));
    let change = databases::Change { fields, may_shorten_retention: true, ..Default::default() };
    databases::change(&place.test.app, database.id, change).await.unwrap();
    let applied = retention::apply(&place.test.app, database.id, None).await;
    applied.unwrap();
    assert_eq!(good(&place.test).await, names[..1]);
    assert!(!place.file(&names[1]).exists(), "also its name in the root is gone");
    place.test.assert_promises().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_or_foreign_is_left_aside_with_the_reason() {
    let place = Place::on_disk();
    let database = place.sample(json!({})).await;
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.push(place.back_up(&database).await);
    }
    fs::remove_file(place.file(&volume_key(&jobs[0]))).unwrap();
    fs::write(place.file(&manifest_key(&jobs[1])), "{}").unwrap();
    let text = String::from_utf8(place.read(&manifest_key(&jobs[2]))).unwrap();
    fs::write(place.file(&manifest_key(&jobs[2])), text.replace("\"manual\"", "\"safety\"")).unwrap();
    let catalog = SqliteCatalog::open_in_memory().unwrap();
    let (summary, heard) = rebuild(&place.rescue(), Some(&catalog), how(&place.test)).await.unwrap();
    assert_eq!((summary.backups, summary.left, summary.foreign), (1, 3, 1));
    for (n, part) in [(0, "is missing"), (1, "is damaged"), (2, "another master key, or changed")] {
        let folder = keys::backup_prefix(database.uid, jobs[n].id);
        let told = heard.left.iter().find(|(what, _)| *what == folder).unwrap();
        assert!(told.1.contains(part), "{told:?}");
        assert_eq!(catalog.job(jobs[n].id).await.unwrap(), None);
    }
    assert!(catalog.job(jobs[3].id).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_another_key_nothing_is_taken_over_and_without_one_somebody_must_say_so() {
    let place = Place::on_disk();
    let databases = installation(&place).await;
    let catalog = SqliteCatalog::open_in_memory().unwrap();
    let (summary, heard) = rebuild(&place.with_another_key(), None, how(&place.test)).await.unwrap();
    assert_eq!((summary.backups, summary.foreign, summary.credentials_needed), (0, 4, 1));
    assert_eq!(heard.databases[3].credentials, CredentialsFate::Needed);

    let refused = rebuild(&place.without_key(), Some(&catalog), how(&place.test)).await.err().unwrap();
    assert_eq!((refused.kind(), refused.field()), (ErrorKind::Config, Some("RESPALDO_MASTER_KEY")));
    assert!(refused.mend().unwrap().contains("--without-key"));

    let how = Rebuild { without_key: true, ..how(&place.test) };
    let (summary, _) = rebuild(&place.without_key(), Some(&catalog), how).await.unwrap();
    assert_eq!((summary.backups, summary.left, summary.credentials_needed), (4, 0, 1));
    let pg = catalog.database(databases[3].id).await.unwrap().unwrap();
    assert_eq!(pg.credentials, respaldo_core::model::Credentials::None);
    // The definition is left as it is, should the key be found.
    assert!(!pg.definition_stale);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_its_definition_comes_back_disabled_for_its_backups_sake() {
    let mut place = Place::on_disk();
    let databases = installation(&place).await;
    let lost = &databases[0];
    fs::remove_file(place.file(&keys::definition(lost.uid))).unwrap();
    fs::write(place.file(&keys::definition(databases[1].uid)), "not json").unwrap();
    let (summary, heard) = lose_and_rebuild(&mut place).await;
    assert_eq!((summary.databases, summary.backups, summary.left), (4, 4, 1));
    assert!(heard.left[0].0.contains(&databases[1].uid.to_string()), "{:?}", heard.left);
    let rebuilt = all(&place.test).await;
    let made = rebuilt.iter().find(|database| database.uid == lost.uid).unwrap();
    // Its number is not known any more; none that somebody else may know is given.
    assert!(made.id > databases[3].id && !made.settings.enabled && made.next_due_at.is_none());
    assert_eq!((made.settings.name.as_str(), made.settings.engine), ("sample", lost.settings.engine));
    let told = heard.databases.iter().find(|told| told.database.uid == lost.uid).unwrap();
    assert!(!told.defined && told.credentials == CredentialsFate::Needed && told.adopted == 2);
    // The next tick writes what is known of it.
    tick(&place.test.app).await.unwrap();
    assert!(place.file(&keys::definition(lost.uid)).exists());
}

/// Changes a setting in a stored definition without the key.
fn tamper(place: &Place, database: &Database, field: &str, value: Value) {
    let key = keys::definition(database.uid);
    let mut text: Value = serde_json::from_slice(&place.read(&key)).unwrap();
    text["settings"][field] = value;
    // The signature stays the last member.
    let signature = text.as_object_mut().unwrap().remove("hmac_sha256").unwrap();
    let unsigned = serde_json::to_string_pretty(&text).unwrap();
    let open = unsigned.trim_end().strip_suffix("\n}").unwrap();
    place.put(&key, format!("{open},\n  \"hmac_sha256\": {signature}\n}}\n").into_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_somebody_changed_in_storage_is_not_enabled_by_the_configuration_either() {
    const FILE: &str = "databases:\n  - id: shop\n    name: Shop\n    engine: postgres\n    host: db.example\n    \
                        database_name: shop\n    username_var: SHOP_USER\n    password_var: SHOP_PASSWORD\n";
    let mut place = Place::on_disk();
    let config = Config::parse(FILE).unwrap();
    config::apply(&place.test.app, &config).await.unwrap();
    let changed = all(&place.test).await.pop().unwrap();
    // The file leaves the port open.
    tamper(&place, &changed, "port", json!(6666));
    lose_and_rebuild(&mut place).await;
    config::apply(&place.test.app, &config).await.unwrap();
    let databases = all(&place.test).await;
    let is_changed = |database: &&Database| database.settings.port == Some(6666);
    let suspect = databases.iter().find(is_changed).expect("it is kept to be looked at");
    assert!(!suspect.settings.enabled && suspect.credentials == Credentials::None, "{suspect:?}");
    let own = databases.iter().find(|database| database.config_id.as_deref() == Some("shop")).unwrap();
    assert!(own.settings.enabled && own.uid != suspect.uid, "{own:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_somebody_changed_in_storage_sends_no_password_anywhere() {
    let mut place = Place::on_disk();
    let databases = installation(&place).await;
    let sealed = |database: &&Database| matches!(database.credentials, Credentials::Sealed { .. });
    let changed = databases.iter().find(sealed).unwrap();
    tamper(&place, changed, "host", json!("elsewhere.example"));
    let (summary, heard) = lose_and_rebuild(&mut place).await;
    let told = heard.databases.iter().find(|told| told.database.uid == changed.uid).unwrap();
    assert_eq!(told.credentials, CredentialsFate::Needed);
    assert_eq!(told.database.credentials, Credentials::None);
    assert!(!told.database.settings.enabled && told.notes[0].contains("another master key"), "{told:?}");
    assert_eq!(summary.credentials_needed, 1);
    let kept = heard.databases.iter().filter(|told| told.database.settings.enabled).count();
    assert_eq!(kept, databases.iter().filter(|old| old.settings.enabled && old.uid != changed.uid).count());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_databases_of_one_number_both_come_back_and_the_older_keeps_it() {
    let mut place = Place::on_disk();
    let databases = installation(&place).await;
    let key = keys::definition(databases[2].uid);
    let (mut definition, _) = Definition::decode(&place.read(&key), &place.test.app.key).unwrap();
    definition.id = databases[1].id;
    place.put(&key, definition.encode(&place.test.app.key).unwrap());
    let (_, heard) = lose_and_rebuild(&mut place).await;
    let number = |uid| heard.databases.iter().find(|told| told.database.uid == uid).unwrap();
    let (older, newer) = (number(databases[1].uid), number(databases[2].uid));
    assert_eq!(older.database.id, databases[1].id);
    assert!(
        newer.database.id > databases[3].id && newer.notes[0].contains("its number was"),
        "{:?}",
        newer.notes
    );
    let job =
        place.test.jobs().await.into_iter().find(|job| job.owner().unwrap().uid == databases[2].uid).unwrap();
    assert_eq!(job.database_id(), Some(newer.database.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_attempts_the_later_is_taken_over_and_no_further_one_writes_over_either() {
    let mut place = Place::on_disk();
    let database = place.sample(json!({})).await;
    let job = place.back_up(&database).await;
    let later = second_attempt(&place, &job);
    lose_and_rebuild(&mut place).await;
    let rebuilt = place.test.job(job.id).await;
    assert_eq!(rebuilt.backup().unwrap().artifact.as_ref().unwrap().attempt, later);
    assert_eq!(rebuilt.attempts.current, later);
    tick(&place.test.app).await.unwrap();
    assert!(place.file(&volume_key(&job)).exists(), "what another catalog may count is not swept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_holds_anything_is_refused_and_a_dry_run_writes_nothing() {
    let place = Place::on_disk();
    installation(&place).await;
    let catalog = SqliteCatalog::open_in_memory().unwrap();
    let (planned, told) = rebuild(&place.rescue(), None, how(&place.test)).await.unwrap();
    assert!(catalog.databases(None, 1).await.unwrap().is_empty());
    let (done, heard) = rebuild(&place.rescue(), Some(&catalog), how(&place.test)).await.unwrap();
    assert_eq!(planned, done);
    let numbers = |heard: &Heard| -> Vec<(DatabaseId, u64)> {
        heard.databases.iter().map(|told| (told.database.id, told.adopted)).collect()
    };
    assert_eq!(numbers(&told), numbers(&heard));
    let again = rebuild(&place.rescue(), Some(&catalog), how(&place.test)).await.err().unwrap();
    assert_eq!((again.kind(), again.field()), (ErrorKind::Conflict, Some("catalog")));
}
