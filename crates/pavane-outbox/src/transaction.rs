//! A transaction that is proved alive before its commit.

use sqlx::{AssertSqlSafe, SqlSafeStr as _};
use sqlx_core::transaction::TransactionManager as _;

use crate::{Connection, Database, Db, Dialect, Error, failure, store};

/// A transaction on the service's database. Dropping it rolls back.
///
/// PostgreSQL answers the `commit` of an aborted transaction with a rollback and no error, and the driver reports success. So a
/// transaction is committed only after a statement has shown that it is alive.
#[derive(Debug)]
pub(crate) struct Transaction<DB: Database> {
    conn: Connection<DB>,
    dialect: Dialect,
    open: bool,
}

impl<DB: Database> Transaction<DB> {
    pub(crate) async fn begin(db: &Db<DB>) -> Result<Self, Error> {
        let mut conn = db.writer().await?;
        conn.begin(AssertSqlSafe(db.begin_sql()).into_sql_str()).await?;
        Ok(Self { conn, dialect: db.dialect(), open: true })
    }

    pub(crate) fn conn(&mut self) -> &mut DB::Connection {
        &mut self.conn
    }

    /// Fails unless this very transaction is open and can be committed.
    pub(crate) async fn prove(&mut self) -> Result<(), Error> {
        store::prove::<DB>(&mut self.conn, self.dialect).await
    }

    pub(crate) async fn commit(mut self) -> Result<(), Error> {
        self.prove().await?;
        self.commit_proved().await
    }

    /// Commits. The statement before this one proved that the transaction is alive.
    ///
    /// On SQLite the handler may have committed it: the mark is still there then.
    pub(crate) async fn commit_proved(mut self) -> Result<(), Error> {
        DB::TransactionManager::commit(&mut self.conn).await.map_err(|error| {
            if failure::is_no_transaction(&error, self.dialect) { Error::Ended } else { error.into() }
        })?;
        self.open = false;
        Ok(())
    }

    pub(crate) async fn rollback(mut self) -> Result<(), sqlx::Error> {
        DB::TransactionManager::rollback(&mut self.conn).await?;
        self.open = false;
        Ok(())
    }
}

impl<DB: Database> Drop for Transaction<DB> {
    fn drop(&mut self) {
        if self.open {
            DB::TransactionManager::start_rollback(&mut self.conn);
        }
    }
}
