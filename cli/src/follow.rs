//! Following jobs on a server until they have ended.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::{Answer, Failure};
use crate::show::{Bar, Show, cells, count, note, size, text};

const FIRST_LOOK: Duration = Duration::from_millis(50);
const RAREST_LOOK: Duration = Duration::from_secs(1);
/// A server may be restarted while it works: its job goes on.
const LONGEST_ABSENCE: Duration = Duration::from_mins(1);
const LINES_AT_ONCE: usize = 1_000;

/// A job that is followed.
pub(crate) struct Followed {
    id: String,
    /// What stands before its lines, where several are followed.
    label: String,
    /// How many bytes it will read, as far as an earlier one tells.
    expected_bytes: Option<u64>,
    seen: u64,
    job: Value,
}

impl Followed {
    /// The job of this id.
    pub(crate) fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), label: String::new(), expected_bytes: None, seen: 0, job: Value::Null }
    }

    /// Puts `label` before its lines.
    pub(crate) fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Knows about how many bytes it will read.
    pub(crate) fn expecting(mut self, bytes: Option<u64>) -> Self {
        self.expected_bytes = bytes.filter(|bytes| *bytes > 0);
        self
    }

    fn has_ended(&self) -> bool {
        !self.job.is_null() && !matches!(self.job["status"].as_str(), Some("queued" | "running"))
    }

    fn done_bytes(&self) -> u64 {
        self.job["progress"]["raw_bytes"].as_u64().unwrap_or(0)
    }
}

/// Shows one job's log on standard error until it has ended; answers the job.
pub(crate) async fn to_the_end(client: &Client, job: Followed, show: Show) -> Answer<Value> {
    let ended = all_to_the_end(client, vec![job], show).await?;
    ended.into_iter().next().ok_or_else(|| Failure::foreign(client.base(), "no job"))
}

/// The same with several jobs, answered in the order in which they were given.
///
/// # Errors
/// `Interrupted` on Ctrl-C: the jobs go on. `Unreachable` when the server stays away.
pub(crate) async fn all_to_the_end(client: &Client, jobs: Vec<Followed>, show: Show) -> Answer<Vec<Value>> {
    let ids: Vec<String> = jobs.iter().map(|job| job.id.clone()).collect();
    tokio::select! {
        ended = until_ended(client, jobs, show) => ended,
        _pressed = tokio::signal::ctrl_c() => {
            let detail = format!("{} on the server: {}", if ids.len() == 1 { "the job goes on" } else { "the jobs go on" }, ids.join(", "));
            let first = ids.first().map(String::as_str).unwrap_or_default();
            Err(Failure::new(Exit::Interrupted, "interrupted", "No longer followed", detail)
                .with_mend(format!("respaldo jobs follow {first} looks at it again, respaldo jobs cancel {first} stops it")))
        }
    }
}

async fn until_ended(client: &Client, mut jobs: Vec<Followed>, show: Show) -> Answer<Vec<Value>> {
    let (mut bar, mut pause, mut heard) = (Bar::new(show), FIRST_LOOK, Instant::now());
    loop {
        match look_at_all(client, &mut jobs, show, &mut bar).await {
            Ok(()) => heard = Instant::now(),
            Err(e) if e.is_absence() && heard.elapsed() < LONGEST_ABSENCE => {}
            Err(e) if e.is_absence() => {
                let id = jobs.iter().find(|job| !job.has_ended()).map_or("", |job| &job.id);
                return Err(e.with_mend(format!("the job goes on there: respaldo jobs follow {id}")));
            }
            Err(e) => return Err(e),
        }
        if jobs.iter().all(Followed::has_ended) {
            return Ok(jobs.into_iter().map(|followed| followed.job).collect());
        }
        bar.draw(&progress_line(&jobs));
        sleep(pause).await;
        pause = (pause * 2).min(RAREST_LOOK);
    }
}

