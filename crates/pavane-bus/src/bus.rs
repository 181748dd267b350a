use std::future::Future;

use bytes::Bytes;
use pavane_contract::Timestamp;

use crate::{ConsumerConfig, Delivery, Message, Outgoing, Topology, Wakes};

/// A message bus with durable streams and durable consumers: what Pavane needs of JetStream, and no more.
pub trait Bus: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// What [`subscribe`](Self::subscribe) gives.
    type Subscription: Subscription;

    /// Creates the streams, or checks that the existing ones are as wanted.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached, or a stream exists with another configuration and the change isn't a safe one; the
    /// message names each setting with both values.
    fn provision(&self, topology: &Topology) -> impl Future<Output = Result<(), Error>> + Send;

    /// Publishes messages, many in flight at once, and returns what became of each, in the same order.
    ///
    /// An result may be unknown ([`PublishError::Unavailable`]): publish again with the same message id. Behind a message that
    /// may be stored later nothing more is sent; what was under way already may be stored before it.
    fn publish(&self, messages: Vec<Outgoing>) -> impl Future<Output = Vec<Result<Receipt, PublishError>>> + Send;

    /// Opens a durable consumer of the events stream, creating it when it doesn't exist.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached, permissions forbid it, the stream doesn't exist ([`Error::NoStream`]), or the consumer
    /// exists with another configuration and the change isn't a safe one.
    fn subscribe(&self, consumer: &ConsumerConfig) -> impl Future<Output = Result<Self::Subscription, Error>> + Send;

    /// The events stream's identity, beginning and end.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached; [`Error::NoStream`] when there is no such stream (any more).
    fn stream_state(&self) -> impl Future<Output = Result<StreamState, Error>> + Send;

    /// The message id stored at a sequence of the events stream; `None` when nothing is stored there (any more).
    ///
    /// The relay compares it with its own record, to notice that the broker lost acknowledged messages.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached.
    fn message_id_at(&self, sequence: u64) -> impl Future<Output = Result<Option<String>, Error>> + Send;

    /// The dead letter stored at a sequence of the stream of dead letters; `None` when nothing is stored there (any more).
    ///
    /// A redrive names it, and its subject tells whose letter it is: only that service may publish there.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached, doesn't answer in time, or permissions forbid it.
    fn dead_letter_at(&self, sequence: u64) -> impl Future<Output = Result<Option<Message>, Error>> + Send;

    /// How far a durable consumer of the events stream is; `None` when it doesn't exist.
    ///
    /// Ask before the consumer is opened to learn what it missed: the first request for messages moves it past what expired.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached; [`Error::NoStream`] when the stream doesn't exist.
    fn consumer_position(&self, durable: &str) -> impl Future<Output = Result<Option<ConsumerPosition>, Error>> + Send;

    /// Publishes a service's declaration, as JSON, where the monitor and the command line find it.
    ///
    /// A bus without such a place has nothing to do, which is the default.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached or permissions forbid it.
    fn declare(
        &self,
        topology: &Topology,
        service: &str,
        declaration: Bytes,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = (topology, service, declaration);
        std::future::ready(Ok(()))
    }

    /// Most bytes that the server takes in one message, headers included, as it stated when it was connected.
    fn message_max(&self) -> usize;

    /// Wakes the other instances of a service after a commit, so that the one that publishes reads its outbox at once.
    ///
    /// A wake may be lost, so its receivers also poll. A bus that carries none has nothing to do, which is the default.
    ///
    /// # Errors
    ///
    /// When the connection is closed for good.
    fn wake(&self, service: &str) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = service;
        std::future::ready(Ok(()))
    }

    /// Listens to what the instances of a service say with [`wake`](Self::wake).
    ///
    /// # Errors
    ///
    /// When the connection is closed for good.
    fn listen(&self, service: &str) -> impl Future<Output = Result<Wakes, Error>> + Send {
        let _ = service;
        std::future::ready(Ok(Wakes::never()))
    }

    /// How the connection is right now. Does no I/O.
    fn health(&self) -> Health;

    /// Flushes what is under way and closes the connection. Call it last: nothing can be acked afterwards.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// An open durable consumer.
