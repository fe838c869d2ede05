//! ECS that is throttled, full, or places no task.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use respaldo_aws::ecs::{FargateRunner, Task};
use respaldo_core::model::{DatabaseId, DatabaseUid, Job, JobId, TestRestore, Work};
use respaldo_core::ports::Clock;
use respaldo_core::{ErrorKind, Result};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::random_hex;
use serde_json::{Value, json};
use ulid::Ulid;

use super::service::{Answer, Service};

/// A job that only a host without a deadline may work on.
pub(crate) fn long_job() -> Job {
    let id = || JobId(Ulid::from_parts(1, u128::from_str_radix(&random_hex(9), 16).unwrap()));
    let test = TestRestore { backup: id(), scheduled: false, verdict: None };
    let owner = (DatabaseId(1), DatabaseUid(Ulid::nil()));
    Job::new(id(), owner, Work::Verify(Box::new(test)), Timestamp::UNIX_EPOCH, 3)
}

fn started() -> Answer {
    Answer::good(&json!({ "tasks": [{ "taskArn": "arn:aws:ecs:eu-west-1:1:task/a" }], "failures": [] }))
}

fn unplaced(failures: &Value) -> Answer {
    Answer::good(&json!({ "tasks": [], "failures": failures }))
}

/// As many tasks are started whose jobs have not begun.
const MOST: u32 = 2;

/// ECS and a catalog in which its runner writes down for which jobs it has asked.
struct Stage {
    service: Service,
    test: TestApp,
    runner: FargateRunner,
}

impl Stage {
    async fn with(script: impl Into<Vec<Answer>>) -> Self {
        let (service, test) = (Service::start(script).await, TestApp::in_memory());
        let task = Task {
            cluster: "c".to_owned(),
            definition: "worker".to_owned(),
            container: "worker".to_owned(),
            subnets: vec!["subnet-1".to_owned()],
            security_groups: Vec::new(),
            public_ip: false,
        };
        let clock = Arc::clone(&test.clock) as Arc<dyn Clock>;
        let runner =
            FargateRunner::new(&service.config().await, task, MOST, Arc::clone(&test.catalog), clock);
        Self { service, test, runner }
    }

    async fn start(&self, job: &Job) -> Result<()> {
        self.runner.start(job.id).await
    }

    fn tokens(&self) -> Vec<String> {
        self.service.asked().iter().map(|body| body["clientToken"].as_str().unwrap().to_owned()).collect()
    }
}

/// What says that it may be asked again, in ECS's words.
fn throttlings() -> [Answer; 6] {
    let full =
        "Capacity is unavailable at this time. Please try again later or in a different availability zone";
    let behind = "Error retrieving security group information for [sg-1]: Request limit exceeded. (ErrorCode: \
                  RequestLimitExceeded)";
    [
        Answer::refusal(400, "ThrottlingException", "Rate exceeded"),
        Answer::refusal(
            400,
            "ThrottlingException",
            "You've reached the limit on the number of vCPUs you can run concurrently",
        ),
        Answer::refusal(400, "ClientException", full),
        Answer::refusal(400, "InvalidParameterException", behind),
        Answer::refusal(500, "ServerException", "Service Unavailable. Please try again later."),
        Answer::unavailable(),
    ]
}

