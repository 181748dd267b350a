//! All SQL of test databases.

use pavane::database::{Database, Db};
use pavane_contract::Clock;
use sqlx::{AssertSqlSafe, Connection as _, Error, PgConnection};

/// Makes PostgreSQL go by the clock of the test, which each connection is told when it is taken from its pool: one that nobody told
/// has no time to give.
pub(super) const CLOCK: &str = "create or replace function pavane_now() returns bigint language sql volatile as \
                                $$ select current_setting('pavane.now')::bigint $$";

/// Tells a connection what time it is.
pub(super) async fn set_time<DB: Database>(conn: &mut DB::Connection, clock: &dyn Clock) -> Result<(), Error> {
    let now = clock.now().as_microsecond();
    DB::execute(conn, "select set_config('pavane.now', $1, false)", vec![now.to_string().into()]).await.map(drop)
}

/// Drops some databases of a server, and copies another one.
pub(super) async fn copy(server: &str, template: &str, name: &str, dropped: &[String]) -> Result<(), Error> {
    let mut conn = PgConnection::connect(server).await?;
    // A connection that is still open to one belongs to a test that has ended.
    for old in dropped {
        sqlx::raw_sql(AssertSqlSafe(format!("drop database if exists {old} with (force)"))).execute(&mut conn).await?;
    }
    sqlx::raw_sql(AssertSqlSafe(format!("create database {name} template {template}"))).execute(&mut conn).await?;
    conn.close().await
}

/// Remembers every row and every sequence of a database, for [`reset`].
pub(super) async fn remember<DB: Database>(db: &Db<DB>) -> Result<(), Error> {
    DB::script(&mut *db.writers().acquire().await?, include_str!("remember.sql")).await
}

/// Brings back what was remembered. `false` when something else than rows was changed since.
pub(super) async fn reset<DB: Database>(db: &Db<DB>) -> Result<bool, Error> {
    let mut conn = db.writers().acquire().await?;
    let rows = DB::fetch(&mut conn, "select public.pavane_test_reset()", Vec::new()).await?;
    Ok(rows.first().map(|row| DB::int(row, 0)).transpose()?.flatten() == Some(1))
}
