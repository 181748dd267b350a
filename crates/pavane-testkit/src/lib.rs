//! The test kit for services built on Pavane, and for Pavane itself.
//!
//! - [`given`]: one service on a stage; events go in, events and rows come out, nothing waits.
//! - [`fault_matrix`]: every reaction of one service under every fault, in one line.
//! - [`simulate`]: all services of a system under faults, on simulated time, from one seed.
//!
//! A service of `pavane::postgres` gets a real PostgreSQL in all three, every other one SQLite in memory.
//!
//! - [`Instances`]: one service as it runs in production, in several instances if need be, on a bus in memory.
//! - [`Served`]: a service with its HTTP, in this process.
//! - [`history`]: what happened in a system that ran, and whether it was right.
//! - [`servers`]: a real nats-server, a real PostgreSQL, real processes, and a network between them that fails on demand.

mod actor;
mod clock;
mod database;
mod dead_letter;
mod events;
mod fresh_database;
pub mod history;
mod instances;
mod matrix;
mod random;
mod script;
mod served;
pub mod servers;
mod simulation;
mod stage;
mod until;

pub use clock::VirtualClock;
pub use dead_letter::DeadLetter;
pub use events::{envelope, envelope_each, outgoing};
pub use fresh_database::FreshDatabase;
pub use instances::Instances;
pub use matrix::{Case, FaultMatrix, Report, fault_matrix};
pub use served::{Served, Shutdown};
pub use simulation::{
    BoxError, Bug, Counterexample, Entry, Fault, Faults, Network, NoAnswer, Outcome, Plan, Run, Saga, SimulatedBus,
    SimulatedSubscription, Simulation, System, Tally, Trace, Violation, World, simulate,
};
pub use stage::{Given, Stage, given};
pub use until::until;
