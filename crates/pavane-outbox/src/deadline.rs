//! How long PostgreSQL may take to answer, and what becomes of connections when it doesn't.

use std::{
    future::Future,
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use sqlx::{Connection as _, Pool};
use tokio::time::timeout;

use crate::{Connection, Database, Db, Dialect, Error};

/// How often all connections that were open were given up. A connection remembers the number it was taken at.
#[derive(Debug, Default)]
pub(crate) struct Distrust(AtomicU64);

impl<DB: Database> Db<DB> {
    /// Does something with the database, or gives up when PostgreSQL doesn't answer within the
    /// [timeout](crate::Config::answer_timeout). For waits that have no other end: a host that vanishes without a sign never
    /// answers, and never breaks the connection either.
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

    /// Does what has its own statements in a transaction, for as long as it takes, unless the database is gone meanwhile: the
    /// answer to one of them would never come.
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

    /// Waits until the database doesn't answer. Asks it now and then, on a connection of its own.
    async fn gone(&self) -> Error {
        loop {
            tokio::time::sleep(self.answer_timeout() / 2).await;
            let ask = async {
                let options = self.writers().connect_options();
                DB::Connection::connect_with(&options).await?.close().await?;
                Ok(())
            };
            // Any answer is one, also that there are too many connections.
            if let Err(error @ Error::NoAnswer(_)) = self.within(ask).await {
                return error;
            }
        }
    }

    /// Uses no connection again that is open now: they may lead to a host that is gone, or to a server that became read-only.
    ///
    /// Idle ones are closed at once, and those in use here when they come back. One that other code has taken from a pool of
    /// [its own](Db::from_pool) comes back as if nothing had happened, and is closed after the next failure. Call it inside the
    /// runtime.
    pub fn distrust(&self) {
        if self.dialect() == Dialect::Postgres {
            self.distrusted().0.fetch_add(1, Ordering::AcqRel);
            self.close_idle();
        }
    }

    /// The number that a connection remembers.
    pub(crate) fn distrusts(&self) -> u64 {
        self.distrusted().0.load(Ordering::Acquire)
    }

    /// Closes idle connections without a word: to take leave of a host that is gone could take for ever.
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
