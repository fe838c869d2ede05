//! A catalog is moved into a table of DynamoDB (moto's) and out of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::Cursor;

use respaldo_aws::{Dynamo, sdk};
use respaldo_core::keyring::MasterKey;
use respaldo_core::model::DatabaseId;
use respaldo_core::ports::{Catalog, NewDatabase};
use respaldo_core::transfer::{Export, Import, Outcome, export, import};
use respaldo_testkit::aws::Moto;
use respaldo_testkit::catalog::MemoryCatalog;
use respaldo_testkit::catalog::content::{content, fill};
use respaldo_testkit::catalog::sample::{at, database};

fn key() -> MasterKey {
    MasterKey::generate([7; 32])
}

async fn written(catalog: &dyn Catalog) -> Vec<u8> {
    let (key, mut file) = (key(), Vec::new());
    let how = Export { key: &key, source: "a catalog".to_owned(), now: at(3_600_000), force: false };
    export(catalog, how, &mut file).await.unwrap();
    file
}

async fn read_into(catalog: &dyn Catalog, file: &[u8]) -> Outcome {
    let how = Import { key: &key(), now: at(3_600_000), dry_run: false };
    import(catalog, how, &mut Cursor::new(file)).await.unwrap().outcome
}

async fn table(moto: &Moto, name: &str) -> Dynamo {
    let keys = aws_sdk_dynamodb::config::Credentials::new("test", "test", None, None, "test");
    let endpoint = moto.endpoint();
    let config = sdk::loader(Some(&endpoint), Some("eu-west-1")).credentials_provider(keys).load().await;
    let table = Dynamo::over(&config, name).unwrap();
    table.create_table().await.unwrap();
    table
}

#[tokio::test]
async fn a_catalog_goes_into_a_table_and_out_of_it_without_loss() {
    let moto = Moto::private();
    let (first, last) = (MemoryCatalog::default(), MemoryCatalog::default());
    fill(&first).await;
    let mut expected = content(&first).await;
    expected.claims.retain(|claim| claim.is_live(at(3_600_000)));
    let middle = table(&moto, "moved").await;
    let file = written(&first).await;
    assert_eq!(read_into(&middle, &file).await, Outcome::Filled);
    assert_eq!(content(&middle).await, expected);
    assert!(matches!(read_into(&middle, &file).await, Outcome::Before(_)));
    assert_eq!(read_into(&last, &written(&middle).await).await, Outcome::Filled);
    assert_eq!(content(&last).await, expected);
    for catalog in [&middle as &dyn Catalog, &last] {
        let next = catalog.create_database(NewDatabase(database(99))).await.unwrap();
        assert!(next.id > DatabaseId(7), "number {} was in use", next.id);
    }
}
