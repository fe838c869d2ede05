//! Amazon's services behind the ports.
//!
//! A tour: [`sdk`] is the one configuration that every client is made from; [`dynamodb`] is the catalog;
//! [`sqs`] is the doorbell, and the queue that workers hear; [`ecs`] starts workers that have no deadline;
//! [`object_lock`] is what S3 does with versions and locks; [`secrets`] resolves references to secrets.

mod answer;
pub mod dynamodb;
pub mod ecs;
pub mod object_lock;
pub mod sdk;
pub mod secrets;
pub mod sqs;

pub use dynamodb::Dynamo;
