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

/// A push that is stopped at its `n`th call to the catalog (SIGSTOP), and goes on when `meanwhile` is over.
async fn stopped_at(n: usize, test: &TestApp, to: &Gateway, meanwhile: impl Future<Output = ()>) -> Outcome {
    test.faults.reset();
    test.faults.freeze_at(n);
    let waiting = async {
        while test.faults.frozen() == 0 {
            tokio::task::yield_now().await;
        }
        meanwhile.await;
        test.faults.thaw();
    };
    futures::join!(push(&test.app, to), waiting).0
}

#[tokio::test]
async fn a_host_that_was_stopped_does_not_replace_what_another_pushed_meanwhile() {
    let (test, gateway) = (TestApp::new(), Hostile::start(Behaviour::Accept).await);
    let to = Gateway::new(&gateway.url()).unwrap();
    test.faults.reset();
    assert!(matches!(push(&test.app, &to).await, Outcome::Pushed { .. }));
    let calls = test.faults.calls();
    assert!(calls >= 3, "the lease is not taken, kept and used");
    for n in 1..=calls {
        let (other, _faults) = test.another_process();
        test.clock.advance(SignedDuration::from_hours(1));
        let before = gateway.asked();
        let meanwhile = async {
            test.clock.advance(SignedDuration::from_mins(2));
            assert!(matches!(push(&other, &to).await, Outcome::Pushed { .. }));
        };
        assert_eq!(stopped_at(n, &test, &to, meanwhile).await, Outcome::NotDue, "call {n}");
        assert_eq!(gateway.asked(), before + 1, "call {n}: old numbers replaced new ones");
    }
}

#[tokio::test]
async fn a_host_that_was_stopped_and_not_overtaken_keeps_others_away_while_it_pushes() {
    let (test, gateway) = (TestApp::new(), Hostile::start(Behaviour::Accept).await);
    let (other, _faults) = test.another_process();
    let to = Gateway::new(&gateway.url()).unwrap();
    let meanwhile = async { test.clock.advance(SignedDuration::from_mins(2)) };
    let outcome = stopped_at(2, &test, &to, meanwhile).await;
    assert!(matches!(outcome, Outcome::Pushed { .. }), "{outcome:?}");
    assert_eq!(push(&other, &to).await, Outcome::NotDue, "both push at once");
    test.clock.advance(SignedDuration::from_mins(1));
    assert!(matches!(push(&other, &to).await, Outcome::Pushed { .. }));
}

#[tokio::test]
async fn a_lease_whose_renewal_was_made_but_not_answered_fails_the_push_and_sends_nothing() {
    let (test, gateway) = (TestApp::new(), Hostile::start(Behaviour::Accept).await);
    test.faults.reset();
    assert!(matches!(pushed(&test, &gateway.url()).await, Outcome::Pushed { .. }));
    let last = test.faults.calls();
    test.clock.advance(SignedDuration::from_hours(1));
    test.faults.reset();
    test.faults.fail_at(last, FaultMode::after_effect());
    assert_eq!(failure(&test, &gateway.url()).await.kind(), ErrorKind::Unavailable);
    assert_eq!(gateway.asked(), 1);
    // It was renewed, so the next turn is the next one.
    assert_eq!(pushed(&test, &gateway.url()).await, Outcome::NotDue);
    test.clock.advance(SignedDuration::from_mins(1));
    assert!(matches!(pushed(&test, &gateway.url()).await, Outcome::Pushed { .. }));
}
