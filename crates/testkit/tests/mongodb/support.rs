//! Dumps and restores put together by hand.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use bson::{RawDocumentBuf, rawdoc};
use respaldo_core::engine::mongodb::Mongodb;
use respaldo_core::engine::mongodb::archive::ArchiveObserver;
use respaldo_core::engine::observe::Observer;
use respaldo_core::engine::{
    Dump, DumpFacts, DumpSource, Engine, JobLog, Loaded, Meter, Observed, Probe, RawSink, ResolvedLogin,
    Restorer, Source, Survey, Target, Toolbox, WasSwapped,
};
use respaldo_core::model::{
    BackupKind, DumpFormat, EngineKind, Ownership, RestoreMode, RestoreOptions, Settings,
};
use respaldo_core::ports::{Clock, SecretString};
use respaldo_core::seal::{Compression, Piece, SealPlan, seal};
use respaldo_core::{Error, Result};
use respaldo_testkit::app::TestClock;
use respaldo_testkit::host::random_hex;
use respaldo_testkit::not_mongod::NotMongod;
use tempfile::TempDir;

/// How a database is reached, by hand.
pub(crate) struct At {
    pub(crate) source: Source,
    staging: TempDir,
}

impl At {
    /// A database of the fixture, without login and without tools.
    pub(crate) fn new(server: &NotMongod, database: &str) -> Self {
        Self::on(server.port(), database)
    }

    /// The same of whatever listens on that port.
    pub(crate) fn on(port: u16, database: &str) -> Self {
        let staging = TempDir::new().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(TestClock::default());
        let settings = Settings {
            host: Some("127.0.0.1".to_owned()),
            port: Some(port),
            ..Settings::bare("m", EngineKind::Mongodb, database)
        };
        let source = Source {
            settings,
            login: ResolvedLogin::default(),
            toolbox: Arc::new(Toolbox::new([])),
            staging: staging.path().to_owned(),
            sqlite_roots: vec![],
            log: JobLog::new(&clock, 1, ResolvedLogin::default().redactor()),
        };
        Self { source, staging }
    }

    pub(crate) fn by(mut self, user: &str, password: &str) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TestClock::default());
        self.source.login = ResolvedLogin {
            username: Some(user.to_owned()),
            password: Some(SecretString::from(password.to_owned())),
        };
        self.source.log = JobLog::new(&clock, 1, self.source.login.redactor());
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.source.settings);
        self
    }

    /// As the second attempt of a job.
    pub(crate) fn again(mut self) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TestClock::default());
        self.source.log = JobLog::new(&clock, 2, self.source.login.redactor());
        self
    }

    pub(crate) fn with_tools(mut self, folder: PathBuf) -> Self {
        self.source.toolbox = Arc::new(Toolbox::new([folder]));
        self
    }

    pub(crate) async fn probe(&self) -> Result<Probe> {
        Mongodb.probe(&self.source).await
    }

    /// The dump's bytes, and what the engine says of it.
    pub(crate) async fn dump(&self) -> Result<(Vec<u8>, Observed)> {
        let plan = SealPlan {
            compression: Compression::None,
            recipients: Vec::new(),
            threads: 1,
            memory: SealPlan::LEAST_MEMORY,
        };
        let (writer, mut reader) = seal(plan)?;
        let mut sink = RawSink::new(writer, Arc::new(Meter::default()));
        let dumping = async {
            let observed = Mongodb.dump(&self.source, &mut sink).await?;
            sink.finish().await?;
            Ok::<_, Error>(observed)
        };
        let keeping = async {
            let mut bytes = Vec::new();
            while let Ok(Piece::Data(piece)) = reader.next().await {
                bytes.extend_from_slice(&piece);
            }
            Ok::<_, Error>(bytes)
        };
        let (observed, bytes) = tokio::try_join!(dumping, keeping)?;
        Ok((bytes, observed))
    }

    pub(crate) fn log(&self) -> String {
        self.source.log.drain().into_iter().map(|entry| entry.line + "\n").collect()
    }
}

