//! How the test kit steps a consumer by hand. Not a part of the public interface: it changes without notice.

use std::time::Duration;

use pavane_bus::Bus;
use pavane_outbox::Database;

use crate::{Consumer, consumer::Error};

/// Takes up to `batch_max` events that are there now, and handles and settles as many of them as may share a run, to the end and in
/// this very call: [`Consumer::turn`] without waiting and without tasks, for a test or a simulation that decides itself what
/// happens when. Returns how many were handled.
///
/// Dropping it midway is a crash: drop the consumer too then.
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

/// How long until an undo is due that waited for its step, for a caller of [`turn_now`]. `None` when none is: those whose step is
/// running are due when it ends.
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