#[tokio::test]
async fn a_start_that_is_throttled_for_a_moment_is_one_task() {
    let throttled = Answer::refusal(400, "ThrottlingException", "Rate exceeded");
    let stage = Stage::with([throttled.clone(), throttled, started()]).await;
    stage.start(&long_job()).await.unwrap();
    let tokens = stage.tokens();
    // By the token ECS knows that it is the same request.
    assert!(tokens.len() == 3 && tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert!(tokens[0].len() <= 64, "ECS takes no longer token: {}", tokens[0]);
}

#[tokio::test]
async fn a_start_that_stays_throttled_is_worth_another_try_and_keeps_nobody_from_it() {
    for throttled in throttlings() {
        let stage = Stage::with([throttled.clone()]).await;
        let job = long_job();
        let error = stage.start(&job).await.unwrap_err();
        let told = (error.kind(), error.is_retryable(), error.operation());
        assert_eq!(told, (ErrorKind::Unavailable, true, "start a task"), "{throttled:?}: {error}");
        let before = stage.tokens();
        stage.test.clock.advance(SignedDuration::from_secs(1));
        stage.start(&job).await.unwrap_err();
        let after = stage.tokens();
        assert!(after.len() > before.len() && !before.contains(after.last().unwrap()), "{after:?}");
    }
}

#[tokio::test]
async fn an_answer_of_200_without_a_task_is_a_failure_that_says_why() {
    for (reason, detail) in [
        ("RESOURCE:MEMORY", None),
        ("RESOURCE:ENI", Some("no free interface")),
        ("AGENT", None),
        ("Capacity is unavailable at this time. Please try again later", None),
    ] {
        let failure = json!([{ "arn": "arn:aws:ecs:eu-west-1:1:c/a", "reason": reason, "detail": detail }]);
        let stage = Stage::with([unplaced(&failure), started()]).await;
        let job = long_job();
        let error = stage.start(&job).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");
        assert!(error.message().contains(reason) && error.mend().is_some(), "{error}");
        assert!(error.message().contains(detail.unwrap_or_default()), "{error}");
        // The next to ask, such as the next tick, is not told that a task is on its way.
        stage.start(&job).await.unwrap();
        assert_eq!(stage.service.asked().len(), 2);
        // Now one is.
        stage.start(&job).await.unwrap();
        assert_eq!(stage.service.asked().len(), 2);
    }
}

#[tokio::test]
async fn neither_a_task_nor_a_reason_is_a_failure_too() {
    let stage = Stage::with([unplaced(&json!([])), started()]).await;
    let job = long_job();
    let error = stage.start(&job).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");
    stage.start(&job).await.unwrap();
    assert_eq!(stage.service.asked().len(), 2);
}

#[tokio::test]
async fn a_start_that_is_denied_names_what_to_allow() {
    let why = "User: arn:aws:sts::123456789012:assumed-role/dump/x is not authorized to perform: iam:PassRole on \
               resource: arn:aws:iam::123456789012:role/worker";
    let stage = Stage::with([Answer::refusal(400, "AccessDeniedException", why)]).await;
    let error = stage.start(&long_job()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Denied, false), "{error}");
    let mend = error.mend().unwrap();
    assert!(mend.contains("ecs:RunTask") && mend.contains("iam:PassRole"), "{error}");
    assert_eq!(stage.service.asked().len(), 1, "what is denied is not tried again");
}

#[tokio::test]
async fn no_more_tasks_are_started_than_can_begin_with_their_jobs() {
    let stage = Stage::with([started()]).await;
    let jobs: Vec<Job> = (0..4).map(|_| long_job()).collect();
    for job in &jobs {
        assert!(stage.test.catalog.create_job(job).await.unwrap());
    }
    for job in jobs.iter().chain(&jobs) {
        stage.start(job).await.unwrap();
    }
    assert_eq!(stage.tokens().len(), 2, "the others would only wait for a place");

    // One has ended, which is as good as having begun.
    respaldo_core::jobs::cancel(&stage.test.app, jobs[0].id).await.unwrap();
    stage.test.clock.advance(SignedDuration::from_secs(3));
    for job in &jobs[1..] {
        stage.start(job).await.unwrap();
    }
    let tokens = stage.tokens();
    assert_eq!(tokens.len(), 3);
    assert!(tokens[2].starts_with(&jobs[2].id.to_string()), "{tokens:?}");

    // The second task and the third one never came up.
    stage.test.clock.advance(SignedDuration::from_mins(6));
    for job in &jobs[1..] {
        stage.start(job).await.unwrap();
    }
    assert_eq!(stage.tokens().len(), 5);
}

#[tokio::test]
async fn a_start_that_failed_leaves_its_slot_to_the_next() {
    let denied = Answer::refusal(400, "ThrottlingException", "Rate exceeded");
    let stage = Stage::with([denied]).await;
    for _ in 0..2 * MOST {
        let job = long_job();
        assert!(stage.test.catalog.create_job(&job).await.unwrap());
        let before = stage.tokens().len();
        stage.start(&job).await.unwrap_err();
        assert!(stage.tokens().len() > before, "it was asked for");
    }
}
