mod config;
mod look;
mod pools;

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use pavane_contract::Clock;
use sqlx::Pool;
use tokio::sync::Notify;

pub use config::Config;
use config::redact;
pub(crate) use look::Look;
use pools::{postgres, sqlite};

use crate::{
    Arg, Bounds, Connection, Correlation, CrashPoint, CrashPoints, Database, Dialect, Emissions, Error, Tx,
    deadline::Distrust, migration::Schema, pressure::Full, question, reference::Reference, store as tables,
    transaction::Transaction,
};

/// A service's database: where transactions begin. Cheap to clone.
#[derive(Debug)]
pub struct Db<DB: Database>(Arc<Inner<DB>>);

#[derive(Debug)]
struct Inner<DB: Database> {
    writers: Pool<DB>,
    readers: Pool<DB>,
    /// The pool is the user's and stays open.
    is_borrowed: bool,
    dialect: Dialect,
    answers: RwLock<Answers>,
    distrusted: Distrust,
    look: Look,
    service: String,
    clock: Arc<dyn Clock>,
    crash_points: Option<Arc<dyn CrashPoints>>,
    committed: Notify,
    /// Why the relay of this process publishes nothing until an operator acts.
    relay_trouble: Mutex<Option<String>>,
    bounds: RwLock<Bounds>,
    reference: Reference,
    full: Mutex<Option<Full>>,
}

/// What follows from the answer timeout.
#[derive(Debug, Clone)]
struct Answers {
    within: Duration,
    /// The text that begins a transaction.
    begin: Arc<str>,
}

impl Answers {
    fn new(dialect: Dialect, within: Duration) -> Self {
        Self { within, begin: tables::begin(dialect, within).into() }
    }
}

impl<DB: Database> Clone for Db<DB> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<DB: Database> Db<DB> {
    /// Opens the database. Creates no tables: call [`migrate`](Self::migrate).
    ///
    /// # Errors
    ///
    /// When this database can't open the URL, or nothing answers there.
    pub async fn open(config: Config) -> Result<Self, Error> {
        let dialect = DB::dialect(&config.url).ok_or_else(|| Error::Url(redact(&config.url)))?;
        #[cfg(feature = "any")]
        sqlx::any::install_default_drivers();
        let (writers, readers) = match dialect {
            Dialect::Postgres => {
                let pool = postgres(&config).await?;
                (pool.clone(), pool)
            }
            Dialect::Sqlite => sqlite(&config).await?,
        };
        let db = Self::on(Pools { writers, readers, is_borrowed: false }, dialect, config);
        db.check().await?;
        Ok(db)
    }

    /// See [`internal::over`](crate::internal::over).
    pub(crate) fn over(pool: Pool<DB>, config: Config) -> Result<Self, Error> {
        let dialect = DB::dialect(&config.url).ok_or_else(|| Error::Url(redact(&config.url)))?;
        Ok(Self::on(Pools { writers: pool.clone(), readers: pool, is_borrowed: false }, dialect, config))
    }

    fn on(Pools { writers, readers, is_borrowed }: Pools<DB>, dialect: Dialect, config: Config) -> Self {
        let Config { service, clock, crash_points, answer_timeout, .. } = config;
        Self(Arc::new(Inner {
            writers,
            readers,
            is_borrowed,
            dialect,
            answers: Answers::new(dialect, answer_timeout).into(),
            distrusted: Distrust::default(),
            look: Look::default(),
            service,
            clock,
            crash_points,
            committed: Notify::new(),
            relay_trouble: Mutex::default(),
            bounds: RwLock::default(),
            reference: Reference::default(),
            full: Mutex::default(),
        }))
    }

    /// Fails where a guarantee would break: a pooler mixes up prepared statements, or commits don't wait for the disk.
    /// `Service::connect` calls it. A pool that was [handed in](Db::from_pool) may open its first connection here.
    ///
    /// # Errors
    ///
    /// [`Error::Pooler`], [`Error::Setting`], and when the database can't be asked.
    pub async fn check(&self) -> Result<(), Error> {
        if self.dialect() == Dialect::Sqlite {
            return Ok(());
        }
        self.within(async {
            let mut one = self.writer().await?;
            if self.writers().options().get_max_connections() > 1 {
                tables::look_for_pooler::<DB>(&mut one, &mut *self.writer().await?).await?;
            }
            tables::check_durability::<DB>(&mut one).await
        })
        .await
    }

    /// Runs the migrations of a schema of the framework's. On PostgreSQL the tables are created in the first schema of the
    /// `search_path`.
    ///
    /// # Errors
    ///
    /// When a migration fails, or was changed since it ran. [`Error::Setting`] when the `search_path` finds the tables in
    /// another schema than its first.
    pub async fn migrate(&self, schema: &Schema) -> Result<(), Error> {
        if self.dialect() == Dialect::Postgres {
            tables::check_schema::<DB>(&mut *self.writer().await?, schema.table).await?;
        }
        Ok(schema.apply(&self.0.writers, self.dialect()).await?)
    }

