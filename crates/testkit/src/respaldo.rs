//! The real `respaldo serve`, as a process of its own that can be killed at any moment.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

use crate::host;

/// How long a server may take to start, and a job to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server process and the folder it lives in.
pub struct Respaldo {
    binary: PathBuf,
    folder: PathBuf,
    port: u16,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    small_disk: Option<(PathBuf, u32)>,
    process: Option<Child>,
    client: Client,
}

impl Respaldo {
    /// A server that is not started yet: `binary` is the program, `folder` its working folder, in which
    /// this writes `config.yaml`.
    pub fn new(binary: impl Into<PathBuf>, folder: &Path, config: &str) -> Self {
        fs::write(folder.join("config.yaml"), config).expect("config.yaml can be written");
        Self::within(binary, folder)
    }

    /// The same with the `config.yaml` that lies there.
    pub fn within(binary: impl Into<PathBuf>, folder: &Path) -> Self {
        // The client wants one, though it never speaks TLS here. A second installation is refused.
        let _first_wins = rustls::crypto::ring::default_provider().install_default();
        Self {
            binary: binary.into(),
            folder: folder.to_owned(),
            port: free_port(),
            environment: Vec::new(),
            arguments: Vec::new(),
            small_disk: None,
            process: None,
            client: Client::new(),
        }
    }

    /// Sets a variable of the server's.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an argument to `respaldo serve`.
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Puts a disk of so many MiB under one of its folders, in a mount namespace that only it sees.
    pub fn with_small_disk(mut self, folder: &str, mebibytes: u32) -> Self {
        let folder = self.folder.join(folder);
        fs::create_dir_all(&folder).expect("the folder can be made");
        self.small_disk = Some((folder, mebibytes));
        self
    }

    /// A path of its folder as the server itself sees it.
    pub fn seen_by_server(&self, path: &str) -> PathBuf {
        let folder = self.folder.canonicalize().expect("the folder is there");
        PathBuf::from(format!("/proc/{}/root{}/{path}", self.pid(), folder.display()))
    }

    fn program(&self) -> Command {
        let Some((folder, mebibytes)) = &self.small_disk else { return host::command(&self.binary) };
        let mut command = host::command("unshare");
        let mount = format!("mount -t tmpfs -o size={mebibytes}m tmpfs \"$0\" && exec \"$@\"");
        command.args(["--map-root-user", "--mount", "bash", "-c", &mount]).arg(folder).arg(&self.binary);
        command
    }

    /// The command that starts it.
    pub fn command(&self) -> Command {
        let mut command = self.program();
        command.current_dir(&self.folder).args(["serve", "--config", "config.yaml", "--listen"]);
        command.arg(format!("127.0.0.1:{}", self.port));
        command.args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    /// Starts it and waits until it answers. Its output goes to `server.log`.
    pub async fn start(mut self) -> Self {
        self.restart().await;
        self
    }

    /// Starts it again after it has ended.
    pub async fn restart(&mut self) {
        self.launch();
        let begun = tokio::time::Instant::now();
        loop {
            if self.get("/healthz").send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let ended = self.process.as_mut().and_then(|process| process.try_wait().expect("a child"));
            assert!(ended.is_none(), "the server ended with {ended:?}: {}", self.log());
            assert!(begun.elapsed() < PATIENCE, "the server does not answer: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts it without waiting for anything.
    pub fn launch(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("server.log"));
        let log = log.expect("server.log can be written");
        let mut command = self.command();
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        self.process = Some(command.spawn().expect("the server starts"));
    }

    /// Everything it has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    /// Its working folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server runs").id()
    }

    /// Kills it without a word (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("the server can be killed");
            process.wait().expect("the server is reaped");
        }
    }

    /// Asks it to end (SIGTERM), and answers whether it ended with success.
    pub fn terminate(&mut self) -> bool {
        let mut process = self.process.take().expect("the server runs");
        host::signal(process.id(), rustix::process::Signal::TERM);
        host::eventually("the server has ended", PATIENCE, || process.try_wait().expect("a child").is_some());
        process.wait().expect("the server is reaped").success()
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A request.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A GET.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// A POST with a JSON body; answers status and body.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        read(self.request(Method::POST, path).json(body).send().await.expect("an answer")).await
    }

    /// A GET's status and body.
    pub async fn read(&self, path: &str) -> (u16, Value) {
        read(self.get(path).send().await.expect("an answer")).await
    }

    /// Asks for a backup and waits for its end; answers its record.
    pub async fn back_up(&self, database: &Value) -> Value {
        let request = self.request(Method::POST, "/backups").header("Prefer", "wait=60");
        let body = serde_json::json!({ "database_id": database["id"] });
        let (status, backup) = read(request.json(&body).send().await.expect("an answer")).await;
        assert_eq!(status, 201, "{backup}");
        backup
    }

    /// Waits until a backup has ended; answers its record.
    pub async fn ended(&self, id: &str) -> Value {
        let begun = tokio::time::Instant::now();
        loop {
            let (_, backup) = self.read(&format!("/backups/{id}")).await;
            if !matches!(backup["status"].as_str(), Some("queued" | "running")) {
                return backup;
            }
            assert!(begun.elapsed() < PATIENCE, "the backup does not end: {backup}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Respaldo {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An answer's status and JSON body; null where it has none.
pub async fn read(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let bytes = answer.bytes().await.expect("a body");
    let body = serde_json::from_slice(&bytes);
    (status, if bytes.is_empty() { Value::Null } else { body.expect("the body is JSON") })
}

/// A port that nobody listens on just now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("an address").port()
}

/// What a command prints on standard error, and its exit code, when it is expected to fail.
pub fn failure(mut command: Command) -> (i32, String) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    host::eventually("the command has ended", PATIENCE, || child.try_wait().expect("a child").is_some());
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    (child.wait().expect("a status").code().unwrap_or(-1), said)
}
