//! The streams and consumers that a deployment needs, as data.

use std::time::Duration;

use crate::Error;

/// The stream of all events and of redrives.
pub const EVENTS: &str = "EVENTS";
/// What [`EVENTS`] captures.
pub const EVENTS_SUBJECTS: [&str; 2] = ["events.>", "redrive.>"];
/// The stream of events that a reaction gave up on.
pub const DEAD_LETTERS: &str = "DEAD_LETTERS";
/// What [`DEAD_LETTERS`] captures.
pub const DEAD_LETTERS_SUBJECTS: [&str; 1] = ["dead.>"];
/// The stream of what operators did, and why. Only their tools create it and write to it.
pub const AUDIT: &str = "AUDIT";
/// What [`AUDIT`] captures.
pub const AUDIT_SUBJECTS: [&str; 1] = ["audit.>"];
/// The key-value bucket of the services' declarations, by service.
pub const DECLARATIONS: &str = "PAVANE_MANIFESTS";
/// The stream behind [`DECLARATIONS`].
pub const DECLARATIONS_STREAM: &str = "KV_PAVANE_MANIFESTS";

/// The subject of [`Bus::wake`](crate::Bus::wake): core NATS, in no stream.
pub fn wake_subject(service: &str) -> String {
    format!("wake.{service}")
}

/// The stream that stores what is published to a subject; `None` when no stream does, or when nothing can be published to it.
pub fn stream_of(subject: &str) -> Option<&'static str> {
    let publishable =
        |token: &str| !token.is_empty() && token != "*" && token != ">" && !token.contains(char::is_whitespace);
    if !subject.split('.').all(publishable) {
        return None;
    }
    let takes = |filters: &[&str]| filters.iter().any(|filter| matches(filter, subject));
    if takes(&EVENTS_SUBJECTS) {
        Some(EVENTS)
    } else if takes(&DEAD_LETTERS_SUBJECTS) {
        Some(DEAD_LETTERS)
    } else if takes(&AUDIT_SUBJECTS) {
        Some(AUDIT)
    } else {
        None
    }
}

/// Whether a filter with NATS wildcards (`*` for one token, `>` for one or more at the end) matches a subject.
pub fn matches(filter: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in filter.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// The settings of the streams. Both are file-stored with limits retention. When full they refuse new messages rather than drop
/// old ones: the outbox is the back-pressure.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Topology {
    /// Replicas of each stream: 1, 3 or 5. Default 1.
    pub replicas: usize,
    /// How long an event is kept. Default 7 days. The inbox must remember longer than this.
    pub max_age: Duration,
    /// How long a dead letter is kept. Default 30 days.
    pub dead_letter_max_age: Duration,
    /// How long the stream recognises a message id. Default 2 minutes; it protects the relay's retries and nothing else.
    pub duplicate_window: Duration,
    /// Size limit of the events stream in bytes; `None` for the server's own limit. Some accounts require a limit for each
    /// stream: if this one is set, the small streams that Pavane creates get one, too.
    pub max_bytes: Option<u64>,
    /// Size limit of the dead letters' stream in bytes; `None` for the server's own limit.
    pub dead_letter_max_bytes: Option<u64>,
}

impl Default for Topology {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            replicas: 1,
            max_age: 7 * DAY,
            dead_letter_max_age: 30 * DAY,
            duplicate_window: Duration::from_mins(2),
            max_bytes: None,
            dead_letter_max_bytes: None,
        }
    }
}

/// A durable pull consumer of [`EVENTS`]: explicit acks, from the start of the stream, redelivery without limit (the inbox
/// counts attempts).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// Its durable name. Under another name everything is consumed again.
    pub durable: String,
    /// Its filters.
    pub filter_subjects: Vec<String>,
    /// How long a delivery may stay unsettled before it is delivered again.
    pub ack_wait: Duration,
    /// How many deliveries may be unsettled at once, over all instances.
    pub max_ack_pending: usize,
}

impl ConsumerConfig {
    /// Refuses settings that a server would silently interpret otherwise.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let Self { durable, filter_subjects, ack_wait, max_ack_pending } = self;
        let named = !durable.is_empty() && durable.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !named {
            return Err(Error::Other(format!("the durable name is {durable:?}; use letters, digits, `-` and `_`")));
        }
        if filter_subjects.is_empty() {
            return Err(Error::Other(format!(
                "the consumer {durable} has no filter subject, so it would get everything"
            )));
        }
        if ack_wait.is_zero() || *max_ack_pending == 0 {
            return Err(Error::Other(format!(
                "the consumer {durable} has the ack wait {ack_wait:?} and max_ack_pending {max_ack_pending}; zero would \
                 mean the server's default, say what you want, for example 30 s and 1000"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_in_nats() {
        for (filter, subject, expected) in [
            ("events.>", "events.a", true),
            ("events.>", "events.a.b", true),
            ("events.>", "events", false),
            ("events.*.b", "events.a.b", true),
            ("events.*", "events.a.b", false),
            ("events.a", "events.a", true),
            ("events.a", "events.b", false),
            ("events.a.b", "events.a", false),
        ] {
            assert_eq!(matches(filter, subject), expected, "{filter} {subject}");
        }
    }

    #[test]
    fn each_subject_has_one_stream_or_none() {
        for (subject, expected) in [
            ("events.order.placed.1", Some(EVENTS)),
            ("redrive.order.ship.events.x", Some(EVENTS)),
            ("dead.order.ship.events.x", Some(DEAD_LETTERS)),
            ("audit.discard.order.ship", Some(AUDIT)),
            ("events", None),
            ("wake.order", None),
            ("other.x", None),
            ("events..x", None),
            ("events.*", None),
            ("events.a b", None),
            ("", None),
        ] {
            assert_eq!(stream_of(subject), expected, "{subject}");
        }
    }
}
