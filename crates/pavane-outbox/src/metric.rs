//! Names of the relay's metrics.

/// Counter: events that the broker acknowledged, by `service`.
pub(crate) const PUBLISHED: &str = "pavane_events_published_total";
/// Counter: events that the broker refused for good, by `service`.
pub(crate) const REFUSED: &str = "pavane_events_refused_total";
/// Counter: acknowledged events that the broker lost, and that were published again, by `service`.
pub(crate) const REPUBLISHED: &str = "pavane_events_republished_total";
