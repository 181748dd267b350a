use std::collections::VecDeque;

use async_nats::{Event, ServerError};
use tokio::sync::watch;

/// How many permission violations are remembered. They arrive apart from the request that they belong to.
const VIOLATIONS_KEPT: usize = 64;

/// What the connection's events reported so far. Requests watch it, so that they fail at once and with the true reason instead
/// of timing out.
#[derive(Debug)]
pub(super) struct Link {
    url: String,
    inbox_prefix: String,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    connects: u64,
    /// Losses are counted, because the client may drop an event: a flag would then stay wrong.
    losses: u64,
    violations: u64,
    recent: VecDeque<Violation>,
    /// Set when the server forbids the subject of answers. It says so once per connection, and from then on no request is ever
    /// answered.
    answers_denied: Option<String>,
}

#[derive(Debug)]
struct Violation {
    number: u64,
    subject: String,
    /// The server's own words.
    text: String,
}

/// A moment in the life of the link, to tell later trouble from earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    losses: u64,
    violations: u64,
}

/// Why an answer will not come.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection was lost since the mark.
    Lost,
    /// The server forbids it; its own words.
    Denied(String),
}

impl From<Trouble> for crate::Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Lost => Self::Unavailable("the connection was lost before the answer came".to_owned()),
            Trouble::Denied(text) => Self::Denied(text),
        }
    }
}

impl Link {
    pub(super) fn new(url: String, inbox_prefix: String) -> Self {
        Self { url, inbox_prefix, state: watch::Sender::default() }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn inbox_prefix(&self) -> &str {
        &self.inbox_prefix
    }

    /// Records an event of the client. Never waits: the client drops events that nobody takes.
    pub(super) fn record(&self, event: &Event) {
        match event {
            Event::Connected => {
                tracing::info!(url = self.url, "connected to the bus");
                self.state.send_modify(|state| {
                    state.connects += 1;
                    state.answers_denied = None;
                });
                if self.reconnects() > 0 {
                    metrics::counter!(crate::metric::RECONNECTS).increment(1);
                }
            }
            Event::Disconnected => {
                tracing::warn!(url = self.url, "lost the connection to the bus; trying to connect again");
                self.state.send_modify(|state| state.losses += 1);
            }
            Event::Closed => self.state.send_modify(|state| {
                state.losses += 1;
                state.closed = true;
            }),
            Event::SlowConsumer(subscription) => {
                tracing::error!(subscription, "the client dropped messages; they come back after the ack wait");
                metrics::counter!(crate::metric::SLOW_CONSUMERS).increment(1);
            }
            Event::ServerError(ServerError::Other(text)) => self.record_violation(text),
            Event::LameDuckMode
            | Event::Draining
            | Event::ServerError(ServerError::AuthorizationViolation | ServerError::SlowConsumer(_))
            | Event::ClientError(_) => tracing::debug!(%event, "bus event"),
        }
    }

    fn record_violation(&self, text: &str) {
        let Some(subject) = violated_subject(text) else {
            tracing::warn!(error = text, "the bus reports an error");
            return;
        };
        tracing::error!(subject, "the bus forbids a subject: grant it to this service's user");
        self.state.send_modify(|state| {
            if subject.starts_with(&self.inbox_prefix) {
                state.answers_denied = Some(text.to_owned());
            }
            state.violations += 1;
            let number = state.violations;
            state.recent.push_back(Violation { number, subject: subject.to_owned(), text: text.to_owned() });
            if state.recent.len() > VIOLATIONS_KEPT {
                state.recent.pop_front();
            }
        });
    }

    pub(super) fn mark(&self) -> Mark {
        let state = self.state.borrow();
        Mark { losses: state.losses, violations: state.violations }
    }

    pub(super) fn reconnects(&self) -> u64 {
        self.state.borrow().connects.saturating_sub(1)
    }

    /// Why something sent after `since` that used one of `subjects` will get no answer, if that is known.
    pub(super) fn trouble(&self, since: Mark, subjects: &[&str]) -> Option<Trouble> {
        self.state.borrow().trouble(since, subjects)
    }

    /// Waits for such trouble. Cancel-safe.
    pub(super) async fn troubled(&self, since: Mark, subjects: &[&str]) -> Trouble {
        let mut state = self.state.subscribe();
        loop {
            if let Some(trouble) = state.borrow_and_update().trouble(since, subjects) {
                return trouble;
            }
            // The sender lives in `self`, so this can't fail; if it did, the link would be gone.
            if state.changed().await.is_err() {
                return Trouble::Lost;
            }
        }
    }

    /// Whether the client has closed the connection for good.
    pub(super) fn is_closed(&self) -> bool {
        self.state.borrow().closed
    }

    /// Waits until the client has closed the connection for good. Cancel-safe.
    pub(super) async fn closed(&self) {
        // An error means that the sender is gone, and it lives in `self`.
        drop(self.state.subscribe().wait_for(|state| state.closed).await);
    }
}

impl State {
    fn trouble(&self, since: Mark, subjects: &[&str]) -> Option<Trouble> {
        if let Some(text) = &self.answers_denied {
            return Some(Trouble::Denied(text.clone()));
        }
        let mut later = self.recent.iter().filter(|violation| violation.number > since.violations);
        if let Some(violation) = later.find(|violation| subjects.contains(&violation.subject.as_str())) {
            return Some(Trouble::Denied(violation.text.clone()));
        }
        (self.losses != since.losses).then_some(Trouble::Lost)
    }
}

/// The subject of `Permissions Violation for Publish to "events.x"`, or of its twin for subscriptions.
fn violated_subject(text: &str) -> Option<&str> {
    if !text.to_ascii_lowercase().contains("permissions violation") {
        return None;
    }
    let (_, quoted) = text.split_once('"')?;
    quoted.split_once('"').map(|(subject, _)| subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(subject: &str) -> Event {
        Event::ServerError(ServerError::Other(format!("Permissions Violation for Publish to \"{subject}\"")))
    }

    #[test]
    fn a_violation_belongs_to_later_requests_on_its_subject_only() {
        let link = Link::new("nats://x".to_owned(), "_INBOX_x".to_owned());
        link.record(&Event::Connected);
        let before = link.mark();
        assert!(link.trouble(before, &["events.a"]).is_none());
        link.record(&denied("events.a"));
        assert!(
            matches!(link.trouble(before, &["events.a"]), Some(Trouble::Denied(text)) if text.contains("events.a"))
        );
        assert!(link.trouble(before, &["events.b"]).is_none());
        assert!(link.trouble(link.mark(), &["events.a"]).is_none());
    }

    #[test]
    fn a_connection_made_anew_is_a_loss_for_what_was_sent_before() {
        let link = Link::new("nats://x".to_owned(), "_INBOX_x".to_owned());
        link.record(&Event::Connected);
        let before = link.mark();
        link.record(&Event::Disconnected);
        assert!(matches!(link.trouble(before, &[]), Some(Trouble::Lost)));
        link.record(&Event::Connected);
        assert!(matches!(link.trouble(before, &[]), Some(Trouble::Lost)));
        assert!(link.trouble(link.mark(), &[]).is_none());
        assert_eq!(link.reconnects(), 1);
    }
}
