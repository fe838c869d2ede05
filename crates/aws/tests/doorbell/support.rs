//! Clients of moto, and jobs to ring for.

use aws_config::{Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use jiff::Timestamp;
use respaldo_aws::sdk;
use respaldo_core::model::{
    Backup, BackupKind, DatabaseId, DatabaseUid, EngineKind, Job, JobId, Package, PackageFormat, PackageKind,
    Settings, TestRestore, Work,
};
use respaldo_testkit::aws::{ACCESS_KEY, REGION, SECRET_KEY};
use respaldo_testkit::host::random_hex;
use ulid::Ulid;

/// A configuration for an endpoint, with the key that tests use.
pub(crate) async fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "tests");
    let loaded = sdk::load(Some(endpoint), Some(REGION)).await;
    loaded
        .into_builder()
        .region(Region::from_static(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

pub(crate) fn new_id() -> JobId {
    let random = u128::from_str_radix(&random_hex(9), 16).unwrap();
    JobId(Ulid::from_parts(1, random))
}

fn owner() -> (DatabaseId, DatabaseUid) {
    (DatabaseId(1), DatabaseUid(Ulid::nil()))
}

pub(crate) fn dump() -> Job {
    let settings = Settings::bare("x", EngineKind::Sqlite, "x.db");
    let backup = Backup {
        kind: BackupKind::Manual,
        slot: None,
        config_id: None,
        database_name: settings.name,
        engine: settings.engine,
        format: settings.format,
        compression: settings.compression,
        encryption: Vec::new(),
        name: None,
        artifact: None,
        consistency: None,
        fingerprint: None,
        verification: None,
        incoming: None,
        lock: None,
        pinned: false,
    };
    Job::dump(new_id(), owner(), backup, Timestamp::UNIX_EPOCH, 3)
}

pub(crate) fn long_dump() -> Job {
    Job { long: true, ..dump() }
}

pub(crate) fn verify() -> Job {
    let test = TestRestore { backup: new_id(), scheduled: false, verdict: None };
    Job::new(new_id(), owner(), Work::Verify(Box::new(test)), Timestamp::UNIX_EPOCH, 3)
}

pub(crate) fn package() -> Job {
    let package = Package {
        kind: PackageKind::Manual,
        slot: None,
        format: PackageFormat::Zip,
        databases: None,
        allow_incomplete: false,
        name: None,
        members: Vec::new(),
        left_out: Vec::new(),
        artifact: None,
        counts: None,
    };
    Job::packaging(new_id(), package, Timestamp::UNIX_EPOCH, 3)
}
