//! SQS as the doorbell: it wakes whoever may work on a job. The catalog is the truth, so a message says no more
//! than a job's id, and may be lost, late, doubled or out of order.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Config;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use respaldo_core::model::{Job, JobId, WorkKind};
use respaldo_core::ports::Doorbell;
use respaldo_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value, json};

use crate::answer::{Call, failed};
use crate::ecs::FargateRunner;

/// The version of messages that are sent.
const VERSION: u64 = 1;
/// SQS gives no more at once.
const MOST_AT_ONCE: usize = 10;
/// SQS waits no longer.
const LONGEST_POLL: Duration = Duration::from_secs(20);
const READ: &str = "read a message";
const SEND: Call = Call {
    operation: "ring a queue",
    action: "sqs:SendMessage",
    on_key: "kms:GenerateDataKey and kms:Decrypt",
};
const RECEIVE: Call =
    Call { operation: "receive messages", action: "sqs:ReceiveMessage", on_key: "kms:Decrypt" };
const DELETE: Call =
    Call { operation: "delete a message", action: "sqs:DeleteMessage", on_key: "kms:Decrypt" };

/// What a message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Look whether this job may be worked on.
    Job(JobId),
    /// Look at what is due: an event of an EventBridge schedule.
    Tick,
}

impl Message {
    /// Reads a message. One without a version is of the time before they had one, and is understood.
    ///
    /// # Errors
    /// `Unsupported` for a newer version, `Invalid` for what is no message. Neither is cured by reading it
    /// again: leave it to the queue's dead letters.
    pub fn parse(body: &str) -> Result<Self> {
        let junk = |why: &str| Error::new(ErrorKind::Invalid, READ, why);
        let value: Value = serde_json::from_str(body).map_err(|_| junk("it is no JSON"))?;
        let Value::Object(fields) = value else { return Err(junk("it is no JSON object")) };
        if fields.get("detail-type").and_then(Value::as_str) == Some("Scheduled Event") {
            return Ok(Self::Tick);
        }
        match fields.get("v").map(Value::as_u64) {
            None | Some(Some(VERSION)) => {}
            Some(Some(v)) if v > VERSION => {
                let message = format!("it is of version {v}; this program reads up to {VERSION}");
                return Err(Error::new(ErrorKind::Unsupported, READ, message)
                    .with_mend("update this worker, then send the dead letters again"));
            }
            Some(_) => return Err(junk("its v is no version").with_field("v")),
        }
        job_of(&fields)
    }

    /// The message that rings for a job.
    pub fn ring(job: JobId) -> String {
        json!({"v": VERSION, "job_id": job.to_string()}).to_string()
    }
}

fn job_of(fields: &Map<String, Value>) -> Result<Message> {
    let refused = |field: &str, why: &str| Error::new(ErrorKind::Invalid, READ, why).with_field(field);
    if let Some(field) = fields.keys().find(|field| !matches!(field.as_str(), "v" | "job_id")) {
        return Err(refused(field, "no message has such a field"));
    }
    let id = fields.get("job_id").and_then(Value::as_str);
    let id = id.ok_or_else(|| refused("job_id", "it must be the id of a job"))?;
    id.parse().map(Message::Job).map_err(|_| refused("job_id", "it is no id of a job"))
}

/// The URLs of the queues.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queues {
    /// Heard by whoever dumps (`QUEUE_URL_DUMP`).
    pub dump: Option<String>,
    /// Heard by whoever restores (`QUEUE_URL_RESTORE`).
    pub restore: Option<String>,
    /// Heard by whoever packages (`QUEUE_URL_PACKAGE`).
    pub package: Option<String>,
    /// Heard by workers without a deadline (`QUEUE_URL_LONG`).
    pub long: Option<String>,
}

