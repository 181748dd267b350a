//! All of it in one process: services, provider, travellers and an auditor. `cargo run -p travel` shows it.

pub mod audit;
pub mod company;
pub mod report;
pub mod scenario;
pub mod traveller;
