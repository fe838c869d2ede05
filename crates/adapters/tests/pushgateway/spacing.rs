//! Pushes are spaced out over all hosts on one catalog.

use futures::future::join_all;
use jiff::SignedDuration;
use respaldo_adapters::pushgateway::{Gateway, Outcome, push};
use respaldo_core::ErrorKind;
use respaldo_core::ports::NewDatabase;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::catalog::sample::database;
use respaldo_testkit::faults::FaultMode;

use super::hostile::{Behaviour, Hostile};
use super::{failure, pushed};

#[tokio::test]
async fn of_two_hosts_that_push_at_once_one_does_and_nobody_within_the_minute() {
    let (test, gateway) = (TestApp::new(), Hostile::start(Behaviour::Accept).await);
    let (other, _faults) = test.another_process();
    let to = Gateway::new(&gateway.url()).unwrap();
    let outcomes = join_all([&test.app, &other, &test.app, &other].map(|app| push(app, &to))).await;
    let done = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Pushed { .. })).count();
    let waiting = outcomes.iter().filter(|outcome| **outcome == Outcome::NotDue).count();
    assert_eq!((done, waiting, gateway.asked()), (1, 3, 1), "{outcomes:?}");

    test.clock.advance(SignedDuration::from_secs(40));
    assert_eq!(push(&other, &to).await, Outcome::NotDue);
    test.clock.advance(SignedDuration::from_secs(20));
    assert!(matches!(push(&other, &to).await, Outcome::Pushed { .. }));
    assert_eq!(gateway.asked(), 2);
}

#[tokio::test]
async fn with_more_than_a_thousand_databases_the_next_push_comes_later() {
    let (test, gateway) = (TestApp::new(), Hostile::start(Behaviour::Accept).await);
    for uid in 1..=1_001 {
        test.catalog.create_database(NewDatabase(database(uid))).await.unwrap();
    }
    let first = pushed(&test, &gateway.url()).await;
    assert!(matches!(first, Outcome::Pushed { databases: 1_001, .. }), "{first:?}");
    test.clock.advance(SignedDuration::from_secs(80));
    assert_eq!(pushed(&test, &gateway.url()).await, Outcome::NotDue);
    test.clock.advance(SignedDuration::from_secs(40));
    assert!(matches!(pushed(&test, &gateway.url()).await, Outcome::Pushed { .. }));
}

#[tokio::test]
async fn a_failed_push_is_tried_again_at_its_next_turn_and_not_before() {
    let (test, down) = (TestApp::new(), Hostile::start(Behaviour::Answer("500 Internal Server Error")).await);
    failure(&test, &down.url()).await;
    let up = Hostile::start(Behaviour::Accept).await;
    assert_eq!(pushed(&test, &up.url()).await, Outcome::NotDue);
    test.clock.advance(SignedDuration::from_mins(1));
    assert!(matches!(pushed(&test, &up.url()).await, Outcome::Pushed { .. }));
}

#[tokio::test]
async fn a_catalog_that_fails_at_any_call_fails_the_push_and_sends_nothing() {
    let (test, gateway) = (TestApp::new(), Hostile::start(Behaviour::Accept).await);
    test.catalog.create_database(NewDatabase(database(1))).await.unwrap();
    test.faults.reset();
    assert!(matches!(pushed(&test, &gateway.url()).await, Outcome::Pushed { .. }));
    let calls = test.faults.calls();
    assert!(calls >= 5, "the calls are not counted");
    for n in 1..=calls {
        test.clock.advance(SignedDuration::from_hours(1));
        test.faults.reset();
        test.faults.fail_at(n, FaultMode::temporary());
        assert_eq!(failure(&test, &gateway.url()).await.kind(), ErrorKind::Unavailable, "call {n}");
    }
    assert_eq!(gateway.asked(), 1);
}
