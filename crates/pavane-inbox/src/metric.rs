//! Names of the inbox's metrics.

/// Counter: events by `service`, `reaction` and `outcome` (`handled`, `duplicate`, `skipped`).
pub(crate) const HANDLED: &str = "pavane_events_handled_total";
/// Counter: failed attempts by `service` and `reaction`.
pub(crate) const RETRIES: &str = "pavane_retries_total";
/// Counter: events given up on by `service` and `reaction`.
pub(crate) const DEAD_LETTERS: &str = "pavane_dead_letters_total";
/// Histogram: seconds from the start of a run to its settling, by `service` and `reaction`.
pub(crate) const HANDLER_SECONDS: &str = "pavane_handler_seconds";
