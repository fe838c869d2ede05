//! The catalog's table, as `infra/template.yaml` deploys it.

use serde_json::{Value, json};

use super::{Moto, REGION};
use crate::host;

impl Moto {
    /// A new table for a catalog; its URL, as `CATALOG_URL` takes it.
    pub async fn catalog(&self) -> String {
        let name = host::unique("respaldo");
        let text = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
        let attributes = ["pk", "sk", "due_pk", "due_sk", "family", "database", "status", "place"].map(text);
        let with = |names: &[&str]| json!({ "ProjectionType": "INCLUDE", "NonKeyAttributes": names });
        let table = json!({
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": attributes,
            "KeySchema": keys("pk", "sk"),
            "GlobalSecondaryIndexes": [
                index("due", "due_pk", "due_sk", &json!({ "ProjectionType": "KEYS_ONLY" })),
                index("by_age", "family", "place", &with(&["database", "status", "backup_kind", "size"])),
                index("by_database", "database", "place", &with(&["status", "backup_kind", "size"])),
                index("by_status", "status", "place", &with(&["database", "backup_kind", "size"])),
            ],
        });
        self.call("dynamodb", "DynamoDB_20120810.CreateTable", &table).await;
        let expiry = json!({
            "TableName": name, "TimeToLiveSpecification": { "AttributeName": "expires", "Enabled": true },
        });
        self.call("dynamodb", "DynamoDB_20120810.UpdateTimeToLive", &expiry).await;
        format!("dynamodb://{name}?endpoint={}&region={REGION}", self.endpoint())
    }
}

fn keys(hash: &str, range: &str) -> Value {
    json!([{ "AttributeName": hash, "KeyType": "HASH" }, { "AttributeName": range, "KeyType": "RANGE" }])
}

fn index(name: &str, hash: &str, range: &str, projection: &Value) -> Value {
    json!({ "IndexName": name, "KeySchema": keys(hash, range), "Projection": projection })
}
