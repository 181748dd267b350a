//! Why a pool had no connection in time. It doesn't say: not what its attempts to make one ended with, and not whether it made any.

use std::{io, sync::Arc, time::Duration};

use sqlx::{ConnectOptions as _, Connection, Pool};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::config::redact;
use crate::{Database, Error};

/// Longer than a server that is there takes to let somebody in.
const LONGEST: Duration = Duration::from_secs(2);

type Options<DB> = <<DB as sqlx::Database>::Connection as Connection>::Options;
type Found = Result<(), Arc<sqlx::Error>>;

/// Looks whether the server lets somebody in. Once for all who want to know it: they may be more than it has connections for.
#[derive(Debug, Default)]
pub(crate) struct Look(Mutex<Option<(Instant, Found)>>);

impl Look {
    /// Why `pool` had no connection `within` so long. Finds out in `limit`, or less.
    pub(crate) async fn why<DB: Database>(&self, pool: &Pool<DB>, within: Duration, limit: Duration) -> Error {
        let (size, options) = (pool.options().get_max_connections(), pool.connect_options());
        // Attempts to make a connection count as well. So one that is full isn't exhausted when the server is away.
        let is_full = pool.size() == size && pool.num_idle() == 0;
        let address = redact(options.to_url_lossy().as_str());
        match self.find::<DB>(&options, limit.min(LONGEST)).await {
            Ok(()) if is_full => Error::Exhausted { address, size, within },
            // It is there again.
            Ok(()) => Error::NoConnection { address, within, cause: sqlx::Error::PoolTimedOut.into() },
            Err(cause) => Error::NoConnection { address, within, cause },
        }
    }

    async fn find<DB: Database>(&self, options: &Options<DB>, limit: Duration) -> Found {
        let asked_at = Instant::now();
        let mut last = self.0.lock().await;
        if let Some((found_at, found)) = &*last
            && *found_at > asked_at
        {
            return found.clone();
        }
        let found = reach::<DB>(options, limit).await.map_err(Arc::new);
        *last = Some((Instant::now(), found.clone()));
        found
    }
}

/// Connects once, beside any pool.
pub(super) async fn reach<DB: Database>(options: &Options<DB>, limit: Duration) -> Result<(), sqlx::Error> {
    let connect = async { DB::Connection::connect_with(options).await?.close().await };
    timeout(limit, connect)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit:?}")).into()))
}
