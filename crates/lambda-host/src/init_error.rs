//! Tells Lambda why a function cannot start.

use respaldo_adapters::environment;
use respaldo_core::Error;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};

const LONGEST: Duration = Duration::from_secs(2);

/// Posts the error; Lambda then shows it to whoever invoked the function. The process ends all the same when it
/// cannot be told, and the log has it.
pub(crate) async fn post(error: &Error) {
    let Ok(Some(address)) = environment::variable("AWS_LAMBDA_RUNTIME_API") else { return };
    match timeout(LONGEST, send(&address, error)).await {
        Ok(Ok(())) => {}
        Ok(Err(untold)) => tracing::warn!(error = %untold, "Lambda could not be told why"),
        Err(_) => tracing::warn!("Lambda could not be told why: it does not answer"),
    }
}

/// One request, by hand: the runtime's client has no way to send it.
async fn send(address: &str, error: &Error) -> std::io::Result<()> {
    let body = body(error);
    let kind = format!("Respaldo.{}", error.kind());
    let head = format!(
        "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Lambda-Runtime-Function-Error-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    // Whatever it answers: it has been read then.
    let _answer = stream.read(&mut [0; 64]).await?;
    Ok(())
}

fn body(error: &Error) -> String {
    let kind = format!("Respaldo.{}", error.kind());
    json!({"errorMessage": error.to_string(), "errorType": kind, "stackTrace": []}).to_string()
}
