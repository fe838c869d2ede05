//! Two whole configuration files on their crontabs: what is due at which hour of which zone, what it
//! inherits, and what becomes of the databases that cannot be backed up. (The MongoDB of both is not mongod.)
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use bson::rawdoc;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use respaldo_core::config::{self, Config};
use respaldo_core::model::{Database, Job, Status};
use respaldo_core::seal::Compression;
use respaldo_core::tick::tick;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::mysql::Mysql;
use respaldo_testkit::not_mongod::NotMongod;
use respaldo_testkit::postgres::Postgres;

/// An installation with a file applied: real servers of PostgreSQL and MariaDB, and a SQLite database
/// beside.
struct Installed {
    test: TestApp,
    zone: TimeZone,
    _mongo: [NotMongod; 2],
}

impl Installed {
    async fn with(config: &str, zone: &str) -> Self {
        let (server, mariadb) = (Postgres::shared(), Mysql::shared());
        let test = TestApp::new();
        respaldo_testkit::sqlite::sample(&test.folder().join("notes.db"));
        let source = server.fresh_database("crontab");
        server.sample_schema(&source);
        let shop = mariadb.fresh_database("crontab");
        mariadb.sample_schema(&shop);
        let logs = NotMongod::start();
        logs.load("logsdb", "events", [rawdoc! { "_id": 1 }]);
        let closed = NotMongod::builder().user("admin", "copias", "s3creto", &["root"]).start();
        test.secrets.set("MONGO_USER", "copias");
        test.secrets.set("MONGO_PASSWORD", "s3creto");
        let config = config
            .replace("mongo-db, port: 27017", &format!("127.0.0.1, port: {}", logs.port()))
            .replace("mongo-db\n    port: 27017", &format!("127.0.0.1\n    port: {}", closed.port()))
            .replace("MARIA_HOST", mariadb.host())
            .replace("MARIA_PORT", &mariadb.port().to_string())
            .replace("MARIA_DATABASE", &shop)
            .replace("HOST", server.host())
            .replace("PORT", &server.port().to_string())
            .replace("DATABASE", &source)
            .replace("NOTES", &test.folder().join("notes.db").to_string_lossy());
        test.secrets.set("POSTGRES_USER", server.user());
        test.secrets.set("POSTGRES_PASSWORD", server.password());
        test.secrets.set("MARIA_USER", mariadb.user());
        test.secrets.set("MARIA_PASSWORD", mariadb.password());
        let config = Config::parse(&config).unwrap().with_default("timezone", &zone.into());
        config::apply(&test.app, &config).await.unwrap();
        Self { test, zone: TimeZone::get(zone).unwrap(), _mongo: [logs, closed] }
    }

    async fn database(&self, config_id: &str) -> Database {
        let all = self.test.catalog.databases(None, 100).await.unwrap();
        all.into_iter().find(|database| database.config_id.as_deref() == Some(config_id)).unwrap()
    }

    fn local(&self) -> DateTime {
        self.zone.to_datetime(self.test.app.now())
    }

    /// Moves the clock to a local time; what is due then is started and worked on. Answers what that was.
    async fn at(&self, day: jiff::civil::Date, hour: i8, minute: i8) -> Vec<(String, Job)> {
        let then = self.zone.to_timestamp(day.at(hour, minute, 0, 0)).unwrap();
        self.test.clock.advance(then.duration_since(self.test.app.now()));
        let before: Vec<_> = self.test.jobs().await.iter().map(|job| job.id).collect();
        tick(&self.test.app).await.unwrap();
        let mut new = Vec::new();
        for job in self.test.jobs().await.into_iter().filter(|job| !before.contains(&job.id)) {
            if job.status == Status::Queued {
                self.test.run(job.id).await.unwrap();
            }
            let job = self.test.job(job.id).await;
            new.push((job.backup().unwrap().config_id.clone().unwrap(), job));
        }
        new.sort_by(|one, other| one.0.cmp(&other.0));
        new
    }
}

const INHERITED: &str = r#"
global: {schedule: "0 2 * * *", compression: gzip, retention_days: 15, max_backups: 10, max_parallel_jobs: 4}
package-conf: {schedule: "0 5 * * 1", compression: zip, retention_days: 30, max_backups: 4}
databases:
  - id: pg_ventas_prod
    name: PostgreSQL Ventas
    engine: postgres
    host: HOST
    port: PORT
    username_var: POSTGRES_USER
    password_var: POSTGRES_PASSWORD
    database_name: DATABASE
    schedule: "0 3 * * *"
    package: true
  - {id: mongo_logs_dev, name: MongoDB Logs, engine: mongodb, host: mongo-db, port: 27017, database_name: logsdb}
  - {id: notes, name: Notes, engine: sqlite, database_name: NOTES}
  - id: shop
    name: MariaDB shop
    engine: mariadb
    host: MARIA_HOST
    port: MARIA_PORT
    username_var: MARIA_USER
    password_var: MARIA_PASSWORD
    database_name: MARIA_DATABASE
    schedule: "30 3 * * *"
