//! What is said to the two servers in SQL.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::{self, Instant};

use crate::servers::postgres::ROLE;
use crate::servers::{Error, Postgres, leash};

const LIMIT: Duration = Duration::from_mins(1);
/// The database that each server has.
const DATABASE: &str = "postgres";
/// What a standby calls itself. The connection that copies a server streams, too, and has another name.
const STREAMS: &str = "select exists \
    (select from pg_stat_replication where application_name = 'walreceiver' and state = 'streaming')";
const IS_WAITED_FOR: &str = "select exists \
    (select from pg_stat_replication where application_name = 'walreceiver' and sync_state = 'sync')";

/// Waits until a standby receives all that the primary does.
pub(super) async fn streams(primary: &Postgres) -> Result<(), Error> {
    wait_for(primary, "followed by its standby", STREAMS).await
}

/// Has each commit that begins after this wait for the standby.
pub(super) async fn make_synchronous(primary: &Postgres) -> Result<(), Error> {
    run(primary, "alter system set synchronous_standby_names = 'walreceiver'").await?;
    run(primary, "select pg_reload_conf()").await?;
    wait_for(primary, "waiting for its standby", IS_WAITED_FOR).await?;
    // The process that answers has read the new setting, but commits wait only since the checkpointer has: it reads it before it
    // makes a checkpoint.
    run(primary, "checkpoint").await
}

/// Has the server wait for nobody and follow the one at `port` after its next start. Until then nothing changes.
pub(super) async fn will_follow(server: &Postgres, port: u16) -> Result<(), Error> {
    run(server, "alter system reset synchronous_standby_names").await?;
    run(server, &format!("alter system set primary_conninfo = 'host=127.0.0.1 port={port} user={ROLE}'")).await
}

/// Makes the standby a primary. It waits for nobody: when it was copied, its primary did not either.
pub(super) async fn promote(standby: &Postgres) -> Result<(), Error> {
    run(standby, "select pg_promote(false)").await?;
    wait_for(standby, "promoted", "select not pg_is_in_recovery()").await
}

/// Each statement on a connection of its own, which has read the settings that the server has by then.
async fn run(server: &Postgres, sql: &str) -> Result<(), Error> {
    let ran = async {
        let mut connection = PgConnection::connect(&server.url(DATABASE)).await?;
        sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await?;
        connection.close().await
    };
    ran.await.map_err(failed(sql))
}

async fn wait_for(server: &Postgres, awaited: &'static str, sql: &'static str) -> Result<(), Error> {
    let deadline = Instant::now() + LIMIT;
    let connection = PgConnection::connect(&server.url(DATABASE)).await;
    let mut connection = connection.map_err(failed(sql))?;
    while !sqlx::query_scalar(sql).fetch_one(&mut connection).await.map_err(failed(sql))? {
        if Instant::now() >= deadline {
            return Err(Error::TimedOut { name: "postgres".to_owned(), awaited, limit: LIMIT, log: server.log_tail() });
        }
        time::sleep(leash::POLL).await;
    }
    connection.close().await.map_err(failed(sql))
}

/// For `map_err`: says what was asked of the server.
fn failed(sql: &str) -> impl FnOnce(sqlx::Error) -> Error {
    let command = sql.to_owned();
    move |reason| Error::Command { command, output: reason.to_string() }
}
