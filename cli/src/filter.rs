//! Conditions that lists share.

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use respaldo_adapters::time::SystemClock;
use respaldo_core::ports::Clock as _;

use crate::client::{Client, Query};
use crate::failure::{Answer, Failure};

#[derive(Debug, Clone, Default, PartialEq, Args)]
pub(crate) struct Filter {
    /// Only this database's: a number, a config_id, or a name that only one has.
    #[arg(long, value_name = "DATABASE")]
    database: Option<String>,
    /// Only those since then: 7d, 12h, 30m, a day (2026-01-02, UTC) or an instant (2026-01-02T03:04:05Z).
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    #[command(flatten)]
    listed: Listed,
}

/// What every list of jobs has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub(crate) struct Listed {
    /// Only those in this status.
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// Only the newest so many; all of them when left out.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
    Skipped,
    Deleting,
}

impl Filter {
    /// The conditions as the API takes them.
    pub(crate) async fn query(&self, client: &Client) -> Answer<Query> {
        let since = self.since.as_deref().map(|text| since(text, SystemClock.now())).transpose()?;
        let id = client.optional_database_id(self.database.as_deref()).await?;
        Ok(self.listed.query().with("since", since).with("database_id", id))
    }

    /// How many items are wanted; none: all.
    pub(crate) fn limit(&self) -> Option<usize> {
        self.listed.limit()
    }
}

impl Listed {
    /// The conditions as the API takes them.
    pub(crate) fn query(self) -> Query {
        Query::default().with("status", self.status.as_ref().and_then(word))
    }

    /// How many items are wanted; none: all.
    pub(crate) fn limit(self) -> Option<usize> {
        self.limit.and_then(|limit| usize::try_from(limit).ok())
    }
}

/// A choice in the API's words, which are the command line's.
pub(crate) fn word(choice: &impl ValueEnum) -> Option<String> {
    Some(choice.to_possible_value()?.get_name().to_owned())
}

/// An instant, from a span before `now`, a day, or an instant.
fn since(text: &str, now: Timestamp) -> Answer<String> {
    if let Some(span) = span(text) {
        return now.checked_sub(span).map(|at| at.to_string()).map_err(|_| refused());
    }
    if text.parse::<Date>().is_ok() && !text.contains('T') {
        return Ok(text.to_owned());
    }
    text.parse::<Timestamp>().map(|at| at.to_string()).map_err(|_| refused())
}

/// A number and one of the letters s, m, h, d, w.
fn span(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().last()?;
    let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    Some(SignedDuration::from_secs(i64::from(number) * seconds))
}

fn refused() -> Failure {
    Failure::usage("--since", "it is no time").with_mend(
        "write 7d, 12h or 30m, a day such as 2026-01-02, or an instant such as 2026-01-02T03:04:05Z",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_span_a_day_or_an_instant() {
        let now: Timestamp = "2026-01-08T00:00:00Z".parse().unwrap();
        for (text, told) in [
            ("7d", "2026-01-01T00:00:00Z"),
            ("1w", "2026-01-01T00:00:00Z"),
            ("12h", "2026-01-07T12:00:00Z"),
            ("30m", "2026-01-07T23:30:00Z"),
            ("0s", "2026-01-08T00:00:00Z"),
            ("2026-01-02", "2026-01-02"),
            ("2026-01-02T03:04:05+01:00", "2026-01-02T02:04:05Z"),
        ] {
            assert_eq!(since(text, now).unwrap(), told, "{text}");
        }
        for junk in
            ["", "d", "-1d", "7", "7x", "1.5h", "yesterday", "2026-02-30", "99999999999d", "4294967295w", "ä"]
        {
            assert!(since(junk, now).is_err(), "{junk}");
        }
    }
}
