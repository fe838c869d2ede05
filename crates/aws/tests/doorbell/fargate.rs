//! Tasks that are started for jobs.

use std::sync::Arc;

use jiff::SignedDuration;
use respaldo_aws::ecs::{FargateRunner, Task};
use respaldo_aws::sqs::{Queues, SqsDoorbell};
use respaldo_core::ErrorKind;
use respaldo_core::ports::{Clock, Doorbell as _};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::aws::Moto;
use serde_json::{Value, json};

use crate::support::{config, dump, long_dump, new_id, verify};

const SERVICE: &str = "AmazonEC2ContainerServiceV20141113";

async fn ecs(moto: &Moto, action: &str, body: Value) -> Value {
    moto.call("ecs", &format!("{SERVICE}.{action}"), &body).await
}

/// A cluster of the test's own, and a task definition.
async fn task(moto: &Moto) -> Task {
    let name = format!("t{}", new_id().0);
    ecs(moto, "CreateCluster", json!({ "clusterName": name })).await;
    let container = json!({ "name": "worker", "image": "respaldo", "cpu": 256, "memory": 512 });
    let definition = json!({
        "family": name, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
        "cpu": "256", "memory": "512", "containerDefinitions": [container],
    });
    ecs(moto, "RegisterTaskDefinition", definition).await;
    Task {
        cluster: name.clone(),
        definition: name,
        container: "worker".to_owned(),
        subnets: vec![moto.subnet().await],
        // ECS can do without; moto cannot.
        security_groups: vec!["sg-12345678".to_owned()],
        public_ip: false,
    }
}

async fn tasks(moto: &Moto, cluster: &str) -> Vec<Value> {
    let listed = ecs(moto, "ListTasks", json!({ "cluster": cluster })).await;
    let arns = listed["taskArns"].clone();
    if arns.as_array().unwrap().is_empty() {
        return Vec::new();
    }
    let told = ecs(moto, "DescribeTasks", json!({ "cluster": cluster, "tasks": arns })).await;
    told["tasks"].as_array().unwrap().clone()
}

async fn runner(moto: &Moto, test: &TestApp, task: &Task) -> FargateRunner {
    let clock = Arc::clone(&test.clock) as Arc<dyn Clock>;
    FargateRunner::new(&config(&moto.endpoint()).await, task.clone(), 4, Arc::clone(&test.catalog), clock)
}

#[tokio::test]
async fn a_job_that_needs_it_gets_a_task_that_works_on_it_alone() {
    let (moto, test) = (Moto::shared(), TestApp::in_memory());
    let task = task(&moto).await;
    let config = config(&moto.endpoint()).await;
    let doorbell =
        SqsDoorbell::new(&config, Queues::default()).with_fargate(runner(&moto, &test, &task).await);
    let job = verify();
    doorbell.ring(&job).await.unwrap();
    let [started] = tasks(&moto, &task.cluster).await.try_into().unwrap();
    let overridden = &started["overrides"]["containerOverrides"];
    let command = json!(["worker", "--once", job.id.to_string()]);
    assert_eq!(overridden, &json!([{ "name": "worker", "command": command }]));
    assert_eq!(started["startedBy"], format!("respaldo/{}", job.id));
    assert_eq!(started["launchType"], "FARGATE");
    assert!(started.to_string().contains(&task.subnets[0]), "{started}");
    assert!(doorbell.ring(&dump()).await.is_err(), "what needs no task gets none");
    assert_eq!(tasks(&moto, &task.cluster).await.len(), 1);
}

#[tokio::test]
async fn a_job_gets_one_task_in_five_minutes_however_often_it_is_rung_for() {
    let (moto, test) = (Moto::shared(), TestApp::in_memory());
    let task = task(&moto).await;
    let runner = runner(&moto, &test, &task).await;
    let (job, other) = (long_dump(), long_dump());
    for _ in 0..3 {
        runner.start(job.id).await.unwrap();
    }
    runner.start(other.id).await.unwrap();
    assert_eq!(tasks(&moto, &task.cluster).await.len(), 2);
    test.clock.advance(SignedDuration::from_mins(6));
    runner.start(job.id).await.unwrap();
    assert_eq!(tasks(&moto, &task.cluster).await.len(), 3);
}

#[tokio::test]
async fn a_task_that_could_not_be_started_may_be_asked_for_again_at_once() {
    let (moto, test) = (Moto::shared(), TestApp::in_memory());
    let task = task(&moto).await;
    let wrong = Task { cluster: "nowhere".to_owned(), ..task.clone() };
    let job = long_dump();
    let error = runner(&moto, &test, &wrong).await.start(job.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    runner(&moto, &test, &task).await.start(job.id).await.unwrap();
    assert_eq!(tasks(&moto, &task.cluster).await.len(), 1);
}

#[test]
fn the_variables_of_a_task_are_read_together() {
    let read = |set: &[(&str, &str)]| {
        let set = set.to_vec();
        Task::read(move |name| {
            Ok(set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        })
    };
    assert_eq!(read(&[]).unwrap(), None);
    let whole = [
        ("RUN_TASK_CLUSTER", "c"),
        ("RUN_TASK_DEFINITION", "d:3"),
        ("RUN_TASK_SUBNETS", "subnet-1, subnet-2"),
        ("RUN_TASK_PUBLIC_IP", "true"),
    ];
    let task = read(&whole).unwrap().unwrap();
    assert_eq!((task.subnets.len(), task.public_ip, task.container.as_str()), (2, true, "worker"));
    assert!(task.security_groups.is_empty());
    for left_out in ["RUN_TASK_DEFINITION", "RUN_TASK_SUBNETS"] {
        let rest: Vec<_> = whole.iter().copied().filter(|(name, _)| *name != left_out).collect();
        assert_eq!(read(&rest).unwrap_err().field(), Some(left_out));
    }
    let odd = [whole[0], whole[1], whole[2], ("RUN_TASK_PUBLIC_IP", "yes")];
    assert_eq!(read(&odd).unwrap_err().field(), Some("RUN_TASK_PUBLIC_IP"));
}
