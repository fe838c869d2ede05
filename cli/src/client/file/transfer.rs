//! The bytes on their way: asked for from where the last connection broke, as often as that brings more.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, IF_RANGE, RANGE};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Sink, Stored, Target};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::{Answer, Failure};
use crate::show::{Bar, Show, cells, plain, size};

/// So many connections in a row may bring nothing.
const MOST_TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const BETWEEN_DRAWINGS: Duration = Duration::from_millis(100);

/// Downloads it, and compares its digest before it is put under its name; answers where it lies now.
///
/// # Errors
/// `Unreachable` when the connection breaks too often: what has arrived is kept for the next run. `Failed`
/// when the bytes are not those that were stored: nothing is kept.
pub(crate) async fn download(
    client: &Client,
    stored: &Stored,
    target: Target,
    show: Show,
) -> Answer<Option<PathBuf>> {
    let mut sink = Sink::open(target, stored)?;
    let mut progress = Progress::new(stored, show);
    loop {
        all(client, stored, &mut sink, &mut progress).await?;
        let resumed = sink.resumed > 0;
        if sink.holds(stored) {
            return sink.finish();
        }
        if !resumed {
            break;
        }
        progress.bar.note("what an earlier run had left does not fit: beginning anew");
        sink.start_over()?;
    }
    sink.discard()?;
    let detail = format!("the SHA-256 of {} is not the one that the server tells", plain(&stored.name));
    Err(Failure::new(Exit::Failed, "corrupt", "These are not the bytes that were stored", detail)
        .with_mend("nothing was kept; try again, and verify the backup"))
}

/// Takes everything that is missing.
async fn all(client: &Client, stored: &Stored, sink: &mut Sink, progress: &mut Progress) -> Answer<()> {
    let (mut tries, mut pause) = (0, FIRST_PAUSE);
    while sink.written < stored.size_bytes {
        let before = sink.written;
        let lost = match once(client, stored, sink, progress).await {
            Ok(()) if sink.written >= stored.size_bytes => return Ok(()),
            Ok(()) => {
                Failure::new(Exit::Unreachable, "unavailable", "The download broke off", "it ended early")
            }
            Err(failure) if failure.is_absence() => failure,
            Err(failure) => return Err(failure),
        };
        (tries, pause) = if sink.written > before { (0, FIRST_PAUSE) } else { (tries + 1, pause * 2) };
        if tries >= MOST_TRIES {
            return Err(lost.with_mend("what has arrived is kept: the same command goes on with it"));
        }
        sleep(pause).await;
    }
    Ok(())
}

/// One connection's worth.
async fn once(client: &Client, stored: &Stored, sink: &mut Sink, progress: &mut Progress) -> Answer<()> {
    let Reached { mut response, from, whole } = open(client, stored, sink.written).await?;
    match response.status() {
        StatusCode::PARTIAL_CONTENT => refuse_elsewhere(client, &response, from)?,
        _ if from > 0 => {
            sink.start_over()?;
            if !whole {
                // What comes here is a part from its first byte, and not the file from its.
                return Ok(());
            }
        }
        _ => {}
    }
    while let Some(piece) = response.chunk().await.map_err(|error| client.unreachable(&error))? {
        if sink.written + piece.len() as u64 > stored.size_bytes {
            // Its digest cannot hold any more, and it might never end.
            sink.start_over()?;
            let what = format!("more than the {} bytes of {}", stored.size_bytes, plain(&stored.name));
            return Err(Failure::new(
                Exit::Failed,
                "foreign",
                "These are not the bytes that were stored",
                what,
            ));
        }
        sink.take(&piece)?;
        progress.draw(sink.written);
    }
    Ok(())
}

/// An answer that brings bytes.
struct Reached {
    response: Response,
    /// From which on, of what was asked.
    from: u64,
    /// Whether that is the whole file, and not a part of it.
    whole: bool,
}

/// Asks for the bytes from `from` on: of the server, or of where it leads.
async fn open(client: &Client, stored: &Stored, from: u64) -> Answer<Reached> {
    let from_there = |request: RequestBuilder| match from {
        0 => request,
        from => {
            request.header(RANGE, format!("bytes={from}-")).header(IF_RANGE, format!("\"{}\"", stored.sha256))
        }
    };
    let response = client.send(from_there(client.request(Method::GET, &stored.path))).await?;
    let is_json = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if !is_json {
        return Ok(Reached { response, from, whole: true });
    }
    let answer: Option<Value> = serde_json::from_slice(&client.body(response).await?).ok();
    let place = answer.and_then(|answer| locate(&answer, from));
    let place = place.filter(|(url, ..)| matches!(url.scheme(), "http" | "https"));
    let (url, from, whole) =
        place.ok_or_else(|| Failure::foreign(client.base(), "no file and no address of one"))?;
    // The address opens the file by itself: the key is not shown there. `If-Range` would name the API's
    // entity tag, which a store does not know; the digest tells in the end.
    let request = client.http.get(url);
    let request = if from > 0 { request.header(RANGE, format!("bytes={from}-")) } else { request };
    Ok(Reached { response: client.send(request).await?, from, whole })
}

/// Where the bytes from `from` on are, from which byte on there, and whether that is the whole file.
fn locate(answer: &Value, from: u64) -> Option<(Url, u64, bool)> {
    if let Some(url) = answer["url"].as_str() {
        return Some((url.parse().ok()?, from, true));
    }
    let mut begins = 0;
    for part in answer["parts"].as_array()? {
        let ends = part["size_bytes"].as_u64()?.checked_add(begins)?;
        if from < ends {
            return Some((part["url"].as_str()?.parse().ok()?, from - begins, false));
        }
        begins = ends;
    }
    None
}

fn refuse_elsewhere(client: &Client, response: &Response, from: u64) -> Answer<()> {
    let range =
        response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
    if range.starts_with(&format!("bytes {from}-")) {
        return Ok(());
    }
    Err(Failure::foreign(client.base(), format!("the range {} instead of {from}-", plain(range))))
}

struct Progress {
    bar: Bar,
    name: String,
    total: u64,
    begun: Option<(Instant, u64)>,
    drawn: Option<Instant>,
}

impl Progress {
    fn new(stored: &Stored, show: Show) -> Self {
        let (name, total) = (plain(&stored.name), stored.size_bytes);
        Self { bar: Bar::new(show), name, total, begun: None, drawn: None }
    }

    fn draw(&mut self, done: u64) {
        let now = Instant::now();
        let (begun, first) = *self.begun.get_or_insert((now, done));
        if self.drawn.is_some_and(|drawn| now - drawn < BETWEEN_DRAWINGS) {
            return;
        }
        self.drawn = Some(now);
        let rate = u128::from(done - first.min(done)) * 1_000 / (now - begun).as_millis().max(1);
        let rate = size(u64::try_from(rate).unwrap_or(u64::MAX));
        let bar = cells(done, self.total, false);
        self.bar.draw(&format!("  {bar}  {} of {}, {rate}/s  {}", size(done), size(self.total), self.name));
    }
}
