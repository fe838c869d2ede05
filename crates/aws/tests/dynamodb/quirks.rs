//! What Amazon's service does and no emulator.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::TimeToLiveSpecification;
use respaldo_aws::{Dynamo, sdk};
use respaldo_core::ErrorKind;
use respaldo_core::ports::Catalog;
use respaldo_testkit::aws::{ACCESS_KEY, Moto, SECRET_KEY};
use respaldo_testkit::catalog::Store;
use respaldo_testkit::catalog::sample::{job, job_id};
use respaldo_testkit::host;

use crate::stand_in::{Quirk, StandIn};
use crate::support::{Table, config, on_moto};
use crate::table::bare_table;

/// A handle on a table whose service has quirks.
async fn behind(table: &Table) -> (StandIn, Dynamo) {
    let service = StandIn::before(&table.endpoint).await;
    let through = Table { endpoint: service.endpoint.clone(), name: table.name.clone() };
    let handle = through.handle().await;
    (service, handle)
}

/// An answer of which the end never comes, and which holds what nobody may read in a log.
const BROKEN_OFF: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 900\r\n\r\n\
     {\"Item\":{\"document\":{\"S\":\"the credentials of orders";
/// An answer that is whole, and no JSON.
const UNREADABLE: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 38\r\n\
     connection: close\r\n\r\n{\"Item\":{\"document\": the credentials of";
/// What stands between here and the service, and not the service itself, has no capacity.
const OF_A_GATEWAY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/html\r\ncontent-length: 24\r\n\
     connection: close\r\n\r\n<html>no region</html>\r\n";

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_worth_another_try_and_none_of_it_is_told() {
    let (service, catalog) = behind(&on_moto().await).await;
    for told in [BROKEN_OFF, UNREADABLE, OF_A_GATEWAY] {
        service.rule(move |_| Some(Quirk::Told(told)));
        let error = catalog.job(job_id(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_retryable(), "{error}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("of orders") && !text.contains("the credentials of"), "{text}");
        // Neither as a list of bytes.
        assert!(!text.contains("Once(") && !text.contains("<html>"), "{text}");
        assert!(text.len() < 2_000, "{text}");
    }
}

#[tokio::test]
async fn other_tables_transactions_and_replicas_are_waited_for() {
    let (service, catalog) = behind(&on_moto().await).await;
    for code in ["TransactionConflictException", "ReplicatedWriteConflictException", "RequestLimitExceeded"] {
        service.rule(move |operation| (operation == "PutItem").then_some(Quirk::Refused(code)));
        let error = catalog.create_job(&job(1, 0)).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");
    }
}

#[tokio::test]
async fn a_record_that_the_table_takes_slowly_is_stored_as_long_as_it_takes_any_of_it() {
    let table = on_moto().await;
    let (service, slow) = behind(&table).await;
    service.rule(|operation| (operation == "BatchWriteItem").then_some(Quirk::OneOfABatch));
    let mut large = job(1, 0);
    large.backup_mut().unwrap().database_name = host::random_hex(4_000_000);
    assert!(slow.create_job(&large).await.unwrap());
    assert!(service.take_seen().len() > 12, "it came piece by piece");
    assert_eq!(table.open().await.job(job_id(1)).await.unwrap(), Some(large));
}

#[tokio::test]
async fn a_new_table_whose_backups_are_only_being_set_up_is_waited_for() {
    let moto = Moto::shared().endpoint();
    let service = StandIn::before(&moto).await;
    let mut refused = 0;
    service.rule(move |operation| {
        refused += u32::from(operation == "UpdateContinuousBackups");
        let early = operation == "UpdateContinuousBackups" && refused <= 2;
        early.then_some(Quirk::Refused("ContinuousBackupsUnavailableException"))
    });
    let catalog = Dynamo::over(&config(&service.endpoint).await, &host::unique("new")).unwrap();
    let done = catalog.create_table().await.unwrap();
    assert!(done.iter().any(|step| step == "turn point-in-time recovery on"), "{done:?}");
    assert_eq!(catalog.plan_table().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn an_index_that_the_description_does_not_show_yet_is_waited_for_before_the_next() {
    let name = host::unique("slow");
    bare_table(&name, "pk", "sk").await;
    let service = StandIn::before(&Moto::shared().endpoint()).await;
    let catalog = Dynamo::over(&config(&service.endpoint).await, &name).unwrap();
    let mut looks = 0;
    service.rule(move |operation| {
        looks = if operation == "UpdateTable" { 0 } else { looks + u32::from(operation == "DescribeTable") };
        // The plan's own look, at the beginning, is the first that there is.
        (operation == "DescribeTable" && looks == 1).then_some(Quirk::Behind)
    });
    catalog.create_table().await.unwrap();
    let seen = service.take_seen();
    let mut after = seen.split(|operation| operation == "UpdateTable").skip(1);
    assert!(after.all(|seen| seen.iter().filter(|one| *one == "DescribeTable").count() >= 2), "{seen:?}");
}

#[tokio::test]
async fn a_table_whose_items_expire_by_something_else_is_told_so() {
    let name = host::unique("expiring");
    let catalog = bare_table(&name, "pk", "sk").await;
    let config = config(&Moto::shared().endpoint()).await;
    let other =
        TimeToLiveSpecification::builder().enabled(true).attribute_name("expires_at").build().unwrap();
    let update = Client::new(&config).update_time_to_live().table_name(&name);
    update.time_to_live_specification(other).send().await.unwrap();
    let error = catalog.plan_table().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("expires_at"), "{error}");
}

#[tokio::test]
async fn without_a_region_the_setting_that_is_missing_is_named() {
    let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "tests");
    let loader = sdk::loader(None, None).region(None::<Region>);
    let config = loader.credentials_provider(SharedCredentialsProvider::new(credentials)).load().await;
    let error = Dynamo::over(&config, "catalog").unwrap().job(job_id(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.mend().unwrap_or_default().contains("?region="), "{error}");
}
