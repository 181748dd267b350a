//! The servers start, fail as told, come back with what they had stored, and leave nothing behind. One service goes on
//! stage and through the fault matrix; a whole system is simulated.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../examples/simulate/books.rs"]
mod books;
#[path = "../../examples/simulate/bugs.rs"]
mod bugs;
mod given;
mod history;
mod instances;
mod items;
mod matrix;
mod nats;
mod nats_cluster;
mod on_postgres;
mod orphans;
mod personal;
mod postgres;
mod postgres_pair;
#[path = "../../examples/simulate/price.rs"]
mod price;
mod process;
mod proxy;
mod readme;
#[path = "../../examples/simulate/shop.rs"]
mod shop;
mod simulation;
mod tools;
#[path = "../../examples/simulate/trip.rs"]
mod trip;
#[path = "../../examples/simulate/trips.rs"]
mod trips;
