//! Databases on the PostgreSQL server that all tests of the program share.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pavane::database::{Database, Db};
use pavane_contract::Clock;
use pavane_inbox::INBOX;
use pavane_outbox::{self as outbox, migration::OUTBOX};
use sqlx::{Pool, pool::PoolOptions};
use tokio::sync::OnceCell;

use super::store;
use crate::servers::{self, Postgres};

/// The database that the others are copies of: it has Pavane's tables, which take longer to make than to copy.
const TEMPLATE: &str = "pavane_template";

/// A database that is dropped some time after this value is: before the next one is made, or with the server, which ends with
/// the program.
#[derive(Debug)]
pub(super) struct Scratch {
    name: String,
    url: String,
}

/// Those to drop.
static DROPPED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Why there is no database. Reads after "failed to make a database on PostgreSQL: ".
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("failed to {0}")]
    Server(#[from] servers::Error),
    #[error(transparent)]
    Tables(#[from] outbox::Error),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Scratch {
    pub(super) async fn make() -> Result<Self, Error> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let server = make_ready().await?;
        let name = format!("pavane_scratch_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let dropped = std::mem::take(&mut *DROPPED.lock().unwrap_or_else(PoisonError::into_inner));
        store::copy(&server.url("postgres"), TEMPLATE, &name, &dropped).await?;
        let url = server.url(&name);
        Ok(Self { name, url })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        DROPPED.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    }
}

/// The server, once it is there and has the template.
pub(super) async fn make_ready() -> Result<&'static Postgres, Error> {
    static TEMPLATE_MADE: OnceCell<()> = OnceCell::const_new();
    let server = Postgres::shared().await?;
    TEMPLATE_MADE.get_or_try_init(|| make_template(server)).await?;
    Ok(server)
}

async fn make_template(server: &Postgres) -> Result<(), Error> {
    let url = server.create_database(TEMPLATE).await?;
    let db = Db::<sqlx::Postgres>::open(outbox::Config::new(TEMPLATE, url)).await?;
    db.migrate(&OUTBOX).await?;
    db.migrate(&INBOX).await?;
    sqlx::raw_sql(store::CLOCK).execute(db.writers()).await?;
    // Nobody may be connected to a database that is copied.
    db.close().await;
    Ok(())
}

/// Opens connections that know what time it is by `clock`.
pub(super) async fn connect<DB: Database>(url: &str, clock: Arc<dyn Clock>) -> Result<Pool<DB>, sqlx::Error> {
    const CONNECTIONS: u32 = 10;
    sqlx::any::install_default_drivers();
    let at_first = Arc::clone(&clock);
    PoolOptions::<DB>::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(Duration::from_secs(30))
        .test_before_acquire(false)
        .after_connect(move |conn, _| {
            let clock = Arc::clone(&at_first);
            Box::pin(async move { store::set_time::<DB>(conn, &*clock).await })
        })
        .before_acquire(move |conn, _| {
            let clock = Arc::clone(&clock);
            Box::pin(async move { store::set_time::<DB>(conn, &*clock).await.map(|()| true) })
        })
        .connect(url)
        .await
}