"#;

#[tokio::test]
async fn a_file_with_inheritance_runs_on_its_crontabs_in_the_zone_of_the_environment() {
    let installed = Installed::with(INHERITED, "Europe/Madrid").await;
    let ventas = installed.database("pg_ventas_prod").await.settings;
    assert_eq!((ventas.retention_days, ventas.max_backups, ventas.package), (Some(15), Some(10), true));
    let logs = installed.database("mongo_logs_dev").await.settings;
    assert_eq!((logs.schedule.as_deref(), logs.retention_days), (Some("0 2 * * *"), Some(15)));
    let day = installed.local().date().tomorrow().unwrap();
    // What was still due today comes first.
    installed.at(day, 1, 59).await;
    let at_two = installed.at(day, 2, 0).await;
    let [(mongo, logged), (notes, saved)] = &at_two[..] else { panic!("two at two: {at_two:?}") };
    assert_eq!((mongo.as_str(), notes.as_str()), ("mongo_logs_dev", "notes"));
    assert_eq!(logged.status, Status::Succeeded, "{:?}", logged.error);
    assert_eq!((saved.status, saved.backup().unwrap().compression), (Status::Succeeded, Compression::Gzip));
    assert_eq!(installed.at(day, 2, 59).await, []);
    let at_three = installed.at(day, 3, 0).await;
    let [(ventas, saved)] = &at_three[..] else { panic!("one at three: {at_three:?}") };
    assert_eq!((ventas.as_str(), saved.status), ("pg_ventas_prod", Status::Succeeded), "{:?}", saved.error);
    let at_half_past = installed.at(day, 3, 30).await;
    let [(shop, saved)] = &at_half_past[..] else { panic!("one at half past three: {at_half_past:?}") };
    assert_eq!((shop.as_str(), saved.status), ("shop", Status::Succeeded), "{:?}", saved.error);
    installed.test.assert_promises().await;
}

const FLAT: &str = r#"
databases:
  - name: my-postgres-db
    engine: postgres
    host: HOST
    port: PORT
    username_var: POSTGRES_USER
    password_var: POSTGRES_PASSWORD
    database_name: DATABASE
    schedule: "0 3 * * *"
    retention_days: 7
    max_backups: 5
    compression: gzip
  - name: my-mongo-db
    engine: mongodb
    host: mongo-db
    port: 27017
    username_var: MONGO_USER
    password_var: MONGO_PASSWORD
    database_name: admin
    schedule: "0 4 * * *"
    retention_days: 14
    max_backups: 10
    compression: none
"#;

#[tokio::test]
async fn a_flat_file_runs_on_its_crontabs_in_utc() {
    let installed = Installed::with(FLAT, "UTC").await;
    let day = installed.local().date().tomorrow().unwrap();
    installed.at(day, 2, 59).await;
    let at_three = installed.at(day, 3, 0).await;
    let [(name, saved)] = &at_three[..] else { panic!("one at three: {at_three:?}") };
    assert_eq!((name.as_str(), saved.status), ("my-postgres-db", Status::Succeeded), "{:?}", saved.error);
    let at_four = installed.at(day, 4, 0).await;
    let [(name, saved)] = &at_four[..] else { panic!("one at four: {at_four:?}") };
    assert_eq!((name.as_str(), saved.backup().unwrap().compression), ("my-mongo-db", Compression::None));
    assert_eq!(saved.status, Status::Succeeded, "{:?}", saved.error);
    installed.test.assert_promises().await;
}

/// A database whose variable is not set has its slots skipped with that reason, and holds nobody up.
#[tokio::test]
async fn a_missing_variable_holds_back_its_own_database_only() {
    let config = INHERITED.replace("password_var: POSTGRES_PASSWORD", "password_var: VENTAS_PASSWORD");
    let installed = Installed::with(&config.replace("0 3 * * *", "0 2 * * *"), "UTC").await;
    let day = installed.local().date().tomorrow().unwrap();
    installed.at(day, 1, 59).await;
    let at_two = installed.at(day, 2, 0).await;
    let found: Vec<_> = at_two.iter().map(|(id, job)| (id.as_str(), job.status)).collect();
    let expected = [
        ("mongo_logs_dev", Status::Succeeded),
        ("notes", Status::Succeeded),
        ("pg_ventas_prod", Status::Skipped),
    ];
    assert_eq!(found, expected);
    let why = at_two[2].1.error.as_ref().unwrap().message();
    assert!(why.contains("held back") && why.contains("VENTAS_PASSWORD is not set"), "{why}");
}
