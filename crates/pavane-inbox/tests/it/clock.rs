use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use pavane_contract::{Clock, SystemClock, Timestamp};
use pavane_outbox::{Db, Dialect};

/// A clock that a test moves on.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ahead(Arc<AtomicI64>);

impl Ahead {
    /// A clock that is late.
    pub(crate) fn behind(time: Duration) -> Self {
        Self(Arc::new(AtomicI64::new(-i64::try_from(time.as_micros()).unwrap())))
    }

    /// Moves this clock alone.
    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_micros()).unwrap(), Ordering::SeqCst);
    }

    /// Lets time pass, by this clock and by that of a database on `PostgreSQL`, as its owner.
    pub(crate) async fn pass_with(&self, db: &Db<sqlx::Any>, time: Duration) {
        self.pass(time);
        let ahead = self.0.load(Ordering::SeqCst);
        if db.dialect() == Dialect::Sqlite {
            // The broker's clock, which maintenance without a relay can't know.
            return db.compare_clock(Some(self.now())).await.unwrap();
        }
        let clock = format!(
            "create or replace function pavane_now() returns bigint language sql volatile as \
             'select (extract(epoch from clock_timestamp()) * 1000000)::bigint + {ahead}'"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(clock)).execute(db.writers()).await.unwrap();
    }
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        let ahead = self.0.load(Ordering::SeqCst);
        Timestamp::from_microsecond(SystemClock.now().as_microsecond() + ahead).unwrap()
    }

    fn random(&self) -> u64 {
        SystemClock.random()
    }
}
