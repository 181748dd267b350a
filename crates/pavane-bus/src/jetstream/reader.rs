//! Reads a stream in order, and leaves nothing behind on the server.
//!
//! It reads message by message, without a consumer. A consumer would be faster, but a user that may use one can do more than
//! read. The server sends the status of a pull, which has no body, to any reply subject that the pull names, and takes it for a
//! request of its own where that is the subject of one. With `CONSUMER.MSG.NEXT` on any consumer of its own, a user could so
//! purge or delete any stream. And NATS' wildcards match whole tokens, so a consumer with a temporary name could only be
//! permitted together with all others. `STREAM.MSG.GET` answers with a body, which no request of the API accepts.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use pavane_contract::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Inner, JetStream};
use crate::{Error, Message};

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum Start {
    /// With the oldest message that the stream still has.
    First,
    /// With this sequence, or the next one that the stream still has.
    Sequence(u64),
}

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the server stored it, by the server's clock.
    pub at: Timestamp,
    /// The message.
    pub message: Message,
}

impl Stored {
    /// A stored message.
    pub const fn new(sequence: u64, at: Timestamp, message: Message) -> Self {
        Self { sequence, at, message }
    }
}

/// Reads a stream in order, from any sequence. Any number of readers may read it: nothing is acked.
///
/// It survives lost connections. It polls for new messages several times a second.
pub struct Reader {
    inner: Arc<Inner>,
    stream: String,
    filters: Vec<String>,
    /// The next sequence to read.
    position: u64,
    /// The stream's last sequence, at the last poll.
    last: u64,
    /// Read, and not handed out yet.
    ready: VecDeque<Stored>,
    /// When to poll again.
    look_at: Instant,
    /// The last pause between two polls.
    pause: Duration,
}

/// How many messages are requested at once.
const WINDOW: u64 = 64;
/// The pauses between polls of a stream with new messages, and of one without.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));
/// How often to check whether the connection is back.
const CONNECTION_POLL: Duration = Duration::from_millis(250);

impl JetStream {
    /// Reads the messages of a stream whose subject matches one of `filters` (all messages when there is none), in order.
    ///
    /// With filters each message takes a round trip, so they are for a few messages among many.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached, the stream doesn't exist, or permissions forbid it (`$JS.API.STREAM.INFO` and
    /// `$JS.API.STREAM.MSG.GET`).
    pub async fn read(&self, stream: &str, filters: &[&str], start: Start) -> Result<Reader, Error> {
        let mut reader = Reader {
            inner: Arc::clone(&self.inner),
            stream: stream.to_owned(),
            filters: filters.iter().map(ToString::to_string).collect(),
            position: match start {
                Start::First => 1,
                Start::Sequence(sequence) => sequence.max(1),
            },
            last: 0,
            ready: VecDeque::new(),
            look_at: Instant::now(),
            pause: PAUSES.0,
        };
        Box::pin(reader.fill()).await?;
        Ok(reader)
    }
}

impl Reader {
    /// Waits for at least one message and returns up to `max` that are there. Cancel-safe: what was read is kept for the next call.
    ///
    /// # Errors
    ///
    /// When the stream can't be read. The next call tries again at the same sequence.
    pub async fn next(&mut self, max: usize) -> Result<Vec<Stored>, Error> {
        loop {
            if self.ready.is_empty() {
                sleep_until(self.look_at).await;
            }
            // Set before the await: if this is cancelled, the next call doesn't poll at once.
            self.look_at = Instant::now() + PAUSES.0;
            // One more than is wanted, so that `remaining` is known.
            while self.ready.len() <= max && self.fill_patiently().await? {}
            if !self.ready.is_empty() {
                self.pause = PAUSES.0;
                self.look_at = Instant::now();
                return Ok(self.ready.drain(..max.min(self.ready.len())).collect());
            }
            self.pause = (self.pause * 2).min(PAUSES.1);
            self.look_at = Instant::now() + self.pause;
        }
    }

    /// How many messages may follow the last one that was returned, as of the last poll: zero means that the end was reached
    /// then, not that nothing came since.
    pub fn remaining(&self) -> u64 {
        if self.ready.is_empty() {
            return 0;
        }
        self.ready.len() as u64 + (self.last + 1).saturating_sub(self.position)
    }

    /// As [`fill`](Self::fill), and waits for a connection that was lost.
    async fn fill_patiently(&mut self) -> Result<bool, Error> {
        let mut patience = None;
        loop {
            let since = self.inner.link.mark();
            // Boxed, because the future of a request is large.
            let error = match Box::pin(self.fill()).await {
                Err(error) if error.is_passing() => error,
                filled => return filled,
            };
            if self.inner.link.is_closed() {
                return Err(error);
            }
            if self.inner.connected() && self.inner.link.trouble(since, &[]).is_none() {
                // A server that comes back takes a moment to find its streams.
                let until = *patience.get_or_insert_with(|| Instant::now() + self.inner.request_timeout);
                if Instant::now() >= until {
                    return Err(error);
                }
            }
            sleep(CONNECTION_POLL).await;
        }
    }

    /// Reads the next messages that are there. `false` when there are none. Cancel-safe.
    async fn fill(&mut self) -> Result<bool, Error> {
        if !self.filters.is_empty() {
            return self.fill_filtered().await;
        }
        loop {
            if self.position > self.last && !self.look().await? {
                return Ok(false);
            }
            let end = self.last.min(self.position + WINDOW - 1);
            let asked = (self.position..=end).map(|sequence| self.inner.stored(&self.stream, sequence));
            let found: Vec<_> = try_join_all(asked).await?.into_iter().flatten().collect();
            if found.is_empty() {
                // Deleted, and perhaps many after it.
                let next = self.inner.stored_behind(&self.stream, ">", end).await?;
                self.position = next.map_or(self.last, |next| next.sequence - 1).max(end) + 1;
                continue;
            }
            self.position = end + 1;
            self.ready.extend(found);
            return Ok(true);
        }
    }

    /// The next message that a filter matches: the earliest of each filter's next.
    async fn fill_filtered(&mut self) -> Result<bool, Error> {
        if self.position > self.last && !self.look().await? {
            return Ok(false);
        }
        let asked = self.filters.iter().map(|filter| self.inner.stored_behind(&self.stream, filter, self.position - 1));
        let found = try_join_all(asked).await?.into_iter().flatten().min_by_key(|stored| stored.sequence);
        let Some(found) = found else {
            self.position = self.last + 1;
            return Ok(false);
        };
        self.position = found.sequence + 1;
        self.ready.push_back(found);
        Ok(true)
    }

    /// Asks for the stream's first and last sequence. `false` when everything was read.
    async fn look(&mut self) -> Result<bool, Error> {
        let (first, last) = self.inner.bounds(&self.stream).await?;
        self.last = last;
        self.position = self.position.max(first);
        Ok(self.position <= self.last)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("stream", &self.stream)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
