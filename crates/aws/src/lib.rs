//! Amazon's services behind the ports.
//!
//! A tour: [`sdk`] is the one configuration that every client is made from; [`dynamodb`] is the catalog.

pub mod dynamodb;
pub mod sdk;

pub use dynamodb::Dynamo;
