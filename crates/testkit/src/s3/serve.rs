//! The server's thread, and what happens to each request on its way to the store and back.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::JoinHandle;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::Body;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{RwLock, oneshot, watch};

use super::faults::Faults;
use super::uploads::{OpenUploads, decoded};
use super::{Fault, Operation, S3Server, Seen, digest};

/// What the test's side and the server's side both see.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Parts are taken beside each other; an upload is aborted when none is.
    taking: RwLock<()>,
    pub(super) healed: watch::Sender<()>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) faults: Faults,
    pub(super) seen: Vec<Seen>,
    pub(super) open_uploads: OpenUploads,
    pub(super) largest_body: u64,
    pub(super) parts_now: usize,
    pub(super) most_parts: usize,
    pub(super) hanging: usize,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

/// Starts the server's thread; it ends when the other end of `stopped` is dropped.
pub(super) fn spawn(
    root: &Path,
    shared: Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) -> (SocketAddr, JoinHandle<()>) {
    let mut builder = S3ServiceBuilder::new(FileSystem::new(root).expect("the folder was just made"));
    builder.set_auth(SimpleAuth::from_single(S3Server::ACCESS_KEY, S3Server::SECRET_KEY));
    let store = builder.build();
    let (tell, told) = mpsc::channel();
    // A runtime of its own: a test that blocks its runtime must not block the server.
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime can be made").block_on(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
            tell.send(listener.local_addr().expect("it is bound")).expect("the test waits for it");
            tokio::select! {
                () = accept(listener, &store, &shared) => {}
                _ = stopped => {}
            }
        });
    });
    (told.recv().expect("the server starts"), thread)
}

async fn accept(listener: TcpListener, store: &S3Service, shared: &Arc<Shared>) {
    loop {
        // A client that is gone before it was accepted is no fault of the server.
        if let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, store.clone(), Arc::clone(shared)));
        }
    }
}

async fn serve(socket: TcpStream, store: S3Service, shared: Arc<Shared>) {
    let service = service_fn(move |request| handle(request, store.clone(), Arc::clone(&shared)));
    // An error here is a connection that a fault or the client closed; both are meant.
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await.ok();
}

/// Answers one request. An error closes the connection without an answer. What was begun is done to its end,
/// though its client may have gone: no store takes half of it back.
async fn handle(
    request: Request<Incoming>,
    store: S3Service,
    shared: Arc<Shared>,
) -> io::Result<Response<Body>> {
    let seen = Seen::of(&request);
    // Before the decision, so that a healing right after it is not missed.
    let healed = shared.healed.subscribe();
    let fault = shared.state().faults.decide(&seen);
    if matches!(fault, Some(Fault::Hang)) {
        return hang(seen, &shared, healed).await;
    }
    tokio::spawn(answer(request, seen, fault, store, shared)).await.map_err(io::Error::other)?
}

async fn hang(
    seen: Seen,
    shared: &Arc<Shared>,
    mut healed: watch::Receiver<()>,
) -> io::Result<Response<Body>> {
    let _part = UnderWay::of(&seen, shared);
    let _hanging = Hanging::begin(shared);
    healed.changed().await.ok();
    shared.state().seen.push(seen);
    Err(dropped())
}

async fn answer(
    request: Request<Incoming>,
    mut seen: Seen,
    fault: Option<Fault>,
    store: S3Service,
    shared: Arc<Shared>,
) -> io::Result<Response<Body>> {
    let _part = UnderWay::of(&seen, &shared);
    let answer = match fault {
        None => perform(request.map(Body::from), &seen, &store, &shared).await,
        Some(fault) => fail(fault, request, &seen, &store, &shared).await,
    };
    seen.status = answer.as_ref().ok().map(|response| response.status().as_u16());
    shared.state().seen.push(seen);
    answer
}

/// Answers a request as a fault will have it.
async fn fail(
    fault: Fault,
    request: Request<Incoming>,
    seen: &Seen,
    store: &S3Service,
    shared: &Arc<Shared>,
) -> io::Result<Response<Body>> {
    match fault {
        Fault::Status(status) => drain(request).await.map(|()| refusal(status)),
        Fault::Code(status, code) => drain(request).await.map(|()| error_document(known(status), code)),
        Fault::OkWithErrorBody => {
            drain(request).await.map(|()| error_document(StatusCode::OK, "InternalError"))
        }
        Fault::Drop | Fault::Hang => Err(dropped()),
        Fault::CutBody => read_half(request, seen.content_length).await.and(Err(dropped())),
        Fault::Slow(wait) => {
            let hanging = Hanging::begin(shared);
            tokio::time::sleep(wait).await;
            drop(hanging);
            perform(request.map(Body::from), seen, store, shared).await
        }
        Fault::LoseResponse => {
            perform(request.map(Body::from), seen, store, shared).await.and(Err(dropped()))
        }
        Fault::LieAboutChecksum => {
            let mut answer = perform(request.map(Body::from), seen, store, shared).await?;
            answer.headers_mut().insert("x-amz-checksum-crc32c", HeaderValue::from_static("AAAAAA=="));
            Ok(answer)
        }
        Fault::CorruptBody => match corrupted(request).await {
            Ok(request) => perform(request, seen, store, shared).await,
            Err(error) => Err(error),
        },
    }
}

/// A request that hangs, counted until it is let go or its client has gone.
struct Hanging(Arc<Shared>);

impl Hanging {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.state().hanging += 1;
        Self(Arc::clone(shared))
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.state().hanging -= 1;
    }
}

