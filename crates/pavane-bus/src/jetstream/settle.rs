use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use async_nats::{Subject, jetstream::AckKind};
use bytes::Bytes;
use tokio::time::timeout;

use super::{Inner, api::DELAY_MAX};
use crate::{Error, Settle};

/// Longest reason sent with a termination, in bytes. The server repeats it in an advisory.
const REASON_MAX: usize = 1024;

/// Settles one delivery by answering on its reply subject.
pub(super) struct Settler {
    inner: Arc<Inner>,
    reply: Subject,
}

impl Settler {
    pub(super) fn new(inner: Arc<Inner>, reply: Subject) -> Self {
        Self { inner, reply }
    }

    /// Passes the answer to the client. It isn't confirmed: even a confirmed ack is not durable on one replica.
    pub(super) async fn answer(&self, payload: Bytes) -> Result<(), Error> {
        let sent = self.inner.client.publish(self.reply.clone(), payload);
        match timeout(self.inner.request_timeout, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Error::Unavailable(format!("the delivery can't be settled: {error}"))),
            Err(_) => Err(Error::Unavailable(self.inner.not_connected())),
        }
    }

    /// Asks for another delivery after `delay`.
    pub(super) async fn retry_after(&self, delay: Duration) -> Result<(), Error> {
        // Zero is left out: the server then delivers it again at once.
        let delay = (!delay.is_zero()).then(|| delay.min(DELAY_MAX));
        self.answer(AckKind::Nak(delay).into()).await
    }
}

impl Settle for Settler {
    fn ack(self: Box<Self>) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        Box::pin(async move { self.answer(AckKind::Ack.into()).await })
    }

    fn retry_after(self: Box<Self>, delay: Duration) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        Box::pin(async move { Self::retry_after(&self, delay).await })
    }

    fn reject(self: Box<Self>, reason: String) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        Box::pin(async move {
            let end = reason.floor_char_boundary(REASON_MAX);
            self.answer(format!("+TERM {}", &reason[..end]).into()).await
        })
    }

    fn in_progress(&self) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + '_>> {
        Box::pin(self.answer(AckKind::Progress.into()))
    }
}
