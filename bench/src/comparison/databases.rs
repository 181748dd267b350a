//! One database per service, with the tables of the services themselves: what is compared does the same work.

use std::time::Duration;

use anyhow::{Context as _, Result};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// The services that the baselines do without a framework.
pub(crate) const SERVICES: [&str; 4] = ["order", "payment", "inventory", "shipping"];

/// How the pools are set up. The rest is the same for all: no ping before use, statements are prepared once a connection.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The databases' URLs without the service's name at their end.
    pub(crate) prefix: String,
    /// Connections to each database.
    pub(crate) connections: u32,
    /// How long a statement waits for a row; zero waits for ever.
    pub(crate) lock_timeout: Duration,
}

/// A pool for each database.
#[derive(Debug, Clone)]
pub(crate) struct Databases {
    pub(crate) order: PgPool,
    pub(crate) payment: PgPool,
    pub(crate) inventory: PgPool,
    pub(crate) shipping: PgPool,
    /// The order database for what may be lost when the machine dies, since recovery finds it out again: its commits don't
    /// wait for the disk.
    pub(crate) order_unforced: PgPool,
}

impl Databases {
    /// Connects to all of them.
    ///
    /// # Errors
    ///
    /// When one doesn't answer.
    pub(crate) async fn connect(options: &Options) -> Result<Self> {
        Ok(Self {
            order: open(options, "order", "on").await?,
            payment: open(options, "payment", "on").await?,
            inventory: open(options, "inventory", "on").await?,
            shipping: open(options, "shipping", "on").await?,
            order_unforced: open(options, "order", "off").await?,
        })
    }
}

async fn open(options: &Options, service: &str, synchronous_commit: &str) -> Result<PgPool> {
    let lock_timeout = options.lock_timeout.as_millis().to_string();
    let settings = [("synchronous_commit", synchronous_commit), ("lock_timeout", lock_timeout.as_str())];
    let url = format!("{}{service}", options.prefix);
    let connect: PgConnectOptions = url.parse::<PgConnectOptions>()?.options(settings);
    let pool = PgPoolOptions::new().max_connections(options.connections).test_before_acquire(false);
    pool.acquire_timeout(Duration::from_mins(2))
        .connect_with(connect)
        .await
        .with_context(|| format!("no database at {url}"))
}

/// Creates the tables of the services in their databases, by the services' own migrations.
///
/// # Errors
///
/// When a migration fails.
pub(crate) async fn migrate(databases: &Databases) -> Result<()> {
    sqlx::migrate!("../services/order/migrations").run(&databases.order).await?;
    sqlx::migrate!("../services/payment/migrations").run(&databases.payment).await?;
    sqlx::migrate!("../services/inventory/migrations").run(&databases.inventory).await?;
    sqlx::migrate!("../services/shipping/migrations").run(&databases.shipping).await?;
    Ok(())
}
