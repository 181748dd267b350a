//! What the broker is told about an event: that it is still being handled, and how it ended.

use std::{future::Future, pin::pin, time::Duration};

use pavane_bus::{Bus, Delivery};
use pavane_outbox::{
    Database,
    internal::{self, CrashPoint},
};
use tracing::debug;

use super::Error;
use crate::{
    Tuning,
    engine::{Arrived, Engine, Run, Settlement},
};

/// Settles each event of a run.
pub(super) async fn settle_all<S, DB: Database, B: Bus>(engine: &Engine<S, DB, B>, batch: Vec<Arrived>, run: Run) {
    for (arrived, settlement) in batch.into_iter().zip(run.settlements) {
        internal::crash_point(&engine.db, CrashPoint::BeforeAck).await;
        settle(arrived.delivery, settlement).await;
        internal::crash_point(&engine.db, CrashPoint::AfterAck).await;
    }
}

/// Fails when an event could be accepted that is too large to be redriven.
pub(crate) fn check_payload_max(bus: &impl Bus, reaction: &str, tuning: &Tuning) -> Result<(), Error> {
    let (payload_max, limit) = (tuning.payload_max, bus.message_max());
    if payload_max >= limit {
        return Err(Error::PayloadMax { reaction: reaction.to_owned(), payload_max, limit });
    }
    Ok(())
}

/// Sends heartbeats for a batch while `work` runs.
pub(crate) async fn alive<T>(ack_wait: Duration, batch: &[Arrived], work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            result = &mut work => return result,
            () = tokio::time::sleep(ack_wait / 3) => {
                for arrived in batch {
                    send_heartbeat(&arrived.delivery).await;
                }
            }
        }
    }
}

/// The one place where a delivery is settled: strictly after the commit, of the handled event or of the dead letter.
pub(crate) async fn settle(delivery: Delivery, settlement: Settlement) {
    let settled = match settlement {
        Settlement::Done => delivery.ack().await,
        Settlement::Again { after } => delivery.retry_after(after).await,
        Settlement::Dead { reason } => delivery.reject(reason).await,
    };
    if let Err(error) = settled {
        // The broker delivers it again, and the inbox skips it.
        debug!(%error, "failed to settle a delivery");
    }
}

pub(super) async fn send_heartbeat(delivery: &Delivery) {
    if let Err(error) = delivery.in_progress().await {
        debug!(%error, "failed to send a heartbeat");
    }
}
