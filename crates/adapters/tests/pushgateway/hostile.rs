//! Gateways that mean no good. They are simulated: a few lines of TCP each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use respaldo_adapters::pushgateway::Outcome;
use respaldo_core::{Error, ErrorKind};
use respaldo_testkit::app::TestApp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use super::{failure, pushed};

/// What a gateway does with what it is sent.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Takes it.
    Accept,
    /// Answers with this status line and repeats the request's head.
    Answer(&'static str),
    /// Sends elsewhere.
    Redirect(&'static str, String),
    /// Answers with this status line and a body that never ends.
    Flood(&'static str),
    /// Answers a byte at a time.
    Drip,
    /// Never answers.
    Silence,
    /// Closes the connection.
    Close,
    /// Answers in no HTTP.
    Garbage,
}

/// A gateway on a port of its own.
pub(crate) struct Hostile {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Hostile {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let counted = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer(stream, behaviour.clone()));
            }
        });
        Self { port, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Connections so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The client may be gone at any step; then there is nothing left to do.
async fn answer(mut stream: TcpStream, behaviour: Behaviour) -> std::io::Result<()> {
    let head = request(&mut stream).await?;
    let whole = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    };
    match behaviour {
        Behaviour::Accept => stream.write_all(whole("200 OK", "").as_bytes()).await,
        Behaviour::Answer(status) => stream.write_all(whole(status, &head).as_bytes()).await,
        Behaviour::Redirect(status, to) => {
            let head = format!("HTTP/1.1 {status}\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await
        }
        Behaviour::Flood(status) => {
            stream.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
            loop {
                stream.write_all(&vec![b'\x1b'; 64 * 1024]).await?;
            }
        }
        Behaviour::Drip => {
            for byte in whole("200 OK", "").bytes() {
                stream.write_all(&[byte]).await?;
                sleep(Duration::from_millis(500)).await;
            }
            Ok(())
        }
        Behaviour::Silence => {
            sleep(Duration::from_mins(1)).await;
            Ok(())
        }
        Behaviour::Close => Ok(()),
        Behaviour::Garbage => stream.write_all(b"\0\x01SSH-2.0-not-http\r\n\r\n").await,
    }
}

/// The head of a request, once its body has been read too.
async fn request(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head.to_lowercase().split_once("content-length: ").map(|(_, rest)| rest.to_owned());
    let length: usize = length.and_then(|rest| rest.lines().next()?.parse().ok()).unwrap_or(0);
    while bytes.len() < end + length && stream.read_buf(&mut bytes).await? > 0 {}
    Ok(head)
}

async fn failure_of(behaviour: Behaviour) -> Error {
    let gateway = Hostile::start(behaviour).await;
    failure(&TestApp::new(), &gateway.url()).await
}

#[tokio::test]
async fn a_gateway_that_never_answers_or_answers_slowly_is_given_five_seconds() {
    let begun = Instant::now();
    let (silent, slow) = tokio::join!(failure_of(Behaviour::Silence), failure_of(Behaviour::Drip));
    for error in [silent, slow] {
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, true), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_gateway_that_cannot_serve_now_is_told_as_that() {
    for status in ["500 Internal Server Error", "503 Service Unavailable", "429 Too Many Requests"] {
        let error = failure_of(Behaviour::Answer(status)).await;
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");
        assert!(error.message().contains(&status[..3]), "{error}");
    }
    for behaviour in [Behaviour::Close, Behaviour::Garbage] {
        let error = failure_of(behaviour).await;
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");
    }
    let closed = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let error = failure(&TestApp::new(), &format!("http://{closed}")).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.message().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let elsewhere = Hostile::start(Behaviour::Accept).await;
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let error = failure_of(Behaviour::Redirect(status, elsewhere.url())).await;
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.mend().unwrap().contains("redirections are not followed"), "{error}");
    }
    assert_eq!(elsewhere.asked(), 0);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_and_its_beginning_is_made_harmless() {
    let begun = Instant::now();
    let error = failure_of(Behaviour::Flood("400 Bad Request")).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.message().len() < 500 && !error.message().contains('\x1b'), "{error}");
    let flood = Hostile::start(Behaviour::Flood("200 OK")).await;
    assert!(matches!(pushed(&TestApp::new(), &flood.url()).await, Outcome::Pushed { .. }));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_gateway_that_repeats_the_login_does_not_get_it_into_an_error() {
    for status in ["400 Bad Request", "401 Unauthorized", "500 Internal Server Error"] {
        let gateway = Hostile::start(Behaviour::Answer(status)).await;
        let url = gateway.url().replace("http://", "http://scott:tiger-the-password@");
        let error = failure(&TestApp::new(), &url).await;
        let shown = format!("{error} {error:?}");
        // "scott:tiger-the-password" in base64 begins with the last of them.
        for secret in ["tiger", "scott", "c2NvdHQ6dGlnZXI"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        // Without a login, what the gateway said helps.
        let error = failure(&TestApp::new(), &gateway.url()).await;
        assert!(error.message().contains("PUT /metrics/job/respaldo"), "{error}");
    }
}
