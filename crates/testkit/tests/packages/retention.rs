//! Packages have a retention of their own, which never takes the newest good one.

use std::sync::Arc;

use jiff::SignedDuration;
use respaldo_core::model::{Job, PackageKind, Status};
use respaldo_core::package::{self, Policy};
use respaldo_testkit::app::TestApp;
use serde_json::json;

use crate::schedule::{next_slot, scheduled};
use crate::support::{backed_up, good, request, sqlite};

async fn kept(test: &TestApp) -> Vec<Job> {
    package::list(&test.app, Some(Status::Succeeded), Some(PackageKind::Scheduled), None, 100).await.unwrap()
}

#[tokio::test]
async fn scheduled_packages_go_beyond_max_backups_and_those_that_somebody_asked_for_stay() {
    let test = scheduled("@hourly", |policy| Policy { max_packages: Some(2), ..policy });
    backed_up(&test, &["a"]).await;
    let manual = good(&test, &request(respaldo_core::model::PackageFormat::Zip)).await;
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(next_slot(&test).await);
    }
    let ids = |jobs: &[Job]| jobs.iter().map(|job| job.id).collect::<Vec<_>>();
    assert_eq!(ids(&kept(&test).await), [made[3].id, made[2].id]);
    test.job(manual.id).await;
    assert_eq!(package::totals(&test.app).await.unwrap().succeeded, 5, "counted, also those that went");
    test.assert_promises().await;
}

#[tokio::test]
async fn without_a_schedule_the_rule_goes_on_for_the_packages_that_one_made() {
    let mut test = scheduled("@daily", |policy| Policy { retention_days: Some(10), ..policy });
    backed_up(&test, &["a"]).await;
    for _ in 0..2 {
        next_slot(&test).await;
    }
    Arc::make_mut(&mut test.app.limits).package.cron = None;
    test.clock.advance(SignedDuration::from_hours(24 * 30));
    package::tick(&test.app).await.unwrap();
    assert_eq!(kept(&test).await.len(), 1, "the newest good one");
    test.assert_promises().await;
}

#[tokio::test]
async fn the_newest_good_package_stays_however_old_and_nothing_goes_after_one_has_failed() {
    let test = scheduled("@daily", |policy| Policy { retention_days: Some(1), ..policy });
    let (database, _) = backed_up(&test, &["a"]).await.remove(0);
    let first = next_slot(&test).await;
    assert_eq!(first.status, Status::Succeeded);
    test.clock.advance(SignedDuration::from_hours(24 * 90));
    package::apply_retention(&test.app, None).await.unwrap();
    assert_eq!(kept(&test).await.len(), 1, "the newest good one");
    // A database without a backup makes the next one fail.
    let bare = sqlite(&test, "bare", json!({})).await;
    let failed = next_slot(&test).await;
    assert_eq!(failed.status, Status::Failed);
    test.back_up(&bare).await;
    test.back_up(&database).await;
    let second = next_slot(&test).await;
    assert_eq!(second.status, Status::Succeeded);
    assert_eq!(kept(&test).await.len(), 1, "the first one went when there was a newer good one");
    let totals = package::totals(&test.app).await.unwrap();
    assert_eq!((totals.succeeded, totals.failed), (2, 1));
    test.assert_promises().await;
}
