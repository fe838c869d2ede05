//! The HTTP interface between Lambda and a function's process (2018-06-01), for one environment.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::Body;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::lock;

const BASE: &str = "/2018-06-01/runtime/";

/// An event on its way to the function.
pub(super) struct Event {
    pub(super) id: String,
    pub(super) body: String,
    pub(super) deadline_ms: i64,
}

/// What the function answers to an event.
pub(super) enum Outcome {
    Response(Bytes),
    Error(Value),
}

/// The server's side and the environment's.
pub(super) struct RuntimeApi {
    pub(super) address: SocketAddr,
    events: mpsc::UnboundedSender<Event>,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    queue: tokio::sync::Mutex<mpsc::UnboundedReceiver<Event>>,
    awaited: Mutex<Option<(String, oneshot::Sender<Outcome>)>>,
    init_error: Mutex<Option<Value>>,
    /// How often the next event was asked for.
    asked: watch::Sender<u64>,
}

impl RuntimeApi {
    pub(super) async fn start() -> Self {
        let (events, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            queue: tokio::sync::Mutex::new(queue),
            awaited: Mutex::default(),
            init_error: Mutex::default(),
            asked: watch::Sender::new(0),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let server = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, events, shared, server }
    }

    /// Hands the function an event; the receiver gets its answer.
    pub(super) fn hand(&self, event: Event) -> oneshot::Receiver<Outcome> {
        let (answer, answered) = oneshot::channel();
        *lock(&self.shared.awaited) = Some((event.id.clone(), answer));
        self.events.send(event).expect("this holds the other end");
        answered
    }

    /// What the function said when it could not start.
    pub(super) fn init_error(&self) -> Option<Value> {
        lock(&self.shared.init_error).clone()
    }

    /// How often the function has asked for an event.
    pub(super) fn asked(&self) -> watch::Receiver<u64> {
        self.shared.asked.subscribe()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with this task: a killed environment's may hang open.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        if let Ok((socket, _)) = listener.accept().await {
            connections.spawn(serve(socket, Arc::clone(&shared)));
        }
    }
}

async fn serve(socket: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(request, &shared).await) }
    });
    // An error here is a process that was killed while it asked.
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await.ok();
}

async fn answer(request: Request<Incoming>, shared: &Shared) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let Some(rest) = path.strip_prefix(BASE) else { return status(StatusCode::NOT_FOUND) };
    let words: Vec<&str> = rest.split('/').collect();
    match (request.method(), words.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => next(shared).await,
        (&Method::POST, ["invocation", id, "response"]) => {
            let Some(body) = read(request).await else { return status(StatusCode::BAD_REQUEST) };
            told(shared, id, Outcome::Response(body))
        }
        (&Method::POST, ["invocation", id, "error"]) => {
            let Some(body) = read(request).await else { return status(StatusCode::BAD_REQUEST) };
            told(shared, id, Outcome::Error(serde_json::from_slice(&body).unwrap_or_default()))
        }
        (&Method::POST, ["init", "error"]) => {
            let Some(body) = read(request).await else { return status(StatusCode::BAD_REQUEST) };
            *lock(&shared.init_error) = Some(serde_json::from_slice(&body).unwrap_or_default());
            status(StatusCode::ACCEPTED)
        }
        _ => status(StatusCode::NOT_FOUND),
    }
}

async fn next(shared: &Shared) -> Response<Body> {
    shared.asked.send_modify(|times| *times += 1);
    let event = shared.queue.lock().await.recv().await;
    let Some(event) = event else { return status(StatusCode::GONE) };
    Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", &event.id)
        .header("lambda-runtime-deadline-ms", event.deadline_ms)
        .header("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0")
        .header(
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:123456789012:function:tested",
        )
        .body(Body::from(Bytes::from(event.body)))
        .expect("the parts are plain text")
}

/// An answer counts for the event that it names, and once.
fn told(shared: &Shared, id: &str, outcome: Outcome) -> Response<Body> {
    let awaited = lock(&shared.awaited).take_if(|(awaited, _)| awaited == id);
    let Some((_, answer)) = awaited else { return status(StatusCode::BAD_REQUEST) };
    // Nobody listens any more after the deadline.
    answer.send(outcome).ok();
    status(StatusCode::ACCEPTED)
}

/// The whole body, also one that is sent in chunks; none when it breaks off or tells of an error in its
/// trailers, as a streamed answer does.
async fn read(request: Request<Incoming>) -> Option<Bytes> {
    let mut body = request.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) =
        futures::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await
    {
        match frame.ok()?.into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => {
                let trailers = frame.into_trailers().ok()?;
                if trailers.contains_key("lambda-runtime-function-error-type") {
                    return None;
                }
            }
        }
    }
    Some(bytes.into())
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
