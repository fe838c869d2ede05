//! Following a job on a server until it has ended.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use respaldo_core::{Error, ErrorKind, Result};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::client::{Client, text};

const FIRST_LOOK: Duration = Duration::from_millis(50);
const RAREST_LOOK: Duration = Duration::from_secs(1);
/// A server may be restarted while it works: its job goes on.
const LONGEST_ABSENCE: Duration = Duration::from_mins(1);
const LINES_AT_ONCE: usize = 1_000;

/// Shows the job's log on standard error until it has ended; answers the job.
pub(crate) async fn to_the_end(client: &Client, id: &str) -> Result<Value> {
    let mut seen = 0;
    let mut pause = FIRST_LOOK;
    let mut heard = Instant::now();
    let mut shown = Shown::default();
    loop {
        match look(client, id, &mut seen, &mut shown).await {
            Ok(Some(job)) => return Ok(job),
            Ok(None) => heard = Instant::now(),
            Err(e) if is_absence(&e) && heard.elapsed() < LONGEST_ABSENCE => {}
            Err(e) => return Err(e.with_mend(format!("the job goes on there: GET /jobs/{id}"))),
        }
        sleep(pause).await;
        pause = (pause * 2).min(RAREST_LOOK);
    }
}

fn is_absence(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}

/// Reads the job before its log: whatever an ended job wrote is then in the log.
async fn look(client: &Client, id: &str, seen: &mut u64, shown: &mut Shown) -> Result<Option<Value>> {
    let job = client.get(&format!("/jobs/{id}")).await?;
    loop {
        let path = format!("/jobs/{id}/log?after={seen}&limit={LINES_AT_ONCE}");
        let lines = client.get(&path).await?;
        let lines = lines.as_array().map(Vec::as_slice).unwrap_or_default();
        for line in lines {
            *seen = line["seq"].as_u64().unwrap_or(*seen);
            shown.line(line);
        }
        if lines.len() < LINES_AT_ONCE {
            break;
        }
    }
    let ended = !matches!(job["status"].as_str(), Some("queued" | "running"));
    shown.progress(&job, ended);
    Ok(ended.then_some(job))
}

/// What stands in the terminal's last line.
#[derive(Default)]
struct Shown {
    progress: String,
}

impl Shown {
    fn line(&mut self, line: &Value) {
        self.clear();
        eprintln!("  {:<5} {}", text(line, "level"), text(line, "line"));
    }

    /// A line that is overwritten, for people only: a file would fill with it.
    fn progress(&mut self, job: &Value, ended: bool) {
        if !io::stderr().is_terminal() {
            return;
        }
        self.clear();
        if ended {
            return;
        }
        let bytes = job["progress"]["raw_bytes"].as_u64().unwrap_or(0);
        let step = [text(job, "step"), text(job, "status")].into_iter().find(|word| !word.is_empty());
        self.progress = format!("  {}, {}", step.unwrap_or_default(), size(bytes));
        eprint!("{}", self.progress);
        let _shown = io::stderr().flush();
    }

    fn clear(&mut self) {
        if !self.progress.is_empty() {
            eprint!("\r{:width$}\r", "", width = self.progress.chars().count());
            self.progress.clear();
        }
    }
}

/// Bytes for people to read.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    let Some(unit) = units.iter().rposition(|unit| bytes >= thousand(unit, &units)) else {
        return format!("{bytes} bytes");
    };
    let tenths = bytes / (thousand(units[unit], &units) / 10);
    format!("{}.{} {}", tenths / 10, tenths % 10, units[unit])
}

fn thousand(unit: &str, units: &[&str]) -> u64 {
    let place = units.iter().position(|one| *one == unit).unwrap_or(0);
    1_000_u64.pow(u32::try_from(place).unwrap_or(0) + 1)
}

/// Asks on a terminal. Without one nobody can answer: none.
pub(crate) fn agreed(question: &str) -> anyhow::Result<Option<bool>> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    eprint!("{question} [y/N] ");
    io::stderr().flush().context("ask")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("read the answer")?;
    Ok(Some(matches!(answer.trim(), "y" | "Y" | "yes")))
}

/// Why the job ended badly, with its mend, a line each.
pub(crate) fn tell_failure(job: &Value) {
    let error = &job["error"];
    eprintln!("respaldo: job {} is {}: {}", text(job, "id"), text(job, "status"), text(error, "message"));
    if error["mend"].is_string() {
        eprintln!("  to mend it: {}", text(error, "mend"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        for (bytes, told) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (1_550_000, "1.5 MB"),
            (7_000_000_000, "7.0 GB"),
        ] {
            assert_eq!(size(bytes), told);
        }
    }
}
