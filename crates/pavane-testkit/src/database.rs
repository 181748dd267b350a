//! The database of a stage, a trial or a simulated service: new, empty, and by the clock of its test.

mod postgres;
mod store;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pavane::database::{Database, Db};
use pavane_contract::Clock;
use pavane_outbox::{self as outbox, internal::CrashPoints};

use self::postgres::Scratch;

/// Where it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// SQLite, in memory.
    Memory,
    /// A database of its own on the PostgreSQL server that all tests of the program share.
    Postgres,
}

/// The URL of a database in memory.
const IN_MEMORY: &str = "sqlite::memory:";

impl Place {
    /// Where a service runs of which nothing else is said: in memory if it can.
    pub(crate) fn of<DB: Database>() -> Self {
        if DB::dialect(IN_MEMORY).is_some() { Self::Memory } else { Self::Postgres }
    }

    /// Starts what is there once for the program, outside of any time that stands still.
    ///
    /// # Panics
    ///
    /// When there is no server, or in a runtime.
    pub(crate) fn make_ready(self) {
        if self == Self::Postgres {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap_or_else(|error| panic!("failed to start a runtime: {error}"));
            runtime.block_on(postgres::make_ready()).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

/// A database of its own, by the clock of its test.
pub(crate) struct TestDatabase<DB: Database> {
    pub(crate) db: Db<DB>,
    /// On PostgreSQL: what is dropped with it.
    scratch: Mutex<Option<Scratch>>,
}

/// What a [`Db`] takes from its test.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) service: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) crash_points: Option<Arc<dyn CrashPoints>>,
}

impl Settings {
    fn config(&self, url: &str) -> outbox::Config {
        let mut config = outbox::Config::new(&self.service, url);
        (config.clock, config.crash_points) = (Arc::clone(&self.clock), self.crash_points.clone());
        config
    }
}

impl<DB: Database> TestDatabase<DB> {
    /// Makes a new one.
    ///
    /// # Panics
    ///
    /// When it can't be made; the message says why, and how to get a server.
    pub(crate) async fn open(place: Place, settings: &Settings) -> Self {
        match place {
            Place::Memory => {
                let db = Db::open(settings.config(IN_MEMORY)).await;
                let db = db.unwrap_or_else(|error| panic!("failed to open a SQLite database in memory: {error}"));
                Self { db, scratch: Mutex::default() }
            }
            Place::Postgres => {
                let scratch = Scratch::make().await;
                let scratch =
                    scratch.unwrap_or_else(|error| panic!("failed to make a database on PostgreSQL: {error}"));
                Self::on(scratch, settings).await
            }
        }
    }

    async fn on(scratch: Scratch, settings: &Settings) -> Self {
        let pool = postgres::connect(scratch.url(), Arc::clone(&settings.clock)).await;
        let db = pool
            .map_err(outbox::Error::from)
            .and_then(|pool| outbox::internal::over(pool, settings.config(scratch.url())));
        let db = db.unwrap_or_else(|error| panic!("failed to open {}: {error}", scratch.url()));
        Self { db, scratch: Mutex::new(Some(scratch)) }
    }
}

/// The databases of tests that need many, one after another, with the same tables.
///
/// On PostgreSQL it takes longer to make a database than to use it. So one that was used serves again, with the rows that it had at
/// first, unless something else than rows was changed in it.
#[derive(Debug)]
pub(crate) struct Databases {
    place: Place,
    /// Those that nobody uses, by service.
    spare: Mutex<BTreeMap<String, Vec<Scratch>>>,
}

impl Databases {
    pub(crate) const fn new(place: Place) -> Self {
        Self { place, spare: Mutex::new(BTreeMap::new()) }
    }

    pub(crate) const fn place(&self) -> Place {
        self.place
    }

    /// A database in which there is what `set_up` made, and nothing else.
    ///
    /// # Panics
    ///
    /// As [`TestDatabase::open`].
    pub(crate) async fn open<DB: Database, E: From<sqlx::Error>>(
        &self,
        settings: &Settings,
        set_up: impl AsyncFnOnce(&Db<DB>) -> Result<(), E>,
    ) -> Result<TestDatabase<DB>, E> {
        while let Some(scratch) = self.take_spare(&settings.service) {
            let database = TestDatabase::on(scratch, settings).await;
            if store::reset(&database.db).await? {
                return Ok(database);
            }
            database.db.close().await;
        }
        let database = TestDatabase::open(self.place, settings).await;
        set_up(&database.db).await?;
        if self.place == Place::Postgres {
            store::remember(&database.db).await?;
        }
        Ok(database)
    }

    /// Closes one that may serve again.
    pub(crate) async fn close<DB: Database>(&self, database: &TestDatabase<DB>) {
        database.db.close().await;
        let scratch = locked(&database.scratch).take();
        let service = database.db.service().to_owned();
        locked(&self.spare).entry(service).or_default().extend(scratch);
    }

    fn take_spare(&self, service: &str) -> Option<Scratch> {
        locked(&self.spare).get_mut(service)?.pop()
    }
}

/// The number in the first column of the first row of a query.
///
/// # Panics
///
/// When there is none, or the database fails.
pub(crate) async fn count<DB: Database>(db: &Db<DB>, sql: &'static str) -> i64 {
    let counted = async {
        let rows = DB::fetch(&mut *db.reader().await?, sql, Vec::new()).await?;
        Ok(rows.first().map(|row| DB::int(row, 0)).transpose()?)
    };
    let counted = counted.await.unwrap_or_else(|error: outbox::Error| panic!("failed to count: {error}"));
    counted.flatten().unwrap_or_else(|| panic!("no number comes of {sql}"))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<DB: Database> fmt::Debug for TestDatabase<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.db.fmt(f)
    }
}

#[cfg(test)]
mod tests;
