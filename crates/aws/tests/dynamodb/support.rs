//! Tables of a test's own.

use std::sync::Arc;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::AttributeValue;
use respaldo_aws::{Dynamo, sdk};
use respaldo_core::ports::Catalog;
use respaldo_testkit::aws::{ACCESS_KEY, Dynalite, Moto, REGION, SECRET_KEY};
use respaldo_testkit::catalog::Store;
use respaldo_testkit::host;

/// A configuration that asks nobody for region and credentials.
pub(crate) async fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "tests");
    sdk::loader(Some(endpoint), Some(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .load()
        .await
}

/// A catalog in a new table; each handle is a client of its own, as another host would have.
pub(crate) struct Table {
    pub(crate) endpoint: String,
    pub(crate) name: String,
}

impl Table {
    pub(crate) async fn at(endpoint: String) -> Self {
        let table = Self { endpoint, name: host::unique("catalog") };
        table.handle().await.create_table().await.expect("the table can be made");
        table
    }

    pub(crate) async fn handle(&self) -> Dynamo {
        Dynamo::over(&config(&self.endpoint).await, &self.name).expect("a name of a table")
    }

    /// The keys of all items.
    pub(crate) async fn items(&self) -> Vec<(String, String)> {
        let client = aws_sdk_dynamodb::Client::new(&config(&self.endpoint).await);
        let scan = client.scan().table_name(&self.name).consistent_read(true).into_paginator().items().send();
        let items = scan.try_collect().await.expect("the table can be read");
        let text = |item: &std::collections::HashMap<String, AttributeValue>, name: &str| {
            item[name].as_s().expect("keys are text").clone()
        };
        items.iter().map(|item| (text(item, "pk"), text(item, "sk"))).collect()
    }
}

#[async_trait]
impl Store for Table {
    async fn open(&self) -> Arc<dyn Catalog> {
        Arc::new(self.handle().await)
    }
}

pub(crate) async fn on_moto() -> Table {
    Table::at(Moto::shared().endpoint()).await
}

pub(crate) async fn on_dynalite() -> Table {
    Table::at(Dynalite::shared().endpoint()).await
}
