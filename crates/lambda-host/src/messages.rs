//! Messages of a queue: each wakes us for one job. What a message cannot be, or what could not be asked, is told as
//! the failure of that message alone, so that the queue gives it again and at last puts it aside; whatever becomes of a
//! job stands in the catalog, and its message has done its work.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use futures::future::join_all;
use respaldo_api::function::JobFn;
use respaldo_aws::sqs::{Message, Queue};
use respaldo_core::jobs::Worker;
use respaldo_core::model::{JobId, WorkKind};
use respaldo_core::{App, Error, ErrorKind, Result};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::event::Record;

const OPERATION: &str = "answer a message";

/// Who answers messages.
pub(crate) struct Answerer<'a> {
    pub(crate) app: &'a App,
    /// The kind of jobs that the function works on, and how.
    pub(crate) job: (WorkKind, JobFn),
    /// By which people know us.
    pub(crate) owner: &'a str,
    /// When Lambda ends the invocation.
    pub(crate) deadline: Instant,
    /// Where the messages come from, to take them off before the invocation ends.
    pub(crate) queue: Option<&'a Queue>,
}

impl Answerer<'_> {
    /// Answers all of them, each beside the others; tells those that failed.
    pub(crate) async fn answer(&self, records: &[Record]) -> Value {
        let answered = join_all(records.iter().map(|record| self.guarded(record))).await;
        let failed = records.iter().zip(answered).filter_map(|(record, answered)| {
            let error = answered.err()?;
            tracing::error!(message = record.message_id, %error, "a message goes back to its queue");
            Some(json!({"itemIdentifier": record.message_id}))
        });
        json!({"batchItemFailures": failed.collect::<Vec<_>>()})
    }

    /// A panic is that message's failure.
    async fn guarded(&self, record: &Record) -> Result<()> {
        let answered = AssertUnwindSafe(self.one(record)).catch_unwind().await;
        answered.unwrap_or_else(|_| Err(Error::internal(OPERATION, "it panicked")))
    }

    async fn one(&self, record: &Record) -> Result<()> {
        let Message::Job(id) = Message::parse(&record.body)? else {
            let why = "it is a tick, and this queue wakes for jobs alone";
            return Err(Error::new(ErrorKind::Unsupported, OPERATION, why));
        };
        let (kind, work) = self.job;
        let Some(job) = self.app.catalog.job(id).await? else {
            tracing::debug!(job = %id, "it is gone");
            return Ok(());
        };
        if job.work.kind() != kind {
            let why = format!("job {id} is of work {}, and this function does not do it", job.work.as_str());
            return Err(Error::new(ErrorKind::Unsupported, OPERATION, why)
                .with_mend("look which queue feeds which function"));
        }
        let worker = Worker::new(self.owner).with_deadline(self.deadline);
        tokio::select! {
            ran = work(self.app, id, &worker) => {
                let ran = ran?;
                tracing::info!(job = %id, ?ran, "answered");
                Ok(())
            }
            never = self.take_off(&worker, id, record) => match never {},
        }
    }

    /// Once the lease is held, the message has done its work: should this process die, the catalog knows of the job.
    async fn take_off(&self, worker: &Worker, id: JobId, record: &Record) -> std::convert::Infallible {
        worker.leased(id).await;
        if let Some(queue) = self.queue
            && let Err(error) = queue.delete_by(&record.receipt_handle).await
        {
            // It comes again, finds the job leased or ended, and does no harm.
            tracing::debug!(job = %id, %error, "its message could not be taken off the queue");
        }
        std::future::pending().await
    }
}
