//! One process of a function, and the Runtime API that it asks.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::FunctionError;
use super::process::Process;
use super::runtime_api::{Event, Outcome, RuntimeApi};
use crate::host;

/// How long Lambda lets a function start.
const START: Duration = Duration::from_secs(10);

/// A process that works on one event at a time.
pub(super) struct Environment {
    api: RuntimeApi,
    process: Process,
}

impl Environment {
    pub(super) async fn start(
        name: &str,
        binary: &Path,
        folder: &Path,
        variables: &[(String, String)],
    ) -> Self {
        fs::create_dir_all(folder.join("tmp")).expect("the folder is ours");
        let api = RuntimeApi::start().await;
        let mut command = host::command(binary);
        command.env("AWS_LAMBDA_RUNTIME_API", api.address.to_string()).env("AWS_LAMBDA_FUNCTION_NAME", name);
        command.env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST").env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024");
        command.env("AWS_LAMBDA_LOG_GROUP_NAME", "tests").env("AWS_LAMBDA_LOG_STREAM_NAME", "tests");
        command.env("TZ", ":UTC").env("TMPDIR", folder.join("tmp")).env("_HANDLER", "bootstrap");
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        Self { api, process: Process::start(command, folder) }
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it can take a further event.
    pub(super) fn lives(&self) -> bool {
        self.process.lives()
    }

    /// Hands it an event and waits for the answer, not longer than `limit`; then it is killed. Its deadline is told
    /// by the clock that it goes by, which shows `now_ms`.
    pub(super) async fn invoke(
        &mut self,
        event: &Value,
        limit: Duration,
        now_ms: i64,
    ) -> Result<Value, FunctionError> {
        self.process.signal(Signal::CONT);
        self.wait_for_start().await?;
        let asked = *self.api.asked().borrow();
        let deadline = Instant::now() + limit;
        let deadline_ms = now_ms + i64::try_from(limit.as_millis()).expect("minutes at most");
        let id = format!("{}-{}", host::random_hex(4), host::random_hex(6));
        let mut answered = self.api.hand(Event { id, body: event.to_string(), deadline_ms });
        let answer = tokio::select! {
            answer = timeout_at(deadline, &mut answered) => answer,
            () = self.process.gone() => Ok(answered.await),
        };
        match answer {
            Ok(Ok(Outcome::Response(body))) => {
                self.freeze(asked).await;
                serde_json::from_slice(&body)
                    .map_err(|error| FunctionError::new("Runtime.InvalidResponse", error.to_string()))
            }
            Ok(Ok(Outcome::Error(body))) => {
                self.freeze(asked).await;
                Err(FunctionError::told(&body))
            }
            Ok(Err(_)) => {
                self.process.kill();
                Err(FunctionError::new("Runtime.ExitError", "the process ended without an answer"))
            }
            Err(_) => {
                self.process.kill();
                Err(FunctionError::new("Sandbox.Timedout", format!("the task timed out after {limit:?}")))
            }
        }
    }

    /// Waits until the function asks for its first event.
    async fn wait_for_start(&mut self) -> Result<(), FunctionError> {
        let mut asked = self.api.asked();
        let started = tokio::select! {
            started = tokio::time::timeout(START, asked.wait_for(|times| *times > 0)) => started.is_ok(),
            () = self.process.gone() => false,
        };
        if started {
            return Ok(());
        }
        self.process.kill();
        Err(match self.api.init_error() {
            Some(body) => FunctionError::told(&body),
            None => FunctionError::new("Runtime.ExitError", "the process did not come to ask for an event"),
        })
    }

    /// Once it asks for the next event it stands still until there is one.
    async fn freeze(&mut self, asked: u64) {
        let mut again = self.api.asked();
        tokio::select! {
            _ = tokio::time::timeout(START, again.wait_for(|times| *times > asked)) => {}
            () = self.process.gone() => {
                self.process.kill();
                return;
            }
        }
        self.process.signal(Signal::STOP);
    }
}
