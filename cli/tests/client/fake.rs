//! A simulated server that answers whatever a test wants: wrong, hostile, slow, or half.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Header lines, in lower case up to the colon.
    pub(crate) headers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(has, _)| has == name).map(|(_, value)| value.as_str())
    }
}

/// What is sent back.
pub(crate) enum Reply {
    /// Head and body.
    Whole(String, Vec<u8>),
    /// A length that is announced, and fewer bytes than that.
    Half(String, Vec<u8>, usize),
    /// Nothing for so long, then the connection is closed.
    Silence(Duration),
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::Whole(format!("{status} X\r\nContent-Type: application/json"), body.to_string().into_bytes())
    }
}

/// The server; it listens until the test ends.
pub(crate) struct Fake {
    port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, answer) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::new(answer));
        let told = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, told) = (Arc::clone(&answer), Arc::clone(&told));
                std::thread::spawn(move || serve(stream.unwrap(), &*answer, &told));
            }
        });
        Self { port, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&Request) -> Reply, told: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let mut words = line.split_whitespace();
    let [method, target] = [words.next().unwrap(), words.next().unwrap()].map(str::to_owned);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let request = Request { method, target, headers };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).unwrap();
    told.lock().unwrap().push(request.clone());
    let (head, body, length) = match answer(&request) {
        Reply::Whole(head, body) => {
            let length = body.len();
            (head, body, length)
        }
        Reply::Half(head, body, length) => (head, body, length),
        Reply::Silence(pause) => {
            std::thread::sleep(pause);
            return;
        }
    };
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    // The other side may have seen enough.
    let _sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}
