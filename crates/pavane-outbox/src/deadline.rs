//! How long PostgreSQL may take to answer, and what becomes of connections when it doesn't.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::Connection as _;
use tokio::time::{Instant, timeout};

use crate::{Database, Db, Dialect, Error};

/// Connections that were opened before this moment are not used again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Distrust(Arc<Mutex<Option<Instant>>>);

impl Distrust {
    fn begin(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection of this age was opened before.
    pub(crate) fn covers(&self, age: Duration) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|since| since.elapsed() <= age)
    }
}

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

    /// Does what has its own statements in a transaction, for as long as it takes, unless the database is gone meanwhile: the answer to
    /// one of them would never come.
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
    pub fn distrust(&self) {
        self.distrusted().begin();
    }
}
