//! The connections of a database.

use sqlx::{Pool, pool::PoolOptions};

use super::Config;
use crate::{Database, Error, deadline::Distrust, store as tables};

fn options<DB: Database>(config: &Config, connections: u32) -> PoolOptions<DB> {
    // No ping on acquire: it costs a round trip a transaction, and a dead connection shows as an infrastructure failure,
    // which is retried anyway.
    PoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(config.acquire_timeout.min(config.answer_timeout))
        .test_before_acquire(false)
}

/// Opens connections to PostgreSQL, and looks whether they lead to it alone.
pub(super) async fn postgres<DB: Database>(config: &Config, distrusted: Distrust) -> Result<Pool<DB>, Error> {
    let released = distrusted.clone();
    let options = options(config, config.connections)
        .before_acquire(move |_, connection| {
            let trusted = !distrusted.covers(connection.age);
            Box::pin(async move { Ok(trusted) })
        })
        // Closed at once. To look whether it still answers could take for ever.
        .after_release(move |_, connection| {
            let trusted = !released.covers(connection.age);
            Box::pin(async move { Ok(trusted) })
        });
    let pool: Pool<DB> = options.connect(&config.url).await?;
    if config.connections > 1 {
        let (mut one, mut other) = (pool.acquire().await?, pool.acquire().await?);
        tables::look_for_pooler::<DB>(&mut one, &mut other).await?;
    }
    Ok(pool)
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
