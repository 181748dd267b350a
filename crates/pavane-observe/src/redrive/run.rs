use std::time::Duration;

use pavane_bus::{
    Bus, JetStream,
    dead_letter::{self, Address, REDRIVE},
    topology::DEAD_LETTERS,
};
use pavane_contract::Clock;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{Plan, Preflight};
use crate::{
    Error,
    audit::{self, Because},
    report::{Action, DeadLetter},
};

/// How a plan is run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Most letters in a second. Default 50.
    pub per_second: u32,
    /// Do everything but publish.
    pub dry_run: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { per_second: 50, dry_run: false }
    }
}

/// How far a run has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Progress {
    /// Letters of the plan.
    pub total: usize,
    /// Letters that were redriven (or would have been, in a dry run).
    pub redriven: usize,
    /// Letters that were skipped because of concerns.
    pub skipped: usize,
    /// Letters that could not be redriven.
    pub failed: usize,
    /// Why the last failure happened.
    pub error: Option<String>,
    /// Whether it ended: everything was done, or it was cancelled.
    pub finished: bool,
    /// Whether it was cancelled; the remaining letters are still dead letters.
    pub cancelled: bool,
}

/// Redrives the letters of a plan at a limited rate, until all are done or it is cancelled. `progress` reports how far it has
/// come.
///
/// Dropping it stops it between two letters at the latest: what was published is in the stream, and the rest are still dead
/// letters.
///
/// # Errors
///
/// When the very first decision can't be stored: nothing was done then. A letter that fails later is counted, and the others go
/// on.
pub async fn run(
    bus: &JetStream,
    clock: &dyn Clock,
    (plan, options): (&Plan, &Options),
    because: &Because,
    (progress, cancel): (&watch::Sender<Progress>, &CancellationToken),
) -> Result<Progress, Error> {
    let mut pace = interval(Duration::from_secs(1) / options.per_second.max(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut now = Progress { total: plan.letters.len(), ..Progress::default() };
    if !options.dry_run && plan.go() > 0 {
        audit::prepare(bus).await?;
    }
    for preflight in &plan.letters {
        progress.send_replace(now.clone());
        let Preflight { letter, go, .. } = preflight;
        if !go {
            now.skipped += 1;
            continue;
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => {
                now.cancelled = true;
                break;
            }
            _ = pace.tick() => {}
        }
        if options.dry_run {
            now.redriven += 1;
            continue;
        }
        match redrive(bus, clock, letter, because).await {
            Ok(()) => now.redriven += 1,
            Err(error) => {
                tracing::warn!(dead_letter = letter.sequence, %error, "failed to redrive a dead letter");
                now.failed += 1;
                now.error = Some(error.to_string());
            }
        }
    }
    now.finished = true;
    progress.send_replace(now.clone());
    Ok(now)
}

/// The decision first: no action without its record.
async fn redrive(bus: &JetStream, clock: &dyn Clock, letter: &DeadLetter, because: &Because) -> Result<(), Error> {
    let stored = bus.stored(DEAD_LETTERS, letter.sequence).await?.ok_or(Error::NoDeadLetter(letter.sequence))?;
    let address = Address::of_letter(&stored.message.subject).ok_or(Error::NoDeadLetter(letter.sequence))?;
    let decision = audit::about(clock, Action::Redrive, letter, because);
    audit::publish(bus, &decision).await?;
    let outgoing = dead_letter::redrive(address, letter.sequence, format!("{REDRIVE}-{}", decision.id));
    match bus.publish(vec![outgoing]).await.into_iter().next() {
        Some(Ok(receipt)) if !receipt.duplicate => Ok(()),
        Some(Ok(_)) => Err(Error::NotRedriven("the server took it for a duplicate".to_owned())),
        Some(Err(error)) => Err(Error::NotRedriven(error.to_string())),
        None => Err(Error::NotRedriven("it was not published".to_owned())),
    }
}
