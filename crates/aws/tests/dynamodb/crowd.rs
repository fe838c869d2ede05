//! Catalogs of many databases, and what a tick asks of them.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use respaldo_core::ports::NewDatabase;
use respaldo_testkit::aws::Proxy;
use respaldo_testkit::catalog::Store;
use respaldo_testkit::catalog::sample::{at, database};

use crate::support::{Table, config, on_dynalite};

const DUE: u128 = 10;

/// A catalog of so many databases, of which ten are due: copies of one, written in bulk.
async fn filled(many: usize) -> Table {
    let table = on_dynalite().await;
    let catalog = table.open().await;
    for uid in 0..DUE {
        catalog.create_database(NewDatabase(database(uid))).await.unwrap();
    }
    let client = Client::new(&config(&table.endpoint).await);
    let key = |name: &str, value: &str| (name.to_owned(), AttributeValue::S(value.to_owned()));
    let one = client
        .get_item()
        .table_name(&table.name)
        .set_key(Some([key("pk", "database"), key("sk", &format!("{:020}", 1))].into_iter().collect()));
    let one = one.send().await.unwrap().item.expect("the first database");
    let later = at(86_400_000).as_millisecond() + 1_000_000_000_000_000;
    let copies: Vec<_> = (1_000..1_000 + many)
        .map(|number| {
            let mut copy = one.clone();
            copy.extend([
                key("sk", &format!("{number:020}")),
                key("due_pk", &format!("database#{}", number % 8)),
                key("due_sk", &format!("{later:016}#{number:020}")),
            ]);
            WriteRequest::builder()
                .put_request(PutRequest::builder().set_item(Some(copy)).build().unwrap())
                .build()
        })
        .collect();
    for batch in copies.chunks(25) {
        let write =
            client.batch_write_item().request_items(&table.name, batch.to_vec()).send().await.unwrap();
        assert!(write.unprocessed_items.unwrap_or_default().is_empty());
    }
    table
}

/// The requests of a tick's two looks, by operation, in a catalog of so many databases of which ten are due.
pub(crate) async fn requests_of_a_tick(many: usize) -> Vec<String> {
    let table = filled(many).await;
    let proxy = Proxy::before(&table.endpoint).await;
    let through = Table { endpoint: proxy.endpoint.clone(), name: table.name.clone() };
    let catalog = through.open().await;
    assert_eq!(catalog.due_databases(at(1), 1_000).await.unwrap().len(), 10);
    assert!(catalog.due_jobs(at(1), 1_000).await.unwrap().is_empty());
    let mut seen: Vec<_> = proxy.take_seen().into_iter().map(|call| call.operation).collect();
    seen.sort();
    seen
}
