//! ECS Fargate as a host without a deadline: a task of the worker's image for one job.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, ContainerOverride, Failure, LaunchType, NetworkConfiguration,
    TaskOverride,
};
use jiff::{SignedDuration, Timestamp};
use respaldo_core::model::{JobId, Status};
use respaldo_core::ports::{Catalog, Clock};
use respaldo_core::{Error, ErrorKind, Result};

use crate::answer::{Call, failed};

/// For so long no second task is asked for one job: a task takes a minute or two until it has the lease.
const ASK_AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// For so long no slot is looked for after none was free: a tick rings for all that wait, one after the other.
const FULL_FOR: SignedDuration = SignedDuration::from_secs(2);
const START: &str = "start a task";
const RUN: Call = Call {
    operation: START,
    action: "ecs:RunTask on the task definition, and iam:PassRole on its roles,",
    on_key: "kms:Decrypt",
};
/// The container of the task definition that the command is for.
const CONTAINER: &str = "worker";

/// Which task is started, and where (`RUN_TASK_*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The cluster's name or ARN.
    pub cluster: String,
    /// The task definition's family, family and revision, or ARN.
    pub definition: String,
    /// The container in it that runs `respaldo`.
    pub container: String,
    /// The subnets; at least one.
    pub subnets: Vec<String>,
    /// The security groups; none: the VPC's default one.
    pub security_groups: Vec<String>,
    /// Whether it gets a public address, without which a public subnet reaches nothing.
    pub public_ip: bool,
}

impl Task {
    /// Reads it from where variables are had; none where `RUN_TASK_CLUSTER` is not set.
    ///
    /// # Errors
    /// `Config`: which variable is missing or wrong.
    pub fn read(variable: impl Fn(&str) -> Result<Option<String>>) -> Result<Option<Self>> {
        let some = |name| Ok::<_, Error>(variable(name)?.filter(|text| !text.trim().is_empty()));
        let needed =
            |name| some(name)?.ok_or_else(|| refused(name, "it must be set where RUN_TASK_CLUSTER is"));
        let list = |text: String| -> Vec<String> {
            text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
        };
        let Some(cluster) = some("RUN_TASK_CLUSTER")? else { return Ok(None) };
        let subnets = list(needed("RUN_TASK_SUBNETS")?);
        if subnets.is_empty() {
            return Err(refused("RUN_TASK_SUBNETS", "it must name a subnet, or several with commas"));
        }
        Ok(Some(Self {
            cluster,
            definition: needed("RUN_TASK_DEFINITION")?,
            container: some("RUN_TASK_CONTAINER")?.unwrap_or_else(|| CONTAINER.to_owned()),
            subnets,
            security_groups: some("RUN_TASK_SECURITY_GROUPS")?.map(list).unwrap_or_default(),
            public_ip: match some("RUN_TASK_PUBLIC_IP")?.as_deref() {
                None | Some("false") => false,
                Some("true") => true,
                Some(_) => return Err(refused("RUN_TASK_PUBLIC_IP", "it must be true or false")),
            },
        }))
    }

    fn network(&self) -> Result<NetworkConfiguration> {
        let address = if self.public_ip { AssignPublicIp::Enabled } else { AssignPublicIp::Disabled };
        let vpc = AwsVpcConfiguration::builder()
            .set_subnets(Some(self.subnets.clone()))
            .set_security_groups(Some(self.security_groups.clone()).filter(|groups| !groups.is_empty()))
            .assign_public_ip(address)
            .build()
            .map_err(|e| Error::internal(START, e))?;
        Ok(NetworkConfiguration::builder().awsvpc_configuration(vpc).build())
    }

    fn overrides(&self, job: JobId) -> TaskOverride {
        let words = ["worker".to_owned(), "--once".to_owned(), job.to_string()];
        let container =
            ContainerOverride::builder().name(&self.container).set_command(Some(words.into())).build();
        TaskOverride::builder().container_overrides(container).build()
    }
}

fn refused(field: &str, why: &str) -> Error {
    Error::new(ErrorKind::Config, "read the settings", why).with_field(field)
}

/// Starts a task for a job.
#[derive(Clone)]
pub struct FargateRunner {
    client: Client,
    task: Task,
    most: u32,
    /// No slot was free; in milliseconds since 1970.
    full_until: Arc<AtomicI64>,
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for FargateRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FargateRunner").field("task", &self.task).finish_non_exhaustive()
    }
}

