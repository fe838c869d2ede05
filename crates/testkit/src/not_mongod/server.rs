//! The listener, a task for each connection, and what scripted faults do to a reply.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bson::raw::cstr;
use bson::rawdoc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Shared;
use super::answer::Request;
use super::commands::{self, Session};
use super::faults::Fault;
use super::wire::{self, Message};

/// A running server: a thread of its own, so that it answers whatever its tests do with theirs.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    /// Listens on the port; on any free one if it is 0.
    pub(super) fn start(shared: &Arc<Shared>, port: u16) -> Self {
        let listener = listen(port);
        let address = listener.local_addr().expect("a listener has an address");
        let (stop, stopped) = watch::channel(false);
        let (shared, stopper) = (Arc::clone(shared), stop.clone());
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be made");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("the listener is not blocking");
                accept(listener, &shared, &stopper, stopped).await;
            });
        };
        let thread = std::thread::Builder::new().name("not_mongod".to_owned()).spawn(serve);
        Self { address, stop, thread: Some(thread.expect("a thread can be started")) }
    }
}

/// A port that was ours a moment ago may still be closing.
fn listen(port: u16) -> std::net::TcpListener {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = std::net::TcpListener::bind(address).expect("the port is free");
    listener.set_nonblocking(true).expect("a listener can be made non-blocking");
    listener
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn accept(
    listener: TcpListener,
    shared: &Arc<Shared>,
    stop: &watch::Sender<bool>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                stream.set_nodelay(true).ok();
                connections.spawn(converse(stream, Arc::clone(shared), stop.clone()));
            }
        }
    }
}

/// Ends with the connection; an error is the connection's end, as for a mongod.
async fn converse(mut stream: TcpStream, shared: Arc<Shared>, stop: watch::Sender<bool>) -> io::Result<()> {
    let mut session = Session::new(&shared);
    while let Some(message) = wire::read(&mut stream).await? {
        let fault = match Request::new(&message) {
            Ok(request) => shared.script().decide(&request),
            Err(_) => None,
        };
        match fault {
            Some(Fault::Close) => return Ok(()),
            Some(Fault::Hang) => return hang(&mut stream).await,
            Some(Fault::Die) => {
                stop.send_replace(true);
                return Ok(());
            }
            Some(Fault::Refuse(refusal)) => {
                stream.write_all(&wire::reply(&message, &refusal.reply())).await?;
                continue;
            }
            Some(Fault::Slow(wait)) => tokio::time::sleep(wait).await,
            _ => {}
        }
        let frame = answer(&shared, &mut session, &message, fault == Some(Fault::Alone));
        match fault {
            Some(Fault::DieAfter) => {
                stop.send_replace(true);
                return Ok(());
            }
            Some(Fault::LoseReply) => return Ok(()),
            Some(Fault::CutReply) => return stream.write_all(&frame[..frame.len() / 2]).await,
            Some(Fault::LieAboutLength(beyond)) => return lie(&mut stream, frame, beyond).await,
            Some(Fault::HugeLength) => return lie(&mut stream, frame, i32::MAX).await,
            _ if message.silent => {}
            _ => stream.write_all(&frame).await?,
        }
    }
    Ok(())
}

fn answer(shared: &Shared, session: &mut Session, message: &Message, alone: bool) -> Vec<u8> {
    let answer = Request::new(message).and_then(|request| commands::run(shared, session, &request));
    let mut reply = answer.unwrap_or_else(|refusal| refusal.reply());
    let concern = message.body.get_document("writeConcern").ok();
    if alone && concern.is_some_and(|concern| concern.get_str("w").is_ok_and(|w| w == "majority")) {
        let error = rawdoc! { "code": 64, "codeName": "WriteConcernTimeout", "errmsg": "waiting for replication timed out" };
        reply.append(cstr!("writeConcernError"), error);
    }
    wire::reply(message, &reply)
}

async fn lie(stream: &mut TcpStream, mut frame: Vec<u8>, beyond: i32) -> io::Result<()> {
    wire::set_length(&mut frame, beyond);
    stream.write_all(&frame).await
}

/// Until the other side gives up.
async fn hang(stream: &mut TcpStream) -> io::Result<()> {
    let mut ignored = [0_u8; 1024];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}
