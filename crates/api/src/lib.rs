//! Respaldo's HTTP contract: what is asked, what is answered, and who may ask.
//!
//! A guided tour:
//! - [`Function`] is the unit that hosts run: routes, and what answers a tick or a job.
//! - [`router`] puts functions together into one HTTP service; [`alone`] serves one function by itself.
//! - [`access`] holds the one table of every route and the scope that opens it.
//! - [`Problem`] is every refusal, as RFC 9457 asks.
//! - [`types`] are the answers; [`extract`] reads requests; [`page`] cuts lists.
//! - [`handout`] leads to storage for what is too long for an answer.
//! - [`idempotency`], [`prefer`] and [`content`] are headers with promises.

pub mod access;
pub mod content;
pub mod extract;
pub mod function;
pub mod handout;
pub mod idempotency;
mod middleware;
mod openapi;
pub mod page;
pub mod prefer;
mod problem;
mod router;
pub mod system;
pub mod types;

pub use function::Function;
pub use openapi::{disagreements, document};
pub use problem::{Problem, ProblemBody};
pub use router::{alone, common, router};
