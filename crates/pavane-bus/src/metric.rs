//! The names of the metrics that the bus records.

/// Counter: connections made again after a loss.
pub const RECONNECTS: &str = "pavane_bus_reconnects_total";
/// Counter: messages that the client had to drop because nobody took them. Should stay at zero.
pub const SLOW_CONSUMERS: &str = "pavane_bus_slow_consumer_drops_total";
/// Counter: messages published, by [`OUTCOME`].
pub const PUBLISHED: &str = "pavane_bus_published_total";
/// Label of [`PUBLISHED`]: `stored`, `duplicate`, `unavailable` or `refused`.
pub const OUTCOME: &str = "outcome";
