//! What Amazon's service does and no emulator: it lags, leaves things over, and is not ready yet. Simulated on the way
//! to an emulator.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a request that does not simply pass.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Quirk {
    /// The server never sees it; the client is told this error of DynamoDB's.
    Refused(&'static str),
    /// The server never sees it; the client is told these bytes, and then the connection closes.
    Told(&'static str),
    /// What was asked before is answered as it was then: an index, or a table's description, that lags behind. A
    /// read that is consistent passes.
    Behind,
    /// The server does the first write of a batch, and leaves the others over.
    OneOfABatch,
}

type Rule = Box<dyn FnMut(&str) -> Option<Quirk> + Send>;

struct State {
    upstream: String,
    rule: Mutex<Rule>,
    seen: Mutex<Vec<String>>,
    answered: Mutex<HashMap<String, Vec<u8>>>,
}

/// It stands before one server.
pub(crate) struct StandIn {
    pub(crate) endpoint: String,
    state: Arc<State>,
}

impl StandIn {
    pub(crate) async fn before(endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            upstream: endpoint.trim_start_matches("http://").to_owned(),
            rule: Mutex::new(Box::new(|_| None)),
            seen: Mutex::default(),
            answered: Mutex::default(),
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
    pub(crate) fn rule(&self, rule: impl FnMut(&str) -> Option<Quirk> + Send + 'static) {
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
    let quirk = (state.rule.lock().unwrap())(&operation);
    let asked = question(&operation, &request);
    let before = asked.as_ref().and_then(|asked| state.answered.lock().unwrap().get(asked).cloned());
    let answer = match (quirk, before) {
        (Some(Quirk::Refused(code)), _) => refusal(code),
        (Some(Quirk::Told(answer)), _) => answer.as_bytes().to_vec(),
        (Some(Quirk::OneOfABatch), _) => one_of_a_batch(&state.upstream, &request).await?,
        (Some(Quirk::Behind), Some(before)) => before,
        (Some(Quirk::Behind) | None, _) => forward(&state.upstream, &request).await?,
    };
    if let Some(asked) = asked {
        state.answered.lock().unwrap().insert(asked, answer.clone());
    }
    client.write_all(&answer).await.ok()?;
    client.shutdown().await.ok()
}

fn body(request: &[u8]) -> Option<Value> {
    let end = request.windows(4).position(|four| four == b"\r\n\r\n")?;
    serde_json::from_slice(&request[end + 4..]).ok()
}

/// What is asked for, in one form whatever the order of names in it; none of what is answered consistently.
fn question(operation: &str, request: &[u8]) -> Option<String> {
    let mut body = body(request)?;
    body.as_object_mut()?.remove("ProjectionExpression");
    let lags = operation == "DescribeTable" || body.get("IndexName").is_some();
    lags.then(|| format!("{operation} {body}"))
}

async fn one_of_a_batch(upstream: &str, request: &[u8]) -> Option<Vec<u8>> {
    let mut body = body(request)?;
    let (table, writes) = body["RequestItems"].as_object_mut()?.iter_mut().next()?;
    let left = writes.as_array_mut()?.split_off(1);
    let left = if left.is_empty() { json!({}) } else { json!({ table: left }) };
    let head = String::from_utf8_lossy(&request[..request.windows(4).position(|four| four == b"\r\n\r\n")?]);
    let head: Vec<_> =
        head.lines().filter(|line| !line.to_lowercase().starts_with("content-length:")).collect();
    let body = body.to_string();
    let first = format!("{}\r\ncontent-length: {}\r\n\r\n{body}", head.join("\r\n"), body.len());
    forward(upstream, first.as_bytes()).await?;
    Some(answer("200 OK", &json!({ "UnprocessedItems": left }).to_string()))
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

fn refusal(code: &str) -> Vec<u8> {
    answer(
        "400 Simulated",
        &format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"simulated"}}"#),
    )
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
