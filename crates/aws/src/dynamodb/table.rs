//! The table: what it must look like, and how it comes to.

use std::time::Duration;

use aws_sdk_dynamodb::types::builders::GlobalSecondaryIndexBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, ContinuousBackupsStatus, CreateGlobalSecondaryIndexAction,
    GlobalSecondaryIndex, GlobalSecondaryIndexUpdate, IndexStatus, KeySchemaElement, KeyType,
    PointInTimeRecoverySpecification, PointInTimeRecoveryStatus, Projection, ProjectionType,
    ScalarAttributeType, TableDescription, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};
use respaldo_core::{Error, ErrorKind, Result};

use super::Dynamo;
use super::attributes::{DATABASE, DUE_PK, DUE_SK, EXPIRES, FAMILY, PK, PLACE, SK, STATUS};
use super::failure::code_of;
use super::lists::{BY_AGE, BY_DATABASE, BY_STATUS, PROJECTED};
use super::{due, failure};

const OPERATION: &str = "prepare the catalog's table";
/// How long a new table or index may take to be ready; an index over many records takes minutes.
const PATIENCE: Duration = Duration::from_mins(30);
/// How long to wait between two looks.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// An index: its name, hash key and sort key.
type Index = (&'static str, &'static str, &'static str);
/// All that the table must have.
const INDEXES: [Index; 4] = [
    (due::INDEX, DUE_PK, DUE_SK),
    (BY_AGE, FAMILY, PLACE),
    (BY_DATABASE, DATABASE, PLACE),
    (BY_STATUS, STATUS, PLACE),
];

/// One thing that a table lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Table,
    Index(Index),
    Expiry,
    Recovery,
}

impl Step {
    fn told(self, table: &str) -> String {
        match self {
            Self::Table => format!("make the table {table}, billed by request, with its four indexes"),
            Self::Index((name, hash, sort)) => format!("add the index {name} ({hash}, {sort})"),
            Self::Expiry => format!("let items expire by their attribute {EXPIRES}"),
            Self::Recovery => "turn point-in-time recovery on".to_owned(),
        }
    }
}

impl Dynamo {
    /// What [`create_table`](Self::create_table) would do now, one line for each step; empty when the table is as it
    /// must be. A table of that name with other keys: [`ErrorKind::Config`].
    pub async fn plan_table(&self) -> Result<Vec<String>> {
        Ok(self.steps().await?.into_iter().map(|step| step.told(&self.table)).collect())
    }

    /// Makes the table, or adds what an existing one lacks: indexes, expiry, point-in-time recovery. It may be run again
    /// at any time, and waits until all is ready. Answers what was done, one line for each step; a server that does not know a step is
    /// said to have left it out.
    pub async fn create_table(&self) -> Result<Vec<String>> {
        let mut done = Vec::new();
        for step in self.steps().await? {
            let known = self.take(step).await?;
            let left_out = if known { "" } else { ": left out, this server does not know it" };
            done.push(step.told(&self.table) + left_out);
        }
        Ok(done)
    }

    async fn steps(&self) -> Result<Vec<Step>> {
        let Some(table) = self.describe(OPERATION).await? else {
            return Ok(vec![Step::Table, Step::Expiry, Step::Recovery]);
        };
        self.assert_keys(OPERATION, &table)?;
        let mut steps: Vec<_> =
            INDEXES.into_iter().filter(|index| index_of(&table, *index).is_none()).map(Step::Index).collect();
        if !self.expires().await? {
            steps.push(Step::Expiry);
        }
        if !self.recovers().await? {
            steps.push(Step::Recovery);
        }
        Ok(steps)
    }

    /// False when the server does not know what is asked for.
    async fn take(&self, step: Step) -> Result<bool> {
        match step {
            Step::Table => self.make_table().await.map(|()| true),
            Step::Index(index) => self.add_index(index).await.map(|()| true),
            Step::Expiry => self.turn_expiry_on().await,
            Step::Recovery => self.turn_recovery_on().await,
        }
    }

