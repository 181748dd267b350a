mod config;
mod pools;

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use pavane_contract::{Cause, Clock};
use sqlx::Pool;
use tokio::sync::Notify;

pub use config::Config;
use config::redact;
use pools::{postgres, sqlite};

use crate::{
    Arg, Bounds, Connection, Correlation, CrashPoint, CrashPoints, Database, Dialect, Emissions, Error, Tx,
    deadline::Distrust, migration::Schema, pressure::Full, reference::Skew, store as tables, transaction::Transaction,
};

/// A service's database: where transactions begin. Cheap to clone.
#[derive(Debug)]
pub struct Db<DB: Database = sqlx::Any>(Arc<Inner<DB>>);

#[derive(Debug)]
struct Inner<DB: Database> {
    writers: Pool<DB>,
    readers: Pool<DB>,
    dialect: Dialect,
    answer_timeout: Duration,
    distrusted: Distrust,
    begin: Arc<str>,
    service: String,
    clock: Arc<dyn Clock>,
    crash_points: Option<Arc<dyn CrashPoints>>,
    committed: Notify,
    /// Why the relay of this process stands still until somebody does something about it.
    relay_trouble: Mutex<Option<String>>,
    bounds: RwLock<Bounds>,
    skew: Skew,
    full: Mutex<Option<Full>>,
}

impl<DB: Database> Clone for Db<DB> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<DB: Database> Db<DB> {
    /// Opens the database. Creates no tables: see [`migrate`](Self::migrate).
    ///
    /// # Errors
    ///
    /// When the URL isn't one that this database understands, or nothing answers there.
    pub async fn open(config: Config) -> Result<Self, Error> {
        let dialect = DB::dialect(&config.url).ok_or_else(|| Error::Url(redact(&config.url)))?;
        sqlx::any::install_default_drivers();
        let distrusted = Distrust::default();
        let (writers, readers) = match dialect {
            Dialect::Postgres => {
                let pool = postgres(&config, distrusted.clone()).await?;
                (pool.clone(), pool)
            }
            Dialect::Sqlite => sqlite(&config).await?,
        };
        let Config { service, clock, crash_points, answer_timeout, .. } = config;
        let (begin, committed) = (tables::begin(dialect, answer_timeout).into(), Notify::new());
        Ok(Self(Arc::new(Inner {
            writers,
            readers,
            dialect,
            answer_timeout,
            distrusted,
            begin,
            service,
            clock,
            crash_points,
            committed,
            relay_trouble: Mutex::default(),
            bounds: RwLock::default(),
            skew: Skew::default(),
            full: Mutex::default(),
        })))
    }

    /// Brings a schema of the framework up to date.
    ///
    /// # Errors
    ///
    /// When a migration fails, or one that ran before was changed since.
    pub async fn migrate(&self, schema: &Schema) -> Result<(), Error> {
        Ok(schema.apply(&self.0.writers, self.dialect()).await?)
    }

    /// Begins a transaction that may emit what `emissions` declares.
    ///
    /// # Errors
    ///
    /// When no connection is free in time or the database doesn't answer.
    pub async fn begin(&self, correlation: Correlation, emissions: Emissions) -> Result<Tx<DB>, Error> {
        let cause = correlation.resolve(self)?;
        Tx::begin(self.clone(), cause, emissions).await
    }

    /// Connections for reading only. On SQLite they don't wait for the writer.
    pub fn readers(&self) -> &Pool<DB> {
        &self.0.readers
    }

    /// The connections that write. Prefer [`begin`](Self::begin).
    pub fn writers(&self) -> &Pool<DB> {
        &self.0.writers
    }

    /// Which SQL it speaks.
    pub fn dialect(&self) -> Dialect {
        self.0.dialect
    }

    /// The service it belongs to.
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// Where time and ids come from.
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// The current time as it is stored: microseconds since the Unix epoch.
    pub fn now(&self) -> i64 {
        self.clock().now().as_microsecond()
    }

    /// Keeps to other bounds from now on. Whoever connects a service sets its own.
    pub fn keep_to(&self, bounds: Bounds) {
        *self.0.bounds.write().unwrap_or_else(PoisonError::into_inner) = bounds;
    }

