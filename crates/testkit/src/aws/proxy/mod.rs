//! A way to the emulators on which requests are seen, refused, and their answers lost, as a test says. The
//! faults are simulated in Amazon's words; what passes is answered by the emulator.

mod wire;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use wire::Request;

/// What becomes of a request that does not simply pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The service never sees it; the client is told this error code, with the status that belongs to it.
    Refused(&'static str),
    /// The service never sees it; the client is told that something broke (500).
    Broken,
    /// The service has done it, and the connection breaks.
    AnswerLost,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The service that it is signed for: `dynamodb`, `s3`, `sqs`.
    pub service: String,
    /// The operation's name, such as `PutItem` or `UploadPart`.
    pub operation: String,
    /// Which of the client's tries it is, counted from 1, where it says so, as Amazon's SDK does; else 1.
    pub attempt: u32,
}

impl Call {
    /// Whether it is for this service.
    pub fn is_for(&self, service: &str) -> bool {
        self.service == service
    }
}

type Rule = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;

struct State {
    upstream: String,
    rule: Mutex<Rule>,
    seen: Mutex<Vec<Call>>,
}

/// A proxy on a port of 127.0.0.1 before one emulator; it ends with this value.
pub struct Proxy {
    /// Where it listens: `http://127.0.0.1:PORT`.
    pub endpoint: String,
    state: Arc<State>,
    server: JoinHandle<()>,
}

impl Proxy {
    /// A proxy before the server at this endpoint; everything passes until a [`rule`](Self::rule) says otherwise.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn before(endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(State {
            upstream: endpoint.trim_start_matches("http://").to_owned(),
            rule: Mutex::new(Box::new(|_| None)),
            seen: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A connection that breaks is the client's to notice.
                tokio::spawn(serve(Arc::clone(&shared), client));
            }
        });
        Self { endpoint: format!("http://127.0.0.1:{port}"), state, server }
    }

    /// From now on this rule decides.
    pub fn rule(&self, rule: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        *self.state.rule.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(rule);
    }

    /// From now on every request of this service is refused with this code.
    pub fn refuse(&self, service: &'static str, code: &'static str) {
        self.rule(move |call| call.is_for(service).then_some(Fault::Refused(code)));
    }

    /// From now on everything passes.
    pub fn heal(&self) {
        self.rule(|_| None);
    }

    /// What was asked for since it was asked last, passed or not.
    pub fn take_seen(&self) -> Vec<Call> {
        std::mem::take(&mut self.state.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(state: Arc<State>, mut client: TcpStream) -> Option<()> {
    let request = Request::read(&mut client).await?;
    let call = request.call();
    let fault = (state.rule.lock().unwrap_or_else(PoisonError::into_inner))(&call);
    state.seen.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    match fault {
        Some(Fault::Refused(code)) => request.refuse(&mut client, code).await,
        Some(Fault::Broken) => request.refuse(&mut client, "InternalServerError").await,
        Some(Fault::AnswerLost) => request.forward(&state.upstream).await.map(drop),
        None => wire::answer(&mut client, &request.forward(&state.upstream).await?).await,
    }
}