pub trait Subscription: Send + 'static {
    /// Waits for at least one delivery and returns up to `credits` that are there.
    ///
    /// Never more than `credits` messages are asked for, so that nothing waits in client memory while its ack wait runs.
    /// Cancel-safe: a delivery is either returned or kept for the next call.
    ///
    /// # Errors
    ///
    /// When the consumer is gone for good. Disconnections are waited out inside.
    fn receive(&mut self, credits: usize) -> impl Future<Output = Result<Vec<Delivery>, Error>> + Send;

    /// Stops pulling, returns what wasn't handed out to the broker, and returns once the server has seen every ack sent before.
    ///
    /// # Errors
    ///
    /// When the server can't be asked. Unseen acks then mean redeliveries.
    fn close(self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// What the bus answers to a stored publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Where the message stands in its stream.
    pub sequence: u64,
    /// The stream already had a message with this id; nothing was stored.
    pub duplicate: bool,
}

/// Identity, beginning and end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// When the stream was created. Another time means another stream: the old one's messages are gone.
    pub created: Timestamp,
    /// The oldest sequence that it still has; one more than the last when it is empty.
    pub first_sequence: u64,
    /// The last sequence that it gave out.
    pub last_sequence: u64,
    /// The time by the server's clock when it said so; `None` from a server that doesn't tell.
    pub now: Option<Timestamp>,
}

/// How far a durable consumer is in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerPosition {
    /// The last sequence that it delivered, or passed over because nobody wanted it.
    pub delivered: u64,
    /// Up to here everything that it delivered is settled.
    pub settled: u64,
    /// How many deliveries are not settled.
    pub unsettled: u64,
    /// How many messages that it wants were not delivered yet.
    pub undelivered: u64,
}

impl ConsumerPosition {
    /// Up to which sequence everything that it wants was delivered and settled.
    pub const fn read_to(&self) -> u64 {
        if self.unsettled == 0 { self.delivered } else { self.settled }
    }

    /// The sequence up to which nothing is left to deliver to this consumer. `last_sequence` is the stream's last one, read before
    /// the consumer was asked.
    ///
    /// Up to there the consumer has read each message, or its filter excludes it, or it expired. Compare with an earlier
    /// position to tell these apart.
    pub fn done_to(&self, last_sequence: u64) -> u64 {
        let is_idle = self.unsettled == 0 && self.undelivered == 0;
        if is_idle { self.delivered.max(last_sequence) } else { self.read_to() }
    }
}

/// How the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Whether the client is connected right now.
    pub connected: bool,
    /// How often it connected again after a loss. A change tells the relay to look whether the broker lost anything.
    pub reconnects: u64,
}

/// Why a message wasn't stored. Each reads after "failed to publish: ".
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The bus didn't answer, or can't take more right now. It may have stored the message: publish again with the same id.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
    /// The server's permissions forbid it now. An operator can change that: publish again with the same id.
    #[error("permission denied: {0}")]
    Denied(String),
    /// The bus will never take this message.
    #[error("the bus refuses the message: {0}")]
    Refused(String),
}

/// Why the bus can't do what was asked. Each reads after "failed to …: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection, or no answer in time.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
    /// The server's permissions forbid it.
    #[error("permission denied: {0}")]
    Denied(String),
    /// What exists on the server differs from what is wanted.
    #[error("{what} exists with another configuration: {difference}")]
    Differs {
        /// Which stream or consumer.
        what: String,
        /// Each differing setting with both values, and what to do.
        difference: String,
    },
    /// The server is too old, or lacks a feature.
    #[error("the server can't do what is needed: {0}")]
    Unsupported(String),
    /// The stream was never provisioned, or was deleted since.
    #[error("the stream {0} does not exist; provision the topology first")]
    NoStream(String),
    /// It doesn't exist, and nothing may be created here.
    #[error("{what} does not exist, and PAVANE_VERIFY_ONLY is on: an operator creates it with `{command}`")]
    Missing {
        /// Which stream or consumer.
        what: String,
        /// What creates it.
        command: String,
    },
    /// A setting that can't be used.
    #[error("{setting} = {value} can't be used: {why}")]
    Setting {
        /// Which one: the variable of the environment.
        setting: &'static str,
        /// Its value; never a secret.
        value: String,
        /// Why, and what could be used.
        why: String,
    },
    /// The consumer was deleted on the server.
    #[error("the consumer {0} is gone")]
    Gone(String),
    /// Anything else the server answered.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// Whether it passes by itself: no connection, no answer, or a cluster without a leader.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
