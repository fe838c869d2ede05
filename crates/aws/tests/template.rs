//! The cloud template's table is the one that `respaldo catalog init` makes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::path::Path;

use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use respaldo_aws::{Dynamo, sdk};
use respaldo_testkit::aws::{ACCESS_KEY, Moto, REGION, SECRET_KEY};
use respaldo_testkit::host;
use serde_json::{Value, json};

/// What the template says of one of its resources.
fn of_the_template(resource: &str) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = host::command(host::installed_tool("checks", "python"));
    command.arg(root.join("scripts/transform-template")).arg(root.join("infra/template.yaml"));
    let printed = host::run(command, &b""[..]).stdout;
    let template: Value = serde_json::from_slice(&printed).unwrap();
    template["Resources"][resource]["Properties"].clone()
}

/// What there is after `create_table`, by what the server tells of it.
async fn of_the_code() -> Value {
    let moto = Moto::shared();
    let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "tests");
    let credentials = SharedCredentialsProvider::new(credentials);
    let config =
        sdk::loader(Some(&moto.endpoint()), Some(REGION)).credentials_provider(credentials).load().await;
    let name = host::unique("catalog");
    Dynamo::over(&config, &name).unwrap().create_table().await.unwrap();
    let ask = async |what: &str| {
        moto.call("dynamodb", &format!("DynamoDB_20120810.{what}"), &json!({"TableName": name})).await
    };
    let mut table = ask("DescribeTable").await["Table"].take();
    let recovery = ask("DescribeContinuousBackups").await;
    let recovery = &recovery["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
    let expiry = ask("DescribeTimeToLive").await["TimeToLiveDescription"].take();
    table["BillingMode"] = table["BillingModeSummary"]["BillingMode"].take();
    table["PointInTimeRecoverySpecification"] =
        json!({"PointInTimeRecoveryEnabled": recovery["PointInTimeRecoveryStatus"] == "ENABLED"});
    table["TimeToLiveSpecification"] = json!({
        "AttributeName": expiry["AttributeName"], "Enabled": expiry["TimeToLiveStatus"] == "ENABLED",
    });
    table
}

fn sorted(list: &Value, key: impl Fn(&Value) -> String) -> Vec<Value> {
    let mut all = list.as_array().unwrap().clone();
    all.sort_by_key(key);
    all
}

fn index(index: &Value) -> Value {
    let projected = &index["Projection"];
    let attributes = if projected["NonKeyAttributes"].is_null() {
        Vec::new()
    } else {
        sorted(&projected["NonKeyAttributes"], Value::to_string)
    };
    json!({
        "name": index["IndexName"], "keys": sorted(&index["KeySchema"], Value::to_string),
        "projection": projected["ProjectionType"], "attributes": attributes,
    })
}

/// What matters of a table, in one order.
fn essence(table: &Value) -> Value {
    let named = |name: &'static str| move |one: &Value| one[name].to_string();
    let indexes = sorted(&table["GlobalSecondaryIndexes"], named("IndexName"));
    json!({
        "attributes": sorted(&table["AttributeDefinitions"], named("AttributeName")),
        "keys": sorted(&table["KeySchema"], Value::to_string),
        "indexes": indexes.iter().map(index).collect::<Vec<_>>(),
        "billing": table["BillingMode"],
        "recovery": table["PointInTimeRecoverySpecification"],
        "expiry": table["TimeToLiveSpecification"],
    })
}

#[tokio::test]
async fn the_template_s_table_is_the_one_that_catalog_init_makes() {
    let (written, made) = (essence(&of_the_template("Catalog")), essence(&of_the_code().await));
    assert_eq!(written["indexes"].as_array().unwrap().len(), 4, "the indexes are not found");
    assert_eq!(written, made);
}

#[test]
fn the_alarm_for_throttling_looks_at_the_table_and_at_each_of_its_indexes() {
    let watched: Vec<(String, Option<String>)> = of_the_template("CatalogAlarm")["Metrics"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|metric| {
            let metric = &metric.get("MetricStat")?["Metric"];
            let index =
                metric["Dimensions"].as_array()?.iter().find(|one| one["Name"] == "GlobalSecondaryIndexName");
            let index = index.and_then(|index| index["Value"].as_str()).map(str::to_owned);
            Some((metric["MetricName"].as_str()?.to_owned(), index))
        })
        .collect();
    for name in ["ReadThrottleEvents", "WriteThrottleEvents"] {
        assert!(watched.contains(&(name.to_owned(), None)), "the table's {name}: {watched:?}");
        for index in of_the_template("Catalog")["GlobalSecondaryIndexes"].as_array().unwrap() {
            let index = index["IndexName"].as_str().map(str::to_owned);
            assert!(watched.contains(&(name.to_owned(), index.clone())), "{name} of {index:?}: {watched:?}");
        }
    }
    assert_eq!(watched.len(), 10, "an alarm takes no more");
}
