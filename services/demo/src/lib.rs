//! The whole shop in one process: services, customers, and an auditor.
//!
//! The `demo` binary shows it; the end-to-end tests use the same pieces.

pub mod audit;
pub mod customer;
pub mod report;
pub mod scenario;
pub mod shop;
