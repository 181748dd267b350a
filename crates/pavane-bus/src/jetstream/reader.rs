//! Reading a stream in its own order, and leaving nothing behind on the server.

use std::{fmt, sync::Arc, time::Duration};

use async_nats::jetstream::{
    self,
    consumer::{DeliverPolicy, pull},
};
use futures_util::{FutureExt, StreamExt};
use pavane_contract::Timestamp;
use tokio::task::unconstrained;

use super::{Inner, JetStream, api::timestamp, link::Mark, subscription::decode};
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

/// A message as a stream keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// Where it stands in its stream.
    pub sequence: u64,
    /// When the server stored it, by the server's clock.
    pub at: Timestamp,
    /// The message.
    pub message: Message,
}

impl Stored {
    /// A message as a stream keeps it.
    pub const fn new(sequence: u64, at: Timestamp, message: Message) -> Self {
        Self { sequence, at, message }
    }
}

/// Reads a stream in order, from anywhere, as often as anybody likes: nothing is acked and nobody else is disturbed.
///
/// It survives lost connections: the server's consumer behind it lives in memory and is made anew where it stopped.
pub struct Reader {
    inner: Arc<Inner>,
    stream: String,
    filters: Vec<String>,
    /// Where to go on when a consumer has to be made anew.
    start: Start,
    open: Option<Open>,
    remaining: u64,
}

/// A consumer that is being read, and the connection that it was made over.
struct Open {
    messages: pull::Ordered,
    since: Mark,
}

/// What the names of readers' consumers begin with.
const READER: &str = "reader";
/// How often to look whether the connection is back.
const CONNECTION_POLL: Duration = Duration::from_millis(250);

impl JetStream {
    /// Reads what a stream has on the subjects that one of `filters` matches (all of them when there is none), in order.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached, the stream doesn't exist, or permissions forbid it.
    pub async fn read(&self, stream: &str, filters: &[&str], start: Start) -> Result<Reader, Error> {
        let mut reader = Reader {
            inner: Arc::clone(&self.inner),
            stream: stream.to_owned(),
            filters: filters.iter().map(ToString::to_string).collect(),
            start,
            open: None,
            remaining: 0,
        };
        Box::pin(reader.open()).await?;
        Ok(reader)
    }
}

impl Reader {
    /// Waits for at least one message and returns up to `max` that are there. Cancel-safe.
    ///
    /// # Errors
    ///
    /// When the stream can't be read. Calling it again tries it again, where it stopped.
    pub async fn next(&mut self, max: usize) -> Result<Vec<Stored>, Error> {
        loop {
            let inner = Arc::clone(&self.inner);
            let open = match &mut self.open {
                Some(open) => open,
                // Boxed, because what asks the server is large, and this is seldom.
                None => Box::pin(self.open()).await?,
            };
            let since = open.since;
            let next = tokio::select! {
                biased;
                next = open.messages.next() => next,
                // The consumer doesn't outlive its server, and only half a minute of silence would tell.
                _ = inner.link.troubled(since, &[]) => None,
            };
            let first = match next {
                Some(Ok(first)) => first,
                Some(Err(error)) if inner.link.trouble(since, &[]).is_none() => {
                    self.open = None;
                    return Err(self.cannot(&error));
                }
                Some(Err(_)) | None => {
                    self.open = None;
                    self.connected().await?;
                    continue;
                }
            };
            let mut stored = vec![self.stored(first)?];
            while stored.len() < max
                // Unconstrained, because tokio's cooperation would end the batch early.
                && let Some(Some(Ok(next))) = self.open.as_mut().and_then(|open| unconstrained(open.messages.next()).now_or_never())
            {
                stored.push(self.stored(next)?);
            }
            return Ok(stored);
        }
    }

    /// How many messages were behind the last one that was read, when the server sent it: zero means that the end was
    /// reached, not that nothing came since.
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    async fn open(&mut self) -> Result<&mut Open, Error> {
        let deliver_policy = match self.start {
            Start::First => DeliverPolicy::All,
            Start::Sequence(start_sequence) => DeliverPolicy::ByStartSequence { start_sequence },
        };
        // Named, so that permissions can be given: a consumer without a name is made by another request.
        let inbox = self.inner.client.new_inbox();
        let config = pull::OrderedConfig {
            name: inbox.rsplit('.').next().map(|unique| format!("{READER}-{unique}")),
            filter_subjects: self.filters.clone(),
            deliver_policy,
            ..pull::OrderedConfig::default()
        };
        let since = self.inner.link.mark();
        let made = self.inner.context.create_consumer_on_stream(config, self.stream.clone()).await;
        let consumer = made.map_err(|error| self.cannot(&error))?;
        self.remaining = consumer.cached_info().num_pending;
        let messages = consumer.messages().await.map_err(|error| self.cannot(&error))?;
        Ok(self.open.insert(Open { messages, since }))
    }

    async fn connected(&mut self) -> Result<(), Error> {
        while !self.inner.connected() {
            if self.inner.link.is_closed() {
                return Err(self.cannot(&"the connection is closed"));
            }
            tokio::time::sleep(CONNECTION_POLL).await;
        }
        Ok(())
    }

    fn stored(&mut self, message: jetstream::Message) -> Result<Stored, Error> {
        let info = message.info().map_err(|error| self.cannot(&error))?;
        let (sequence, at) = (info.stream_sequence, timestamp(info.published.unix_timestamp_nanos())?);
        self.remaining = info.pending;
        self.start = Start::Sequence(sequence + 1);
        let async_nats::Message { subject, payload, headers, .. } = message.message;
        let message = Message { subject: subject.into_string(), headers: decode(headers.as_ref()), payload };
        Ok(Stored { sequence, at, message })
    }

    fn cannot(&self, error: &dyn fmt::Display) -> Error {
        Error::Unavailable(format!("{} can't be read: {error}", self.stream))
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("stream", &self.stream)
            .field("remaining", &self.remaining)
            .finish_non_exhaustive()
    }
}
