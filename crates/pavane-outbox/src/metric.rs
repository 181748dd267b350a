//! Names of the relay's metrics.

/// Counter: events that the broker acknowledged, by `service`.
pub const PUBLISHED: &str = "pavane_events_published_total";
/// Counter: events that the broker refused for good, by `service`.
pub const REFUSED: &str = "pavane_events_refused_total";
/// Counter: acknowledged events that the broker lost, and that were published again, by `service`.
pub const REPUBLISHED: &str = "pavane_events_republished_total";

/// Describes the metrics to the process's recorder. What was not described has no help text.
pub fn describe() {
    metrics::describe_counter!(PUBLISHED, "Events that the NATS server acknowledged to the relay.");
    metrics::describe_counter!(REFUSED, "Events that the NATS server refused for good.");
    metrics::describe_counter!(REPUBLISHED, "Events published again because the NATS server had lost them.");
}
