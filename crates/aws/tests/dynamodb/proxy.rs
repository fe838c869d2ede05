//! A way to the server on which requests are counted, refused, and their answers lost.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a request that does not simply pass.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The server never sees it; the client is told this error of DynamoDB's.
    Refused(&'static str),
    /// The server never sees it; the client is told that something broke.
    Broken,
    /// The server has done it, and the connection breaks.
    AnswerLost,
}

type Rule = Box<dyn FnMut(&str) -> Option<Fault> + Send>;

struct State {
    upstream: String,
    rule: Mutex<Rule>,
    seen: Mutex<Vec<String>>,
}

/// A proxy before one server.
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    state: Arc<State>,
}

impl Proxy {
    pub(crate) async fn before(endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            upstream: endpoint.trim_start_matches("http://").to_owned(),
            rule: Mutex::new(Box::new(|_| None)),
            seen: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&shared), client));
            }
        });
        Self { endpoint: format!("http://127.0.0.1:{port}"), state }
    }

    /// From now on this rule decides, by the operation's name (`PutItem`).
    pub(crate) fn rule(&self, rule: impl FnMut(&str) -> Option<Fault> + Send + 'static) {
        *self.state.rule.lock().unwrap() = Box::new(rule);
    }

    /// The operations since it was asked last.
    pub(crate) fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state.seen.lock().unwrap())
    }
}

async fn serve(state: Arc<State>, mut client: TcpStream) -> Option<()> {
    let request = read_request(&mut client).await?;
    let head = String::from_utf8_lossy(&request).into_owned();
    let target = head.lines().find(|line| line.to_lowercase().starts_with("x-amz-target:"))?;
    let operation = target.rsplit('.').next()?.trim().to_owned();
    state.seen.lock().unwrap().push(operation.clone());
    let fault = (state.rule.lock().unwrap())(&operation);
    let answer = match fault {
        Some(Fault::Refused(code)) => refusal(400, code),
        Some(Fault::Broken) => refusal(500, "InternalServerError"),
        Some(Fault::AnswerLost) => {
            forward(&state.upstream, &request).await?;
            return None;
        }
        None => forward(&state.upstream, &request).await?,
    };
    client.write_all(&answer).await.ok()?;
    client.shutdown().await.ok()
}

fn refusal(status: u16, code: &str) -> Vec<u8> {
    let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"simulated"}}"#);
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Simulated\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A request to its end, told to close its connection afterwards.
async fn read_request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            while bytes.len() < end + 4 + length.unwrap_or(0) {
                read_more(client, &mut bytes).await?;
            }
            let mut request = format!("{head}\r\nconnection: close\r\n\r\n").into_bytes();
            request.extend_from_slice(&bytes[end + 4..]);
            return Some(request);
        }
        read_more(client, &mut bytes).await?;
    }
}

async fn read_more(client: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let read = client.read_buf(bytes).await.ok()?;
    (read > 0).then_some(())
}

async fn forward(upstream: &str, request: &[u8]) -> Option<Vec<u8>> {
    let mut server = TcpStream::connect(upstream).await.ok()?;
    server.write_all(request).await.ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await.ok()?;
    Some(answer)
}
