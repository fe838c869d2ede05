//! Amazon's services behind the ports.
//!
//! A tour: [`sdk`] is the one configuration that every client is made from.

pub mod sdk;
