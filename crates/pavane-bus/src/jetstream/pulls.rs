use std::time::Duration;

use async_nats::{Message, StatusCode};
use tokio::time::Instant;

/// How long the server keeps a pull that it can't fill.
pub(super) const EXPIRES: Duration = Duration::from_secs(30);
/// How often the server confirms that a waiting pull is still there.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(5);
/// Silence after which the pulls are taken for dead: two missed heartbeats.
const SILENCE_MAX: Duration = Duration::from_secs(11);
/// Pause after the server could not take a pull.
const RETRY: Duration = Duration::from_millis(500);

/// Header: how many messages of an ended pull were not delivered.
const PENDING_MESSAGES: &str = "Nats-Pending-Messages";
const CONSUMER_DELETED: &str = "Consumer Deleted";
const PUSH_BASED: &str = "Consumer is push based";
/// The beginning of the answer to a pull that exceeds a limit of the consumer's configuration.
const EXCEEDED_LIMIT: &str = "Exceeded MaxRequest";

/// Accounts for the outstanding pulls. Pure: it is given what arrives, and when.
#[derive(Debug)]
pub(super) struct Pulls {
    /// Messages that were requested, have not arrived and were not cancelled by the server.
    wanted: usize,
    /// When the server last sent anything.
    heard: Instant,
    /// The earliest time of the next pull.
    not_before: Instant,
    /// The pulls are dead, or their state is unknown: a new inbox is needed.
    pub(super) stale: bool,
    /// The consumer may not exist any more: ask for it.
    pub(super) suspect: bool,
}

/// What arrived on the inbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    Delivery,
    /// A status about the pulls, which is accounted for.
    Status,
    /// The consumer was deleted.
    Gone,
    /// The consumer can't be pulled from; the server's words.
    Unusable(String),
}

impl Pulls {
    pub(super) fn new(now: Instant) -> Self {
        Self { wanted: 0, heard: now, not_before: now, stale: false, suspect: false }
    }

    /// Whether something may still arrive.
    pub(super) fn waiting(&self) -> bool {
        self.wanted > 0
    }

    pub(super) fn arrived(&mut self, message: &Message, now: Instant) -> Arrival {
        self.heard = now;
        let description = message.description.as_deref().unwrap_or_default();
        match message.status {
            None | Some(StatusCode::OK) => {
                self.wanted = self.wanted.saturating_sub(1);
                return Arrival::Delivery;
            }
            Some(StatusCode::IDLE_HEARTBEAT) => {}
            Some(StatusCode::NO_RESPONDERS) => {
                self.stale = true;
                self.suspect = true;
                self.not_before = now + RETRY;
            }
            Some(_) if description == CONSUMER_DELETED => return Arrival::Gone,
            Some(_) if description == PUSH_BASED || description.starts_with(EXCEEDED_LIMIT) => {
                return Arrival::Unusable(description.to_owned());
            }
            Some(status) => {
                tracing::debug!(%status, description, "a pull ended");
                let unfilled = message.headers.as_ref().and_then(|headers| headers.get(PENDING_MESSAGES));
                match unfilled.and_then(|count| count.as_str().parse::<usize>().ok()) {
                    Some(count) => self.wanted = self.wanted.saturating_sub(count),
                    // It doesn't say which pull ended, and how much of it was open.
                    None => self.stale = true,
                }
                if status != StatusCode::TIMEOUT {
                    self.not_before = now + RETRY;
                }
            }
        }
        Arrival::Status
    }

    /// How many to request, so that `room` are outstanding. Zero while more than half of them are: few pulls, and always one
    /// waiting.
    pub(super) fn missing(&self, room: usize, now: Instant) -> usize {
        let low = self.wanted == 0 || self.wanted.saturating_mul(2) <= room;
        if low && !self.stale && now >= self.not_before { room.saturating_sub(self.wanted) } else { 0 }
    }

    pub(super) fn sent(&mut self, count: usize, now: Instant) {
        if self.wanted == 0 {
            // Until now the server had no reason to send anything.
            self.heard = now;
        }
        self.wanted += count;
    }

    /// Starts again with a new inbox, after all pulls are dead.
    pub(super) fn renewed(&mut self, now: Instant) {
        self.wanted = 0;
        self.heard = now;
        self.stale = false;
    }

    /// Whether the server should have sent something by now.
    pub(super) fn silent(&self, now: Instant) -> bool {
        self.wanted > 0 && now >= self.heard + SILENCE_MAX
    }

