//! The wire format of dead letters and of redriven events: what the inbox writes and operators' tools read.

/// The first token of a dead letter's subject: `dead.<service>.<reaction>.<original subject>`.
pub const DEAD: &str = "dead";
/// The first token of a redriven event's subject: `redrive.<service>.<reaction>.<original subject>`.
pub const REDRIVE: &str = "redrive";

/// What a dead letter's headers say beside the event's own.
pub mod header {
    /// The service that gave up.
    pub const SERVICE: &str = "pavane-dead-service";
    /// The reaction that gave up.
    pub const REACTION: &str = "pavane-dead-reaction";
    /// Why, as one line.
    pub const CAUSE: &str = "pavane-dead-cause";
    /// How often the handler failed.
    pub const ATTEMPTS: &str = "pavane-dead-attempts";
    /// When it failed first, RFC 3339.
    pub const FIRST_FAILED_AT: &str = "pavane-dead-first-failed-at";
    /// When it failed last, RFC 3339.
    pub const LAST_FAILED_AT: &str = "pavane-dead-last-failed-at";
    /// The subject that the event came on.
    pub const SUBJECT: &str = "pavane-dead-subject";
    /// The event's sequence in the events stream.
    pub const SEQUENCE: &str = "pavane-dead-sequence";
    /// How many bytes the event's body had, where the dead letter would not have fitted into a message with it. The body is
    /// in the events stream at [`SEQUENCE`], and in the service's table `pavane_dead_letter`.
    pub const CUT: &str = "pavane-dead-cut";
}
