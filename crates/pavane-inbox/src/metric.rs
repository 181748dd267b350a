//! Names of the inbox's metrics.

/// Counter: events by `service`, `reaction` and `result` (`handled`, `duplicate`, `skipped`).
pub const HANDLED: &str = "pavane_events_handled_total";
/// Counter: failed attempts by `service` and `reaction`.
pub const RETRIES: &str = "pavane_retries_total";
/// Counter: events given up on by `service` and `reaction`.
pub const DEAD_LETTERS: &str = "pavane_dead_letters_total";
/// Gauge: dead letters that wait in the database to be published, by `service`.
pub const DEAD_LETTERS_WAITING: &str = "pavane_dead_letters_waiting";
/// Gauge: events that expired in the stream before the reaction read them, at most, by `service` and `reaction`; reported for a
/// week.
pub const EXPIRED_UNREAD: &str = "pavane_expired_unread";
/// Histogram: seconds from the start of a run to its settling, by `service` and `reaction`.
pub const HANDLER_SECONDS: &str = "pavane_handler_seconds";
/// The upper bounds of its buckets in seconds: from a local transaction to twice the ack wait.
pub const HANDLER_SECONDS_BUCKETS: [f64; 13] =
    [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0];

/// Describes the metrics to the process's recorder. A metric that isn't described has no help text.
pub fn describe() {
    metrics::describe_counter!(HANDLED, "Events that a reaction is done with, by settlement.");
    metrics::describe_counter!(RETRIES, "Failed attempts to handle an event.");
    metrics::describe_counter!(DEAD_LETTERS, "Events that a reaction gave up on.");
    metrics::describe_gauge!(DEAD_LETTERS_WAITING, "Dead letters in the database that wait to be published.");
    metrics::describe_gauge!(
        EXPIRED_UNREAD,
        "Events that expired before the reaction read them, at most; reported for a week."
    );
    metrics::describe_histogram!(HANDLER_SECONDS, "Seconds from the start of a reaction's run to its settling.");
}
