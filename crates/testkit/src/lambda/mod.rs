//! Functions as Lambda runs them: the real binaries, each environment a process of its own behind a Runtime
//! API of ours, with deadlines that kill; and around them what calls them in the cloud ([`Cloud`]).
//!
//! # As in Lambda
//! - One environment works on one event at a time; who calls meanwhile gets a further environment.
//! - At its deadline an environment is killed with all that it has started.
//! - Between two events its process is stopped (SIGSTOP): what it left running stands still.
//!
//! # Not as in Lambda
//! Memory is not limited, there is no isolation and no other user, and a retry is made where a test asks
//! for one.

mod cloud;
mod environment;
mod front;
mod gateway;
mod process;
mod pump;
mod routes;
mod runtime_api;
mod worker;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock_shift::ahead_ms;
pub use cloud::{Cloud, Plan};
use environment::Environment;
pub use pump::Delivery;
pub use worker::Worker;

/// Why an invocation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionError {
    /// The function's own word, or Lambda's: `Sandbox.Timedout`, `Runtime.ExitError`.
    pub kind: String,
    /// In words.
    pub message: String,
}

impl FunctionError {
    fn new(kind: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), message: message.into() }
    }

    fn told(body: &Value) -> Self {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Self { kind: text("errorType"), message: text("errorMessage") }
    }
}

/// A deployed function.
#[derive(Clone)]
pub struct Lambda {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    binary: PathBuf,
    variables: Vec<(String, String)>,
    timeout: Duration,
    folder: PathBuf,
    idle: Mutex<Vec<Environment>>,
    /// Those at work.
    busy: Mutex<Vec<u32>>,
    started: Mutex<usize>,
}

impl Lambda {
    /// Deploys a binary under a name. Its environments work in folders below `folder`, where their output is
    /// kept.
    pub fn new(
        name: &str,
        binary: PathBuf,
        folder: &Path,
        variables: Vec<(String, String)>,
        timeout: Duration,
    ) -> Self {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).expect("a folder can be made");
        let shared = Shared {
            name: name.to_owned(),
            binary,
            variables,
            timeout,
            folder,
            idle: Mutex::default(),
            busy: Mutex::default(),
            started: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The same function with another time for each event.
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        let s = &self.shared;
        let folder = s.folder.parent().expect("it has one");
        let name = format!("{}-{}ms", s.name, timeout.as_millis());
        Self::new(&name, s.binary.clone(), folder, s.variables.clone(), timeout)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Hands it an event, and answers what it answers.
    ///
    /// # Errors
    /// When it tells an error, ends, does not start, or is killed at its deadline.
    pub async fn invoke(&self, event: &Value) -> Result<Value, FunctionError> {
        let idle = lock(&self.shared.idle).pop();
        let mut environment = match idle {
            Some(environment) => environment,
            None => self.start().await,
        };
        lock(&self.shared.busy).push(environment.pid());
        let now_ms = crate::host::now_ms() + ahead_ms(&self.shared.variables);
        let answer = environment.invoke(event, self.shared.timeout, now_ms).await;
        lock(&self.shared.busy).retain(|pid| *pid != environment.pid());
        if environment.lives() {
            lock(&self.shared.idle).push(environment);
        }
        answer
    }

    async fn start(&self) -> Environment {
        let number = {
            let mut started = lock(&self.shared.started);
            *started += 1;
            *started
        };
        let shared = &self.shared;
        let folder = shared.folder.join(number.to_string());
        Environment::start(&shared.name, &shared.binary, &folder, &shared.variables).await
    }

    /// A schedule's turn, as EventBridge tells it.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke).
    pub async fn tick(&self) -> Result<Value, FunctionError> {
        self.invoke(&scheduled_event()).await
    }

    /// Kills the environments that are at work just now, with all that they have started, as when memory is
    /// used up; answers how many.
    pub fn kill_busy(&self) -> usize {
        let busy = std::mem::take(&mut *lock(&self.shared.busy));
        for pid in &busy {
            process::kill_tree(*pid);
        }
        busy.len()
    }

    /// How many environments were started.
    pub fn cold_starts(&self) -> usize {
        *lock(&self.shared.started)
    }

    /// Ends all idle environments: the next event starts a new one.
    pub fn forget(&self) {
        lock(&self.shared.idle).clear();
    }

    /// Everything that its environments have printed, the oldest first.
    pub fn log(&self) -> String {
        let read = |number: usize| {
            let log = self.shared.folder.join(number.to_string()).join("log");
            fs::read(log).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
        };
        (1..=self.cold_starts()).map(read).collect()
    }
}

/// What EventBridge sends when a rule's schedule has its turn.
pub fn scheduled_event() -> Value {
    json!({
        "version": "0",
        "id": crate::host::unique("event"),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-01-01T00:00:00Z",
        "region": crate::aws::REGION,
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/tick"],
        "detail": {},
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
