//! What the test kit needs of a consumer. Not a part of the public interface: it changes without notice.

use std::time::Duration;

use pavane_bus::Bus;
use pavane_outbox::Database;

use crate::{Consumer, consumer::Error};

/// Takes up to `batch_max` events that are there now, and handles and settles as many as may share a run, before it returns. It
/// is [`Consumer::turn`] without waiting and without tasks, for a test or a simulation that decides itself what happens when.
/// Returns how many were handled.
///
/// Dropping the future midway simulates a crash: drop the consumer too then.
///
/// # Errors
///
/// When the durable consumer is gone for good.
pub async fn turn_now<S, DB, B>(consumer: &mut Consumer<S, DB, B>, batch_max: usize) -> Result<usize, Error>
where
    S: Send + Sync + 'static,
    DB: Database,
    B: Bus,
{
    consumer.turn_now(batch_max).await
}

/// How long until a waiting undo is due, for a caller of [`turn_now`]. `None` when there is none: undos whose step is running
/// are due when it ends.
///
/// # Errors
///
/// When the database fails.
pub async fn next_due<S, DB, B>(consumer: &Consumer<S, DB, B>) -> Result<Option<Duration>, pavane_outbox::Error>
where
    S: Send + Sync + 'static,
    DB: Database,
    B: Bus,
{
    consumer.next_due().await
}