impl Queues {
    /// Reads them from where variables are had.
    ///
    /// # Errors
    /// What `variable` fails with.
    pub fn read(variable: impl Fn(&str) -> Result<Option<String>>) -> Result<Self> {
        let url = |name| Ok::<_, Error>(variable(name)?.filter(|url| !url.is_empty()));
        Ok(Self {
            dump: url("QUEUE_URL_DUMP")?,
            restore: url("QUEUE_URL_RESTORE")?,
            package: url("QUEUE_URL_PACKAGE")?,
            long: url("QUEUE_URL_LONG")?,
        })
    }

    /// The queue that functions hear for this kind of work, and the variable that names it.
    fn of(&self, kind: WorkKind) -> (Option<&str>, &'static str) {
        match kind {
            WorkKind::Dump => (self.dump.as_deref(), "QUEUE_URL_DUMP"),
            WorkKind::Restore => (self.restore.as_deref(), "QUEUE_URL_RESTORE"),
            WorkKind::Package => (self.package.as_deref(), "QUEUE_URL_PACKAGE"),
            WorkKind::Verify => (self.long.as_deref(), "QUEUE_URL_LONG"),
        }
    }
}

/// Rings the queue of a job's kind of work, or, for one that needs it, whoever works without a deadline.
#[derive(Debug, Clone)]
pub struct SqsDoorbell {
    client: Client,
    queues: Queues,
    fargate: Option<FargateRunner>,
}

impl SqsDoorbell {
    /// A doorbell for these queues.
    pub fn new(config: &SdkConfig, queues: Queues) -> Self {
        Self { client: Client::new(config), queues, fargate: None }
    }

    /// Starts a task besides for each job that needs a host without a deadline.
    #[must_use]
    pub fn with_fargate(self, fargate: FargateRunner) -> Self {
        Self { fargate: Some(fargate), ..self }
    }

    async fn send(&self, url: &str, job: JobId) -> Result<()> {
        let sent = self.client.send_message().queue_url(url).message_body(Message::ring(job)).send().await;
        sent.map(drop).map_err(|e| failed(&SEND, &e))
    }

    /// Both ways are tried, whatever becomes of the first.
    async fn ring_long(&self, job: &Job) -> Result<()> {
        if self.queues.long.is_none() && self.fargate.is_none() {
            return Err(nobody());
        }
        let queued = match &self.queues.long {
            Some(url) => self.send(url, job.id).await,
            None => Ok(()),
        };
        let started = match &self.fargate {
            Some(fargate) => fargate.start(job.id).await,
            None => Ok(()),
        };
        queued.and(started)
    }
}

#[async_trait]
impl Doorbell for SqsDoorbell {
    async fn ring(&self, job: &Job) -> Result<()> {
        if job.needs_long_runner() {
            return self.ring_long(job).await;
        }
        let (url, variable) = self.queues.of(job.work.kind());
        let url = url.ok_or_else(|| {
            let what = job.work.as_str();
            Error::new(ErrorKind::Config, "ring a queue", format!("no queue is set for {what} jobs"))
                .with_mend(format!("set {variable} to the URL of the queue"))
        })?;
        self.send(url, job.id).await
    }
}

fn nobody() -> Error {
    Error::new(ErrorKind::Config, "wake a host without a deadline", "there is none to be woken").with_mend(
        "set QUEUE_URL_LONG, or RUN_TASK_CLUSTER and RUN_TASK_DEFINITION; or run respaldo worker on this \
         catalog, which finds such jobs by itself",
    )
}

/// A queue that a worker hears.
#[derive(Clone)]
pub struct Queue {
    client: Client,
    url: String,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A message that was received, and is hidden from others for a while.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its body.
    pub body: String,
    /// By which it is deleted.
    pub receipt: String,
}

impl Queue {
    /// The queue at this URL.
    pub fn new(config: &SdkConfig, url: impl Into<String>) -> Self {
        Self { client: Client::new(config), url: url.into() }
    }

