//! Which queue is rung, and what is taken off one.

use std::time::Duration;

use respaldo_aws::sqs::{Message, Queue, Queues, SqsDoorbell};
use respaldo_core::ErrorKind;
use respaldo_core::ports::Doorbell as _;
use respaldo_testkit::aws::Moto;
use respaldo_testkit::respaldo::free_port;

use crate::support::{config, dump, long_dump, new_id, package, verify};

#[tokio::test]
async fn each_job_rings_where_it_can_be_worked_on() {
    let moto = Moto::shared();
    let config = config(&moto.endpoint()).await;
    let (dumps, packages, long) = (
        moto.queue("dump", 5, 30).await,
        moto.queue("package", 5, 30).await,
        moto.queue("long", 5, 30).await,
    );
    let queues = Queues {
        dump: Some(dumps.url.clone()),
        package: Some(packages.url.clone()),
        long: Some(long.url.clone()),
        ..Queues::default()
    };
    let doorbell = SqsDoorbell::new(&config, queues);
    for (job, queue) in [(dump(), &dumps), (package(), &packages), (long_dump(), &long), (verify(), &long)] {
        doorbell.ring(&job).await.unwrap();
        let heard = Queue::new(&config, &queue.url);
        let [received] = heard.receive(10, Duration::ZERO).await.unwrap().try_into().unwrap();
        assert_eq!(Message::parse(&received.body).unwrap(), Message::Job(job.id));
        heard.delete(&received).await.unwrap();
        // Once more: what is gone may be deleted again.
        heard.delete(&received).await.unwrap();
    }
    for queue in [&dumps, &packages, &long] {
        assert_eq!(moto.queued(&queue.url).await, (0, 0));
    }
}

#[tokio::test]
async fn a_queue_that_is_not_set_is_named() {
    let config = config(&Moto::shared().endpoint()).await;
    let doorbell = SqsDoorbell::new(&config, Queues::default());
    for (job, variable) in
        [(dump(), "QUEUE_URL_DUMP"), (package(), "QUEUE_URL_PACKAGE"), (verify(), "QUEUE_URL_LONG")]
    {
        let error = doorbell.ring(&job).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Config, false));
        assert!(error.mend().unwrap().contains(variable), "{error}");
    }
}

#[tokio::test]
async fn a_queue_that_is_not_there_and_a_service_that_does_not_answer_are_told_apart() {
    let moto = Moto::shared();
    let gone = format!("{}/123456789012/gone", moto.endpoint());
    let queues = Queues { dump: Some(gone.clone()), ..Queues::default() };
    let error =
        SqsDoorbell::new(&config(&moto.endpoint()).await, queues.clone()).ring(&dump()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Config, false), "{error}");
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let error = SqsDoorbell::new(&config(&nobody).await, queues).ring(&dump()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");
    let queue = Queue::new(&config(&nobody).await, gone);
    assert!(queue.receive(1, Duration::ZERO).await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn what_nobody_can_read_ends_among_the_dead_letters() {
    let moto = Moto::shared();
    let made = moto.queue("long", 2, 0).await;
    let queue = Queue::new(&config(&moto.endpoint()).await, &made.url);
    let newer = format!(r#"{{"v":2,"job_id":"{}"}}"#, new_id().0);
    moto.send(&made.url, &newer).await;
    for _ in 0..2 {
        let [received] = queue.receive(1, Duration::ZERO).await.unwrap().try_into().unwrap();
        assert_eq!(Message::parse(&received.body).unwrap_err().kind(), ErrorKind::Unsupported);
    }
    assert!(queue.receive(1, Duration::ZERO).await.unwrap().is_empty());
    let [dead] = moto.receive(&made.dead_letters).await.try_into().unwrap();
    assert_eq!(dead.body, newer);
}