    /// Begins a transaction that may emit what `emissions` declares.
    ///
    /// # Errors
    ///
    /// [`Error::Exhausted`] when all connections are in use for too long, [`Error::NoConnection`] when no new one can be made, and
    /// when the database doesn't answer. [`Error::Answers`] at an entry point that [answers](Self::answer) a question.
    pub async fn begin(&self, correlation: Correlation, emissions: Emissions) -> Result<Tx<DB>, Error> {
        question::check_begins(&emissions)?;
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

    /// Sets the bounds. Connecting a service sets the service's own.
    pub fn keep_to(&self, bounds: Bounds) {
        *self.0.bounds.write().unwrap_or_else(PoisonError::into_inner) = bounds;
    }

    /// Its bounds.
    pub fn bounds(&self) -> Bounds {
        *self.0.bounds.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn reference(&self) -> &Reference {
        &self.0.reference
    }

    pub(crate) fn full(&self) -> Option<Full> {
        self.0.full.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the measure before.
    pub(crate) fn set_full(&self, full: Option<Full>) -> Option<Full> {
        std::mem::replace(&mut *self.0.full.lock().unwrap_or_else(PoisonError::into_inner), full)
    }

    /// The arguments of a statement that stores a time or compares with one. On PostgreSQL the statement uses the database's
    /// clock, which all instances share; on SQLite the time is its last argument.
    pub fn timed(&self, mut args: Vec<Arg>) -> Vec<Arg> {
        if self.dialect() == Dialect::Sqlite {
            args.push(self.now().into());
        }
        args
    }

    /// Waits until a transaction of this process that emitted something commits. A commit before the call counts, once.
    pub async fn committed(&self) {
        self.0.committed.notified().await;
    }

    pub(crate) async fn crash_point(&self, point: CrashPoint) {
        if let Some(crash_points) = &self.0.crash_points {
            crash_points.reach(point).await;
        }
    }

    /// Why the relay of this process publishes nothing until an operator acts; `None` when it publishes, or another instance
    /// does.
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
    pub(crate) async fn begin_plain(&self) -> Result<Transaction<DB>, Error> {
        Transaction::begin(self).await
    }

    /// The text that begins a transaction.
    pub(crate) fn begin_sql(&self) -> Arc<str> {
        Arc::clone(&self.0.answers.read().unwrap_or_else(PoisonError::into_inner).begin)
    }

    /// A connection that writes, for statements that need no transaction around them.
    ///
    /// # Errors
    ///
    /// [`Error::Exhausted`] when all are in use for too long, [`Error::NoConnection`] when no new one can be made, and when the
    /// database doesn't answer.
    pub async fn writer(&self) -> Result<Connection<DB>, Error> {
        self.acquire(&self.0.writers).await
    }

    /// A connection for reading only. On SQLite it doesn't wait for the writer.
    ///
    /// # Errors
    ///
    /// As [`writer`](Self::writer).
    pub async fn reader(&self) -> Result<Connection<DB>, Error> {
        self.acquire(&self.0.readers).await
    }

    pub(crate) fn look(&self) -> &Look {
        &self.0.look
    }

    pub(crate) fn distrusted(&self) -> &Distrust {
        &self.0.distrusted
    }

    pub(crate) fn answer_timeout(&self) -> Duration {
        self.0.answers.read().unwrap_or_else(PoisonError::into_inner).within
    }

    /// Sets how long PostgreSQL may take to answer, in place of what this was [opened with](Config::answer_timeout).
    /// `Service::connect_with` sets it for a pool that was handed in.
    pub fn answer_within(&self, limit: Duration) {
        *self.0.answers.write().unwrap_or_else(PoisonError::into_inner) = Answers::new(self.dialect(), limit);
    }

    /// Whether the database is read-only: it is a standby, or an operator set it so. If it is, connections that were open are
    /// not used again, because new ones may lead to another server.
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

    /// Closes all connections, once they are returned. A pool that was [handed in](Db::from_pool) stays open: it is its owner's.
    pub async fn close(&self) {
        if self.0.is_borrowed {
            return;
        }
        self.0.readers.close().await;
        self.0.writers.close().await;
    }
}

/// The connections to a database.
struct Pools<DB: Database> {
    writers: Pool<DB>,
    readers: Pool<DB>,
    is_borrowed: bool,
}

#[cfg(feature = "postgres")]
impl Db<sqlx::Postgres> {
    /// A database behind a pool of yours, with its size, TLS and options, and the schema of its `search_path`. Your own code
    /// goes on using the pool. No query runs before the service connects.
    ///
    /// Pavane sets what it needs of a connection where a transaction begins, and installs no hook in the pool. The pool needs
    /// two connections or more: with one, everything waits for everything else, and a handler that takes a second one waits for
    /// itself.
    ///
    /// # Examples
    ///
    /// ```
    /// # use pavane_outbox::Db;
    /// # async fn open() -> Result<(), sqlx::Error> {
    /// let pool = sqlx::PgPool::connect("postgres://billing@db/billing?sslmode=verify-full").await?;
    /// let db = Db::from_pool("billing", pool);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_pool(service: impl Into<String>, pool: sqlx::PgPool) -> Self {
        let pools = Pools { writers: pool.clone(), readers: pool, is_borrowed: true };
        Self::on(pools, Dialect::Postgres, Config::new(service, String::new()))
    }
}

/// A duration in microseconds, as it is stored.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
