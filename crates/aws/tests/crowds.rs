//! Many databases that are due at once, on a table of DynamoDB.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::sync::Arc;

use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use jiff::SignedDuration;
use respaldo_aws::{Dynamo, sdk};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::aws::{ACCESS_KEY, Dynalite, Moto, REGION, SECRET_KEY};
use respaldo_testkit::{crowd, host};

/// An installation whose catalog is a new table there.
async fn installation(endpoint: &str) -> TestApp {
    let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "tests");
    let loader = sdk::loader(Some(endpoint), Some(REGION));
    let config = loader.credentials_provider(SharedCredentialsProvider::new(credentials)).load().await;
    let catalog = Dynamo::over(&config, &host::unique("crowd")).unwrap();
    catalog.create_table().await.unwrap();
    TestApp::over(Arc::new(catalog))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_due_at_once_and_two_hosts_and_every_event_twice_give_each_slot_one_outcome() {
    let test = installation(&Dynalite::shared().endpoint()).await;
    crowd::each_slot_has_one_outcome(&test, 1_000, SignedDuration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_differ_by_twenty_minutes_change_nothing_of_it() {
    let test = installation(&Moto::shared().endpoint()).await;
    crowd::each_slot_has_one_outcome(&test, 40, SignedDuration::from_mins(10)).await;
}
