//! An import into a table that dies at any of its requests, and the same import again.

use std::cmp::Ordering;
use std::io::Cursor;

use futures::StreamExt as _;
use futures::stream;
use respaldo_core::keyring::MasterKey;
use respaldo_core::model::DatabaseId;
use respaldo_core::ports::{Catalog, NewDatabase};
use respaldo_core::transfer::{
    DOCUMENTS, Export, Import, Imported, MARKER, Outcome, export, import, refuse_unfinished,
};
use respaldo_core::{ErrorKind, Result};
use respaldo_testkit::aws::{Dynalite, Fault, Proxy};
use respaldo_testkit::catalog::MemoryCatalog;
use respaldo_testkit::catalog::content::{Content, content};
use respaldo_testkit::catalog::sample::{at, database, job, job_without_a_database, line};

use crate::support::Table;

/// Tables that are filled at once.
const AT_ONCE: usize = 6;

fn key() -> MasterKey {
    MasterKey::generate([7; 32])
}

/// A little of everything, the last number that of a database that is gone.
async fn little() -> (Vec<u8>, Content) {
    let source = MemoryCatalog::default();
    for n in 1..=2 {
        source.create_database(NewDatabase(database(n))).await.unwrap();
    }
    let last = source.database(DatabaseId(2)).await.unwrap().unwrap();
    source.delete_database(&last).await.unwrap();
    for job in [job_without_a_database(1, at(0)), job(2, 5)] {
        source.create_job(&job).await.unwrap();
        source.append_log(job.id, &[line("a"), line("b")]).await.unwrap();
    }
    source.claim("k", "v", at(0), None).await.unwrap();
    source.put_document(DOCUMENTS[0], "text", 0).await.unwrap();
    let (key, mut file) = (key(), Vec::new());
    let how = Export { key: &key, source: "a catalog".to_owned(), now: at(9), force: false };
    export(&source, how, &mut file).await.unwrap();
    (file, content(&source).await)
}

async fn read_into(catalog: &dyn Catalog, file: &[u8]) -> Result<Imported> {
    import(catalog, Import { key: &key(), now: at(9), dry_run: false }, &mut Cursor::new(file)).await
}

/// The requests before this one pass, its answer is lost, and none that follows arrives: as if the process had died
/// while it waited, or just before the next one.
fn dies_at(proxy: &Proxy, step: usize) {
    let mut seen = 0;
    proxy.rule(move |_| {
        seen += 1;
        match step.cmp(&seen) {
            Ordering::Greater => None,
            Ordering::Equal => Some(Fault::AnswerLost),
            Ordering::Less => Some(Fault::Refused("AccessDeniedException")),
        }
    });
}

/// Lets an import die at one request, and does it again; answers whether there was such a request.
async fn at_step(file: &[u8], expected: &Content, step: usize) -> bool {
    let table = Table::at(Dynalite::shared().endpoint()).await;
    let proxy = Proxy::before(&table.endpoint).await;
    let through = Table { endpoint: proxy.endpoint.clone(), name: table.name.clone() }.handle().await;
    dies_at(&proxy, step);
    let first = read_into(&through, file).await;
    let met = proxy.take_seen().len() >= step;
    let direct = table.handle().await;
    let told = format!("request {step}");
    assert_eq!(first.is_err(), met, "{told}: {first:?}");
    let begun = direct.document(MARKER).await.unwrap().is_some();
    let whole = content(&direct).await == *expected;
    if begun && !whole {
        let refused = refuse_unfinished(&direct).await.expect_err(&told);
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{told}");
    }
    let again = read_into(&direct, file).await.unwrap_or_else(|error| panic!("{told}: {error}"));
    assert!(matches!(again.outcome, Outcome::Filled | Outcome::Before(_)), "{told}: {again:?}");
    refuse_unfinished(&direct).await.expect(&told);
    assert_eq!(content(&direct).await, *expected, "{told}");
    let next = direct.create_database(NewDatabase(database(50))).await.unwrap();
    assert!(next.id > DatabaseId(2), "{told}: number {} was in use", next.id);
    met
}

#[tokio::test]
async fn an_import_that_dies_at_any_request_is_begun_again_and_ends_whole() {
    let (file, expected) = little().await;
    let steps = stream::iter(1..200).map(|step| at_step(&file, &expected, step));
    let met = steps.buffered(AT_ONCE).take_while(|met| std::future::ready(*met)).count().await;
    assert!(met > 35, "{met} requests only");
}
