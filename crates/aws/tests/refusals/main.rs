//! What SQS, ECS, Secrets Manager and Systems Manager say when they refuse, as their documentation words it. moto
//! refuses none of it, so a server of the tests' own answers: it is simulated.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

mod queues;
mod secrets;
mod service;
mod tasks;
