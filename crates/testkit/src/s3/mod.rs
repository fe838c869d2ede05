//! An S3 server in this process, on a private port, that can be told to fail and tells what it was asked.
//!
//! ```no_run
//! use respaldo_testkit::s3::{Fault, Operation, S3Server, When};
//! let server = S3Server::start();
//! server.fail(When::nth(Operation::UploadPart, 2), Fault::Status(503));
//! // … upload: its second part is refused once.
//! assert_eq!(server.open_uploads(), 0);
//! ```

mod client;
mod digest;
mod faults;
mod record;
mod serve;
mod uploads;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tempfile::TempDir;
use tokio::sync::oneshot;

pub use faults::{Fault, When};
pub use record::{Operation, Seen};
use serve::Shared;
pub use uploads::UploadListing;

/// A running server with one bucket; stopped and removed on drop.
pub struct S3Server {
    address: SocketAddr,
    dir: TempDir,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl S3Server {
    /// The bucket that every server begins with.
    pub const BUCKET: &'static str = "backups";
    /// The access key that it knows.
    pub const ACCESS_KEY: &'static str = "test-access-key";
    /// The secret of that key.
    pub const SECRET_KEY: &'static str = "test-secret-key-with/slash+plus";
    /// Any region will do; tests use this one.
    pub const REGION: &'static str = "us-east-1";

    /// Starts a server on a free port of 127.0.0.1, on a thread and runtime of its own.
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("respaldo-s3-").tempdir().expect("a folder can be made");
        fs::create_dir(dir.path().join(Self::BUCKET)).expect("the folder is new");
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        let (address, thread) = serve::spawn(dir.path(), Arc::clone(&shared), stopped);
        Self { address, dir, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes the requests that `when` picks fail. Faults are asked in the order they were added; the
    /// first that picks a request decides.
    pub fn fail(&self, when: When, fault: Fault) {
        self.shared.state().faults.add(when, fault);
    }

    /// Forgets all faults and lets hanging requests go on.
    pub fn heal(&self) {
        self.shared.state().faults.clear();
        self.shared.healed.send_replace(());
    }

    /// Every request so far, in the order they were answered; those that hang are not among them.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// How many requests of one kind were answered (or dropped).
    pub fn count(&self, operation: Operation) -> usize {
        self.shared.state().seen.iter().filter(|seen| seen.operation == operation).count()
    }

    /// How many requests hang right now.
    pub fn hanging(&self) -> usize {
        self.shared.state().hanging
    }

    /// Multipart uploads that were started, and neither completed nor aborted.
    pub fn open_uploads(&self) -> usize {
        self.shared.state().open_uploads.keys.len()
    }

    /// The keys that uploads are under way to, sorted.
    pub fn open_keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.shared.state().open_uploads.keys.values().cloned().collect();
        keys.sort();
        keys
    }

    /// Lists uploads in another way from now on.
    pub fn list_uploads(&self, listing: UploadListing) {
        self.shared.state().open_uploads.listing = listing;
    }

    /// The most parts that were being sent or answered at one time.
    pub fn most_parts_at_once(&self) -> usize {
        self.shared.state().most_parts
    }

    /// The largest part or whole object that one request carried, in bytes.
    pub fn largest_body(&self) -> u64 {
        self.shared.state().largest_body
    }

    /// The keys of all objects, sorted.
    pub fn keys(&self) -> Vec<String> {
        let root = self.dir.path().join(Self::BUCKET);
        let mut keys = Vec::new();
        collect_files(&root, &root, &mut keys);
        keys.sort();
        keys
    }

    /// The file that holds an object, for tests that read or damage it behind the server's back.
    pub fn file(&self, key: &str) -> PathBuf {
        self.dir.path().join(Self::BUCKET).join(key)
    }

    /// Parts that still lie in the store outside any object.
    pub fn leftover_parts(&self) -> usize {
        let entries = fs::read_dir(self.dir.path()).expect("the folder is ours");
        let is_part = |name: &str| name.starts_with(".upload_id-") && name.contains(".part-");
        entries
            .filter(|entry| entry.as_ref().is_ok_and(|e| e.file_name().to_str().is_some_and(is_part)))
            .count()
    }
}

fn collect_files(root: &Path, dir: &Path, keys: &mut Vec<String>) {
    for entry in fs::read_dir(dir).expect("the folder is ours") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            collect_files(root, &path, keys);
        } else if let Ok(key) = path.strip_prefix(root) {
            keys.push(key.to_string_lossy().into_owned());
        }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
