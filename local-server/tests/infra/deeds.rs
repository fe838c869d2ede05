//! What functions do in storage, done here on local disk, and held against what their roles may do in the bucket.

use std::collections::BTreeSet;

use respaldo_core::databases::{self, BackupsFate};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::faults::Call;
use serde_json::{Value, json};

use crate::template::{Template, list, shown};

/// The bucket itself, as the template calls it.
const BUCKET: &str = "Storage";
/// Where leftovers of writes in parts may lie.
const IN_PARTS: [&str; 2] = ["${Storage.Arn}/backups/*", "${Storage.Arn}/packages/*"];

/// An action, and on what: the bucket, or a key.
type Deed = (&'static str, String);

/// What a role may do in the bucket: action and resource. With or without what it may only where backups are locked.
fn rights(template: &Template, role: &str, locks: bool) -> BTreeSet<(String, String)> {
    let mut rights = BTreeSet::new();
    for policy in list(&template.properties(role)["Policies"]) {
        for statement in list(&policy["PolicyDocument"]["Statement"]) {
            let body = match &statement["Fn::If"] {
                Value::Array(choice) if choice[0] != "HasObjectLock" || locks => &choice[1],
                Value::Array(_) => continue,
                _ => statement,
            };
            for action in list(&body["Action"]) {
                let on = list(&body["Resource"]).into_iter().map(shown);
                rights.extend(on.map(|on| (shown(action), on)));
            }
        }
    }
    rights
}

/// Those of the deeds that the role may not do.
fn denied(template: &Template, role: &str, deeds: &BTreeSet<Deed>) -> Vec<Deed> {
    let rights = rights(template, role, false);
    let covers = |on: &str, key: &str| {
        let below = on.strip_prefix("${Storage.Arn}/").and_then(|on| on.strip_suffix('*'));
        on == key || below.is_some_and(|below| key.starts_with(below))
    };
    let allowed =
        |(action, key): &&Deed| !rights.iter().any(|(right, on)| right == action && covers(on, key));
    deeds.iter().filter(allowed).cloned().collect()
}

/// What S3 calls these calls.
fn deeds(test: &TestApp) -> BTreeSet<Deed> {
    let of_s3 = |(call, path): (Call, String)| match call {
        Call::Stat | Call::Read | Call::ReadNext => Some(("s3:GetObject", path)),
        Call::Write | Call::Close => Some(("s3:PutObject", path)),
        Call::Delete => Some(("s3:DeleteObject", path)),
        Call::Abort => Some(("s3:AbortMultipartUpload", path)),
        Call::List => Some(("s3:ListBucket", BUCKET.to_owned())),
        _ => None,
    };
    test.faults.log().into_iter().filter_map(of_s3).collect()
}

/// What keeps a role from removing what it removes: old versions, and uploads in parts.
fn halves(template: &Template) -> Vec<String> {
    let mut missing = Vec::new();
    for (role, _) in template.of("IAM::Role") {
        let rights = rights(template, role, true);
        let mut need = |action: &str, on: &str| {
            if !rights.contains(&(action.to_owned(), on.to_owned())) {
                missing.push(format!("{role}: {action} on {on}"));
            }
        };
        for (_, on) in rights.iter().filter(|(action, _)| action == "s3:DeleteObject") {
            need("s3:DeleteObjectVersion", on);
            need("s3:ListBucketVersions", BUCKET);
            if IN_PARTS.contains(&on.as_str()) {
                need("s3:AbortMultipartUpload", on);
                need("s3:ListBucketMultipartUploads", BUCKET);
            }
        }
    }
    missing
}

#[tokio::test]
async fn the_function_that_removes_databases_may_remove_their_backups() {
    let test = TestApp::new();
    test.faults.reset();
    let database = test.register_sample().await;
    let registering = deeds(&test);
    test.back_up(&database).await;
    test.faults.reset();
    databases::remove(&test.app, database.id, Some(BackupsFate::Delete)).await.unwrap();
    let removing = deeds(&test);
    let removes = |start: &str| {
        removing.iter().any(|(action, key)| *action == "s3:DeleteObject" && key.starts_with(start))
    };
    assert!(removes("backups/") && removes("databases/"), "the calls are not found: {removing:?}");
    let ours = Template::ours();
    assert_eq!(denied(&ours, "RegisterRole", &registering), []);
    assert_eq!(denied(&ours, "RegisterRole", &removing), []);
    assert!(!denied(&ours, "VerifyRole", &removing).is_empty(), "nothing is ever denied");
}

#[test]
fn who_may_remove_objects_may_remove_all_that_is_left_of_them() {
    let ours = Template::ours();
    assert_eq!(halves(&ours), [""; 0]);
    let retention = "/Resources/RetentionRole/Properties/Policies/0/PolicyDocument/Statement";
    let cut = ours.clone().with(&format!("{retention}/1/Action"), json!(["s3:DeleteObject"]));
    assert_eq!(halves(&cut), ["RetentionRole: s3:AbortMultipartUpload on ${Storage.Arn}/backups/*"]);
    let unlocked = ours.with(&format!("{retention}/3/Fn::If/1/Action"), json!(["s3:GetObjectRetention"]));
    assert_eq!(halves(&unlocked), ["RetentionRole: s3:DeleteObjectVersion on ${Storage.Arn}/backups/*"]);
}
