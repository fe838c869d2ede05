//! The jobs' logs: pieces of some lines each, in their job's partition, named by their first line's place.
//!
//! An append writes the piece after the last one, where none is; whoever is refused looks again. So there are no gaps, and
//! the lines of one append keep their order.

use std::time::Duration;

use respaldo_core::model::JobId;
use respaldo_core::ports::LogEntry;
use respaldo_core::{Error, ErrorKind, Result};

use super::Dynamo;
use super::attributes::{Item, Key, LAST, LINES, SK, is_gone, number, number_of};
use super::keys::{self, LOG, padded};
use super::packing::{Packed, read, unpack, write};
use super::read::{Range, Walk};
use super::write::Written;

/// Another append was faster more often than this: something is wrong.
const MOST_TRIES: u32 = 200;
/// After every sort key of a log.
const END: &str = "log#~";

fn piece_key(job: JobId, first: u64) -> Key {
    Key::new(keys::job_partition(job), format!("{LOG}{}", padded(first)))
}

impl Dynamo {
    pub(super) async fn append_lines(&self, job: JobId, lines: &[LogEntry]) -> Result<()> {
        const OPERATION: &str = "append to a job's log";
        if lines.is_empty() {
            return Ok(());
        }
        let mut rest = lines;
        let mut written = Vec::new();
        while !rest.is_empty() {
            let (key, taken) = self.append_piece(OPERATION, job, rest).await?;
            written.push(key);
            rest = &rest[taken..];
        }
        // Asked afterwards, so that a deletion that begins meanwhile either finds the lines or is found here.
        let record = self.get(OPERATION, &keys::job(job)).await?;
        if record.is_none_or(|record| is_gone(&record)) {
            self.remove_many(OPERATION, written).await?;
            return Err(Error::not_found("job", job));
        }
        Ok(())
    }

    /// Appends as many of the lines as an item holds; answers where they are and how many they were.
    async fn append_piece(&self, operation: &str, job: JobId, lines: &[LogEntry]) -> Result<(Key, usize)> {
        for round in 0..MOST_TRIES {
            let first = self.last_place(operation, job).await? + 1;
            let (packed, taken) = packed_piece(operation, lines, first)?;
            let key = piece_key(job, first);
            let item = Item::from([
                (LINES.to_owned(), packed.into_attribute()),
                (LAST.to_owned(), number(first + taken as u64 - 1)),
            ]);
            if let Written::Done(_) | Written::DoneBefore(_) = self.put_new(operation, &key, item).await? {
                return Ok((key, taken));
            }
            tokio::time::sleep(Duration::from_millis(u64::from(round.min(20)))).await;
        }
        Err(Self::crowded(operation))
    }

    /// The place of the log's last line; 0 of an empty one.
    async fn last_place(&self, operation: &str, job: JobId) -> Result<u64> {
        let walk = Walk {
            descending: true,
            page: Some(1),
            only: &[LAST],
            ..Walk::table(keys::job_partition(job), Range::Prefix(LOG.to_owned()))
        };
        let page = self.page(operation, &walk, None).await?;
        page.items.first().map_or(Ok(0), |item| number_of(item, LAST))
    }

    pub(super) async fn lines(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<LogEntry>> {
        const OPERATION: &str = "read a job's log";
        let Some(wanted) = after.checked_add(1) else { return Ok(Vec::new()) };
        let from = self.piece_with(OPERATION, job, wanted).await?;
        let range = Range::Between(from, END.to_owned());
        let walk = Walk::table(keys::job_partition(job), range);
        let (mut found, mut next) = (Vec::new(), None);
        while found.len() < limit {
            let page = self.page(OPERATION, &walk, next).await?;
            for item in &page.items {
                let lines = item.get(LINES).map(unpack).transpose()?.unwrap_or_default();
                found.extend(read::<Vec<LogEntry>>(&lines)?.into_iter().filter(|line| line.seq > after));
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// The sort key of the piece that holds the line of this place, if there is one.
    async fn piece_with(&self, operation: &str, job: JobId, place: u64) -> Result<String> {
        let key = piece_key(job, place);
        if place <= 1 {
            return Ok(key.sk);
        }
        let walk = Walk {
            descending: true,
            page: Some(1),
            only: &[LAST],
            ..Walk::table(key.pk, Range::Between(LOG.to_owned(), key.sk.clone()))
        };
        let page = self.page(operation, &walk, None).await?;
        let before = page.items.first().map(|item| super::attributes::text_of(item, SK)).transpose()?;
        Ok(before.map_or(key.sk, str::to_owned))
    }
}

/// The longest beginning of the lines that fits into an item.
fn packed_piece(operation: &str, lines: &[LogEntry], first: u64) -> Result<(Packed, usize)> {
    let mut taken = lines.len();
    loop {
        let numbered: Vec<_> =
            lines[..taken].iter().zip(first..).map(|(line, seq)| LogEntry { seq, ..line.clone() }).collect();
        let packed = Packed::of(write(&numbered)?)?;
        if packed.fits() {
            return Ok((packed, taken));
        }
        if taken == 1 {
            let why = "a line is longer than an item of DynamoDB can hold, also compressed";
            return Err(Error::new(ErrorKind::TooLarge, operation, why));
        }
        taken = taken.div_ceil(2).min(taken - 1);
    }
}