    async fn make_table(&self) -> Result<()> {
        let mut create = self
            .client
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest)
            .set_key_schema(Some(key_schema(PK, SK)?));
        let mut attributes = vec![PK, SK];
        for index @ (_, hash, sort) in INDEXES {
            attributes.extend([hash, sort]);
            create = create.global_secondary_indexes(global_index(index)?);
        }
        attributes.sort_unstable();
        attributes.dedup();
        for name in attributes {
            create = create.attribute_definitions(text_attribute(name)?);
        }
        match create.send().await {
            Ok(_making) => {}
            // Somebody else is just doing the same.
            Err(error) if code_of(&error) == Some("ResourceInUseException") => {}
            Err(error) => return Err(self.failure(OPERATION, "CreateTable", &error)),
        }
        self.until_ready(&INDEXES).await
    }

    async fn add_index(&self, index: Index) -> Result<()> {
        let (name, hash, sort) = index;
        let action = CreateGlobalSecondaryIndexAction::builder()
            .index_name(name)
            .set_key_schema(Some(key_schema(hash, sort)?))
            .projection(projection(name))
            .build()
            .map_err(unbuilt)?;
        let update = self
            .client
            .update_table()
            .table_name(&self.table)
            .attribute_definitions(text_attribute(hash)?)
            .attribute_definitions(text_attribute(sort)?)
            .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(action).build());
        update.send().await.map_err(|error| self.failure(OPERATION, "UpdateTable", &error))?;
        self.until_ready(&[index]).await
    }

    /// Waits until the table is ready, and has these indexes: its description may be older than what was asked for.
    async fn until_ready(&self, wanted: &[Index]) -> Result<()> {
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < PATIENCE {
            let table = self.describe(OPERATION).await?;
            if table.is_some_and(|table| {
                is_active(&table)
                    && table.global_secondary_indexes().iter().all(index_is_active)
                    && wanted.iter().all(|index| index_of(&table, *index).is_some())
            }) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
        let why = format!("the table {} is not ready after half an hour", self.table);
        Err(Error::new(ErrorKind::Timeout, OPERATION, why))
    }

    async fn expires(&self) -> Result<bool> {
        match self.client.describe_time_to_live().table_name(&self.table).send().await {
            Ok(answer) => {
                let expiry = answer.time_to_live_description;
                let status = expiry.as_ref().and_then(|expiry| expiry.time_to_live_status.clone());
                if !matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
                    return Ok(false);
                }
                match expiry.and_then(|expiry| expiry.attribute_name) {
                    Some(other) if other != EXPIRES => Err(self.expires_otherwise(&other)),
                    _ => Ok(true),
                }
            }
            Err(error) if is_unknown(code_of(&error)) => Ok(false),
            Err(error) => Err(self.failure(OPERATION, "DescribeTimeToLive", &error)),
        }
    }

    async fn turn_expiry_on(&self) -> Result<bool> {
        let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES).build();
        let update = self.client.update_time_to_live().table_name(&self.table);
        match update.time_to_live_specification(ttl.map_err(unbuilt)?).send().await {
            Ok(_on) => Ok(true),
            Err(error) if is_unknown(code_of(&error)) => Ok(false),
            Err(error) => Err(self.failure(OPERATION, "UpdateTimeToLive", &error)),
        }
    }

    async fn recovers(&self) -> Result<bool> {
        match self.client.describe_continuous_backups().table_name(&self.table).send().await {
            Ok(answer) => {
                let backups = answer.continuous_backups_description;
                let on = backups.as_ref().map(|backups| backups.continuous_backups_status.clone())
                    == Some(ContinuousBackupsStatus::Enabled);
                let recovery = backups.and_then(|backups| backups.point_in_time_recovery_description);
                let recovery = recovery.and_then(|recovery| recovery.point_in_time_recovery_status);
                Ok(on && recovery == Some(PointInTimeRecoveryStatus::Enabled))
            }
            Err(error) if is_unknown(code_of(&error)) => Ok(false),
            Err(error) => Err(self.failure(OPERATION, "DescribeContinuousBackups", &error)),
        }
    }

    fn expires_otherwise(&self, attribute: &str) -> Error {
        let why = format!(
            "the items of the table {} expire by their attribute {attribute}, not {EXPIRES}",
            self.table
        );
        Error::new(ErrorKind::Config, OPERATION, why)
            .with_mend("turn that time to live off, wait until it is, and run this again")
    }

    async fn turn_recovery_on(&self) -> Result<bool> {
        let on = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
        let on = on.map_err(unbuilt)?;
        let begun = tokio::time::Instant::now();
        loop {
            let update = self.client.update_continuous_backups().table_name(&self.table);
            match update.point_in_time_recovery_specification(on.clone()).send().await {
                Ok(_on) => return Ok(true),
                Err(error) if is_unknown(code_of(&error)) => return Ok(false),
                // A new table is ready before its backups are.
                Err(error) if are_backups_on_their_way(code_of(&error)) && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(LOOK_AGAIN_AFTER).await;
                }
                Err(error) => return Err(self.failure(OPERATION, "UpdateContinuousBackups", &error)),
            }
        }
    }

    async fn describe(&self, operation: &str) -> Result<Option<TableDescription>> {
        match self.client.describe_table().table_name(&self.table).send().await {
            Ok(answer) => Ok(answer.table),
            Err(error) if code_of(&error) == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(self.failure(operation, "DescribeTable", &error)),
        }
    }

    /// Says what is wrong with the table, if anything is.
    pub(super) async fn check_table(&self, operation: &str) -> Result<()> {
        let Some(table) = self.describe(operation).await? else {
            return Err(failure::unfit(operation, &format!("there is no table {}", self.table)));
        };
        self.assert_keys(operation, &table)?;
        if !is_active(&table) {
            let why = format!("the table {} is not ready yet", self.table);
            return Err(Error::new(ErrorKind::Unavailable, operation, why));
        }
        for index @ (name, hash, sort) in INDEXES {
            let Some(found) = index_of(&table, index) else {
                let why = format!("the table {} has no index {name} ({hash}, {sort})", self.table);
                return Err(failure::unfit(operation, &why));
            };
            if found.index_status() == Some(&IndexStatus::Creating) {
                let why = format!("the index {name} of the table {} is not ready yet", self.table);
                return Err(Error::new(ErrorKind::Unavailable, operation, why));
            }
        }
        Ok(())
    }

    fn assert_keys(&self, operation: &str, table: &TableDescription) -> Result<()> {
        if has_keys(table.key_schema(), PK, SK) {
            return Ok(());
        }
        let why = format!("the table {} is not a catalog: its key is not ({PK}, {SK})", self.table);
        Err(Error::new(ErrorKind::Config, operation, why)
            .with_mend("name another table; respaldo catalog init makes it"))
    }
}

