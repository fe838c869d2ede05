//! The catalog's table and the bucket: what they keep, and for how long.

use serde_json::{Value, json};

use crate::template::{Template, list, shown};

/// A week, in days: longer than any job, shorter than a bill that somebody would notice.
const UNFINISHED_DAYS: u64 = 7;

fn rule<'a>(bucket: &'a Value, id: &str) -> &'a Value {
    let rules = list(&bucket["LifecycleConfiguration"]["Rules"]);
    rules.into_iter().find(|rule| rule["Id"] == id).unwrap_or(&Value::Null)
}

/// What is wrong with the bucket.
fn faults(template: &Template) -> Vec<&'static str> {
    let bucket = template.properties("Storage");
    let encryption = &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
    let public = &bucket["PublicAccessBlockConfiguration"];
    let blocks = ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"];
    let tls = list(&template.properties("StoragePolicy")["PolicyDocument"]["Statement"]).into_iter().any(
        |statement| {
            statement["Effect"] == "Deny"
                && statement["Action"] == "s3:*"
                && statement["Condition"] == json!({"Bool": {"aws:SecureTransport": "false"}})
                && list(&statement["Resource"]).into_iter().map(shown).eq(["Storage", "${Storage.Arn}/*"])
        },
    );
    // Only this rule may remove what is current, and nothing but what nobody completed lies there.
    let expiring = list(&bucket["LifecycleConfiguration"]["Rules"]);
    let expiring = expiring.into_iter().filter(|rule| !rule["ExpirationInDays"].is_null());
    let [unfinished, noncurrent, incoming] =
        ["unfinished", "noncurrent", "incoming"].map(|id| rule(bucket, id));
    let good = [
        (encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256", "is not encrypted"),
        (blocks.iter().all(|block| public[*block] == true), "can be made public"),
        (bucket["VersioningConfiguration"]["Status"] == "Enabled", "keeps no versions"),
        (
            bucket["ObjectLockEnabled"]
                == json!({"Fn::If": ["HasObjectLock", true, {"Ref": "AWS::NoValue"}]}),
            "locks wrongly",
        ),
        (tls, "takes requests without TLS"),
        (
            unfinished["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == UNFINISHED_DAYS
                && unfinished["Prefix"].is_null(),
            "keeps unfinished uploads",
        ),
        (
            noncurrent["NoncurrentVersionExpiration"]["NoncurrentDays"] == json!({"Ref": "NoncurrentDays"}),
            "keeps old versions",
        ),
        (expiring.map(|rule| &rule["Prefix"]).eq([&json!("incoming/")]), "expires what it should not"),
        (incoming["ExpirationInDays"] == 1, "keeps uploads that nobody completed"),
    ];
    good.into_iter().filter(|(good, _)| !good).map(|(_, fault)| fault).collect()
}

#[test]
fn the_bucket_is_private_encrypted_versioned_and_tidied() {
    const BUCKET: &str = "/Resources/Storage/Properties";
    let ours = Template::ours();
    assert_eq!(faults(&ours), [""; 0]);
    let public = ours
        .clone()
        .with(&format!("{BUCKET}/PublicAccessBlockConfiguration/BlockPublicPolicy"), json!(false));
    assert_eq!(faults(&public), ["can be made public"]);
    let single = ours.clone().without(BUCKET, "VersioningConfiguration");
    assert_eq!(faults(&single), ["keeps no versions"]);
    let greedy =
        ours.clone().with(&format!("{BUCKET}/LifecycleConfiguration/Rules/2/Prefix"), json!("backups/"));
    assert_eq!(faults(&greedy), ["expires what it should not"]);
    let clear = ours.without("/Resources/StoragePolicy/Properties/PolicyDocument", "Statement");
    assert_eq!(faults(&clear), ["takes requests without TLS"]);
}

#[test]
fn what_holds_data_outlives_the_stack() {
    let template = Template::ours();
    for name in ["Catalog", "Storage"] {
        let resource = &template.resources()[name];
        assert_eq!(
            (&resource["DeletionPolicy"], &resource["UpdateReplacePolicy"]),
            (&json!("Retain"), &json!("Retain"))
        );
    }
    assert_eq!(template.properties("Catalog")["DeletionProtectionEnabled"], true);
}

#[test]
fn the_table_is_paid_by_request_encrypted_and_can_be_brought_back_to_any_second() {
    let template = Template::ours();
    let table = template.properties("Catalog");
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(table["SSESpecification"]["SSEEnabled"], true);
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    assert_eq!(table["TimeToLiveSpecification"], json!({"AttributeName": "expires", "Enabled": true}));
}

#[test]
fn every_index_of_the_table_may_be_asked_by_name() {
    let template = Template::ours();
    let indexes = list(&template.properties("Catalog")["GlobalSecondaryIndexes"]);
    let indexes =
        indexes.into_iter().map(|index| format!("${{Catalog.Arn}}/index/{}", shown(&index["IndexName"])));
    let allowed = &template.properties("CatalogAccess")["PolicyDocument"]["Statement"][1];
    assert_eq!(allowed["Action"], json!(["dynamodb:Query"]));
    let allowed: Vec<String> = list(&allowed["Resource"]).into_iter().map(shown).collect();
    assert_eq!(indexes.collect::<Vec<_>>(), allowed);
}
