//! A service on PostgreSQL, with the types of its own driver: arrays, JSON, times, UUIDs.
//!
//! # Examples
//!
//! A service on a pool that exists:
//!
//! ```no_run
//! use pavane::{Config, postgres::{Db, Service}, shutdown_signal};
//! use sqlx::PgPool;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = PgPool::connect("postgres://billing@db/billing").await?;
//! let service = Service::new("billing", ());
//! let app = service.connect_with(Db::from_pool("billing", pool.clone()), Config::from_env()?).await?;
//! app.run_until(shutdown_signal()).await?;
//! # Ok(())
//! # }
//! ```

crate::database::names!(sqlx::Postgres);
