use std::{fmt, future::Future, pin::Pin, time::Duration};

use crate::{Error, Message};

type Settled<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

/// Settles one delivery. Implemented once per bus; users only see [`Delivery`].
pub trait Settle: Send + Sync + 'static {
    /// Done: never deliver it to this consumer again.
    fn ack(self: Box<Self>) -> Settled<'static>;
    /// Deliver it again after a delay.
    fn retry_after(self: Box<Self>, delay: Duration) -> Settled<'static>;
    /// Never deliver it again, and say why.
    fn reject(self: Box<Self>, reason: String) -> Settled<'static>;
    /// A heartbeat: restart the ack wait.
    fn in_progress(&self) -> Settled<'_>;
}

/// One delivery of one message to one consumer. Settling consumes it, so it can't be settled twice.
///
/// If it is dropped without settling, the bus delivers it again after the ack wait.
#[must_use = "an unsettled delivery comes back after the ack wait"]
pub struct Delivery {
    /// What was delivered.
    pub message: Message,
    /// How often the bus delivered it to this consumer, this time included. Not a count of failures: a restart counts too.
    pub delivered: u64,
    /// The message's sequence in its stream.
    pub sequence: u64,
    settle: Box<dyn Settle>,
}

impl Delivery {
    /// A delivery. Only a bus makes one.
    pub fn new(message: Message, delivered: u64, sequence: u64, settle: impl Settle) -> Self {
        Self { message, delivered, sequence, settle: Box::new(settle) }
    }

    /// Acks: the message is done for this consumer. Call it only after the effects are committed.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached. The message is then delivered again, and the inbox skips it.
    pub async fn ack(self) -> Result<(), Error> {
        self.settle.ack().await
    }

    /// Asks for another delivery after `delay`.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached. The message is then delivered again after the ack wait.
    pub async fn retry_after(self, delay: Duration) -> Result<(), Error> {
        self.settle.retry_after(delay).await
    }

    /// Ends the message for this consumer without success. Keep it elsewhere (as a dead letter) *before*.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached. The message is then delivered again after the ack wait.
    pub async fn reject(self, reason: impl Into<String> + Send) -> Result<(), Error> {
        self.settle.reject(reason.into()).await
    }

    /// Sends a heartbeat, so that the bus doesn't deliver the message to another instance.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached.
    pub async fn in_progress(&self) -> Result<(), Error> {
        self.settle.in_progress().await
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("subject", &self.message.subject)
            .field("sequence", &self.sequence)
            .field("delivered", &self.delivered)
            .finish_non_exhaustive()
    }
}
