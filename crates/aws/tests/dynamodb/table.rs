//! The table itself: made, completed, and judged.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use respaldo_aws::Dynamo;
use respaldo_core::ErrorKind;
use respaldo_core::ports::Catalog;
use respaldo_testkit::aws::Moto;
use respaldo_testkit::host;

use crate::support::{config, on_dynalite, on_moto};

pub(crate) async fn bare_table(name: &str, hash: &str, sort: &str) -> Dynamo {
    let config = config(&Moto::shared().endpoint()).await;
    let mut create =
        Client::new(&config).create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (attribute, kind) in [(hash, KeyType::Hash), (sort, KeyType::Range)] {
        let key = KeySchemaElement::builder().attribute_name(attribute).key_type(kind).build().unwrap();
        let text = AttributeDefinition::builder()
            .attribute_name(attribute)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .unwrap();
        create = create.key_schema(key).attribute_definitions(text);
    }
    create.send().await.unwrap();
    Dynamo::over(&config, name).unwrap()
}

#[tokio::test]
async fn a_table_is_made_once_and_found_complete_afterwards() {
    let table = on_moto().await;
    let catalog = table.handle().await;
    catalog.check().await.unwrap();
    assert_eq!(catalog.plan_table().await.unwrap(), [""; 0]);
    assert_eq!(catalog.create_table().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_server_that_knows_no_expiry_is_said_to_have_left_it_out() {
    let table = on_dynalite().await;
    let catalog = table.handle().await;
    catalog.check().await.unwrap();
    let done = catalog.create_table().await.unwrap();
    assert!(!done.is_empty() && done.iter().all(|step| step.contains("left out")), "{done:?}");
}

#[tokio::test]
async fn a_missing_index_is_named_planned_and_added() {
    let catalog = bare_table(&host::unique("bare"), "pk", "sk").await;
    let error = catalog.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().contains("no index due") && error.mend().unwrap().contains("catalog init"),
        "{error}"
    );
    let planned = catalog.plan_table().await.unwrap();
    assert_eq!(planned.iter().filter(|step| step.starts_with("add the index")).count(), 4, "{planned:?}");
    assert_eq!(catalog.create_table().await.unwrap(), planned);
    catalog.check().await.unwrap();
}

#[tokio::test]
async fn a_table_that_is_not_there_or_not_a_catalog_is_told_so() {
    let config = config(&Moto::shared().endpoint()).await;
    let absent = Dynamo::over(&config, "absent").unwrap().check().await.unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::Config);
    assert!(absent.to_string().contains("no table absent"), "{absent}");
    let foreign = bare_table(&host::unique("foreign"), "customer", "order").await;
    for error in [foreign.check().await.unwrap_err(), foreign.create_table().await.unwrap_err()] {
        assert!(error.to_string().contains("is not a catalog"), "{error}");
    }
    for name in ["", "ab", "a/b", "tablé"] {
        assert_eq!(Dynamo::over(&config, name).unwrap_err().kind(), ErrorKind::Config, "{name:?}");
    }
}
