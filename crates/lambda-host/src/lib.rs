//! Host 2: runs any function under the Lambda runtime.
//!
//! A tour: [`run`] is all that a function's `main` calls. `start` puts the installation together from the
//! environment, once; `event` decides what has come *before* any router sees it, so that nobody outside can
//! reach a tick or a job; `host` then lets the routes (`request`, `answer`), the tick or the job (`messages`)
//! do it. What fails is an error of the invocation, so that the sender tries again and keeps what cannot be done.

mod answer;
mod event;
mod host;
mod init_error;
mod logging;
mod messages;
mod request;
mod settings;
mod start;

use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use respaldo_adapters::environment;
use respaldo_api::Function;
use respaldo_core::{App, Error, ErrorKind, Result};
use serde_json::Value;

use crate::host::Invocation;

/// Threads that wait for the network. Dumps are compressed by threads of their own.
const THREADS: usize = 2;
/// What Lambda tells every function; without it, this is not Lambda.
const TOLD: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
];

/// The text of `/openapi.json`, which tells of all functions' routes: one of them answers it for all.
/// `cargo run --package respaldo-local-server --example openapi` writes it anew.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// Runs a function under the Lambda runtime until Lambda ends the process. What keeps it from starting is told in
/// one line of the log, and to Lambda.
pub fn run(function: Function) -> ExitCode {
    start(function, Router::new)
}

/// As [`run`], for the function that answers what belongs to none besides: the health checks, the metrics and the
/// documentation.
pub fn run_in_front(function: Function) -> ExitCode {
    start(function, || respaldo_api::common(DOCUMENT))
}

fn start(function: Function, besides: fn() -> Router<App>) -> ExitCode {
    logging::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(serve(function, besides)),
        Err(error) => Err(Error::internal("start", error)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the function ends");
            ExitCode::FAILURE
        }
    }
}

async fn serve(function: Function, besides: fn() -> Router<App>) -> Result<()> {
    check_surroundings()?;
    let host = match Box::pin(start::host(function, besides)).await {
        Ok(host) => Arc::new(host),
        Err(error) => {
            init_error::post(&error).await;
            return Err(error);
        }
    };
    let handler = service_fn(move |event: LambdaEvent<Value>| {
        let host = Arc::clone(&host);
        async move {
            let (event, context) = event.into_parts();
            host.invoke(event, Invocation::of(&context)).await
        }
    });
    Runtime::new(handler).run().await.map_err(|error| Error::internal("serve invocations", error))
}

/// The runtime panics without them, with a message that helps nobody.
fn check_surroundings() -> Result<()> {
    for name in TOLD {
        if environment::variable(name)?.is_none_or(|value| value.is_empty()) {
            let why = "it is not set: this program is started by AWS Lambda";
            return Err(Error::new(ErrorKind::Config, "start", why)
                .with_field(name)
                .with_mend("run respaldo serve for a server, or respaldo worker for a worker"));
        }
    }
    let memory = environment::variable(TOLD[2])?.unwrap_or_default();
    if memory.parse::<i32>().is_err() {
        return Err(Error::new(ErrorKind::Config, "start", "it must be a number of MB").with_field(TOLD[2]));
    }
    Ok(())
}