    /// What it keeps to.
    pub fn bounds(&self) -> Bounds {
        *self.0.bounds.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails when a saga is so old that ledger and outcomes may have forgotten it: "nothing is known" would be taken for
    /// "nothing was done".
    ///
    /// # Errors
    ///
    /// [`Error::Forgotten`].
    pub fn check_remembered(&self, cause: &Cause) -> Result<(), Error> {
        self.bounds().check_remembered(cause, self.reference_now())
    }

    pub(crate) fn skew(&self) -> &Skew {
        &self.0.skew
    }

    pub(crate) fn full(&self) -> Option<Full> {
        self.0.full.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns what was known before.
    pub(crate) fn set_full(&self, full: Option<Full>) -> Option<Full> {
        std::mem::replace(&mut *self.0.full.lock().unwrap_or_else(PoisonError::into_inner), full)
    }

    /// The arguments of a statement that stores a time or compares with one. On PostgreSQL it asks the database for the time,
    /// which all instances have in common; on SQLite the time is its last argument.
    pub fn timed(&self, mut args: Vec<Arg>) -> Vec<Arg> {
        if self.dialect() == Dialect::Sqlite {
            args.push(self.now().into());
        }
        args
    }

    /// Waits until a transaction that emitted something commits here. Remembers one commit that nobody waited for.
    pub async fn committed(&self) {
        self.0.committed.notified().await;
    }

    /// Marks a moment at which a process that dies leaves something half done. Does nothing in production.
    pub async fn crash_point(&self, point: CrashPoint) {
        if let Some(crash_points) = &self.0.crash_points {
            crash_points.reach(point).await;
        }
    }

    /// Why the relay of this process publishes nothing until an operator does something about it; `None` when it does, or
    /// another instance's publishes.
    pub fn relay_trouble(&self) -> Option<String> {
        self.0.relay_trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_relay_trouble(&self, trouble: Option<String>) {
        *self.0.relay_trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    pub(crate) fn announce_commit(&self) {
        self.0.committed.notify_one();
    }

    /// A transaction that emits nothing.
    pub(crate) async fn begin_plain(&self) -> Result<Transaction<DB>, sqlx::Error> {
        Transaction::begin(self).await
    }

    /// The text that begins a transaction.
    pub(crate) fn begin_sql(&self) -> Arc<str> {
        Arc::clone(&self.0.begin)
    }

    /// A connection that writes, for statements that need no transaction around them.
    ///
    /// # Errors
    ///
    /// When no connection is free in time or the database doesn't answer.
    pub async fn writer(&self) -> Result<Connection<DB>, sqlx::Error> {
        Ok(Connection::new(self.0.writers.acquire().await?, self.answers_within()))
    }

    /// A connection for reading only. On SQLite it doesn't wait for the writer.
    ///
    /// # Errors
    ///
    /// As [`writer`](Self::writer).
    pub async fn reader(&self) -> Result<Connection<DB>, sqlx::Error> {
        Ok(Connection::new(self.0.readers.acquire().await?, self.answers_within()))
    }

    pub(crate) fn distrusted(&self) -> &Distrust {
        &self.0.distrusted
    }

    pub(crate) fn answer_timeout(&self) -> Duration {
        self.0.answer_timeout
    }

    /// Whether the database can't be written to: a standby, or set so by an operator. Connections that were open are not used
    /// again then, as they may lead to another server than a new one would.
    ///
    /// # Errors
    ///
    /// When it can't be asked.
    pub async fn is_read_only(&self) -> Result<bool, Error> {
        let ask = async { tables::is_read_only::<DB>(&mut *self.reader().await?, self.dialect()).await };
        let read_only = self.within(ask).await?;
        if read_only {
            self.distrust();
        }
        Ok(read_only)
    }

    fn answers_within(&self) -> Option<Duration> {
        (self.0.dialect == Dialect::Postgres).then_some(self.0.answer_timeout)
    }

    /// Closes all connections, once they are returned.
    pub async fn close(&self) {
        self.0.readers.close().await;
        self.0.writers.close().await;
    }
}

/// Turns times into the microseconds that are stored.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