async fn look_at_all(client: &Client, jobs: &mut [Followed], show: Show, bar: &mut Bar) -> Answer<()> {
    for followed in jobs.iter_mut().filter(|followed| !followed.has_ended()) {
        // The job before its log: whatever an ended job wrote is then in the log.
        let job = client.get(&format!("/jobs/{}", followed.id)).await?;
        if !job["status"].is_string() {
            return Err(Failure::foreign(client.base(), "a job without a status"));
        }
        if !show.quiet {
            let label = &followed.label;
            let mut tell = |line: &Value| bar.note(&format!("  {label}{}", log_line(line)));
            new_lines(client, &followed.id, &mut followed.seen, &mut tell).await?;
        }
        followed.job = job;
    }
    Ok(())
}

/// Hands over the lines of a job's log that nobody has seen yet.
pub(crate) async fn new_lines(
    client: &Client,
    id: &str,
    seen: &mut u64,
    tell: &mut impl FnMut(&Value),
) -> Answer<()> {
    loop {
        let path = format!("/jobs/{id}/log?after={seen}&limit={LINES_AT_ONCE}");
        let lines = client.get(&path).await?;
        let lines = lines.as_array().map(Vec::as_slice).unwrap_or_default();
        let before = *seen;
        for line in lines {
            *seen = line["seq"].as_u64().unwrap_or(*seen).max(*seen);
            tell(line);
        }
        // A log that does not advance would be read for ever.
        if lines.len() < LINES_AT_ONCE || *seen == before {
            return Ok(());
        }
    }
}

/// A line of a job's log for people.
pub(crate) fn log_line(line: &Value) -> String {
    format!("{:<5} {}", text(line, "level"), text(line, "line"))
}

fn progress_line(jobs: &[Followed]) -> String {
    let done: u64 = jobs.iter().map(Followed::done_bytes).sum();
    if let [one] = jobs {
        let step =
            [text(&one.job, "step"), text(&one.job, "status")].into_iter().find(|word| !word.is_empty());
        let step = step.unwrap_or_default();
        return match one.expected_bytes {
            Some(expected) if done > 0 => {
                format!(
                    "  {}  {step}, {} of about {}",
                    cells(done, expected, true),
                    size(done),
                    size(expected)
                )
            }
            _ => format!("  {step}, {}", size(done)),
        };
    }
    let ended = jobs.iter().filter(|job| job.has_ended()).count();
    let running = jobs.iter().filter(|job| job.job["status"] == json!("running")).count();
    let bar = cells(ended as u64, jobs.len() as u64, false);
    format!(
        "  {bar}  {ended} of {} ended, {running} running, {}",
        count(jobs.len() as u64, "job"),
        size(done)
    )
}

/// What an ended job comes to. Why it ended badly is told where people read.
pub(crate) fn exit_of(what: &str, job: &Value, show: Show) -> Exit {
    if job["status"] == json!("succeeded") {
        return Exit::Done;
    }
    if !show.json {
        tell_failure(what, job);
    }
    Exit::Failed
}

fn tell_failure(what: &str, job: &Value) {
    let error = &job["error"];
    let why = [text(error, "message"), text(job, "reason")].into_iter().find(|why| !why.is_empty());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    note(&format!("respaldo: {what} {} is {}{why}", text(job, "id"), text(job, "status")));
    if error["mend"].is_string() {
        note(&format!("  to mend it: {}", text(error, "mend")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(status: &str, raw_bytes: u64) -> Followed {
        let mut followed = Followed::new("x");
        followed.job = json!({"status": status, "progress": {"raw_bytes": raw_bytes}});
        followed
    }

    #[test]
    fn one_job_shows_its_step_and_a_share_only_where_a_total_is_expected() {
        assert_eq!(progress_line(&[followed("queued", 0)]), "  queued, 0 B");
        let running = followed("running", 500).expecting(Some(1_000));
        assert_eq!(
            progress_line(&[running]),
            "  [############------------]  50 %  running, 500 B of about 1.0 kB"
        );
        let mut restore = followed("running", 7);
        restore.job["step"] = json!("loading\u{1b}");
        assert_eq!(progress_line(&[restore]), "  loading\\u{1b}, 7 B");
    }

    #[test]
    fn several_jobs_show_how_many_have_ended() {
        let line = progress_line(&[followed("succeeded", 5), followed("running", 2), followed("queued", 0)]);
        assert_eq!(line, "  [#######-----------------]  33 %  1 of 3 jobs ended, 1 running, 7 B");
    }
}
