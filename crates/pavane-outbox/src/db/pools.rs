//! The connections of a database.

use sqlx::{Pool, pool::PoolOptions};

use super::{Config, config::redact, look::reach};
use crate::{Database, Error, store as tables};

fn options<DB: Database>(config: &Config, connections: u32) -> PoolOptions<DB> {
    // No ping on acquire: it would cost a round trip for each transaction. A dead connection is an infrastructure failure,
    // which is retried anyway.
    PoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(config.acquire_timeout.min(config.answer_timeout))
        .test_before_acquire(false)
}

/// Opens connections to PostgreSQL.
pub(super) async fn postgres<DB: Database>(config: &Config) -> Result<Pool<DB>, Error> {
    let opened = options(config, config.connections).connect(&config.url).await;
    if !matches!(opened, Err(sqlx::Error::PoolTimedOut)) {
        return Ok(opened?);
    }
    // The pool tried again and again, and doesn't say what that ended with.
    let within = config.acquire_timeout.min(config.answer_timeout);
    match reach::<DB>(&config.url.parse()?, within).await {
        Ok(()) => Ok(options(config, config.connections).connect(&config.url).await?),
        Err(cause) => Err(Error::NoConnection { address: redact(&config.url), within, cause: cause.into() }),
    }
}

pub(super) async fn sqlite<DB: Database>(config: &Config) -> Result<(Pool<DB>, Pool<DB>), sqlx::Error> {
    const PRAGMAS: &str = "pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; \
                           pragma busy_timeout = 10000; pragma temp_store = memory;";
    let in_memory = config.url.contains(":memory:") || config.url.contains("mode=memory");
    let url = match (in_memory, config.url.contains("mode=")) {
        (false, false) if config.url.contains('?') => format!("{}&mode=rwc", config.url),
        (false, false) => format!("{}?mode=rwc", config.url),
        _ => config.url.clone(),
    };
    let open = |connections| {
        options::<DB>(config, connections)
            // A connection to memory *is* the database: it must never be closed for being idle or old.
            .idle_timeout(None)
            .max_lifetime(None)
            .after_connect(|conn, _| {
                Box::pin(async move {
                    DB::script(conn, PRAGMAS).await?;
                    DB::script(conn, tables::MARKER).await
                })
            })
    };
    let writers = open(1).connect(&url).await?;
    let readers = if in_memory { writers.clone() } else { open(4).min_connections(0).connect_lazy(&url)? };
    Ok((writers, readers))
}
