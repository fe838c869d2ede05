//! What each function may do: written down as a whole, and without wildcards but those that AWS demands.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::template::{FUNCTIONS, Template, list, shown};

/// Where a wildcard stands for every resource, because AWS narrows these actions to none.
const UNBOUND: [(&str, &str); 2] = [("WorkerStartRole", "ecr:GetAuthorizationToken"), ("VpcAccess", "ec2:")];

/// A statement, and the condition of the template under which it is there.
struct Statement<'a> {
    body: &'a Value,
    only_if: Option<&'a str>,
}

fn statements(document: &Value) -> Vec<Statement<'_>> {
    let all = list(&document["Statement"]).into_iter();
    all.map(|statement| match &statement["Fn::If"] {
        Value::Array(choice) => Statement { body: &choice[1], only_if: choice[0].as_str() },
        _ => Statement { body: statement, only_if: None },
    })
    .collect()
}

/// Every policy document of an identity, with the resource that it is part of.
fn documents(template: &Template) -> Vec<(&str, &Value)> {
    let mut all = Vec::new();
    for (name, role) in template.of("IAM::Role") {
        all.extend(list(&role["Policies"]).into_iter().map(|policy| (name, &policy["PolicyDocument"])));
    }
    all.extend(
        template.of("IAM::ManagedPolicy").into_iter().map(|(name, policy)| (name, &policy["PolicyDocument"])),
    );
    all
}

fn actions<'a>(statement: &Statement<'a>) -> Vec<&'a str> {
    list(&statement.body["Action"]).into_iter().map(|action| action.as_str().unwrap()).collect()
}

/// What is wrong with the policies.
fn faults(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, document) in documents(template) {
        for statement in statements(document) {
            let actions = actions(&statement);
            let wild = actions.iter().filter(|action| action.contains('*'));
            faults.extend(wild.map(|action| format!("{name}: {action}")));
            let everywhere = list(&statement.body["Resource"]).into_iter().any(|on| on == "*");
            let demanded = |action: &&str| {
                UNBOUND.iter().any(|(owner, start)| *owner == name && action.starts_with(start))
            };
            if everywhere && !actions.iter().all(demanded) {
                faults.push(format!("{name}: {actions:?} on everything"));
            }
        }
    }
    faults
}

/// What a role may do, a line for each statement.
fn written_out(template: &Template, role: &str) -> String {
    let properties = template.properties(role);
    let trusted = &properties["AssumeRolePolicyDocument"]["Statement"][0];
    let mut text = format!("{role}, for {}\n", shown(&trusted["Principal"]["Service"]));
    for policy in list(&properties["ManagedPolicyArns"]) {
        writeln!(text, "  and {}", shown(policy)).unwrap();
    }
    for policy in list(&properties["Policies"]) {
        text += &lines(&policy["PolicyDocument"]);
    }
    text
}

fn lines(document: &Value) -> String {
    let mut text = String::new();
    for statement in statements(document) {
        let effect = if statement.body["Effect"] == "Deny" { "never " } else { "" };
        let resources: Vec<String> = list(&statement.body["Resource"]).into_iter().map(shown).collect();
        let only_if = statement.only_if.map(|name| format!(" (if {name})")).unwrap_or_default();
        let condition = &statement.body["Condition"];
        let condition = if condition.is_null() { String::new() } else { format!(" where {condition}") };
        let actions = actions(&statement).join(" ");
        writeln!(text, "  {effect}{actions}: {}{condition}{only_if}", resources.join(" ")).unwrap();
    }
    text
}

#[test]
fn what_each_function_may_do_is_what_was_decided() {
    let template = Template::ours();
    let mut text = String::new();
    for (name, policy) in template.of("IAM::ManagedPolicy") {
        let roles = list(&policy["Roles"]).into_iter().map(|role| format!(" {}", shown(role)));
        let roles: String = roles.collect();
        let to = if roles.is_empty() { "" } else { ", of" };
        write!(text, "{name}{to}{roles}\n{}", lines(&policy["PolicyDocument"])).unwrap();
    }
    for (role, _) in template.of("IAM::Role") {
        text += &written_out(&template, role);
    }
    insta::assert_snapshot!(text);
}

#[test]
fn no_policy_has_a_wildcard_but_where_aws_demands_one() {
    let ours = Template::ours();
    assert!(documents(&ours).len() >= FUNCTIONS.len() + 4, "the policies are not found");
    assert_eq!(faults(&ours), [""; 0]);
    let statement = "/Resources/DumpRole/Properties/Policies/0/PolicyDocument/Statement/1";
    let everything = ours.clone().with(&format!("{statement}/Resource"), json!("*"));
    assert_eq!(faults(&everything).len(), 1, "{:?}", faults(&everything));
    let any_action = ours.with(&format!("{statement}/Action"), json!(["s3:*"]));
    assert_eq!(faults(&any_action), ["DumpRole: s3:*"]);
}

#[test]
fn each_function_has_a_role_of_its_own_and_no_policy_that_others_maintain() {
    let template = Template::ours();
    let mut roles = BTreeSet::new();
    for name in FUNCTIONS {
        let role = shown(&template.properties(name)["Role"]);
        assert_eq!(role, format!("{name}Role"));
        roles.insert(role);
    }
    assert_eq!(roles.len(), FUNCTIONS.len());
    for (role, properties) in template.of("IAM::Role") {
        for policy in list(&properties["ManagedPolicyArns"]) {
            assert!(!shown(policy).contains("arn:"), "{role}: {}", shown(policy));
        }
    }
}

#[test]
fn tasks_are_run_with_their_own_two_roles_only() {
    let template = Template::ours();
    let text = lines(&template.properties("RunWorker")["PolicyDocument"]);
    let passed = text.lines().find(|line| line.contains("iam:PassRole")).unwrap();
    assert!(passed.contains("WorkerRole WorkerStartRole where"), "{passed}");
    assert!(passed.contains("ecs-tasks.amazonaws.com"), "{passed}");
    let run = text.lines().find(|line| line.contains("ecs:RunTask")).unwrap();
    assert!(
        run.contains("task-definition/${AWS::StackName}-worker:* where") && run.contains("ecs:cluster"),
        "{run}"
    );
}
