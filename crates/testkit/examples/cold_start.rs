//! How long a function takes from its start until it asks for its first event, and how large it is.
//!
//!     cargo run --release --package respaldo-testkit --example cold_start -- target/lambda
//!
//! The folder holds the binaries respaldo-NAME, and where they were packed NAME.zip (`make functions`). Each is
//! started ten times against a Runtime API and a *simulated* DynamoDB that has no settings to give; what a start in the
//! cloud takes besides (fetching the archive, TLS, the network) is not measured.
#![allow(clippy::expect_used, reason = "a tool of ours reports by panicking")]

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use respaldo_testkit::host;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

const FUNCTIONS: [&str; 6] = ["register", "dump", "restore", "verify", "retention", "package"];
const ROUNDS: usize = 10;
const LONGEST: Duration = Duration::from_secs(20);
const NEXT: &str = "GET /2018-06-01/runtime/invocation/next ";

#[tokio::main]
async fn main() {
    let folder = std::env::args().nth(1).expect("the folder with the functions, e.g. target/lambda");
    println!("| function | exec to ready, median of {ROUNDS} | slowest | zip | unpacked |");
    println!("| --- | --- | --- | --- | --- |");
    for name in FUNCTIONS {
        let binary = Path::new(&folder).join(format!("respaldo-{name}"));
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(start(&binary).await);
        }
        times.sort();
        let (median, slowest) = ((times[ROUNDS / 2 - 1] + times[ROUNDS / 2]) / 2, times[ROUNDS - 1]);
        let zip = size(&Path::new(&folder).join(format!("{name}.zip")));
        println!("| {name} | {median:.1?} | {slowest:.1?} | {zip} | {} |", size(&binary));
    }
}

fn size(file: &Path) -> String {
    match fs::metadata(file) {
        Ok(metadata) => format!("{}.{} MB", metadata.len() / 1_000_000, metadata.len() / 100_000 % 10),
        Err(_) => "not packed".to_owned(),
    }
}

/// The time from the process's start to its first question for an event.
async fn start(binary: &Path) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let (asked, mut ready) = mpsc::channel(8);
    let serving = tokio::spawn(serve(listener, asked));
    let temporary = std::env::temp_dir();
    let mut command = host::command(binary);
    command
        .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "cold-start")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "simulated")
        .env("AWS_SECRET_ACCESS_KEY", "simulated")
        .env("TMPDIR", temporary)
        .env("ADMIN_API_KEY", "simulated")
        .env("RESPALDO_MASTER_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        .env("CATALOG_URL", format!("dynamodb://cold-start?endpoint=http://{address}"))
        .env("STORAGE_URL", format!("s3://cold-start?endpoint=http://{address}"))
        .env("RUST_LOG", "error")
        .stdin(Stdio::null());
    let begun = Instant::now();
    let mut child = command.spawn().expect("the function starts; was it built? make functions");
    let when = timeout(LONGEST, ready.recv()).await;
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
    serving.abort();
    when.expect("it asks for an event").expect("the server lives").duration_since(begun)
}

async fn serve(listener: TcpListener, asked: mpsc::Sender<Instant>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        tokio::spawn(answer(stream, asked.clone()));
    }
}

/// Answers every request with an empty object, but that for an event, which waits.
async fn answer(mut stream: TcpStream, asked: mpsc::Sender<Instant>) {
    let mut read = Vec::new();
    loop {
        let Some(end) = read.windows(4).position(|end| end == b"\r\n\r\n") else {
            match stream.read_buf(&mut read).await {
                Ok(0) | Err(_) => return,
                Ok(_) => continue,
            }
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        if head.starts_with(NEXT) {
            let _told = asked.send(Instant::now()).await;
            return std::future::pending().await;
        }
        let length = head.lines().filter_map(|line| line.split_once(':'));
        let mut length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length = length.find_map(|(_, value)| value.trim().parse::<usize>().ok()).unwrap_or(0);
        while read.len() < end + 4 + length {
            match stream.read_buf(&mut read).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        read.drain(..end + 4 + length);
        let answered =
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: 2\r\n\r\n{}";
        if stream.write_all(answered).await.is_err() {
            return;
        }
    }
}
