//! What starts functions besides requests: ticks by the clock, jobs by queues.

use respaldo_core::model::WorkKind;
use serde_json::{Value, json};

use crate::template::{FUNCTIONS, Template, list, shown};

/// What the clock of a rule says for a tick.
const EVERY_MINUTE: &str = "rate(1 minute)";
const DEAD: &str = "DeadLetters";

/// Functions, as the code has them, with the name that the template gives them.
fn functions() -> Vec<(&'static str, respaldo_api::Function)> {
    let named = |function: &respaldo_api::Function| {
        FUNCTIONS
            .into_iter()
            .find(|name| name.to_lowercase() == function.name)
            .expect("a function of the template")
    };
    respaldo_local_server::functions().into_iter().map(|function| (named(&function), function)).collect()
}

fn of_function<'a>(template: &'a Template, kind: &str, key: &str, function: &str) -> Vec<&'a Value> {
    let all = template.of(kind).into_iter();
    all.filter(|(_, one)| shown(&one[key]) == function).map(|(_, one)| one).collect()
}

/// The rules whose target is the function.
fn rules<'a>(template: &'a Template, function: &str) -> Vec<&'a Value> {
    let targets =
        |rule: &Value| list(&rule["Targets"]).iter().any(|target| shown(&target["Arn"]) == function);
    template.of("Events::Rule").into_iter().map(|(_, rule)| rule).filter(|rule| targets(rule)).collect()
}

/// What is wrong with the ticks.
fn ticking(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, function) in functions() {
        let rules = rules(template, name);
        let wanted = usize::from(function.tick.is_some());
        if rules.len() != wanted {
            faults.push(format!("{name} has {} rules and needs {wanted}", rules.len()));
        }
        for rule in rules {
            faults.extend(rule_faults(name, rule));
        }
        let failures = of_function(template, "Lambda::EventInvokeConfig", "FunctionName", name);
        let kept = failures.iter().any(|config| {
            shown(&config["DestinationConfig"]["OnFailure"]["Destination"]) == "TickDeadLetters"
        });
        if kept != function.tick.is_some() {
            faults.push(format!("{name}: its failed ticks are kept: {kept}"));
        }
    }
    faults
}

fn rule_faults(name: &str, rule: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    if rule["ScheduleExpression"] != EVERY_MINUTE {
        faults.push(format!("{name} ticks at {}", rule["ScheduleExpression"]));
    }
    for target in list(&rule["Targets"]) {
        if shown(&target["DeadLetterConfig"]["Arn"]) != "TickDeadLetters" {
            faults.push(format!("{name}: undelivered ticks are lost"));
        }
        let tries = &target["RetryPolicy"];
        if tries["MaximumEventAgeInSeconds"].as_u64().is_none_or(|age| age > 300) {
            faults.push(format!("{name}: a tick is tried for {}", tries["MaximumEventAgeInSeconds"]));
        }
    }
    faults
}

/// The queue of a kind of work, where Lambda may do it.
fn queue_of(kind: WorkKind) -> Option<&'static str> {
    match kind {
        WorkKind::Dump => Some("DumpQueue"),
        WorkKind::Restore => Some("RestoreQueue"),
        WorkKind::Package => Some("PackageQueue"),
        // A test restore needs a database server beside it, which no function has.
        WorkKind::Verify => None,
    }
}

/// What is wrong with the queues and what they start.
fn working(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, function) in functions() {
        let wanted = function.job.and_then(|(kind, _)| queue_of(kind));
        let mappings = of_function(template, "Lambda::EventSourceMapping", "FunctionName", name);
        let queues: Vec<String> = mappings.iter().map(|mapping| shown(&mapping["EventSourceArn"])).collect();
        if queues != wanted.into_iter().collect::<Vec<_>>() {
            faults.push(format!("{name} works on {queues:?} and should on {wanted:?}"));
        }
        for mapping in mappings {
            if mapping["FunctionResponseTypes"] != json!(["ReportBatchItemFailures"]) {
                faults.push(format!("{name}: one message that fails takes others with it"));
            }
            if mapping["BatchSize"] != 1 {
                faults.push(format!("{name}: {} jobs share one deadline", mapping["BatchSize"]));
            }
        }
        for queue in queues {
            let (visible, timeout) =
                (&template.properties(&queue)["VisibilityTimeout"], &template.properties(name)["Timeout"]);
            if visible.as_u64() < timeout.as_u64() {
                faults.push(format!("{queue} hides a message for {visible} s, {name} runs for {timeout} s"));
            }
        }
    }
    faults.extend(
        template.of("SQS::Queue").into_iter().flat_map(|(name, queue)| queue_faults(template, name, queue)),
    );
    faults
}

