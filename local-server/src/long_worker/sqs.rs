//! The queue and the doorbell on SQS, where the environment names them.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use respaldo_adapters::environment;
use respaldo_aws::ecs::{FargateRunner, Task};
use respaldo_aws::sdk;
use respaldo_aws::sqs::{self, Message, Queues, Received, SqsDoorbell};
use respaldo_core::Result;

use super::{Asks, Connected, Letter, Queue};
use crate::Installation;

const POLL: Duration = Duration::from_secs(20);

/// Finds the queue that calls this worker, and has the installation ring where others hear it.
pub(super) async fn connect(mut installation: Installation) -> Result<Connected> {
    let (queues, task) = (Queues::read(environment::variable)?, Task::read(environment::variable)?);
    if queues == Queues::default() && task.is_none() {
        return Ok(Connected { installation, queue: None });
    }
    let config = sdk::load(None, None).await;
    let app = &mut installation.app;
    let queue = queues.long.clone().map(|url| Arc::new(sqs::Queue::new(&config, url)) as Arc<dyn Queue>);
    let mut doorbell = SqsDoorbell::new(&config, queues);
    if let Some(task) = task {
        let (most, catalog) = (app.limits.max_parallel_jobs, Arc::clone(&app.catalog));
        let fargate = FargateRunner::new(&config, task, most, catalog, Arc::clone(&app.clock));
        doorbell = doorbell.with_fargate(fargate);
    }
    app.doorbell = Arc::new(doorbell);
    Ok(Connected { installation, queue })
}

impl Queue for sqs::Queue {
    fn receive(&self) -> BoxFuture<'_, Result<Option<Letter>>> {
        // One at a time: another worker may be free for the next.
        Box::pin(async { self.receive(1, POLL).await.map(|mut received| received.pop().map(letter)) })
    }

    fn delete<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.delete_by(&letter.receipt))
    }
}

fn letter(received: Received) -> Letter {
    let asks = Message::parse(&received.body).map(|message| match message {
        Message::Job(id) => Asks::Job(id),
        Message::Tick => Asks::Tick,
    });
    Letter { asks, receipt: received.receipt }
}
