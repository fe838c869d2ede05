//! A job as it happens, as server-sent events.
//!
//! `status` and `progress` tell the present and have no id; `log` events have their line's number as
//! id, so that a reader who lost the connection goes on after the last line it saw. The stream ends
//! when the job has, on some hosts as soon as all that is new has been told.

use std::collections::VecDeque;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::Stream;
use futures::stream::unfold;
use respaldo_api::extract::JobIdPath;
use respaldo_api::types::{JobView, LogLineView, ProgressView};
use respaldo_core::model::{Job, JobId, Progress, Status};
use respaldo_core::{App, Error, ErrorKind, Result, jobs};
use serde::Serialize;
use tokio::time::sleep;

use crate::backups::Answer;

const LINES_AT_ONCE: usize = 200;
const FIRST_LOOK: Duration = Duration::from_millis(100);
const RAREST_LOOK: Duration = Duration::from_secs(1);

/// Streams a job's status, progress and log until it has ended.
///
/// A host that cannot keep an answer open (AWS Lambda) tells what is new after `Last-Event-ID` and ends: ask
/// again, as `EventSource` does by itself, until `status` is a last one.
#[utoipa::path(
    get, path = "/jobs/{id}/events", tag = "jobs",
    params(
        ("id" = String, Path),
        ("Last-Event-ID" = Option<u64>, Header, description = "Go on after this line of the log."),
    ),
    responses((status = 200, description = "Events `status`, `progress` and `log`.", content_type = "text/event-stream", body = String))
)]
pub(crate) async fn events(
    State(app): State<App>,
    JobIdPath(id): JobIdPath,
    headers: HeaderMap,
) -> Answer<Sse<impl Stream<Item = Result<Event>> + use<>>> {
    let seen = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
    jobs::get(&app, id).await?;
    let watch = Watch {
        app,
        id,
        seen,
        status: None,
        progress: None,
        pending: VecDeque::new(),
        ended: false,
        pause: None,
    };
    let stream = unfold(watch, async |mut watch| watch.next().await.map(|event| (event, watch)));
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

/// What a reader has been told.
struct Watch {
    app: App,
    id: JobId,
    seen: u64,
    status: Option<Status>,
    progress: Option<Progress>,
    pending: VecDeque<Event>,
    ended: bool,
    /// How long to wait before the next look; none before the first.
    pause: Option<Duration>,
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Event>> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            if let Some(pause) = self.pause {
                sleep(pause).await;
            }
            if let Err(error) = self.look().await {
                self.ended = true;
                // A job that is gone has ended; its reader needs no error for it.
                return (error.kind() != ErrorKind::NotFound).then_some(Err(error));
            }
            let pause = self.pause.map_or(FIRST_LOOK, |pause| pause * 2);
            self.pause = Some(if self.pending.is_empty() { pause.min(RAREST_LOOK) } else { FIRST_LOOK });
        }
    }

    /// Reads the job before its log: whatever an ended job wrote is then in the log.
    async fn look(&mut self) -> Result<()> {
        let job = jobs::get(&self.app, self.id).await?;
        let lines = jobs::log(&self.app, self.id, self.seen, LINES_AT_ONCE).await?;
        let all_told = lines.len() < LINES_AT_ONCE;
        for line in lines {
            self.seen = line.seq;
            self.pending.push_back(event("log", &LogLineView::from(line))?.id(self.seen.to_string()));
        }
        if self.progress != Some(job.progress) {
            self.progress = Some(job.progress);
            self.pending.push_back(event("progress", &ProgressView::from(job.progress))?);
        }
        self.ended = all_told && (has_ended(&job) || self.app.limits.host.events_end);
        if self.status != Some(job.status) && (all_told || !has_ended(&job)) {
            self.status = Some(job.status);
            self.pending.push_back(event("status", &JobView::from(job))?);
        }
        Ok(())
    }
}

fn has_ended(job: &Job) -> bool {
    job.status.is_terminal() || job.status == Status::Deleting
}

fn event(name: &str, data: &impl Serialize) -> Result<Event> {
    let event = Event::default().event(name).json_data(data);
    event.map_err(|error| Error::internal("tell of a job", error))
}
