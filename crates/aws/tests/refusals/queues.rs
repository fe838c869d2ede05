//! SQS that is throttled, denied, or silent.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use respaldo_aws::sdk;
use respaldo_aws::sqs::{Queue, Queues, SqsDoorbell};
use respaldo_core::ports::Doorbell as _;
use respaldo_core::{Error, ErrorKind, Result};
use respaldo_testkit::aws::REGION;
use serde_json::json;
use tokio::time::timeout;

use super::service::{Answer, Service};
use super::tasks::long_job;

/// Nobody who rings can be kept for longer than this.
const LONGEST_RING: Duration = Duration::from_secs(25);

fn sent() -> Answer {
    Answer::good(&json!({ "MessageId": "a" }))
}

/// What throttles, in the words of SQS and of the gates in front of it.
fn throttlings() -> [Answer; 4] {
    [
        Answer::refusal(403, "com.amazonaws.sqs#RequestThrottled", "Request is throttled."),
        Answer::refusal(400, "ThrottlingException", "Rate exceeded"),
        Answer::refusal(503, "ServiceUnavailable", "Service is unable to handle request."),
        Answer::unavailable(),
    ]
}

async fn ring(service: &Service, config: &SdkConfig) -> Result<()> {
    let url = format!("{}/123456789012/long", service.endpoint());
    let queues = Queues { long: Some(url), ..Queues::default() };
    SqsDoorbell::new(config, queues).ring(&long_job()).await
}

async fn refused(answer: Answer) -> Error {
    let service = Service::start([answer]).await;
    ring(&service, &service.config().await).await.unwrap_err()
}

#[tokio::test]
async fn a_ring_that_is_throttled_for_a_moment_is_sent_again() {
    for throttled in throttlings() {
        let service = Service::start([throttled.clone(), throttled, sent()]).await;
        ring(&service, &service.config().await).await.unwrap();
        assert_eq!(service.asked().len(), 3);
    }
}

#[tokio::test]
async fn a_ring_that_stays_throttled_is_worth_another_try_later() {
    for throttled in throttlings() {
        let error = refused(throttled.clone()).await;
        let told = (error.kind(), error.is_retryable(), error.operation());
        assert_eq!(told, (ErrorKind::Unavailable, true, "ring a queue"), "{throttled:?}: {error}");
    }
}

#[tokio::test]
async fn a_poll_that_is_throttled_is_worth_another_try() {
    for throttled in throttlings() {
        let service = Service::start([throttled]).await;
        let queue = Queue::new(&service.config().await, format!("{}/1/long", service.endpoint()));
        let error = queue.receive(1, Duration::ZERO).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");
    }
}

#[tokio::test]
async fn a_ring_that_is_denied_names_what_to_allow() {
    let why = "User: arn:aws:sts::123456789012:assumed-role/dump/x is not authorized to perform: sqs:sendmessage on \
               resource: arn:aws:sqs:eu-west-1:123456789012:KMS-long because no identity-based policy allows it";
    let error = refused(Answer::refusal(403, "AccessDeniedException", why)).await;
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Denied, false), "{error}");
    assert!(error.mend().unwrap().contains("sqs:SendMessage"), "{error}");
    let why = "The ciphertext refers to a customer master key that you are not allowed to access.";
    let error = refused(Answer::refusal(400, "KmsAccessDenied", why)).await;
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Denied, false), "{error}");
    assert!(error.mend().unwrap().contains("kms:GenerateDataKey and kms:Decrypt"), "{error}");
}

#[tokio::test]
async fn no_request_may_wait_for_an_answer_for_ever() {
    let config = sdk::load(None, Some(REGION)).await;
    let within = config.timeout_config().and_then(TimeoutConfig::operation_timeout);
    assert!(within.is_some_and(|within| within <= LONGEST_RING), "{within:?}");
    let one = config.timeout_config().and_then(TimeoutConfig::operation_attempt_timeout);
    assert!(one < within, "one silent try leaves no time for another");
}

/// As the product's configuration, a fiftieth as patient.
async fn impatient(service: &Service) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_millis(160))
        .operation_timeout(Duration::from_millis(400));
    service.config().await.into_builder().timeout_config(timeouts.build()).build()
}

#[tokio::test]
async fn a_queue_that_takes_a_ring_and_says_nothing_lets_go_of_who_rang() {
    let service = Service::start([sent().after(Duration::from_mins(5))]).await;
    let config = impatient(&service).await;
    let rung = timeout(Duration::from_secs(5), ring(&service, &config)).await.expect("it waits for ever");
    let error = rung.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, true), "{error}");
}

#[tokio::test]
async fn a_long_poll_is_waited_for_as_long_as_it_was_asked_to_take() {
    let message = json!({ "Messages": [{ "MessageId": "a", "ReceiptHandle": "r", "Body": "b" }] });
    let service = Service::start([Answer::good(&message).after(Duration::from_millis(700))]).await;
    let queue = Queue::new(&impatient(&service).await, format!("{}/1/long", service.endpoint()));
    let [received] = queue.receive(1, Duration::from_secs(1)).await.unwrap().try_into().unwrap();
    assert_eq!((&*received.body, &*received.receipt), ("b", "r"));
    assert_eq!(service.asked().len(), 1);
    // And not for ever.
    let silent = Service::start([Answer::good(&message).after(Duration::from_mins(5))]).await;
    let queue = Queue::new(&impatient(&silent).await, format!("{}/1/long", silent.endpoint()));
    let received = timeout(Duration::from_secs(5), queue.receive(1, Duration::from_secs(1))).await;
    assert!(received.expect("it waits for ever").unwrap_err().is_retryable());
}
