//! Development only: fault layers, contract suites and real servers for tests.

pub mod catalog;