    /// When to check again if nothing arrives.
    pub(super) fn wake(&self) -> Instant {
        if self.wanted > 0 && !self.stale { self.heard + SILENCE_MAX } else { self.not_before }
    }
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;

    use super::*;

    fn message(status: Option<StatusCode>, description: &str, pending: Option<usize>) -> Message {
        let headers = pending.map(|pending| {
            let mut headers = HeaderMap::new();
            headers.insert(PENDING_MESSAGES, pending.to_string());
            headers
        });
        Message {
            subject: "_INBOX_x.y".into(),
            reply: None,
            payload: Vec::new().into(),
            headers,
            status,
            description: (!description.is_empty()).then(|| description.to_owned()),
            length: 0,
        }
    }

    fn asked(count: usize) -> (Pulls, Instant) {
        let now = Instant::now();
        let mut pulls = Pulls::new(now);
        pulls.sent(count, now);
        (pulls, now)
    }

    #[test]
    fn asks_for_the_whole_room_and_again_at_half() {
        let (mut pulls, now) = asked(0);
        assert_eq!(pulls.missing(10, now), 10);
        pulls.sent(10, now);
        for left in (6..10).rev() {
            assert_eq!(pulls.arrived(&message(None, "", None), now), Arrival::Delivery);
            assert_eq!(pulls.missing(10, now), 0, "{left} still wanted");
        }
        pulls.arrived(&message(None, "", None), now);
        assert_eq!(pulls.missing(10, now), 5);
        assert_eq!(pulls.missing(5, now), 0, "more than the credits");
        assert_eq!(pulls.missing(3, now), 0, "fewer credits than wanted");
    }

    #[test]
    fn an_expired_pull_frees_what_it_did_not_fill() {
        let (mut pulls, now) = asked(10);
        let expired = message(Some(StatusCode::TIMEOUT), "Request Timeout", Some(4));
        assert_eq!(pulls.arrived(&expired, now), Arrival::Status);
        assert_eq!((pulls.wanted, pulls.stale), (6, false));
        pulls.arrived(&message(Some(StatusCode::TIMEOUT), "Request Timeout", Some(6)), now);
        assert_eq!(pulls.missing(10, now), 10);
    }

    #[test]
    fn an_end_that_tells_no_number_starts_over() {
        let (mut pulls, now) = asked(10);
        pulls.arrived(&message(Some(StatusCode::REQUEST_TERMINATED), "Leadership Change", None), now);
        assert!(pulls.stale);
        assert_eq!(pulls.missing(10, now), 0, "pulled with unknown books");
        pulls.renewed(now);
        assert_eq!(pulls.missing(10, now), 0, "pulled again without a pause");
        assert_eq!(pulls.missing(10, now + RETRY), 10);
    }

    #[test]
    fn no_answer_at_all_raises_a_suspicion_and_pauses() {
        let (mut pulls, now) = asked(10);
        pulls.arrived(&message(Some(StatusCode::NO_RESPONDERS), "", None), now);
        assert!(pulls.stale && pulls.suspect);
        pulls.renewed(now);
        assert_eq!((pulls.missing(10, now), pulls.wake()), (0, now + RETRY));
    }

    #[test]
    fn heartbeats_keep_a_waiting_pull_alive() {
        let (mut pulls, now) = asked(10);
        assert!(!pulls.silent(now + HEARTBEAT * 2));
        assert!(pulls.silent(now + SILENCE_MAX));
        pulls.arrived(&message(Some(StatusCode::IDLE_HEARTBEAT), "Idle Heartbeat", None), now + HEARTBEAT);
        assert!(!pulls.silent(now + SILENCE_MAX));
        assert_eq!(pulls.wanted, 10);
    }

    #[test]
    fn some_ends_are_final() {
        let (mut pulls, now) = asked(1);
        let ended = |description| message(Some(StatusCode::REQUEST_TERMINATED), description, None);
        assert_eq!(pulls.arrived(&ended(CONSUMER_DELETED), now), Arrival::Gone);
        let exceeded = "Exceeded MaxRequestBatch of 10";
        assert_eq!(pulls.arrived(&ended(exceeded), now), Arrival::Unusable(exceeded.to_owned()));
        assert_eq!(pulls.arrived(&ended("Exceeded MaxWaiting"), now), Arrival::Status);
    }
}
