//! The `nats` commands with which an operator creates or changes a stream or a consumer as it must be.

use std::time::Duration;

use async_nats::jetstream::stream::Config;

use crate::ConsumerConfig;

/// Creates a stream.
pub(super) fn add_stream(wanted: &Config) -> String {
    format!(
        "nats stream add {} --storage file --retention limits --discard new --replicas {} --allow-direct {} --defaults",
        wanted.name,
        wanted.num_replicas,
        limits(wanted)
    )
}

/// Changes what may change in a stream.
pub(super) fn edit_stream(wanted: &Config) -> String {
    format!("nats stream edit {} {}", wanted.name, limits(wanted))
}

fn limits(wanted: &Config) -> String {
    let max_bytes = if wanted.max_bytes > 0 { format!(" --max-bytes {}", wanted.max_bytes) } else { String::new() };
    format!(
        "--subjects '{}' --max-age {} --dupe-window {}{max_bytes}",
        wanted.subjects.join(","),
        seconds(wanted.max_age),
        seconds(wanted.duplicate_window)
    )
}

/// Creates a consumer.
pub(super) fn add_consumer(stream: &str, wanted: &ConsumerConfig) -> String {
    format!(
        "nats consumer add {stream} {} --pull --deliver all --ack explicit --replay instant --max-deliver=-1 {} --defaults",
        wanted.durable,
        tuning(wanted)
    )
}

/// Changes what may change in a consumer.
pub(super) fn edit_consumer(stream: &str, wanted: &ConsumerConfig) -> String {
    format!("nats consumer edit {stream} {} {}", wanted.durable, tuning(wanted))
}

fn tuning(wanted: &ConsumerConfig) -> String {
    let filters: Vec<_> = wanted.filter_subjects.iter().map(|filter| format!("--filter '{filter}'")).collect();
    format!("{} --wait {} --max-pending {}", filters.join(" "), seconds(wanted.ack_wait), wanted.max_ack_pending)
}

fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs())
}
