//! Real servers and real processes for tests and for the demo: found or fetched, started in milliseconds, killed on demand.
//!
//! Nothing here outlives the test. A server ends when its value is dropped, and also when the test process dies without
//! dropping anything: each one runs on a leash, a pipe whose closing ends it and removes its folder.

mod authority;
mod error;
mod leash;
mod nats;
mod nats_cluster;
mod pgbouncer;
mod pip;
mod port;
mod postgres;
mod postgres_pair;
mod process;
mod proxy;
mod tls_front;
mod tools;

pub use authority::{Authority, Certificate};
pub use error::Error;
pub use nats::{Nats, NatsOptions};
pub use nats_cluster::NatsCluster;
pub use pgbouncer::{PgBouncer, PoolMode};
pub use port::free_port;
pub use postgres::{Postgres, PostgresOptions};
pub use postgres_pair::{PostgresPair, Replication};
pub use process::{Process, ProcessOptions};
pub use proxy::{Direction, Proxy};
pub use tls_front::TlsFront;
pub use tools::Tools;
