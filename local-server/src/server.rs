//! Serving: the port, the routes, and a clean end.

use std::io::ErrorKind as Io;
use std::net::SocketAddr;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use respaldo_adapters::time::SystemIds;
use respaldo_api::access::Guard;
use respaldo_api::router;
use respaldo_core::config;
use respaldo_core::jobs::Worker;
use respaldo_core::ports::Ids as _;
use respaldo_core::{Error, ErrorKind, Result};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::{Installation, Settings, functions, scheduler, welcome, worker};

/// How long open requests may go on after the jobs have stopped.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// Takes the port.
///
/// # Errors
/// `Config`, e.g. when another process has it.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|error| {
        let refused = |why: String, mend: &str| {
            Error::new(ErrorKind::Config, "listen", why).with_field("listen").with_mend(mend)
        };
        match error.kind() {
            Io::AddrInUse => refused(
                format!("{listen} is in use by another process"),
                "stop it, or choose another port with --listen",
            ),
            Io::PermissionDenied => {
                refused(format!("{listen} may not be used by this user"), "choose a port from 1024 upwards")
            }
            _ => refused(format!("{listen}: {error}"), "choose an address of this machine with --listen"),
        }
    })
}

/// Ends when this process is asked to stop (SIGTERM, SIGINT).
///
/// # Errors
/// `Internal` when signals cannot be heard.
pub fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static> {
    let hear = |kind| signal(kind).map_err(|error| Error::internal("hear signals", error));
    let (mut term, mut int) = (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

/// Serves until `stop` ends; then takes no more work, stops what runs, and answers what was asked.
///
/// # Errors
/// When something that the settings name cannot be used; later failures belong to jobs and requests.
pub async fn run(
    settings: Settings,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let installation = Installation::open(&settings).await?;
    let address = listener.local_addr().map_err(|error| Error::internal("listen", error))?;
    // A server that was started in another folder must not take its databases for gone.
    let applied = if settings.has_file {
        config::apply(&installation.app, &settings.config).await?
    } else {
        Vec::new()
    };
    welcome::show(&installation.app, &settings, address, &applied).await?;
    serve(settings, installation, listener, stop).await
}

/// As [`run`], on an installation that is open already.
///
/// # Errors
/// As [`run`].
pub async fn serve(
    settings: Settings,
    installation: Installation,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let Installation { app, rings } = installation;
    let address = listener.local_addr().map_err(|error| Error::internal("listen", error))?;
    announce(&settings, address);
    let stopping = watch::Sender::new(false);
    let ticks = functions().into_iter().filter_map(|function| function.tick).collect();
    let scheduler = tokio::spawn(scheduler::run(app.clone(), ticks, stopping.subscribe()));
    let pushes = scheduler::push(app.clone(), settings.pushgateway.clone(), stopping.subscribe());
    let pushes = tokio::spawn(pushes);
    let works = functions().into_iter().filter_map(|function| function.job).collect();
    let owner = format!("local-server {} {}", process::id(), SystemIds.ulid(app.now()));
    let worker = Arc::new(Worker::new(owner));
    let worker = tokio::spawn(worker::run(app.clone(), works, worker, rings, stopping.subscribe()));
    let routes = router(functions(), app.clone(), settings.guard);
    let mut stopped = stopping.subscribe();
    let http = axum::serve(listener, routes).with_graceful_shutdown(async move {
        let _told = stopped.wait_for(|stop| *stop).await;
    });
    let http = tokio::spawn(http.into_future());
    let asked = welcome::back_up_now(&app, &settings.backup_now).await?;
    tokio::spawn(welcome::follow(app, asked, address, stopping.subscribe()));
    stop.await;
    tracing::info!("stopping: jobs that run go back to the queue");
    stopping.send_replace(true);
    for ended in [scheduler.await, worker.await, pushes.await] {
        ended.map_err(|error| Error::internal("stop", error))?;
    }
    if timeout(LAST_ANSWERS, http).await.is_err() {
        tracing::info!("requests that were still open have been cut off");
    }
    tracing::info!("stopped");
    Ok(())
}

fn announce(settings: &Settings, address: SocketAddr) {
    tracing::info!(
        listen = %address,
        catalog = %settings.catalog,
        storage = settings.storage,
        "serving http://{address} (documentation at /docs)"
    );
    match settings.guard {
        Guard::Open(_) if address.ip().is_loopback() => tracing::warn!(
            "no key is set: everybody on this machine may do everything; set ADMIN_API_KEY to change that"
        ),
        Guard::Open(_) => tracing::warn!(
            "no key is set and server.allow_unauthenticated is true: everybody who reaches {address} may do everything"
        ),
        Guard::Keys(_) => {}
    }
}
