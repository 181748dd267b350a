//! How long PostgreSQL may take to answer, and what happens to connections when it doesn't.

use std::{
    future::Future,
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use sqlx::{Connection as _, Pool};
use tokio::time::timeout;

use crate::{Connection, Database, Db, Dialect, Error};

/// How many times all open connections were given up. A connection keeps the number at which it was taken.
#[derive(Debug, Default)]
pub(crate) struct Distrust(AtomicU64);

impl<DB: Database> Db<DB> {
    /// Runs `work`, and gives up when PostgreSQL doesn't answer within the [timeout](crate::Config::answer_timeout). It is for
    /// waits that have no deadline of their own: a host that vanishes never answers, and never closes the connection either.
    ///
    /// # Errors
    ///
    /// [`Error::NoAnswer`], and those of `work`. Connections that `work` holds are closed when they don't answer.
    pub async fn within<T, E: From<Error>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        if self.dialect() == Dialect::Sqlite {
            return work.await;
        }
        let limit = self.answer_timeout();
        timeout(limit, work).await.unwrap_or_else(|_| {
            self.distrust();
            Err(Error::NoAnswer(limit).into())
        })
    }

    /// Runs `work`, whose statements take as long as they take, unless the database is gone meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::NoAnswer`] when no new connection is answered within the [timeout](crate::Config::answer_timeout), and those of
    /// `work`.
    pub async fn unless_gone<T, E: From<Error>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        if self.dialect() == Dialect::Sqlite {
            return work.await;
        }
        tokio::select! {
            biased;
            result = work => result,
            error = self.gone() => Err(error.into()),
        }
    }

    /// Completes when the database doesn't answer. It asks now and then, on a connection of its own.
    async fn gone(&self) -> Error {
        loop {
            tokio::time::sleep(self.answer_timeout() / 2).await;
            let ask = async {
                let options = self.writers().connect_options();
                DB::Connection::connect_with(&options).await?.close().await?;
                Ok(())
            };
            // Any answer counts, even that there are too many connections.
            if let Err(error @ Error::NoAnswer(_)) = self.within(ask).await {
                return error;
            }
        }
    }

    /// Stops using all connections that are open now: they may lead to a host that is gone, or to a server that became
    /// read-only.
    ///
    /// Idle ones are closed at once, those in use here when they are returned. A connection that other code has taken from a
    /// pool of [its own](Db::from_pool) returns unnoticed, and is closed after the next failure. Call it inside the runtime.
    pub fn distrust(&self) {
        if self.dialect() == Dialect::Postgres {
            self.distrusted().0.fetch_add(1, Ordering::AcqRel);
            self.close_idle();
        }
    }

    /// How many times connections were given up so far.
    pub(crate) fn distrusts(&self) -> u64 {
        self.distrusted().0.load(Ordering::Acquire)
    }

    /// Closes idle connections without the protocol's goodbye, which a host that is gone would never read.
    pub(crate) fn close_idle(&self) {
        let pool = self.writers();
        for _ in 0..pool.size() {
            let Some(idle) = pool.try_acquire() else { return };
            drop(idle.detach());
        }
    }

    /// Takes a connection out of a pool, or gives up a little before [`within`](Self::within) does: who waits for it hears why there
    /// was none, and not only that nothing came.
    ///
    /// A pool that looks whether a connection is alive before it hands it out, as sqlx's do unless told otherwise, waits
    /// for the answer of a host that is gone.
    pub(crate) async fn acquire(&self, pool: &Pool<DB>) -> Result<Connection<DB>, Error> {
        let (taken_at, mut limit) = (self.distrusts(), pool.options().get_acquire_timeout());
        if self.dialect() == Dialect::Postgres {
            limit = limit.min(self.answer_timeout() * 4 / 5);
        }
        match timeout(limit, pool.acquire()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(connection) => Ok(Connection::new(connection, self.clone(), taken_at)),
            Err(sqlx::Error::PoolTimedOut) => Err(self.no_connection(pool, limit).await),
            Err(error) => Err(error.into()),
        }
    }

    async fn no_connection(&self, pool: &Pool<DB>, within: Duration) -> Error {
        if pool.num_idle() > 0 {
            // There was one to hand out, so it was asked and didn't answer.
            self.distrust();
        }
        let why = self.look().why(pool, within, self.answer_timeout() / 10).await;
        if let Error::NoConnection { cause, .. } = &why
            && matches!(&**cause, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
        {
            self.distrust();
        }
        why
    }
}
