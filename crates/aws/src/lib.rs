//! Amazon's services behind the ports.
//!
//! A tour: [`sdk`] is the one configuration that every client is made from; [`dynamodb`] is the catalog;
//! [`object_lock`] is what S3 does with versions and locks.

pub mod dynamodb;
pub mod object_lock;
pub mod sdk;

pub use dynamodb::Dynamo;
