//! What every request passes: the log, the net under panics, the guard.

use std::any::Any;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Response as HttpResponse, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use tokio::time::{Duration, Instant, timeout};

use crate::Problem;
use crate::access::{Guard, decide, takes_files};
use crate::extract::LONGEST_BODY;

/// A refused body is read this far, so that its sender reads the refusal instead of a broken pipe.
const MOST_DRAINED: usize = 32 * LONGEST_BODY;
const LONGEST_DRAIN: Duration = Duration::from_secs(5);

/// Lets in who may come in. Runs before every handler and before the answer "not found".
pub(crate) async fn admit(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let files = route.as_ref().is_some_and(|route| takes_files(request.method(), route.as_str()));
    let decided = route.map(|route| decide(&guard, request.method(), route.as_str(), request.headers()));
    let outcome = match decided {
        Some(Err(problem)) => Err(problem),
        _ if !files && announces_too_much(&request) => Err(Problem::too_large(LONGEST_BODY)),
        Some(Ok(granted)) => {
            request.extensions_mut().insert(granted);
            Ok(request)
        }
        None => Ok(request),
    };
    let mut response = match outcome {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn announces_too_much(request: &Request) -> bool {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > LONGEST_BODY as u64)
}

/// Reads on what is left of a refused body, within bounds.
pub(crate) async fn drain(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let shared = Arc::new(tokio::sync::Mutex::new(body.into_data_stream()));
    let reader = Arc::clone(&shared);
    let body = futures::stream::unfold(reader, |reader| async move {
        let piece = reader.lock().await.next().await?;
        Some((piece, reader))
    });
    let response = next.run(Request::from_parts(parts, Body::from_stream(body))).await;
    let refused = response.status().is_client_error() || response.status() == StatusCode::SERVICE_UNAVAILABLE;
    if refused {
        let rest = async {
            let mut rest = shared.lock().await;
            let mut read = 0;
            while let Some(Ok(piece)) = rest.next().await {
                read += piece.len();
                if read > MOST_DRAINED {
                    break;
                }
            }
        };
        let _in_time = timeout(LONGEST_DRAIN, rest).await;
    }
    response
}

/// One line for each request: what and how long, never its query or its headers.
pub(crate) async fn log(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("(none)", MatchedPath::as_str);
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    if matches!(route, "/healthz" | "/readyz" | "/metrics") && status < 400 {
        tracing::debug!(%method, route, status, duration_ms, "request");
    } else {
        tracing::info!(%method, route, status, duration_ms, "request");
    }
    response
}

/// The answer when a handler panicked. The panic itself is told on stderr by the runtime.
pub(crate) fn panicked(_panic: Box<dyn Any + Send + 'static>) -> HttpResponse<Body> {
    tracing::error!("a handler panicked");
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tower::ServiceExt as _;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_problem_without_details() {
        let routes = Router::new().route("/", get(async || -> &'static str { panic!("hunter2") }));
        let routes = routes.layer(CatchPanicLayer::custom(panicked));
        let response = routes.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("hunter2"));
    }

    #[tokio::test]
    async fn a_refused_body_is_read_to_its_end() {
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<&'static str, std::io::Error>>(1);
        let body = futures::stream::unfold(receiver, async |mut receiver| {
            receiver.recv().await.map(|piece| (piece, receiver))
        });
        let routes = Router::new().route("/", get(async || Problem::malformed("no")));
        let routes = routes.layer(axum::middleware::from_fn(drain));
        let send = async {
            for _ in 0..100 {
                sender.send(Ok("a piece")).await.unwrap();
            }
            drop(sender);
        };
        let request = Request::new(Body::from_stream(body));
        let (response, ()) = tokio::join!(routes.oneshot(request), send);
        assert_eq!(response.unwrap().status(), StatusCode::BAD_REQUEST);
    }
}
