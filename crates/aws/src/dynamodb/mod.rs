//! The catalog on DynamoDB: one table, for as many hosts as like.
//!
//! A tour: `catalog` hands the port's methods to `databases` (with `uids`), `jobs`, `lists`, `due`, `log`, `claims`,
//! `documents` and `leases`. They stand on `records` (a document under a revision, in `parts` where it is large), `write` (conditional
//! writes that know themselves again) and `read` (consistent reads, batches, walks along an index). `attributes`, `keys`
//! and `packing` say how things are named and stored, `table` what the table looks like, `failure` turns DynamoDB's words
//! into the product's errors. `docs/catalog.md` lists items, access patterns, costs and promises.

mod attributes;
mod catalog;
mod claims;
mod databases;
mod documents;
mod due;
mod failure;
mod jobs;
mod keys;
mod leases;
mod lists;
mod log;
mod outline;
mod packing;
mod parts;
mod read;
mod records;
mod table;
mod uids;
mod write;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::ReturnValue;
use respaldo_core::{Error, ErrorKind, Result};

use self::attributes::Key;
use self::write::Change;
use crate::sdk;

/// How often a request is sent before its failure is told.
const MOST_TRIES: u32 = 5;
/// The first retry waits about this long; each further one longer.
const FIRST_WAIT: Duration = Duration::from_millis(50);
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
    /// A name that no table can have is refused with [`ErrorKind::Config`].
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
            .retry_config(
                RetryConfig::standard().with_max_attempts(MOST_TRIES).with_initial_backoff(FIRST_WAIT),
            )
            .timeout_config(timeouts)
            .build();
        Ok(Self { client: Client::from_conf(config), table: table.to_owned() })
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Writes an item and reads it.
    async fn probe(&self, operation: &str) -> Result<()> {
        let key = Key::new("probe", "probe");
        self.update(operation, &key, Change::default(), ReturnValue::None).await?;
        match self.get(operation, &key).await? {
            Some(_written) => Ok(()),
            None => Err(Error::new(ErrorKind::Corrupt, operation, "what was just written is not there")),
        }
    }
}
