use std::future::Future;

use bytes::Bytes;
use pavane_contract::Timestamp;

use crate::{ConsumerConfig, Delivery, Message, Outgoing, Topology, Wakes};

/// A message bus with durable streams and durable consumers: the part of JetStream that Pavane needs.
pub trait Bus: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// What [`subscribe`](Self::subscribe) returns.
    type Subscription: Subscription;

    /// Creates the streams, or checks that the existing ones are as wanted.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached, or a stream exists with another configuration and the change isn't a safe one; the
    /// message names each setting with both values.
    fn provision(&self, topology: &Topology) -> impl Future<Output = Result<(), Error>> + Send;

    /// Publishes messages, many in flight at once, and returns the result of each, in the same order.
    ///
    /// A result may be unknown ([`PublishError::Unavailable`]): publish again with the same message id. After a message that may
    /// be stored later, nothing more is sent; messages that were in flight already may be stored before it.
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
    /// A redrive names a letter by its sequence. The letter's subject says whose it is: only that service may publish there.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached, doesn't answer in time, or permissions forbid it.
    fn dead_letter_at(&self, sequence: u64) -> impl Future<Output = Result<Option<Message>, Error>> + Send;

    /// How far a durable consumer of the events stream has come; `None` when it doesn't exist.
    ///
    /// Call it before the consumer is opened to find out what it missed: its first request moves it past expired messages.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached; [`Error::NoStream`] when the stream doesn't exist.
    fn consumer_position(&self, durable: &str) -> impl Future<Output = Result<Option<ConsumerPosition>, Error>> + Send;

    /// Publishes a service's declaration, as JSON, where the monitor and the command line find it.
    ///
    /// The default does nothing, for a bus that has no place for it.
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

    /// The server's limit for a message in bytes, headers included, as it stated when the connection was made.
    fn message_max(&self) -> usize;

    /// Wakes the other instances of a service after a commit, so that the one that publishes reads its outbox at once.
    ///
    /// A wake may be lost, so its receivers also poll. The default does nothing, for a bus that carries no wakes.
    ///
    /// # Errors
    ///
    /// When the connection is closed for good.
    fn wake(&self, service: &str) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = service;
        std::future::ready(Ok(()))
    }

    /// Subscribes to the [wakes](Self::wake) of a service.
    ///
    /// # Errors
    ///
    /// When the connection is closed for good.
    fn listen(&self, service: &str) -> impl Future<Output = Result<Wakes, Error>> + Send {
        let _ = service;
        std::future::ready(Ok(Wakes::never()))
    }

    /// The state of the connection right now. Does no I/O.
    fn health(&self) -> Health;

    /// Flushes what was sent and closes the connection. Call it last: nothing can be acked afterwards.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// An open durable consumer.
pub trait Subscription: Send + 'static {
    /// Waits for at least one delivery and returns up to `credits` that are there.
    ///
    /// Never more than `credits` messages are requested, so that none waits in client memory while its ack wait runs.
    /// Cancel-safe: a delivery is either returned or kept for the next call.
    ///
    /// # Errors
    ///
    /// When the consumer is gone for good. It waits while the connection is lost.
    fn receive(&mut self, credits: usize) -> impl Future<Output = Result<Vec<Delivery>, Error>> + Send;

    /// Stops pulling, returns what wasn't handed out to the broker, and returns once the server has seen every ack sent before.
    ///
    /// # Errors
    ///
    /// When the server doesn't answer. Acks that it hasn't seen mean redeliveries.
    fn close(self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The bus's answer to a stored publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The message's sequence in its stream.
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
    /// The time of this answer by the server's clock; `None` from a server that doesn't say.
    pub now: Option<Timestamp>,
}

/// How far a durable consumer has come in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerPosition {
    /// The last sequence that it delivered, or skipped because its filter excludes it.
    pub delivered: u64,
    /// The sequence up to which all deliveries are settled.
    pub settled: u64,
    /// How many deliveries are not settled.
    pub unsettled: u64,
    /// How many messages that match its filter were not delivered yet.
    pub undelivered: u64,
}

impl ConsumerPosition {
    /// The sequence up to which everything that matches its filter was delivered and settled.
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

/// The state of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Whether the client is connected right now.
    pub connected: bool,
    /// How often it connected again after a loss. After a change the relay checks whether the broker lost anything.
    pub reconnects: u64,
}

/// Why a message wasn't stored. Each reads after "failed to publish: ".
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The bus didn't answer, or can't take more right now. The message may be stored: publish again with the same id.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
    /// The server's permissions forbid it. An operator can change that: publish again with the same id.
    #[error("permission denied: {0}")]
    Denied(String),
    /// The bus refuses this message for good.
    #[error("the bus refuses the message: {0}")]
    Refused(String),
}

/// Why the bus failed. Each reads after "failed to …: ".
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
    /// It doesn't exist, and this process may create nothing.
    #[error("{what} does not exist, and PAVANE_VERIFY_ONLY is on: an operator creates it with `{command}`")]
    Missing {
        /// Which stream or consumer.
        what: String,
        /// The command that creates it.
        command: String,
    },
    /// A setting has a value that can't be used.
    #[error("{setting} = {value} can't be used: {why}")]
    Setting {
        /// The environment variable.
        setting: &'static str,
        /// Its value; never a secret.
        value: String,
        /// Why, and what would work.
        why: String,
    },
    /// The consumer was deleted on the server.
    #[error("the consumer {0} is gone")]
    Gone(String),
    /// Any other answer of the server.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// Whether it may pass by itself: no connection, no answer, or a cluster without a leader.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
