#[cfg(feature = "any")]
mod any;
mod arg;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::future::Future;

pub use arg::{Arg, Values};
use sqlx::{
    Pool,
    migrate::{MigrateError, Migrator},
};

/// Which dialect of SQL a database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a third dialect would touch every statement")]
pub enum Dialect {
    /// PostgreSQL 13 or newer.
    Postgres,
    /// SQLite 3.41 or newer.
    Sqlite,
}

/// One statement in both dialects. Placeholders are `$1`, `$2`, …
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "written out as a literal in store.rs files")]
pub struct Statement {
    /// For PostgreSQL.
    pub postgres: &'static str,
    /// For SQLite.
    pub sqlite: &'static str,
}

impl Statement {
    /// A statement that reads the same in both.
    pub const fn same(sql: &'static str) -> Self {
        Self { postgres: sql, sqlite: sql }
    }

    /// The text for one dialect.
    pub const fn on(self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Postgres => self.postgres,
            Dialect::Sqlite => self.sqlite,
        }
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {}
}

/// A database that Pavane runs on: PostgreSQL, SQLite, or either of them chosen at run time (`sqlx::Any`).
///
/// Sealed. The framework's own SQL goes through it, so that one text per dialect serves all three drivers. Your own SQL uses
/// sqlx directly, on [`Tx::conn`](crate::Tx::conn).
pub trait Database: sqlx::Database + sealed::Sealed {
    /// The dialect of the database at a URL; `None` where this database can't open it.
    fn dialect(url: &str) -> Option<Dialect>;

    /// Runs a statement and returns how many rows it touched.
    fn execute(
        conn: &mut Self::Connection,
        sql: &'static str,
        args: Vec<Arg>,
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;

    /// Runs a statement and returns its rows.
    fn fetch(
        conn: &mut Self::Connection,
        sql: &'static str,
        args: Vec<Arg>,
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;

    /// Runs a script of statements without placeholders.
    fn script(conn: &mut Self::Connection, sql: &'static str) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Runs the migrations that are missing. Where none is, this only reads, and needs no right to create tables.
    fn migrate(pool: &Pool<Self>, migrator: &Migrator) -> impl Future<Output = Result<(), MigrateError>> + Send;

    /// Column `index` of a row, as text; `None` for null.
    ///
    /// # Errors
    ///
    /// When there is no such column, or it holds something else.
    fn text(row: &Self::Row, index: usize) -> Result<Option<String>, sqlx::Error>;

    /// Column `index` of a row, as an integer; `None` for null.
    ///
    /// # Errors
    ///
    /// When there is no such column, or it holds something else.
    fn int(row: &Self::Row, index: usize) -> Result<Option<i64>, sqlx::Error>;

    /// Column `index` of a row, as bytes; `None` for null.
    ///
    /// # Errors
    ///
    /// When there is no such column, or it holds something else.
    fn bytes(row: &Self::Row, index: usize) -> Result<Option<Vec<u8>>, sqlx::Error>;
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
macro_rules! database {
    ($db:ty, $dialect:expr, $add:path) => {
        impl sealed::Sealed for $db {}

        impl Database for $db {
            fn dialect(url: &str) -> Option<Dialect> {
                $dialect(url)
            }

            async fn execute(
                conn: &mut Self::Connection,
                sql: &'static str,
                args: Vec<Arg>,
            ) -> Result<u64, sqlx::Error> {
                let args = arg::encode::<$db>(conn, args, $add)?;
                Ok(sqlx::query_with::<$db, _>(sql, args).execute(conn).await?.rows_affected())
            }

            async fn fetch(
                conn: &mut Self::Connection,
                sql: &'static str,
                args: Vec<Arg>,
            ) -> Result<Vec<Self::Row>, sqlx::Error> {
                let args = arg::encode::<$db>(conn, args, $add)?;
                sqlx::query_with::<$db, _>(sql, args).fetch_all(conn).await
            }

            async fn script(conn: &mut Self::Connection, sql: &'static str) -> Result<(), sqlx::Error> {
                sqlx::raw_sql(sql).execute(conn).await.map(drop)
            }

            async fn migrate(pool: &Pool<Self>, migrator: &Migrator) -> Result<(), MigrateError> {
                if is_up_to_date(&mut *pool.acquire().await?, migrator).await {
                    return Ok(());
                }
                migrator.run(pool).await
            }

            fn text(row: &Self::Row, index: usize) -> Result<Option<String>, sqlx::Error> {
                sqlx::Row::try_get(row, index)
            }

            fn int(row: &Self::Row, index: usize) -> Result<Option<i64>, sqlx::Error> {
                sqlx::Row::try_get(row, index)
            }

            fn bytes(row: &Self::Row, index: usize) -> Result<Option<Vec<u8>>, sqlx::Error> {
                sqlx::Row::try_get(row, index)
            }
        }
    };
}

#[cfg(feature = "postgres")]
database!(sqlx::Postgres, is_postgres, postgres::add);
#[cfg(feature = "sqlite")]
database!(sqlx::Sqlite, is_sqlite, sqlite::add);
#[cfg(feature = "any")]
database!(sqlx::Any, |url| is_postgres(url).or_else(|| is_sqlite(url)), any::add);

/// Whether exactly these migrations have run.
///
/// The migrator creates its table first, even where it exists, and PostgreSQL then asks for the right to create one.
/// Where this can't be read, the migrator runs and reports the error.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
async fn is_up_to_date<C: sqlx::migrate::Migrate>(conn: &mut C, migrator: &Migrator) -> bool {
    let (Ok(None), Ok(applied)) =
        (conn.dirty_version(&migrator.table_name).await, conn.list_applied_migrations(&migrator.table_name).await)
    else {
        return false;
    };
    let wanted = migrator.iter().filter(|migration| !migration.migration_type.is_down_migration());
    let applied = applied.iter().map(|migration| (migration.version, &migration.checksum));
    applied.eq(wanted.map(|migration| (migration.version, &migration.checksum)))
}

#[cfg(feature = "postgres")]
fn is_postgres(url: &str) -> Option<Dialect> {
    (url.starts_with("postgres://") || url.starts_with("postgresql://")).then_some(Dialect::Postgres)
}

#[cfg(feature = "sqlite")]
fn is_sqlite(url: &str) -> Option<Dialect> {
    url.starts_with("sqlite:").then_some(Dialect::Sqlite)
}