type Found = aws_sdk_dynamodb::types::GlobalSecondaryIndexDescription;

fn index_of(table: &TableDescription, (name, hash, sort): Index) -> Option<&Found> {
    let mut indexes = table.global_secondary_indexes().iter();
    indexes.find(|index| index.index_name() == Some(name) && has_keys(index.key_schema(), hash, sort))
}

fn has_keys(schema: &[KeySchemaElement], hash: &str, sort: &str) -> bool {
    let keys: Vec<_> = schema.iter().map(|key| (key.attribute_name(), key.key_type())).collect();
    keys == [(hash, &KeyType::Hash), (sort, &KeyType::Range)]
}

fn is_active(table: &TableDescription) -> bool {
    // An index that is being added, or a setting that is being changed, keeps nobody from using it.
    matches!(table.table_status(), Some(TableStatus::Active | TableStatus::Updating))
}

fn index_is_active(index: &Found) -> bool {
    index.index_status().is_none_or(|status| *status == IndexStatus::Active)
}

/// What a server that emulates DynamoDB says to a call that it does not know.
fn is_unknown(code: Option<&str>) -> bool {
    matches!(code, Some("UnknownOperationException" | "UnknownOperation"))
}

fn are_backups_on_their_way(code: Option<&str>) -> bool {
    code == Some("ContinuousBackupsUnavailableException")
}

fn key_schema(hash: &str, sort: &str) -> Result<Vec<KeySchemaElement>> {
    [(hash, KeyType::Hash), (sort, KeyType::Range)]
        .into_iter()
        .map(|(name, kind)| {
            KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(unbuilt)
        })
        .collect()
}

fn text_attribute(name: &str) -> Result<AttributeDefinition> {
    let attribute =
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
    attribute.build().map_err(unbuilt)
}

fn projection(index: &str) -> Projection {
    if index == due::INDEX {
        return Projection::builder().projection_type(ProjectionType::KeysOnly).build();
    }
    // The keys of an index are in it anyway.
    let own = INDEXES.iter().find(|(name, _, _)| *name == index).map(|(_, hash, _)| *hash);
    let more = PROJECTED.iter().filter(|name| Some(**name) != own).map(|name| (*name).to_owned()).collect();
    Projection::builder().projection_type(ProjectionType::Include).set_non_key_attributes(Some(more)).build()
}

fn global_index((name, hash, sort): Index) -> Result<GlobalSecondaryIndex> {
    let index: GlobalSecondaryIndexBuilder = GlobalSecondaryIndex::builder()
        .index_name(name)
        .set_key_schema(Some(key_schema(hash, sort)?))
        .projection(projection(name));
    index.build().map_err(unbuilt)
}

fn unbuilt(error: impl std::fmt::Display) -> Error {
    Error::internal(OPERATION, error)
}
