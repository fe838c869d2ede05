//! The doorbell on SQS and ECS, against moto.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

mod fargate;
mod queues;
mod support;
