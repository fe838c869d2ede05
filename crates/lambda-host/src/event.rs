//! What has come: decided by the event's own shape, before any router sees it. A request from outside is always a
//! request, whatever its path and body hold, because they stand inside the event and not beside its marks.

use respaldo_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::request::HttpEvent;

const OPERATION: &str = "read an event";
/// Who sends the events of schedules.
const SCHEDULERS: [&str; 2] = ["aws.events", "aws.scheduler"];

/// An event that some function has a part for.
#[derive(Debug)]
pub(crate) enum Event {
    /// A request, of API Gateway's HTTP API (payload 2.0).
    Http(Box<HttpEvent>),
    /// A schedule's turn has come.
    Tick,
    /// Messages of a queue.
    Messages(Vec<Record>),
}

/// One message of a queue.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// By which its failure is told.
    pub(crate) message_id: String,
    /// What it says.
    #[serde(default)]
    pub(crate) body: String,
    /// By which it is taken off its queue.
    #[serde(default)]
    pub(crate) receipt_handle: String,
}

/// Decides what an event is.
///
/// # Errors
/// `Unsupported` for what is none of the three. No part of the event is shown.
pub(crate) fn classify(event: Value) -> Result<Event> {
    let Value::Object(mut fields) = event else { return Err(unknown("it is no object")) };
    match (is_http(&fields), is_messages(&fields), is_schedule(&fields)) {
        (true, false, false) => {
            let event = serde_json::from_value(Value::Object(fields));
            event.map(|event| Event::Http(Box::new(event))).map_err(|e| misshapen("request", &e))
        }
        (false, true, false) => {
            let records = serde_json::from_value(fields.remove("Records").unwrap_or_default());
            records.map(Event::Messages).map_err(|e| misshapen("batch of messages", &e))
        }
        (false, false, true) => Ok(Event::Tick),
        _ => Err(unknown("it is none of a request, messages of a queue, and an event of a schedule")),
    }
}

fn is_http(fields: &Map<String, Value>) -> bool {
    fields.get("requestContext").is_some_and(|context| context.get("http").is_some_and(Value::is_object))
}

fn is_messages(fields: &Map<String, Value>) -> bool {
    let Some(Value::Array(records)) = fields.get("Records") else { return false };
    let of_queue = |record: &Value| record.get("eventSource").and_then(Value::as_str) == Some("aws:sqs");
    !records.is_empty() && records.iter().all(of_queue)
}

fn is_schedule(fields: &Map<String, Value>) -> bool {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let from = text("source").is_some_and(|source| SCHEDULERS.contains(&source));
    from && text("detail-type") == Some("Scheduled Event")
}

fn unknown(why: &str) -> Error {
    Error::new(ErrorKind::Unsupported, OPERATION, why).with_mend(
        "send it HTTP API events (payload format 2.0), SQS messages, or EventBridge's scheduled events",
    )
}

/// Of the error only where it is: its words may show a value.
fn misshapen(what: &str, error: &serde_json::Error) -> Error {
    let why = format!("it is a {what} of another shape ({:?})", error.classify());
    Error::new(ErrorKind::Unsupported, OPERATION, why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn kind(event: Value) -> &'static str {
        match classify(event) {
            Ok(Event::Http(_)) => "http",
            Ok(Event::Tick) => "tick",
            Ok(Event::Messages(_)) => "messages",
            Err(_) => "error",
        }
    }

    fn golden(name: &str) -> Value {
        let text = match name {
            "http" => include_str!("../tests/events/http_api.json"),
            "sqs" => include_str!("../tests/events/sqs.json"),
            "rule" => include_str!("../tests/events/eventbridge_rule.json"),
            _ => include_str!("../tests/events/eventbridge_scheduler.json"),
        };
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn each_service_s_event_is_recognised() {
        assert_eq!(kind(golden("http")), "http");
        assert_eq!(kind(golden("sqs")), "messages");
        assert_eq!(kind(golden("rule")), "tick");
        assert_eq!(kind(golden("scheduler")), "tick");
    }

    #[test]
    fn a_request_that_looks_like_another_event_inside_stays_a_request() {
        for inside in ["sqs", "rule", "scheduler"] {
            let mut request = golden("http");
            request["rawPath"] = json!("/events");
            request["requestContext"]["http"]["method"] = json!("POST");
            request["body"] = json!(golden(inside).to_string());
            assert_eq!(kind(request), "http", "{inside}");
        }
    }

    #[test]
    fn what_is_two_things_at_once_is_neither() {
        for other in ["sqs", "rule", "scheduler"] {
            let mut both = golden("http");
            both.as_object_mut().unwrap().extend(golden(other).as_object().unwrap().clone());
            assert_eq!(kind(both), "error", "{other}");
        }
    }

    #[test]
    fn anything_else_is_an_error_that_shows_nothing_of_it() {
        for event in [
            json!(null),
            json!("hunter2"),
            json!([]),
            json!({}),
            json!({"hunter2": "hunter2"}),
            json!({"Records": []}),
            json!({"Records": "hunter2"}),
            json!({"Records": [{"eventSource": "aws:s3"}]}),
            json!({"Records": [{"eventSource": "aws:sqs", "messageId": {"hunter2": 1}}]}),
            json!({"source": "aws.events", "detail-type": "EC2 Instance State-change Notification"}),
            json!({"source": "hunter2", "detail-type": "Scheduled Event"}),
            json!({"requestContext": {"http": {"method": {"hunter2": 1}}}}),
            json!({"requestContext": {"elb": {}}, "httpMethod": "GET", "path": "/"}),
        ] {
            let error = classify(event.clone()).map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{event}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            prop_oneof![
                ".{0,12}",
                Just("aws:sqs".to_owned()),
                Just("aws.events".to_owned()),
                Just("Scheduled Event".to_owned()),
            ]
            .prop_map(Value::from),
        ];
        let names = prop_oneof![
            Just("requestContext".to_owned()),
            Just("http".to_owned()),
            Just("method".to_owned()),
            Just("rawPath".to_owned()),
            Just("rawQueryString".to_owned()),
            Just("headers".to_owned()),
            Just("cookies".to_owned()),
            Just("body".to_owned()),
            Just("isBase64Encoded".to_owned()),
            Just("Records".to_owned()),
            Just("eventSource".to_owned()),
            Just("messageId".to_owned()),
            Just("source".to_owned()),
            Just("detail-type".to_owned()),
            ".{0,4}",
        ];
        leaf.prop_recursive(4, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(names.clone(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_event_makes_it_panic(event in any_json()) {
            if let Ok(Event::Http(event)) = classify(event) {
                let _made_or_refused = event.into_request();
            }
        }
    }
}