pub(crate) fn observed(dump: &[u8]) -> Result<Observed> {
    let mut observer = ArchiveObserver::new();
    observer.feed(dump)?;
    Box::new(observer).finish()
}

/// A dump, and where it shall go.
pub(crate) struct Restore {
    pub(crate) target: Target,
    pub(crate) dump: Vec<u8>,
    _staging: TempDir,
}

impl Restore {
    /// Of this dump into that database, in place.
    pub(crate) fn new(at: At, dump: Vec<u8>) -> Self {
        let seen = observed(&dump).unwrap_or_default();
        let At { source, staging } = at;
        let name = source.settings.database_name.clone();
        let id = random_hex(8);
        let target = Target {
            aside: format!("{name}_loading_{id}"),
            kept: format!("{name}_before_{id}"),
            options: RestoreOptions {
                mode: RestoreMode::InPlace,
                ownership: Ownership::Keep,
                tables: vec![],
                force: false,
            },
            dump: DumpFacts {
                engine: EngineKind::Mongodb,
                format: DumpFormat::Plain,
                kind: BackupKind::Manual,
                database_name: name,
                server_version: seen.server_version,
                tool_version: seen.tool_version,
                raw_bytes: dump.len() as u64,
                fingerprint: Some(seen.fingerprint),
                trusted: true,
            },
            replaces: true,
            allow_superuser: false,
            meter: Arc::new(Meter::default()),
            scratch: false,
            at: source,
        };
        Self { target, dump, _staging: staging }
    }

    pub(crate) fn by_swap(mut self) -> Self {
        self.target.options.mode = RestoreMode::Swap;
        self
    }

    pub(crate) fn only(mut self, collections: &[&str]) -> Self {
        self.target.options.tables = collections.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    pub(crate) fn source(&self) -> DumpSource {
        let bytes = self.dump.clone();
        DumpSource::new(move || Ok(Dump::new(Cursor::new(bytes.clone()))))
    }

    pub(crate) async fn survey(&self) -> Survey {
        Mongodb.survey(&self.target).await.unwrap()
    }

    pub(crate) async fn load(&self) -> Result<Loaded> {
        Mongodb.load(&self.target, &self.source()).await
    }

    pub(crate) async fn swap(&self) -> Result<()> {
        Mongodb.swap(&self.target).await
    }

    pub(crate) async fn was_swapped(&self) -> Result<WasSwapped> {
        Mongodb.was_swapped(&self.target, None).await
    }

    pub(crate) async fn was_swapped_from(&self, before: &Observed) -> WasSwapped {
        Mongodb.was_swapped(&self.target, Some(&before.fingerprint)).await.unwrap()
    }

    pub(crate) async fn drop_aside(&self) -> Result<()> {
        Mongodb.drop_aside(&self.target).await
    }
}

/// A small shop: two collections with an index each, a view on one.
pub(crate) fn shop(server: &NotMongod, database: &str) {
    server.load(database, "orders", (0..250).map(|n| rawdoc! { "_id": n, "sum": f64::from(n) / 4.0 }));
    server.load(database, "customers", (0..40).map(|n| rawdoc! { "_id": n, "name": format!("n{n}") }));
    index(server, database, "orders", rawdoc! { "key": { "sum": -1 }, "name": "by_sum" });
    index(server, database, "customers", rawdoc! { "key": { "name": 1 }, "name": "by_name", "unique": true });
    server.run(database, &rawdoc! { "create": "dear", "viewOn": "orders", "pipeline": [] });
}

/// What happened since: an order changed, a collection gone, another made.
pub(crate) fn damage(server: &NotMongod, database: &str) {
    server.run(database, &rawdoc! { "drop": "orders" });
    server.load(database, "orders", [rawdoc! { "_id": 1, "sum": "nothing" }]);
    server.run(database, &rawdoc! { "drop": "customers" });
    server.load(database, "written_since", [rawdoc! { "_id": 1 }]);
}

pub(crate) fn index(server: &NotMongod, database: &str, collection: &str, spec: RawDocumentBuf) {
    let mut specs = bson::RawArrayBuf::new();
    specs.push(spec);
    server.run(database, &rawdoc! { "createIndexes": collection, "indexes": specs });
}