impl FargateRunner {
    /// A runner that writes into the catalog for which jobs it has asked, and has at most so many tasks at a time
    /// whose jobs have not begun: as many as jobs may run at a time, because the others would only wait for a place.
    pub fn new(
        config: &SdkConfig,
        task: Task,
        most: u32,
        catalog: Arc<dyn Catalog>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { client: Client::new(config), task, most, full_until: Arc::default(), catalog, clock }
    }

    /// Asks for a task that works on this job, unless one was asked for within five minutes, or too many have not
    /// begun: then whoever gives a place back, or a tick, asks again.
    ///
    /// # Errors
    /// What the catalog fails with; what ECS answers, also where it answers that it could place no task. Asking
    /// again is free then.
    pub async fn start(&self, job: JobId) -> Result<()> {
        let now = self.clock.now();
        if now.as_millisecond() < self.full_until.load(Ordering::Relaxed) {
            return Ok(());
        }
        let key = format!("runner/{job}");
        // A try that is repeated by the SDK is one task; the next one after five minutes is another.
        let token = format!("{job}-{}", now.as_millisecond());
        let until = now.checked_add(ASK_AGAIN_AFTER).ok();
        if self.catalog.claim(&key, &token, now, until).await?.is_some() {
            return Ok(());
        }
        let asked = self.ask_in_a_slot(job, &token, now).await;
        if let Ok(true) = asked {
            return Ok(());
        }
        // A claim that stays only delays the next try.
        let released = self.catalog.release_claim(&key, &token).await;
        released.map_err(|e| match &asked {
            Err(first) => e.within(&format!("ask again after: {first}")),
            Ok(_) => e,
        })?;
        asked.map(drop)
    }

    /// False where no slot is free.
    async fn ask_in_a_slot(&self, job: JobId, token: &str, now: Timestamp) -> Result<bool> {
        let Some(slot) = self.slot(job, now).await? else {
            let until = now.checked_add(FULL_FOR).unwrap_or(now);
            self.full_until.store(until.as_millisecond(), Ordering::Relaxed);
            return Ok(false);
        };
        let Err(error) = self.ask(job, token).await else { return Ok(true) };
        let released = self.catalog.release_claim(&slot, &job.to_string()).await;
        released.map_err(|e| e.within(&format!("ask again after: {error}")))?;
        Err(error)
    }

    /// Takes a slot for a task that is to begin. One whose job has begun is free again.
    async fn slot(&self, job: JobId, now: Timestamp) -> Result<Option<String>> {
        let (mine, until) = (job.to_string(), now.checked_add(ASK_AGAIN_AFTER).ok());
        for number in 0..self.most {
            let slot = format!("runner/slot/{number:04}");
            let Some(holder) = self.catalog.claim(&slot, &mine, now, until).await? else {
                return Ok(Some(slot));
            };
            if holder == mine {
                return Ok(Some(slot));
            }
            if self.is_queued(&holder).await? {
                continue;
            }
            self.catalog.release_claim(&slot, &holder).await?;
            if self.catalog.claim(&slot, &mine, now, until).await?.is_none() {
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }

    async fn is_queued(&self, job: &str) -> Result<bool> {
        let Ok(id) = job.parse::<JobId>() else { return Ok(false) };
        Ok(self.catalog.job(id).await?.is_some_and(|job| job.status == Status::Queued))
    }

    async fn ask(&self, job: JobId, token: &str) -> Result<()> {
        let task = &self.task;
        let answer = self
            .client
            .run_task()
            .cluster(&task.cluster)
            .task_definition(&task.definition)
            .launch_type(LaunchType::Fargate)
            .count(1)
            .network_configuration(task.network()?)
            .overrides(task.overrides(job))
            .started_by(format!("respaldo/{job}"))
            .client_token(token)
            .send()
            .await
            .map_err(|e| failed(&RUN, &e))?;
        match answer.failures().first() {
            Some(failure) => Err(unplaced(failure)),
            None if answer.tasks().is_empty() => {
                Err(Error::new(ErrorKind::Unavailable, START, "ECS started no task and gave no reason"))
            }
            None => Ok(()),
        }
    }
}

fn unplaced(failure: &Failure) -> Error {
    let reason = failure.reason().unwrap_or("no reason");
    let detail = failure.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    Error::new(ErrorKind::Unavailable, START, format!("ECS could place no task: {reason}{detail}"))
        .with_mend("look at the cluster's capacity and at the account's limit of Fargate tasks")
}
