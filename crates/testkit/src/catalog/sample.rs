//! Records to write into a catalog.

use jiff::{SignedDuration, Timestamp};
use respaldo_core::model::{
    Artifact, Backup, BackupKind, Credentials, Database, DatabaseId, DatabaseUid, DumpFormat, EngineKind,
    Job, JobId, Settings, TestRestore, Volume, Work,
};
use respaldo_core::ports::{LogEntry, LogLevel};
use ulid::Ulid;

/// The instant that the samples count from, and so many milliseconds later.
pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_767_225_600_000).unwrap() + SignedDuration::from_millis(millis)
}

/// A database with a schedule that is due at `at(0)`.
pub fn database(uid: u128) -> Database {
    Database {
        id: DatabaseId(0),
        uid: DatabaseUid(Ulid::from_parts(7, uid)),
        revision: 0,
        config_id: None,
        settings: settings(),
        credentials: Credentials::Reference {
            username_var: Some("ORDERS_USER".to_owned()),
            password_var: Some("ORDERS_PASSWORD".to_owned()),
        },
        created_at: at(-60_000),
        updated_at: at(-60_000),
        schedule_changed_at: at(-60_000),
        next_due_at: Some(at(0)),
        last_due_at: None,
        history: respaldo_core::model::History::default(),
        next_start_at: None,
        definition_stale: false,
        definition_retry_at: None,
        synced: None,
    }
}

fn settings() -> Settings {
    let minimal = serde_json::json!({
        "name": "orders",
        "engine": "postgres",
        "host": "db.example",
        "port": 5432,
        "database_name": "orders",
        "schedule": "0 3 * * *",
        "timezone": "Europe/Madrid",
    });
    serde_json::from_value(minimal).unwrap()
}

/// A queued manual backup of database 1, made at `at(millis)`.
pub fn job(id: u128, millis: i64) -> Job {
    job_of(id, DatabaseId(1), BackupKind::Manual, at(millis))
}

/// A queued backup.
pub fn job_of(id: u128, database: DatabaseId, kind: BackupKind, created_at: Timestamp) -> Job {
    let backup = Backup {
        kind,
        slot: (kind == BackupKind::Scheduled).then_some(created_at),
        config_id: None,
        database_name: "orders".to_owned(),
        engine: EngineKind::Postgres,
        format: DumpFormat::Plain,
        compression: respaldo_core::seal::Compression::default(),
        encryption: Vec::new(),
        name: None,
        artifact: None,
        fingerprint: None,
        verification: None,
        consistency: None,
        lock: None,
        incoming: None,
        pinned: false,
    };
    let uid = DatabaseUid(Ulid::from_parts(7, database.0.unsigned_abs().into()));
    Job::dump(job_id(id), (database, uid), backup, created_at, 3)
}

/// A queued job that works on no single database.
pub fn job_without_a_database(id: u128, created_at: Timestamp) -> Job {
    Job { database: None, ..test_restore_of(id, DatabaseId(1), created_at) }
}

/// A queued job that is no backup.
pub fn test_restore_of(id: u128, database: DatabaseId, created_at: Timestamp) -> Job {
    let uid = DatabaseUid(Ulid::from_parts(7, database.0.unsigned_abs().into()));
    let test = TestRestore { backup: job_id(0), scheduled: false, verdict: None };
    Job::new(job_id(id), (database, uid), Work::Verify(Box::new(test)), created_at, 3)
}

/// The id of the sample jobs of this number; greater numbers have greater ids.
pub fn job_id(id: u128) -> JobId {
    JobId(Ulid::from_parts(9, id))
}

/// An artifact of this many stored bytes.
pub fn artifact(attempt: u32, size_bytes: u64) -> Artifact {
    let sha256 = "ab".repeat(32);
    Artifact {
        attempt,
        volumes: vec![Volume { key: "backups/x".to_owned(), size_bytes, sha256: sha256.clone() }],
        size_bytes,
        raw_bytes: size_bytes.saturating_mul(4),
        md5: "cd".repeat(16),
        sha256,
    }
}

/// A line for a log.
pub fn line(text: &str) -> LogEntry {
    LogEntry { seq: 0, at: at(5), attempt: 1, level: LogLevel::Warn, line: text.to_owned() }
}
