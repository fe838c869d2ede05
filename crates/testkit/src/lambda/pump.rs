//! What takes messages out of a queue and to the function, as an event source mapping does: one message at a
//! time, deleted when the function took it, given back when it did not.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};

use super::{FunctionError, Lambda, lock};
use crate::aws::{Message, Moto, Queue};

/// How messages reach the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Each once, in the order they come.
    #[default]
    Once,
    /// Each twice at the same time, and those that lie there together the last one first.
    TwiceAndShuffled,
    /// Not at all; they wait.
    Held,
}

/// A running pump; it ends with this value.
pub(super) struct Pump {
    task: JoinHandle<()>,
}

impl Pump {
    pub(super) fn start(moto: Moto, queue: Queue, function: Lambda, delivery: Arc<Mutex<Delivery>>) -> Self {
        Self { task: tokio::spawn(run(moto, queue, function, delivery)) }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(moto: Moto, queue: Queue, function: Lambda, delivery: Arc<Mutex<Delivery>>) {
    let mut handled = JoinSet::new();
    loop {
        let how = *lock(&delivery);
        if how == Delivery::Held {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        }
        let mut messages = moto.receive_within(&queue.url, 2).await;
        if how == Delivery::TwiceAndShuffled {
            messages.reverse();
        }
        for message in messages {
            handled.spawn(handle(moto.clone(), queue.clone(), function.clone(), message, how));
        }
        while handled.try_join_next().is_some() {}
    }
}

async fn handle(moto: Moto, queue: Queue, function: Lambda, message: Message, how: Delivery) {
    let event = records(&queue, &message);
    let taken = if how == Delivery::TwiceAndShuffled {
        let (one, other) = futures::join!(function.invoke(&event), function.invoke(&event));
        took(&one, &message) && took(&other, &message)
    } else {
        took(&function.invoke(&event).await, &message)
    };
    if taken {
        moto.delete(&queue.url, &message).await;
    } else {
        moto.give_back(&queue.url, &message).await;
    }
}

/// Whether a function's answer says that it took the message.
fn took(answer: &Result<Value, FunctionError>, message: &Message) -> bool {
    let Ok(answer) = answer else { return false };
    let failures = answer["batchItemFailures"].as_array();
    failures.is_none_or(|failures| failures.iter().all(|one| one["itemIdentifier"] != json!(message.id)))
}

fn records(queue: &Queue, message: &Message) -> Value {
    json!({ "Records": [{
        "messageId": message.id,
        "receiptHandle": message.receipt,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": message.received.to_string(),
            "SentTimestamp": crate::host::now_ms().to_string(),
            "SenderId": "123456789012",
            "ApproximateFirstReceiveTimestamp": crate::host::now_ms().to_string(),
        },
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": queue.arn,
        "awsRegion": crate::aws::REGION,
    }] })
}
