//! Promise 7: what storage holds is listed, fetched, restored and made into a catalog again, on local disk
//! and on S3, with nothing but storage; and what is damaged or foreign in it stops nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod directory;
mod fetch;
mod list;
mod many;
mod rebuild;
mod restore;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use respaldo_core::backup;
use respaldo_core::keyring::MasterKey;
use respaldo_core::keys;
use respaldo_core::model::{Database, Job, Status};
use respaldo_core::rescue::list::{Line, Totals};
use respaldo_core::rescue::{Rescue, Wanted};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::s3::S3Server;
use serde_json::{Value, json};

/// An installation whose storage a test may damage behind its back.
struct Place {
    test: TestApp,
    server: Option<S3Server>,
}

impl Place {
    fn on_disk() -> Self {
        Self { test: TestApp::new(), server: None }
    }

    fn on_s3() -> Self {
        let server = S3Server::start();
        Self { test: TestApp::on(server.storage(), |_| {}), server: Some(server) }
    }

    fn both() -> [Self; 2] {
        [Self::on_disk(), Self::on_s3()]
    }

    /// The file that holds an object.
    fn file(&self, key: &str) -> PathBuf {
        match &self.server {
            Some(server) => server.file(key),
            None => self.test.backups().join(key),
        }
    }

    fn put(&self, key: &str, bytes: impl AsRef<[u8]>) {
        let file = self.file(key);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    fn read(&self, key: &str) -> Vec<u8> {
        fs::read(self.file(key)).unwrap()
    }

    /// Changes one byte in the middle of an object.
    fn flip(&self, key: &str) {
        let mut bytes = self.read(key);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(self.file(key), bytes).unwrap();
    }

    fn rescue(&self) -> Rescue {
        Rescue { storage: self.test.app.storage.clone(), key: Some(Arc::clone(&self.test.app.key)) }
    }

    fn without_key(&self) -> Rescue {
        Rescue { key: None, ..self.rescue() }
    }

    fn with_another_key(&self) -> Rescue {
        let mut bytes = [9; 32];
        bytes[0] = 1;
        Rescue { key: Some(Arc::new(MasterKey::generate(bytes))), ..self.rescue() }
    }

    async fn sample(&self, fields: Value) -> Database {
        let path = self.test.folder().join("sample.db");
        if !path.exists() {
            respaldo_testkit::sqlite::sample(&path);
        }
        let mut all = json!({"name": "sample", "engine": "sqlite", "database_name": path});
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.test.register(all).await
    }

    async fn back_up(&self, database: &Database) -> Job {
        let job = self.test.back_up(database).await;
        assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
        job
    }
}

fn manifest_key(job: &Job) -> String {
    let attempt = job.backup().unwrap().artifact.as_ref().unwrap().attempt;
    keys::manifest(job.owner().unwrap().uid, job.id, attempt)
}

fn volume_key(job: &Job) -> String {
    job.backup().unwrap().artifact.as_ref().unwrap().volumes[0].key.clone()
}

fn name(job: &Job) -> String {
    job.backup().unwrap().name.clone().unwrap()
}

async fn list(rescue: &Rescue) -> (Vec<Line>, Totals) {
    let mut lines = Vec::new();
    let mut keep = |line| {
        lines.push(line);
        Ok(())
    };
    let totals = rescue.list(&mut keep).await.unwrap();
    (lines, totals)
}

fn wanted(text: &impl ToString) -> Wanted {
    Wanted::parse(&text.to_string()).unwrap()
}

/// A second attempt of a backup, as whole as the first: what a worker leaves that died behind its manifest.
fn second_attempt(place: &Place, job: &Job) -> u32 {
    use respaldo_core::model::Manifest;
    let key = &place.test.app.key;
    let (mut manifest, ours) = Manifest::decode(&place.read(&manifest_key(job)), key).unwrap();
    assert!(ours);
    let attempt = manifest.artifact.attempt + 1;
    let stored = place.read(&volume_key(job));
    manifest.artifact.attempt = attempt;
    manifest.artifact.volumes[0].key =
        keys::volume(job.owner().unwrap().uid, job.id, attempt, &manifest.name, 1);
    place.put(&manifest.artifact.volumes[0].key, stored);
    place.put(&keys::manifest(job.owner().unwrap().uid, job.id, attempt), manifest.encode(key).unwrap());
    attempt
}

async fn delete(test: &TestApp, job: &Job) {
    assert!(backup::delete(&test.app, job.id).await.unwrap());
}
