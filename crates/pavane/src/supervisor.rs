//! Keeps consumers running, and says what the service is.

use std::time::Duration;

use pavane_bus::{Bus, Topology};
use pavane_choreography::Declaration;
use pavane_inbox::{Consumer, dead_letter::Publisher};
use pavane_outbox::Database;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

/// Steps a consumer until it is told to stop, opening it anew when it fails; then drains it.
pub(crate) async fn consume<S: Send + Sync + 'static, DB: Database, B: Bus>(
    mut consumer: Consumer<S, DB, B>,
    stop: CancellationToken,
    patience: Duration,
) {
    loop {
        let failure = tokio::select! {
            biased;
            () = stop.cancelled() => {
                if let Err(error) = consumer.drain(patience).await {
                    warn!(%error, "failed to close a consumer; some events come again and are skipped");
                }
                return;
            }
            error = run(&mut consumer) => error,
        };
        error!(reaction = consumer.name(), error = %failure, "failed to consume events; opening the consumer anew");
        if !reopen(&mut consumer, &stop).await {
            return;
        }
    }
}

async fn run<S: Send + Sync + 'static, DB: Database, B: Bus>(
    consumer: &mut Consumer<S, DB, B>,
) -> pavane_inbox::consumer::Error {
    loop {
        if let Err(error) = consumer.step().await {
            return error;
        }
    }
}

/// Opens a consumer again, however long that takes. `false` when told to stop meanwhile.
async fn reopen<S: Send + Sync + 'static, DB: Database, B: Bus>(
    consumer: &mut Consumer<S, DB, B>,
    stop: &CancellationToken,
) -> bool {
    let mut pause = Duration::from_millis(100);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(pause) => {}
        }
        match consumer.reopen().await {
            Ok(()) => return true,
            Err(error) => warn!(reaction = consumer.name(), %error, "still failed to open a consumer"),
        }
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// Publishes dead letters until it is told to stop. Those that are left are published after the next start.
pub(crate) async fn publish_dead_letters<DB: Database, B: Bus>(
    mut publisher: Publisher<DB, B>,
    stop: CancellationToken,
) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = publisher.run() => {}
    }
}

/// Leaves the service's declaration at the bus. Nothing that the service does depends on it, so a failure is told once
/// and tried again for as long as the service runs.
pub(crate) async fn declare<B: Bus>(bus: B, declaration: Declaration, topology: Topology, stop: CancellationToken) {
    const PAUSE_MAX: Duration = Duration::from_mins(1);
    let service = &declaration.manifest.service;
    let json = match serde_json::to_vec(&declaration) {
        Ok(json) => bytes::Bytes::from(json),
        Err(error) => {
            return warn!(service, %error, "the service's declaration can't be written; monitors won't know it");
        }
    };
    let mut pause = Duration::from_secs(1);
    let mut told = false;
    loop {
        let declared = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            declared = bus.declare(&topology, service, json.clone()) => declared,
        };
        match declared {
            Ok(()) => return debug!(service, "declared"),
            Err(error) if told => debug!(service, %error, "still failed to declare the service"),
            Err(error) => {
                warn!(service, %error, "failed to declare the service; monitors don't know it until this works");
            }
        }
        told = true;
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
