//! The catalog on DynamoDB: one table, for as many hosts as like.
//!
//! `docs/catalog.md` tells what the table holds, which index each method reads and what it costs.

mod catalog;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use respaldo_core::{Error, ErrorKind, Result};
use std::time::Duration;

use crate::sdk;

/// How often a request is sent before its failure is told.
const MOST_TRIES: u32 = 5;
/// How long one try may take.
const TRY_WITHIN: Duration = Duration::from_secs(6);
/// How long all tries of a request may take.
const ALL_TRIES_WITHIN: Duration = Duration::from_secs(25);

/// A catalog in a DynamoDB table. Any number of hosts may have the same table open.
///
/// It must be used within a Tokio runtime.
#[derive(Debug, Clone)]
pub struct Dynamo {
    client: Client,
    table: String,
}

impl Dynamo {
    /// A catalog in the table of this name. Nothing is sent yet: whether the table is there and complete is what
    /// [`check`](respaldo_core::ports::Catalog::check) tells.
    ///
    /// Without an endpoint the requests go to the region's own (`AWS_ENDPOINT_URL` is honoured), without a region to the one
    /// that environment or profile name. Credentials come from the usual chain.
    /// A name that no table can have is refused with [`ErrorKind::Config`](respaldo_core::ErrorKind::Config).
    pub async fn open(table: &str, endpoint: Option<&str>, region: Option<&str>) -> Result<Self> {
        Self::over(&sdk::load(endpoint, region).await, table)
    }

    /// The same, from a configuration that is loaded already.
    pub fn over(config: &SdkConfig, table: &str) -> Result<Self> {
        let known = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if !(3..=255).contains(&table.len()) || !table.chars().all(known) {
            let why = format!(
                "{table:?} is no name of a table: 3 to 255 letters, digits, and the characters _ - ."
            );
            return Err(Error::new(ErrorKind::Config, "open the catalog", why).with_field("catalog"));
        }
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_attempt_timeout(TRY_WITHIN)
            .operation_timeout(ALL_TRIES_WITHIN)
            .build();
        let config = aws_sdk_dynamodb::config::Builder::from(config)
            .retry_config(RetryConfig::standard().with_max_attempts(MOST_TRIES))
            .timeout_config(timeouts)
            .build();
        Ok(Self { client: Client::from_conf(config), table: table.to_owned() })
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// What [`create_table`](Self::create_table) would do now, one line for each step; empty when the table is as it
    /// must be.
    pub async fn plan_table(&self) -> Result<Vec<String>> {
        Err(catalog::later())
    }

    /// Makes the table, or adds what an existing one lacks: indexes, expiry, point-in-time recovery. It may be run again
    /// at any time. Answers what was done, one line for each step.
    pub async fn create_table(&self) -> Result<Vec<String>> {
        Err(catalog::later())
    }
}
