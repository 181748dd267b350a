//! The names of the metrics that the bus records.

/// Counter: connections made again after a loss.
pub const RECONNECTS: &str = "pavane_bus_reconnects_total";
/// Counter: messages that the client dropped because nobody took them. It should stay at zero.
pub const SLOW_CONSUMERS: &str = "pavane_bus_slow_consumer_drops_total";
/// Counter: messages published, by [`RESULT`].
pub const PUBLISHED: &str = "pavane_bus_published_total";
/// Label of [`PUBLISHED`]: `stored`, `duplicate`, `unavailable`, `denied` or `refused`.
pub const RESULT: &str = "result";

/// Describes the metrics to the process's recorder. A metric that isn't described has no help text.
pub fn describe() {
    metrics::describe_counter!(RECONNECTS, "Connections to the NATS server made again after a loss.");
    metrics::describe_counter!(SLOW_CONSUMERS, "Messages that the NATS client dropped because nothing took them.");
    metrics::describe_counter!(PUBLISHED, "Publishes to the NATS server, by result.");
}
