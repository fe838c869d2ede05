//! Alarms: nothing that stops backups goes unseen, and logs do not grow for ever.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::template::{FUNCTIONS, Template, list, shown};

/// What an alarm looks at: metric and resource.
fn watched(alarm: &Value) -> Vec<(String, String)> {
    let single = (alarm.get("MetricName").is_some()).then_some(alarm);
    let several = list(&alarm["Metrics"]).into_iter().map(|metric| &metric["MetricStat"]["Metric"]);
    let metrics = single.into_iter().chain(several.filter(|metric| !metric.is_null()));
    metrics.map(|metric| (shown(&metric["MetricName"]), shown(&metric["Dimensions"][0]["Value"]))).collect()
}

/// What nobody watches.
fn unseen(template: &Template) -> Vec<String> {
    let alarms = template.of("CloudWatch::Alarm");
    let watched: BTreeSet<(String, String)> = alarms.iter().flat_map(|(_, alarm)| watched(alarm)).collect();
    let mut wanted = Vec::new();
    for (queue, _) in template.of("SQS::Queue") {
        let dead = queue.ends_with("DeadLetters");
        wanted.push((
            if dead { "ApproximateNumberOfMessagesVisible" } else { "ApproximateAgeOfOldestMessage" },
            queue,
        ));
    }
    for function in FUNCTIONS {
        wanted.extend([("Errors", function), ("Throttles", function)]);
    }
    wanted.extend([("ReadThrottleEvents", "Catalog"), ("WriteThrottleEvents", "Catalog")]);
    wanted.extend([("Invocations", "DumpTick"), ("5xx", "Api")]);
    let missing =
        wanted.into_iter().filter(|(metric, of)| !watched.contains(&((*metric).into(), (*of).into())));
    missing.map(|(metric, of)| format!("{metric} of {of}")).collect()
}

#[test]
fn dead_letters_failures_waiting_jobs_missing_ticks_and_a_throttled_catalog_raise_alarms() {
    let ours = Template::ours();
    assert_eq!(unseen(&ours), [""; 0]);
    let silent = ours.without("/Resources", "LongDeadLettersAlarm");
    assert_eq!(unseen(&silent), ["ApproximateNumberOfMessagesVisible of LongDeadLetters"]);
}

#[test]
fn every_alarm_tells_what_it_means_and_goes_where_alarms_go() {
    let template = Template::ours();
    let alarms = template.of("CloudWatch::Alarm");
    assert!(alarms.len() >= 15, "the alarms are not found");
    for (name, alarm) in alarms {
        assert!(alarm["AlarmDescription"].as_str().is_some_and(|text| text.len() > 20), "{name}");
        let actions = list(&alarm["AlarmActions"]).into_iter().map(shown);
        assert!(actions.eq(["AlarmMail (if HasAlarmEmail)", "AlarmTopicArn (if HasAlarmTopic)"]), "{name}");
    }
}

#[test]
fn silence_is_an_alarm_where_there_should_be_ticks_and_nowhere_else() {
    for (name, alarm) in Template::ours().of("CloudWatch::Alarm") {
        let wanted = if name == "NoTickAlarm" { "breaching" } else { "notBreaching" };
        assert_eq!(alarm["TreatMissingData"], wanted, "{name}");
    }
}

#[test]
fn logs_go_to_groups_of_the_stack_and_are_not_kept_for_ever() {
    let template = Template::ours();
    for (name, log) in template.of("Logs::LogGroup") {
        assert_eq!(log["RetentionInDays"], json!({"Ref": "LogRetentionDays"}), "{name}");
    }
    for name in FUNCTIONS {
        let logging = &template.properties(name)["LoggingConfig"];
        assert_eq!(shown(&logging["LogGroup"]), format!("{name}Log"));
    }
}

/// Functions whose errors in the log reach no alarm.
fn untold(template: &Template) -> Vec<&'static str> {
    let named = |of: &Value| (shown(&of["MetricNamespace"]), shown(&of["MetricName"]));
    let alarms = template.of("CloudWatch::Alarm");
    let watched: BTreeSet<_> =
        alarms.iter().map(|(_, alarm)| (shown(&alarm["Namespace"]), shown(&alarm["MetricName"]))).collect();
    let filters = template.of("Logs::MetricFilter");
    let told = |name: &&str| {
        filters.iter().any(|(_, filter)| {
            let to = list(&filter["MetricTransformations"]);
            shown(&filter["LogGroupName"]) == format!("{name}Log")
                && filter["FilterPattern"] == "{ $.level = \"ERROR\" }"
                && to.into_iter().any(|to| to["MetricValue"] == "1" && watched.contains(&named(to)))
        })
    };
    FUNCTIONS.into_iter().filter(|name| !told(name)).collect()
}

#[test]
fn what_functions_tell_as_an_error_and_go_on_raises_an_alarm() {
    let ours = Template::ours();
    assert_eq!(untold(&ours), [""; 0]);
    assert_eq!(untold(&ours.clone().without("/Resources", "VerifyTold")), ["Verify"]);
    assert_eq!(untold(&ours.without("/Resources", "ErrorsToldAlarm")), FUNCTIONS);
}
