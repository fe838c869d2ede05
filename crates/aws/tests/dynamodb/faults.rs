//! Requests that are throttled, refused and broken, and answers that are lost.

use jiff::{SignedDuration, Timestamp};
use respaldo_core::model::{DatabaseId, Job};
use respaldo_core::ports::{Catalog, JobFilter, NewDatabase};
use respaldo_core::{ErrorKind, Result};
use respaldo_testkit::aws::{Call, Fault, Proxy};
use respaldo_testkit::catalog::Store;
use respaldo_testkit::catalog::sample::{at, database, job, job_id, line};

use crate::support::{Table, on_dynalite, on_moto};

const TTL: SignedDuration = SignedDuration::from_secs(30);

fn writes(call: &Call) -> bool {
    matches!(&*call.operation, "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem")
}

/// A proxy before the table's server, and a handle that goes through it.
async fn behind_a_proxy(table: &Table) -> (Proxy, respaldo_aws::Dynamo) {
    let proxy = Proxy::before(&table.endpoint).await;
    let through = Table { endpoint: proxy.endpoint.clone(), name: table.name.clone() };
    let handle = through.handle().await;
    (proxy, handle)
}

/// Each write is done by the server, its answer is lost, and the SDK sends it again: the caller never knows.
async fn nothing_is_doubled_or_refused(table: Table) {
    let (proxy, catalog) = behind_a_proxy(&table).await;
    let mut lost = false;
    proxy.rule(move |call| {
        lost = writes(call) && !lost;
        lost.then_some(Fault::AnswerLost)
    });
    let mut created = catalog.create_database(NewDatabase(database(1))).await.unwrap();
    "changed".clone_into(&mut created.settings.name);
    let changed = catalog.update_database(&created).await.unwrap();
    assert_eq!(catalog.databases(None, 9).await.unwrap(), std::slice::from_ref(&changed));
    catalog.delete_database(&changed).await.unwrap();

    let mut mine = job(1, 0);
    assert!(catalog.create_job(&mine).await.unwrap(), "created by us");
    mine.lease("worker", at(1), TTL).unwrap();
    let mine: Job = catalog.update_job(&mine).await.unwrap();
    catalog.append_log(mine.id, &[line("one"), line("two")]).await.unwrap();
    catalog.append_log(mine.id, &[line("three")]).await.unwrap();
    let log = catalog.log(mine.id, 0, 9).await.unwrap();
    assert_eq!(log.iter().map(|line| &*line.line).collect::<Vec<_>>(), ["one", "two", "three"]);
    catalog.delete_job(&mine).await.unwrap();

    assert_eq!(catalog.claim("k", "v", at(0), None).await.unwrap(), None, "claimed by us");
    catalog.release_claim("k", "v").await.unwrap();
    let fence = catalog.acquire_lease("l", "o", at(0), at(10)).await.unwrap().expect("ours");
    assert!(catalog.renew_lease("l", fence, at(20)).await.unwrap());
    catalog.release_lease("l", fence).await.unwrap();
    let revision = catalog.put_document("d", "text", 0).await.unwrap();
    catalog.put_document("d", "text 2", revision).await.unwrap();

    let seen = proxy.take_seen();
    assert!(seen.iter().filter(|call| writes(call)).count() >= 30, "{seen:?}");
    let direct = table.open().await;
    assert!(direct.databases(None, 9).await.unwrap().is_empty());
    assert!(direct.jobs(&JobFilter::default(), None, 9).await.unwrap().is_empty());
    assert_eq!(direct.document("d").await.unwrap().unwrap().text, "text 2");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_known_again_on_moto() {
    nothing_is_doubled_or_refused(on_moto().await).await;
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_known_again_on_dynalite() {
    nothing_is_doubled_or_refused(on_dynalite().await).await;
}

#[tokio::test]
async fn somebody_else_s_write_is_not_taken_for_one_s_own() {
    let table = on_moto().await;
    let (proxy, catalog) = behind_a_proxy(&table).await;
    let direct = table.open().await;
    assert!(direct.create_job(&job(1, 0)).await.unwrap());
    let mut lost = false;
    proxy.rule(move |call| {
        lost = writes(call) && !lost;
        lost.then_some(Fault::AnswerLost)
    });
    assert!(!catalog.create_job(&job(1, 0)).await.unwrap(), "it was there before");
    let newer = direct.update_job(&job(1, 0)).await.unwrap();
    assert_eq!(catalog.update_job(&job(1, 0)).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(direct.job(job_id(1)).await.unwrap(), Some(newer));
}

#[tokio::test]
async fn what_passes_is_tried_again_without_the_caller_s_notice() {
    let table = on_moto().await;
    let (proxy, catalog) = behind_a_proxy(&table).await;
    for fault in [
        Fault::Refused("ThrottlingException"),
        Fault::Refused("ProvisionedThroughputExceededException"),
        Fault::Broken,
    ] {
        let mut left = 2;
        proxy.rule(move |_| {
            left -= 1;
            (left >= 0).then_some(fault)
        });
        assert_eq!(catalog.job(job_id(1)).await.unwrap(), None, "{fault:?}");
        assert_eq!(proxy.take_seen().len(), 3, "{fault:?}");
    }
}

#[tokio::test]
async fn what_does_not_pass_is_told_with_its_kind_and_what_to_do() {
    let table = on_moto().await;
    let (proxy, catalog) = behind_a_proxy(&table).await;
    for (fault, kind, mend) in [
        (Fault::Refused("ThrottlingException"), ErrorKind::Unavailable, ""),
        (Fault::Broken, ErrorKind::Unavailable, ""),
        (Fault::AnswerLost, ErrorKind::Unavailable, ""),
        (Fault::Refused("ExpiredTokenException"), ErrorKind::Config, "renew"),
        (Fault::Refused("UnrecognizedClientException"), ErrorKind::Config, "access key"),
        (Fault::Refused("AccessDeniedException"), ErrorKind::Config, "dynamodb:GetItem"),
        (Fault::Refused("ResourceNotFoundException"), ErrorKind::Config, "respaldo catalog init"),
    ] {
        proxy.rule(move |_| Some(fault));
        let error = catalog.job(job_id(1)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
        // New credentials may come by themselves.
        let passes = kind == ErrorKind::Unavailable || fault == Fault::Refused("ExpiredTokenException");
        assert_eq!(error.is_retryable(), passes, "{fault:?}: {error}");
        assert!(error.mend().unwrap_or_default().contains(mend), "{fault:?}: {error}");
        assert!(error.to_string().starts_with("read a job: "), "{error}");
    }
}

/// Everything that a catalog is asked for fails at each of its requests in turn, and is whole afterwards.
#[tokio::test]
async fn a_method_that_fails_at_any_request_leaves_what_the_next_one_can_go_on_from() {
    let table = on_dynalite().await;
    let (proxy, catalog) = behind_a_proxy(&table).await;
    let direct = table.open().await;
    for step in 0..u32::MAX {
        let n = u128::from(step);
        die_after(&proxy, step);
        let ended = life(&catalog, n).await;
        proxy.heal();
        // Whoever comes next registers the same uid, or finds it registered, and makes the job or finds it.
        let registered = direct.create_database(NewDatabase(database(n))).await;
        assert!(
            registered.is_ok() || registered.is_err_and(|error| error.kind() == ErrorKind::Conflict),
            "step {step}"
        );
        let all = direct.databases(None, 1_000).await.unwrap();
        assert_eq!(all.iter().filter(|one| one.uid == database(n).uid).count(), 1, "step {step}");
        direct.due_jobs(Timestamp::MAX, 1_000).await.unwrap();
        direct.due_databases(Timestamp::MAX, 1_000).await.unwrap();
        direct.create_job(&job(n, 0)).await.unwrap();
        direct.append_log(job_id(n), &[line("next")]).await.unwrap();
        let log = direct.log(job_id(n), 0, 9).await.unwrap();
        assert!(log.iter().zip(1..).all(|(line, seq)| line.seq == seq), "step {step}: {log:?}");
        if ended.is_ok() {
            assert!(step > 15, "{step} requests only");
            return;
        }
    }
}

/// Every request after so many is refused, as if the process had died.
fn die_after(proxy: &Proxy, most: u32) {
    let mut left = most;
    proxy.rule(move |_| {
        let passes = left > 0;
        left = left.saturating_sub(1);
        (!passes).then_some(Fault::Refused("AccessDeniedException"))
    });
}

async fn life(catalog: &dyn Catalog, n: u128) -> Result<()> {
    let registered = catalog.create_database(NewDatabase(database(n))).await?;
    let registered = catalog.update_database(&registered).await?;
    catalog.delete_database(&registered).await?;
    let mine = job(n, 0);
    catalog.create_job(&mine).await?;
    catalog.append_log(mine.id, &[line("first"), line("second")]).await?;
    let mine = catalog.update_job(&mine).await?;
    catalog.delete_job(&mine).await
}

#[tokio::test]
async fn a_deletion_that_broke_off_is_finished_by_the_next_tick() {
    let table = on_moto().await;
    let (proxy, catalog) = behind_a_proxy(&table).await;
    let direct = table.open().await;
    let registered = direct.create_database(NewDatabase(database(1))).await.unwrap();
    assert!(direct.create_job(&job(1, 0)).await.unwrap());
    direct.append_log(job_id(1), &[line("one")]).await.unwrap();
    die_after(&proxy, 1);
    catalog.delete_job(&job(1, 0)).await.unwrap_err();
    die_after(&proxy, 1);
    catalog.delete_database(&registered).await.unwrap_err();
    assert_eq!(direct.job(job_id(1)).await.unwrap(), None, "it is gone for everybody");
    assert_eq!(direct.database(DatabaseId(1)).await.unwrap(), None);
    assert!(table.items().await.len() > 3, "but not yet in the table");
    assert!(direct.due_jobs(at(-9_999), 9).await.unwrap().is_empty());
    assert!(direct.due_databases(at(-9_999), 9).await.unwrap().is_empty());
    let left = table.items().await;
    assert!(left.iter().all(|(pk, _)| pk == "counter"), "{left:?}");
}
