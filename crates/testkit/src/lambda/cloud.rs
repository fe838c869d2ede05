//! All functions together with what calls them: the HTTP API, the queues, the schedules.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;

use super::front::Front;
use super::pump::Pump;
use super::{Delivery, FunctionError, Lambda, lock};
use crate::aws::{Bucket, Moto, Queue};

/// The functions, and those of them that have a tick.
const FUNCTIONS: [(&str, bool); 6] = [
    ("register", false),
    ("dump", true),
    ("restore", false),
    ("verify", true),
    ("retention", true),
    ("package", true),
];
/// The queues, and the function that takes from each; the long runner's belongs to `respaldo worker`.
const QUEUES: [(&str, Option<&str>); 4] =
    [("dump", Some("dump")), ("restore", Some("restore")), ("package", Some("package")), ("long", None)];
/// A message that failed so often goes to the dead letters.
const MAX_RECEIVES: u32 = 3;

/// What a cloud is made of.
pub struct Plan {
    /// Where the binaries `respaldo-NAME` lie.
    pub binaries: PathBuf,
    /// A folder for what the functions print and stage.
    pub folder: PathBuf,
    /// The services.
    pub moto: Moto,
    /// Where the functions reach them instead of at their own endpoint: a proxy's.
    pub through: Option<String>,
    /// Variables of all functions: `CATALOG_URL`, the keys. They win over what the plan gives.
    pub variables: Vec<(String, String)>,
    /// The longest time of an event.
    pub timeout: Duration,
}

/// A running cloud; it ends with this value.
pub struct Cloud {
    /// The services.
    pub moto: Moto,
    /// Where the artifacts lie, below the prefix `r`.
    pub bucket: Bucket,
    queues: BTreeMap<&'static str, Queue>,
    functions: BTreeMap<String, Lambda>,
    variables: Vec<(String, String)>,
    delivery: Arc<Mutex<Delivery>>,
    front: Front,
    _pumps: Vec<Pump>,
}

impl Cloud {
    /// Makes bucket and queues, and deploys the functions.
    pub async fn start(plan: Plan) -> Self {
        let moto = plan.moto;
        let bucket = moto.bucket().await;
        let mut queues = BTreeMap::new();
        for (name, _) in QUEUES {
            queues.insert(name, moto.queue(name, MAX_RECEIVES, 60).await);
        }
        let mut variables = moto.environment();
        variables.push(("STORAGE_URL".to_owned(), bucket.url("r")));
        for (name, queue) in &queues {
            variables.push((format!("QUEUE_URL_{}", name.to_uppercase()), queue.url.clone()));
        }
        variables.retain(|(name, _)| plan.variables.iter().all(|(other, _)| other != name));
        variables.extend(plan.variables);
        if let Some(through) = &plan.through {
            for (_, value) in &mut variables {
                *value = value.replace(&moto.endpoint(), through);
            }
        }
        let deploy = |(name, _): (&str, bool)| {
            let binary = plan.binaries.join(format!("respaldo-{name}"));
            let function = Lambda::new(name, binary, &plan.folder, variables.clone(), plan.timeout);
            (name.to_owned(), function)
        };
        let functions: BTreeMap<String, Lambda> = FUNCTIONS.into_iter().map(deploy).collect();
        let delivery = Arc::default();
        let pump = |(name, function): (&str, Option<&str>)| {
            let function = functions[function?].clone();
            Some(Pump::start(moto.clone(), queues[name].clone(), function, Arc::clone(&delivery)))
        };
        let pumps = QUEUES.into_iter().filter_map(pump).collect();
        let front = Front::start(functions.clone()).await;
        Self { moto, bucket, queues, functions, variables, delivery, front, _pumps: pumps }
    }

    /// Where the HTTP API listens: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.front.address)
    }

    /// The variables that the functions have; `respaldo worker` takes the same ones.
    pub fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// A function by its name.
    pub fn function(&self, name: &str) -> &Lambda {
        &self.functions[name]
    }

    /// A queue by its name: `dump`, `restore`, `package`, `long`.
    pub fn queue(&self, name: &str) -> &Queue {
        &self.queues[name]
    }

    /// How messages are delivered from now on.
    pub fn deliver(&self, delivery: Delivery) {
        *lock(&self.delivery) = delivery;
    }

    /// Every function's schedule has its turn, all at the same time.
    pub async fn tick(&self) -> Vec<(String, Result<Value, FunctionError>)> {
        let with_tick = FUNCTIONS.into_iter().filter(|(_, ticks)| *ticks);
        join_all(
            with_tick.map(|(name, _)| async move { (name.to_owned(), self.function(name).tick().await) }),
        )
        .await
    }

    /// Ends all idle environments: the next events start new ones.
    pub fn forget(&self) {
        self.functions.values().for_each(Lambda::forget);
    }

    /// What all functions have printed.
    pub fn log(&self) -> String {
        self.functions
            .values()
            .map(|function| format!("== {}\n{}", function.name(), function.log()))
            .collect()
    }

    /// Messages that nobody could read, in all queues.
    pub async fn dead_letters(&self) -> usize {
        let mut dead = 0;
        for queue in self.queues.values() {
            let (visible, taken) = self.moto.queued(&queue.dead_letters).await;
            dead += visible + taken;
        }
        dead
    }
}