fn queue_faults(template: &Template, name: &str, queue: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    if queue["SqsManagedSseEnabled"] != true {
        faults.push(format!("{name} is not encrypted"));
    }
    if !refuses_plain_http(template, name) {
        faults.push(format!("{name} takes requests without TLS"));
    }
    let redrive = &queue["RedrivePolicy"];
    let dead = name.strip_suffix("Queue").map(|kind| format!("{kind}{DEAD}"));
    if dead.as_deref().is_some_and(|dead| shown(&redrive["deadLetterTargetArn"]) != dead) {
        faults.push(format!("{name} keeps no messages that cannot be read"));
    }
    // A dead letter that goes before somebody has looked is one that nobody sees.
    if name.ends_with(DEAD) && queue["MessageRetentionPeriod"].as_u64() < Some(7 * 24 * 3600) {
        faults.push(format!("{name} forgets within a week"));
    }
    faults
}

fn refuses_plain_http(template: &Template, queue: &str) -> bool {
    let policies = template.of("SQS::QueuePolicy").into_iter().map(|(_, policy)| policy);
    policies.filter(|policy| list(&policy["Queues"]).iter().any(|one| shown(one) == queue)).any(|policy| {
        list(&policy["PolicyDocument"]["Statement"]).into_iter().any(|statement| {
            let everything = ["*", queue].contains(&shown(&statement["Resource"]).as_str());
            let all = statement["Effect"] == "Deny"
                && statement["Principal"] == "*"
                && statement["Action"] == "sqs:*";
            all && everything && statement["Condition"] == json!({"Bool": {"aws:SecureTransport": "false"}})
        })
    })
}

/// Who may do what to a queue from outside of its account's identities, in words.
fn let_in(template: &Template) -> Vec<String> {
    let policies = template.of("SQS::QueuePolicy").into_iter();
    let all = policies.flat_map(|(_, policy)| {
        let queues: Vec<String> = list(&policy["Queues"]).into_iter().map(shown).collect();
        let statements = list(&policy["PolicyDocument"]["Statement"]).into_iter();
        let allowed = statements.filter(|statement| statement["Effect"] == "Allow");
        allowed.map(move |statement| {
            let (who, what) = (shown(&statement["Principal"]["Service"]), shown(&statement["Action"]));
            let from = shown(&statement["Condition"]["ArnEquals"]["aws:SourceArn"]);
            format!("{who} may {what} to {} from {from}", queues.join(" "))
        })
    });
    all.collect()
}

#[test]
fn each_function_that_ticks_does_so_every_minute_and_no_failure_is_lost() {
    let ours = Template::ours();
    assert_eq!(ticking(&ours), [""; 0]);
    let rarely =
        ours.clone().with("/Resources/VerifyTick/Properties/ScheduleExpression", json!("rate(1 day)"));
    assert_eq!(ticking(&rarely), ["Verify ticks at \"rate(1 day)\""]);
    let never = ours.clone().without("/Resources", "RetentionTick");
    assert_eq!(ticking(&never), ["Retention has 0 rules and needs 1"]);
    let lost = ours.without("/Resources", "DumpEventInvokeConfig");
    assert_eq!(ticking(&lost), ["Dump: its failed ticks are kept: false"]);
}

#[test]
fn each_kind_of_work_has_its_queue_and_what_cannot_be_read_is_kept() {
    let ours = Template::ours();
    assert_eq!(working(&ours), [""; 0]);
    let short = ours.clone().with("/Resources/DumpQueue/Properties/VisibilityTimeout", json!(30));
    assert_eq!(working(&short), ["DumpQueue hides a message for 30 s, Dump runs for 900 s"]);
    let whole = ours.clone().without("/Resources/RestoreJobs/Properties", "FunctionResponseTypes");
    assert_eq!(working(&whole), ["Restore: one message that fails takes others with it"]);
    let lost = ours.clone().without("/Resources/LongQueue/Properties", "RedrivePolicy");
    assert_eq!(working(&lost), ["LongQueue keeps no messages that cannot be read"]);
    let clear = ours.clone().without("/Resources", "TickDeadLettersPolicy");
    assert_eq!(working(&clear), ["TickDeadLetters takes requests without TLS"]);
    let idle = ours.without("/Resources", "PackageJobs");
    assert_eq!(working(&idle), ["Package works on [] and should on Some(\"PackageQueue\")"]);
}

#[test]
fn nobody_but_the_rules_of_the_ticks_is_let_into_a_queue_by_its_policy() {
    assert_eq!(
        let_in(&Template::ours()),
        [
            "events.amazonaws.com may sqs:SendMessage to TickDeadLetters from DumpTick, VerifyTick, RetentionTick, PackageTick"
        ]
    );
}

#[test]
fn a_function_with_jobs_has_all_of_lambdas_time_and_the_others_little() {
    let template = Template::ours();
    for (name, function) in functions() {
        let works = function.job.and_then(|(kind, _)| queue_of(kind)).is_some();
        let wanted = if works {
            900
        } else if function.tick.is_some() {
            300
        } else {
            29
        };
        assert_eq!(template.properties(name)["Timeout"], wanted, "{name}");
    }
}
