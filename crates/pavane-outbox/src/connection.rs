//! Connections that are closed, and not returned to the pool, when the database doesn't answer.

use std::ops::{Deref, DerefMut};

use sqlx::{SqlStr, pool::PoolConnection};
use sqlx_core::transaction::TransactionManager as _;

use crate::{Database, Db, Dialect};

/// A connection of the pool. When dropped it returns to the pool, if the database still answers in time.
///
/// The pool alone would wait for that answer without a deadline, so a database that vanished would cost it a connection each
/// time.
#[derive(Debug)]
pub struct Connection<DB: Database> {
    inner: PoolConnection<DB>,
    db: Db<DB>,
    /// How many times all [connections were given up](Db::distrust) before it was taken from the pool.
    taken_at: u64,
    /// In a state that can't be undone from outside.
    midway: bool,
}

impl<DB: Database> Connection<DB> {
    pub(crate) const fn new(inner: PoolConnection<DB>, db: Db<DB>, taken_at: u64) -> Self {
        Self { inner, db, taken_at, midway: false }
    }

    /// Begins a transaction. When this fails or is dropped midway, nobody knows whether the next statement would run inside
    /// one, so the connection is closed.
    pub(crate) async fn begin(&mut self, statement: SqlStr) -> Result<(), sqlx::Error> {
        self.midway = true;
        let mut begun = DB::TransactionManager::begin(&mut self.inner, Some(statement.clone())).await;
        if let Err(sqlx::Error::InvalidSavePointStatement) = begun {
            // On SQLite the driver believes in a transaction until its own rollback succeeds. A handler may have ended the
            // transaction itself, and then there is nothing to roll back; so one is begun.
            DB::script(&mut self.inner, "begin").await?;
            DB::TransactionManager::rollback(&mut self.inner).await?;
            begun = DB::TransactionManager::begin(&mut self.inner, Some(statement)).await;
        }
        self.midway = begun.is_err();
        begun
    }
}

impl<DB: Database> Deref for Connection<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl<DB: Database> DerefMut for Connection<DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.inner
    }
}

impl<DB: Database> Drop for Connection<DB> {
    fn drop(&mut self) {
        if self.db.dialect() == Dialect::Sqlite {
            // No answer is lost within a process, and this may be the only connection to a database in memory.
            return;
        }
        if self.midway || self.taken_at != self.db.distrusts() {
            return self.inner.close_on_drop();
        }
        let returning = self.inner.return_to_pool();
        let (db, taken_at) = (self.db.clone(), self.taken_at);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // When it times out, the connection is closed and the pool opens another.
                drop(tokio::time::timeout(db.answer_timeout(), returning).await);
                if taken_at != db.distrusts() {
                    // It came back just after the idle connections were closed.
                    db.close_idle();
                }
            });
        }
    }
}
