//! Services, provider, travellers and an auditor. `cargo run -p travel` shows it.

pub mod audit;
pub mod company;
mod kills;
pub mod report;
pub mod running;
pub mod scenario;
pub mod traveller;
