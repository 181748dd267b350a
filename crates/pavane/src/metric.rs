//! Names of the metrics that are read from the database.

use pavane_inbox::WaitingUndos;
use pavane_outbox::Backlog;

/// Gauge: events that wait in the outbox to be published, by `service`.
const OUTBOX_UNSENT: &str = "pavane_outbox_unsent";
/// Gauge: seconds that the oldest of them has waited, by `service`.
const OUTBOX_AGE: &str = "pavane_outbox_oldest_seconds";
/// Gauge: events that the broker refused, by `service`.
const OUTBOX_REFUSED: &str = "pavane_outbox_refused";
/// Gauge: events whose time has not come, by `service`.
const TIMERS: &str = "pavane_timers";

/// Gauge: undos that wait in the database for their step to end, or for another undo, by `service`.
const UNDOS_WAITING: &str = "pavane_undos_waiting";
/// Gauge: seconds that the oldest of them has waited, by `service`.
const UNDOS_AGE: &str = "pavane_undos_oldest_seconds";

/// Describes all metrics of a service to the process's recorder. A metric that isn't described has no help text.
pub(crate) fn describe() {
    pavane_bus::metric::describe();
    pavane_outbox::metric::describe();
    pavane_inbox::metric::describe();
    metrics::describe_gauge!(OUTBOX_UNSENT, "Events in the outbox that wait to be published.");
    metrics::describe_gauge!(OUTBOX_AGE, "Seconds that the oldest of them has waited.");
    metrics::describe_gauge!(OUTBOX_REFUSED, "Events in the outbox that the NATS server refused for good.");
    metrics::describe_gauge!(TIMERS, "Scheduled events whose time has not come.");
    metrics::describe_gauge!(UNDOS_WAITING, "Undos in the database that wait for their step, or for another undo.");
    metrics::describe_gauge!(UNDOS_AGE, "Seconds that the oldest of them has waited.");
}

/// Records what waits in a service's database at `now`, in microseconds since the Unix epoch.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
pub(crate) fn record_waiting(service: &str, (backlog, undos): (&Backlog, &WaitingUndos), now: i64) {
    let age = backlog.oldest.map_or(0, |oldest| now.saturating_sub(oldest).max(0));
    for (name, value) in [
        (OUTBOX_UNSENT, backlog.unsent as f64),
        (OUTBOX_AGE, age as f64 / 1e6),
        (OUTBOX_REFUSED, backlog.refused as f64),
        (TIMERS, backlog.scheduled as f64),
        (UNDOS_WAITING, undos.count as f64),
        (UNDOS_AGE, undos.longest.as_secs_f64()),
    ] {
        metrics::gauge!(name, "service" => service.to_owned()).set(value);
    }
}
