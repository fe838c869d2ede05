//! The HTTP API in front of the functions: a server that turns each request into an event for the function
//! that owns its path.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::Body;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::routes::{self, Route};
use super::{Lambda, gateway};

/// API Gateway waits no longer for a function.
const LONGEST_ANSWER: Duration = Duration::from_secs(30);
/// Lambda takes no larger event, in bytes; in base64 a body grows by a third.
const LARGEST_EVENT: usize = 6 << 20;

/// The running server; it ends with this value.
pub(super) struct Front {
    pub(super) address: SocketAddr,
    server: JoinHandle<()>,
}

struct Api {
    routes: Vec<Route>,
    functions: BTreeMap<String, Lambda>,
}

impl Front {
    pub(super) async fn start(functions: BTreeMap<String, Lambda>) -> Self {
        let api = Arc::new(Api { routes: routes::of_template(), functions });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        Self { address, server: tokio::spawn(accept(listener, api)) }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, api: Arc<Api>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let api = Arc::clone(&api);
        let service = service_fn(move |request| {
            let api = Arc::clone(&api);
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        });
        let server = hyper::server::conn::http1::Builder::new();
        connections.spawn(server.serve_connection(TokioIo::new(socket), service));
    }
}

impl Api {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let Some(route) = routes::find(&self.routes, parts.uri.path()) else {
            return gateway::refusal(StatusCode::NOT_FOUND, "Not Found");
        };
        let Some(function) = self.functions.get(&route.function) else {
            return gateway::refusal(StatusCode::NOT_FOUND, "Not Found");
        };
        let Some(body) = read(body).await else {
            return gateway::refusal(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        };
        let event = gateway::event(&parts, &body, &route.path);
        if event.to_string().len() > LARGEST_EVENT {
            return gateway::refusal(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        }
        // The function goes on when API Gateway has given up.
        let function = function.clone();
        let invoked = tokio::spawn(async move { function.invoke(&event).await });
        match timeout(LONGEST_ANSWER, invoked).await {
            Ok(answer) => gateway::response(answer.expect("an invocation does not panic")),
            Err(_) => gateway::refusal(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        }
    }
}

async fn read(body: Incoming) -> Option<Bytes> {
    let mut body = Body::from(body).into_stream();
    let mut bytes = Vec::new();
    while let Some(part) = body.next().await {
        bytes.extend_from_slice(&part.ok()?);
        if bytes.len() > LARGEST_EVENT {
            return None;
        }
    }
    Some(bytes.into())
}