    /// Waits for messages, 20 s at most, and takes up to so many (SQS gives ten).
    ///
    /// # Errors
    /// What the service answers, after the SDK's tries.
    pub async fn receive(&self, most: usize, wait: Duration) -> Result<Vec<Received>> {
        let most = i32::try_from(most.clamp(1, MOST_AT_ONCE)).unwrap_or(1);
        let wait = wait.min(LONGEST_POLL);
        let patient = Config::builder().timeout_config(self.patience(wait));
        let receive = self.client.receive_message().queue_url(&self.url).max_number_of_messages(most);
        let receive = receive.wait_time_seconds(i32::try_from(wait.as_secs()).unwrap_or(0));
        let received = receive.customize().config_override(patient).send().await;
        let received = received.map_err(|e| failed(&RECEIVE, &e))?;
        let messages = received.messages.unwrap_or_default().into_iter();
        Ok(messages
            .filter_map(|message| {
                Some(Received { body: message.body.unwrap_or_default(), receipt: message.receipt_handle? })
            })
            .collect())
    }

    /// How long an answer may take that the service itself holds back for so long.
    fn patience(&self, wait: Duration) -> TimeoutConfig {
        let mut patience = TimeoutConfig::builder();
        if let Some(usual) = self.client.config().timeout_config() {
            patience.set_connect_timeout(usual.connect_timeout());
            patience.set_operation_attempt_timeout(usual.operation_attempt_timeout().map(|it| it + wait));
            patience.set_operation_timeout(usual.operation_timeout().map(|it| it + wait));
        }
        patience.build()
    }

    /// Takes a message off the queue.
    ///
    /// # Errors
    /// What the service answers; the message comes again then, which does no harm.
    pub async fn delete(&self, received: &Received) -> Result<()> {
        self.delete_by(&received.receipt).await
    }

    /// As [`Self::delete`], for a message that somebody else received and passed on, by its receipt handle.
    ///
    /// # Errors
    /// As there.
    pub async fn delete_by(&self, receipt: &str) -> Result<()> {
        let delete = self.client.delete_message().queue_url(&self.url).receipt_handle(receipt);
        delete.send().await.map(drop).map_err(|e| failed(&DELETE, &e))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JOB: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

    #[test]
    fn a_message_says_what_was_rung_for() {
        let job: JobId = JOB.parse().unwrap();
        assert_eq!(Message::parse(&Message::ring(job)).unwrap(), Message::Job(job));
    }

    #[test]
    fn a_message_of_before_there_were_versions_is_understood() {
        let message = Message::parse(&format!(r#"{{"job_id":"{JOB}"}}"#)).unwrap();
        assert_eq!(message, Message::Job(JOB.parse().unwrap()));
    }

    #[test]
    fn an_event_of_a_schedule_is_a_tick() {
        let event = r#"{"version":"0","source":"aws.events","detail-type":"Scheduled Event","detail":{}}"#;
        assert_eq!(Message::parse(event).unwrap(), Message::Tick);
    }

    #[test]
    fn a_newer_version_is_told_apart_from_junk() {
        let newer = Message::parse(&format!(r#"{{"v":2,"job_id":"{JOB}"}}"#)).unwrap_err();
        assert_eq!(newer.kind(), ErrorKind::Unsupported);
        assert!(!newer.is_retryable() && newer.mend().is_some());
        let extended = format!(r#"{{"v":1,"job_id":"{JOB}","and":1}}"#);
        for junk in ["", "{", "[]", "null", "{}", r#"{"v":1}"#, r#"{"v":"1"}"#, r#"{"v":0}"#, &extended] {
            let error = Message::parse(junk).unwrap_err();
            assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Invalid, false), "{junk}");
        }
        let id = Message::parse(r#"{"v":1,"job_id":"../x"}"#).unwrap_err();
        assert_eq!(id.field(), Some("job_id"));
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(body: String, v: u64, id: String) {
            let _any = Message::parse(&body);
            let _any = Message::parse(&json!({"v": v, "job_id": id}).to_string());
        }
    }
}
