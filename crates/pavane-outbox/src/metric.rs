//! Names of the relay's metrics.

/// Counter: events that the broker acknowledged, by `service`.
pub const PUBLISHED: &str = "pavane_events_published_total";
/// Counter: events that the broker refused for good, by `service`.
pub const REFUSED: &str = "pavane_events_refused_total";
/// Gauge: 1 while the server's permissions forbid the relay's next event, by `service`.
pub const DENIED: &str = "pavane_relay_denied";
/// Gauge: 1 while more waits in the outbox than its limit allows, by `service`.
pub const OUTBOX_FULL: &str = "pavane_outbox_full";
/// Gauge: seconds that the process's clock is ahead of the reference clock, by `service`.
pub const CLOCK_SKEW: &str = "pavane_clock_skew_seconds";
/// Counter: acknowledged events that the broker lost, and that were published again, by `service`.
pub const REPUBLISHED: &str = "pavane_events_republished_total";

/// Describes the metrics to the process's recorder. A metric that isn't described has no help text.
pub fn describe() {
    metrics::describe_counter!(PUBLISHED, "Events that the NATS server acknowledged to the relay.");
    metrics::describe_counter!(REFUSED, "Events that the NATS server refused for good.");
    metrics::describe_gauge!(DENIED, "1 while permissions forbid what the relay has to publish next.");
    metrics::describe_gauge!(OUTBOX_FULL, "1 while more waits in the outbox than its limit allows.");
    metrics::describe_gauge!(
        CLOCK_SKEW,
        metrics::Unit::Seconds,
        "How far the process's clock is ahead of the database's (on SQLite, of the NATS server's)."
    );
    metrics::describe_counter!(REPUBLISHED, "Events published again because the NATS server had lost them.");
}