/// A part that is being answered, counted until it is dropped.
struct UnderWay(Arc<Shared>);

impl UnderWay {
    fn of(seen: &Seen, shared: &Arc<Shared>) -> Option<Self> {
        if seen.operation != Operation::UploadPart {
            return None;
        }
        let mut state = shared.state();
        state.parts_now += 1;
        state.most_parts = state.most_parts.max(state.parts_now);
        drop(state);
        Some(Self(Arc::clone(shared)))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.state().parts_now -= 1;
    }
}

/// Lets the store do it, to the end: a completion's work is done while its body is read.
async fn perform(
    request: Request<Body>,
    seen: &Seen,
    store: &S3Service,
    shared: &Shared,
) -> io::Result<Response<Body>> {
    let carries_data = matches!(seen.operation, Operation::PutObject | Operation::UploadPart);
    if carries_data {
        let mut state = shared.state();
        state.largest_body = state.largest_body.max(seen.content_length);
    }
    if !seen.kept.is_empty() && seen.operation.takes_no_wishes() {
        return Ok(error_document(StatusCode::BAD_REQUEST, "InvalidArgument"));
    }
    let Some(request) = verified(request).await? else {
        return Ok(error_document(StatusCode::BAD_REQUEST, "BadDigest"));
    };
    let query = request.uri().query().unwrap_or_default().to_owned();
    let (_taking, _aborting);
    match seen.operation {
        Operation::UploadPart => {
            _taking = shared.taking.read().await;
            if !shared.state().open_uploads.is_open(seen) {
                return Ok(error_document(StatusCode::NOT_FOUND, "NoSuchUpload"));
            }
        }
        Operation::AbortUpload => _aborting = shared.taking.write().await,
        _ => {}
    }
    let mut response = store.call(request).await.map_err(|error| io::Error::other(format!("{error:?}")))?;
    if seen.operation == Operation::GetObject && response.status().is_success() {
        show_as(&query, response.headers_mut());
    }
    if matches!(seen.operation, Operation::GetObject | Operation::HeadObject) {
        return Ok(response);
    }
    let (mut parts, mut body) = response.into_parts();
    let bytes = collect(&mut body).await?;
    let state = &mut shared.state().open_uploads;
    if seen.operation == Operation::ListUploads && parts.status == StatusCode::NOT_IMPLEMENTED {
        // The store knew who asked, and had no more to say.
        return Ok(state.page(seen));
    }
    state.note(seen, parts.status, &String::from_utf8_lossy(&bytes));
    // The body is whole now, whatever way of sending it the store had in mind.
    parts.headers.remove(hyper::header::TRANSFER_ENCODING);
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

/// What a signed request may have the store say of an object; the store beneath knows nothing of it.
fn show_as(query: &str, headers: &mut HeaderMap) {
    for (name, header) in [
        ("response-content-disposition", CONTENT_DISPOSITION),
        ("response-content-type", CONTENT_TYPE),
        ("response-cache-control", CACHE_CONTROL),
    ] {
        let mut values = query.split('&').filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let value = values.next_back().map(decoded);
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(header, value);
        }
    }
}

async fn collect(body: &mut Body) -> io::Result<Bytes> {
    let mut all = BytesMut::new();
    while let Some(chunk) = body.next().await {
        all.extend_from_slice(&chunk.map_err(io::Error::other)?);
    }
    Ok(all.freeze())
}

/// The request, its body held against the checksums that it claims; none when they do not match.
async fn verified(request: Request<Body>) -> io::Result<Option<Request<Body>>> {
    if !digest::is_claimed(request.headers()) {
        return Ok(Some(request));
    }
    let (parts, mut body) = request.into_parts();
    let bytes = collect(&mut body).await?;
    let matches = digest::is_true(&parts.headers, &bytes);
    Ok(matches.then(|| Request::from_parts(parts, Body::from(bytes))))
}

/// Takes the body and forgets it: an answer in the middle of one would close the connection too, and
/// the client might see that instead of the answer.
async fn drain(request: Request<Incoming>) -> io::Result<()> {
    let mut body = Body::from(request.into_body());
    while let Some(chunk) = body.next().await {
        chunk.map_err(io::Error::other)?;
    }
    Ok(())
}

/// Reads a body as far as its middle.
async fn read_half(request: Request<Incoming>, length: u64) -> io::Result<()> {
    let (mut body, mut read) = (Body::from(request.into_body()), 0);
    while read < length / 2
        && let Some(chunk) = body.next().await
    {
        read += chunk.map_err(io::Error::other)?.len() as u64;
    }
    Ok(())
}

async fn corrupted(request: Request<Incoming>) -> io::Result<Request<Body>> {
    let (parts, body) = request.into_parts();
    let mut bytes = BytesMut::from(collect(&mut Body::from(body)).await?);
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    Ok(Request::from_parts(parts, Body::from(bytes.freeze())))
}

fn dropped() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "injected: no answer")
}

fn refusal(status: u16) -> Response<Body> {
    let code = match status {
        403 => "AccessDenied",
        404 => "NoSuchKey",
        501 => "NotImplemented",
        429 | 503 => "SlowDown",
        _ => "InternalError",
    };
    error_document(known(status), code)
}

fn known(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("a valid status")
}

fn error_document(status: StatusCode, code: &str) -> Response<Body> {
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
         <Message>injected</Message><RequestId>0</RequestId></Error>"
    );
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}
