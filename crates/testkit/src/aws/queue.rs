//! Queues of SQS.

use serde_json::{Value, json};

use super::Moto;
use crate::host;

/// A queue and its dead-letter queue.
#[derive(Debug, Clone)]
pub struct Queue {
    /// Its URL, as `QUEUE_URL_…` takes it.
    pub url: String,
    /// Its ARN.
    pub arn: String,
    /// Where messages go that were received too often.
    pub dead_letters: String,
}

/// A message that was received, and is invisible to others until its time is over.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// What it says.
    pub body: String,
    /// By which it is deleted.
    pub receipt: String,
    /// How often it was received, this time included.
    pub received: u32,
}

impl Moto {
    /// A new queue whose messages go to a dead-letter queue after `max_receives` receipts, and are invisible
    /// for `visibility_s` seconds after each.
    pub async fn queue(&self, name: &str, max_receives: u32, visibility_s: u32) -> Queue {
        let name = host::unique(name);
        let (dead_letters, dead_arn) = self.plain_queue(&format!("{name}-dead"), json!({})).await;
        let redrive = json!({ "deadLetterTargetArn": dead_arn, "maxReceiveCount": max_receives }).to_string();
        let attributes = json!({ "RedrivePolicy": redrive, "VisibilityTimeout": visibility_s.to_string() });
        let (url, arn) = self.plain_queue(&name, attributes).await;
        Queue { url, arn, dead_letters }
    }

    async fn plain_queue(&self, name: &str, attributes: Value) -> (String, String) {
        let made = self.sqs("CreateQueue", &json!({ "QueueName": name, "Attributes": attributes })).await;
        let url = made["QueueUrl"].as_str().expect("a queue has a URL").to_owned();
        let asked = json!({ "QueueUrl": url, "AttributeNames": ["QueueArn"] });
        let told = self.sqs("GetQueueAttributes", &asked).await;
        let arn = told["Attributes"]["QueueArn"].as_str().expect("a queue has an ARN").to_owned();
        (url, arn)
    }

    /// Puts a message into a queue.
    pub async fn send(&self, queue: &str, body: &str) {
        self.sqs("SendMessage", &json!({ "QueueUrl": queue, "MessageBody": body })).await;
    }

    /// Takes up to ten messages that are visible now; does not wait for any.
    pub async fn receive(&self, queue: &str) -> Vec<Message> {
        self.receive_within(queue, 0).await
    }

    /// The same, waiting so many seconds for the first one.
    pub(crate) async fn receive_within(&self, queue: &str, wait_s: u32) -> Vec<Message> {
        let asked = json!({
            "QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": wait_s, "AttributeNames": ["All"],
        });
        let answer = self.sqs("ReceiveMessage", &asked).await;
        let text = |value: &Value| value.as_str().expect("a message is of texts").to_owned();
        let read = |message: &Value| Message {
            id: text(&message["MessageId"]),
            body: text(&message["Body"]),
            receipt: text(&message["ReceiptHandle"]),
            received: text(&message["Attributes"]["ApproximateReceiveCount"]).parse().expect("a number"),
        };
        answer["Messages"].as_array().map(|all| all.iter().map(read).collect()).unwrap_or_default()
    }

    /// Deletes a message that was received.
    pub async fn delete(&self, queue: &str, message: &Message) {
        let asked = json!({ "QueueUrl": queue, "ReceiptHandle": message.receipt });
        self.sqs("DeleteMessage", &asked).await;
    }

    /// Makes a received message visible again at once.
    pub async fn give_back(&self, queue: &str, message: &Message) {
        let asked = json!({ "QueueUrl": queue, "ReceiptHandle": message.receipt, "VisibilityTimeout": 0 });
        self.sqs("ChangeMessageVisibility", &asked).await;
    }

    /// How many messages a queue holds: visible ones, and those that somebody has received.
    pub async fn queued(&self, queue: &str) -> (usize, usize) {
        let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let told =
            self.sqs("GetQueueAttributes", &json!({ "QueueUrl": queue, "AttributeNames": names })).await;
        let number = |name: &str| {
            let value = told["Attributes"][name].as_str().expect("the queue tells its number");
            value.parse().expect("it is a number")
        };
        (number(names[0]), number(names[1]))
    }

    async fn sqs(&self, action: &str, body: &Value) -> Value {
        self.call("sqs", &format!("AmazonSQS.{action}"), body).await
    }
}
