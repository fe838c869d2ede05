//! The server as it runs: scheduler, worker and routes in this process, under a clock that can be moved.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Method};
use respaldo_core::ports::Clock as _;
use respaldo_local_server::{Installation, Overrides, Settings, bind, run, serve};
use respaldo_testkit::app::TestClock;
use respaldo_testkit::respaldo::read;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

struct Running {
    clock: Arc<TestClock>,
    url: String,
    client: Client,
    folder: tempfile::TempDir,
    stop: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<respaldo_core::Result<()>>,
}

impl Running {
    async fn start() -> Self {
        // The client wants one, though it never speaks TLS here. A second installation is refused.
        let _first_wins = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        respaldo_testkit::sqlite::sample(&path("sample.db"));
        let config = path("config.yaml");
        fs::write(&config, format!("server:\n  sqlite_roots: [\"{}\"]\n", folder.path().display())).unwrap();
        let settings = Settings::load(&Overrides {
            config: Some(config),
            listen: Some("127.0.0.1:0".parse().unwrap()),
            catalog: Some(format!("sqlite://{}", path("data/catalog.db").display())),
            storage: Some(format!("file://{}", path("data/backups").display())),
            ..Overrides::default()
        });
        let settings = settings.unwrap();
        fs::create_dir_all(path("data/backups")).unwrap();
        let mut installation = Installation::open(&settings).await.unwrap();
        let clock = Arc::new(TestClock::default());
        installation.app.clock = Arc::clone(&clock) as _;
        let listener = bind(settings.listen).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(settings, installation, listener, async {
            let _told = stopped.await;
        }));
        Self { clock, url, client: Client::new(), folder, stop, server }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        read(request.send().await.unwrap()).await
    }

    /// Waits until every backup has ended, and there is one at least.
    async fn ended(&self) -> Vec<Value> {
        let ended = async {
            loop {
                let (_, list) = self.call(Method::GET, "/backups", None).await;
                let list = list.as_array().unwrap().clone();
                let open = |backup: &Value| matches!(backup["status"].as_str(), Some("queued" | "running"));
                if !list.is_empty() && !list.iter().any(open) {
                    return list;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(30), ended).await.expect("a backup ends")
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        self.server.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_schedule_takes_effect_on_the_running_server_at_once() {
    let running = Running::start().await;
    let path = running.folder.path().join("sample.db");
    let body = json!({"name": "s", "engine": "sqlite", "database_name": path, "schedule": "0 0 29 2 *"});
    let (status, database) = running.call(Method::POST, "/databases", Some(body)).await;
    assert_eq!(status, 201, "{database}");
    let patch = json!({"schedule": "30 4 * * *", "timezone": "Europe/Madrid", "jitter_seconds": 120});
    let (status, patched) = running.call(Method::PATCH, "/databases/1", Some(patch)).await;
    assert_eq!((status, &patched["jitter_seconds"]), (200, &json!(120)), "{patched}");
    let starts: Timestamp = patched["next_run_at"].as_str().unwrap().parse().unwrap();
    let wait = starts.duration_since(running.clock.now());
    assert!(wait > SignedDuration::ZERO && wait < SignedDuration::from_hours(26), "{patched}");
    running.clock.advance(wait + SignedDuration::from_secs(1));
    let [backup] = &running.ended().await[..] else { panic!("one backup") };
    assert_eq!((&backup["status"], &backup["kind"]), (&json!("succeeded"), &json!("scheduled")), "{backup}");
    let slot: Timestamp = backup["created_at"].as_str().unwrap().parse().unwrap();
    assert!(slot <= starts && starts.duration_since(slot) <= SignedDuration::from_secs(120));
    assert_eq!(slot.in_tz("Europe/Madrid").unwrap().time(), jiff::civil::time(4, 30, 0, 0));
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_started_where_its_file_is_not_disables_nothing() {
    let _first_wins = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("data/backups")).unwrap();
    let text = "databases:\n  - {id: shop, name: shop, engine: sqlite, database_name: data/shop.db, schedule: \"0 3 * * *\"}\n";
    fs::write(path("config.yaml"), text).unwrap();
    for config in [Some(path("config.yaml")), None] {
        let overrides = Overrides {
            config: config.clone(),
            listen: Some("127.0.0.1:0".parse().unwrap()),
            catalog: Some(format!("sqlite://{}", path("data/catalog.db").display())),
            storage: Some(format!("file://{}", path("data/backups").display())),
            ..Overrides::default()
        };
        let settings = Settings::load(&overrides).unwrap();
        assert_eq!(settings.has_file, config.is_some(), "none lies in the folder of the tests");
        let listener = bind(settings.listen).await.unwrap();
        let url = format!("http://{}/databases/1", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(run(settings, listener, async {
            let _told = stopped.await;
        }));
        let (status, shop) = read(Client::new().get(url).send().await.unwrap()).await;
        assert_eq!((status, &shop["enabled"]), (200, &Value::Bool(true)), "{config:?}: {shop}");
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
    }
}
