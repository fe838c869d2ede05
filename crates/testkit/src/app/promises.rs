//! The promises, checked on whatever state a test has brought about.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use respaldo_core::keys;
use respaldo_core::model::{BackupKind, Database, Job, Manifest, PackageManifest, Status};
use respaldo_core::ports::JobFilter;
use respaldo_core::seal::{Compression, Digester, Encryption, Envelope, Origin, open};
use respaldo_core::tick::tick;

use super::TestApp;

impl TestApp {
    /// Promise 1 and the sweep, after one tick: every succeeded backup is readable and digest-true, no
    /// job runs without a live owner, no told end is uncounted, and storage holds nothing but committed artifacts and definitions.
    pub async fn assert_promises(&self) {
        Box::pin(tick(&self.app)).await.expect("a tick");
        let jobs = self.jobs().await;
        let mut expected = BTreeSet::new();
        for job in &jobs {
            assert!(
                job.status != Status::Running || !job.lease_expired(self.app.now()),
                "job {} runs without an owner",
                job.id
            );
            if job.status == Status::Succeeded && job.artifact().is_some() {
                self.assert_readable(job);
                expected.extend(stored_files(job));
            }
        }
        let databases = self.catalog.databases(None, 1_000).await.expect("databases");
        for database in &databases {
            assert_counted(database, &jobs);
        }
        expected.extend(databases.iter().map(|database| keys::definition(database.uid)));
        let found: BTreeSet<String> = self.files().into_iter().collect();
        let orphans: Vec<&String> = found.difference(&expected).collect();
        assert!(orphans.is_empty(), "orphans: {orphans:?}\njobs: {jobs:#?}");
        let lost: Vec<&String> =
            expected.difference(&found).filter(|key| !key.starts_with("databases/")).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
    }

    /// Every job there is.
    pub async fn jobs(&self) -> Vec<Job> {
        self.catalog.jobs(&JobFilter::default(), None, 1_000).await.expect("jobs")
    }

    /// Reads a succeeded backup back: lengths, digests, manifest, and the seal to its end.
    pub fn assert_readable(&self, job: &Job) {
        let artifact = job.artifact().expect("what has succeeded is stored");
        let stored = self.stored(job);
        let mut digester = Digester::new();
        digester.update(&stored);
        let digests = digester.finish();
        assert_eq!(digests.length, artifact.size_bytes);
        assert_eq!(digests.md5_hex(), artifact.md5);
        assert_eq!(digests.sha256_hex(), artifact.sha256);
        let bytes = std::fs::read(self.backups().join(manifest_key(job))).expect("the manifest is there");
        if job.package().is_ok() {
            let (manifest, ours) =
                PackageManifest::decode(&bytes, &self.app.key).expect("the manifest is readable");
            assert!(ours && manifest.artifact == *artifact, "the manifest describes another archive");
            return;
        }
        let (manifest, ours) = Manifest::decode(&bytes, &self.app.key).expect("the manifest is readable");
        assert!(ours && manifest.artifact == *artifact, "the manifest describes another artifact");
        if job.backup().expect("a dump job").encryption.is_empty() {
            let raw = self.opened(job);
            assert_eq!(raw.len() as u64, artifact.raw_bytes);
        }
    }

    /// The dump inside a succeeded, unencrypted backup.
    pub fn opened(&self, job: &Job) -> Vec<u8> {
        let envelope = Envelope {
            compression: job.backup().expect("a dump job").compression,
            encryption: Encryption::None,
            origin: Origin::Sealed,
        };
        let stored = self.stored(job);
        let mut raw = Vec::new();
        let mut reader = open(envelope, &[], stored.as_slice()).expect("the artifact opens");
        reader.read_to_end(&mut raw).expect("the artifact is whole");
        if envelope.compression == Compression::None {
            assert_eq!(raw, stored);
        }
        raw
    }
}

/// Every end that was told is counted, and none is counted that did not happen: what is there is no more
/// than what was counted, and less only by what was deleted.
fn assert_counted(database: &Database, jobs: &[Job]) {
    let history = &database.history;
    let mut there: BTreeMap<&str, u64> = BTreeMap::new();
    let ended = |job: &&Job| job.database_id() == Some(database.id) && job.status.is_terminal();
    // Uploads are not counted: they say nothing about how their database is backed up.
    let of_database = |job: &&Job| job.backup().is_ok_and(|backup| backup.kind != BackupKind::Uploaded);
    for job in jobs.iter().filter(ended).filter(of_database) {
        let counted = !job.untold || history.counted.contains(&job.id);
        *there.entry(job.status.as_str()).or_default() += u64::from(counted);
    }
    for (status, there) in there {
        let counted = history.ended.get(status).copied().unwrap_or(0);
        assert!(there <= counted, "{there} {status} backups of {} are told, {counted} counted", database.id);
    }
    let succeeded = history.ended.get(Status::Succeeded.as_str()).copied().unwrap_or(0);
    assert_eq!(history.durations.counts.iter().sum::<u64>(), succeeded, "the histogram of {}", database.id);
    assert_eq!(history.last_success.is_some(), succeeded > 0, "the newest success of {}", database.id);
}

/// Where the manifest of a succeeded backup, or package, lies.
fn manifest_key(job: &Job) -> String {
    let attempt = job.artifact().expect("what has succeeded is stored").attempt;
    match job.owner() {
        Ok(database) => keys::manifest(database.uid, job.id, attempt),
        Err(_) => keys::manifest_below(&keys::attempt_below(&keys::package_prefix(job.id), attempt)),
    }
}

/// What a succeeded backup, or package, has on local disk, by path from the root.
fn stored_files(job: &Job) -> Vec<String> {
    let artifact = job.artifact().expect("what has succeeded is stored");
    let mut files = vec![manifest_key(job)];
    for volume in &artifact.volumes {
        files.push(volume.key.clone());
        files.extend(volume.key.rsplit('/').next().map(str::to_owned));
    }
    files
}
